"""onnxruntime's quantisers and what they need: samples to calibrate on, and the noise that is made.

Which nodes those are is decided by `onnx_tagger.workflows.quantising`.
"""
