"""How a graph of unknown names is found again in the operations of a captured run.

The order of the run is compared here; which tags follow from it is decided by the passes.
"""
