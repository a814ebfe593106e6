"""A comparison as a value: distances between tensors, what a reference recorded, and each module's two errors.

Nothing is run here; see `onnx_tagger.workflows.comparing`.
"""
