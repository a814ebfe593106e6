"""The forms of a profile: the terminal's tables, and the traces that other viewers read."""
