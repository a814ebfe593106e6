"""Whose file is it: the evidence that a map is of a file's own model, and the verdict that it adds up to.

Nothing here tags a node. Which tags a map gives is the passes' matter, what is done with the verdict `retagging`'s.
"""
