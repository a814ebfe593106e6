"""What is known of each node as a number, and the one table that adds it up over the module tree.

A measure that needs no more than the model and its tags is a file here with a function `measure`; those that need a
run or a search are made by workflows. How a table looks is for reporters.
"""

# Measures of a model and its tags: the name that a user types, and the file here whose function `measure` makes it.
MEASURES: dict[str, str] = {
    "nodes": "nodes",
    "fused": "fused",
    "sources": "sources",
    "weights": "weights",
}
