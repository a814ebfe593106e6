"""The analyses that several passes share: data flow, notes on nodes, the saved graph, sizes and weights.

An analysis computes and never writes; the passes that use them are one level up.
"""
