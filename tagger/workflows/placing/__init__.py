"""Which device each node goes to by onnxruntime's layer assignment settings: rules read, and their effect predicted.

Nothing is run here: that onnxruntime does what is predicted is found out by `onnx_tagger.runtime.assignment`.
"""
