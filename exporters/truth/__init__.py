"""Whose work each node of a file really does, found by running the model and the file and comparing values.

It judges tags and never makes one.
"""
