"""The forms of what quantising costs and of what was quantised."""
