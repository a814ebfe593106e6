"""The hierarchy map: the module tree, its parameters and the exported graph, with its file, digests and naming.

Nothing here knows a pass, an exporter or how an ONNX file lies on disk; a tagged one is read as a map through `files`.
"""
