"""Quantising by module: which nodes that means, what it costs, and a file that meets a target.

The quantisers themselves are onnxruntime's; see `onnx_tagger.runtime.quantising`.
"""
