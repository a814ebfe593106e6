"""What a model is to this package: its nodes, their metadata and the conventions of others, limits, and the report.

Files, maps and passes are built on it; nothing here reads a file.
"""
