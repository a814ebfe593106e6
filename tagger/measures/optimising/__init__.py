"""What an optimisation tried: each try as a record, the choice among them, and the JSON file of both.

Nothing here runs a model.
"""
