"""What a gate is asked for, as values: its settings with where each comes from, and the counts that it may not exceed.

No file is read here; see `onnx_tagger.workflows.gate`.
"""
