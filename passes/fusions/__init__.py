"""Fusions: each a pass that writes several nodes as one operator that computes the same, and keeps their modules.

What they share is in `fusing`, `parts` and `algebra`. Nothing here runs a model.
"""
