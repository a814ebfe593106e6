"""The forms of a fleet's summary, one a file."""
