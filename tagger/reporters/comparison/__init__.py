"""The forms of a comparison, one a file."""
