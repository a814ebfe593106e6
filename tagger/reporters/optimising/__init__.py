"""The forms of an optimisation's report, one a file."""
