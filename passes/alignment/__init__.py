"""How regions of a changed graph find the regions of the saved graph that they replace.

The pass itself is `onnx_tagger.passes.align`; these are the steps that it takes.
"""
