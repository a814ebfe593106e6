"""The bytes of an ONNX file: skeletons, splices, external data, and files that appear whole or not at all.

What the bytes mean for modules and tags lives in `onnx_tagger.model` and `onnx_tagger.hierarchy`.
"""
