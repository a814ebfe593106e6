"""From what a user types to a model and its inputs: directories, configurations, hub ids and factories.

How the model is then exported is the strategies' task.
"""
