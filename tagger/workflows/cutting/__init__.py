"""Modules of a file taken out as files of their own, put back, and improved one by one.

How nodes and weights are copied is in `onnx_tagger.files.parts`; running parts is the runtime's matter.
"""
