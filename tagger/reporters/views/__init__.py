"""The forms that people look at: the page, the picture, and what Model Explorer reads."""
