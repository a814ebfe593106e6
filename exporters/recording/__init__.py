"""Recording which module runs while a model is run: wrapped forwards, direct calls and dispatched operations.

What a record is used for lives in `onnx_tagger.exporters.capture` and `onnx_tagger.exporters.truth`.
"""
