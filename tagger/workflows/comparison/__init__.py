"""The parts of a comparison by module: which tensors stand at the borders of calls, which value of the reference each
is, how far it may be off, and whose fault it is. Running the chain is `onnx_tagger.workflows.comparing`'s.
"""
