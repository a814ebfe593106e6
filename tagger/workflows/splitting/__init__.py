"""A model in stages, each a file of its own: which nodes are in which, what goes from one to another, the files.

How bytes are copied is `onnx_tagger.files.parts`'; stages are run by `onnx_tagger.runtime.chaining`.
"""
