"""A module tree from the names in a file, where nothing else says anything: node names, tensor names, doc strings.

What is read is text alone; no graph is compared, and what is near a node says nothing here. That is for passes.
"""
