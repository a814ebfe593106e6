"""A profile as a value: what kernels took, added up by module, compared with another, saved and loaded.

Nothing is run or timed here; see `onnx_tagger.workflows.profiling`.
"""
