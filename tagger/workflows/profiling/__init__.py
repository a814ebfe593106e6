"""Profiling a file as it really runs: sessions, the tags of what the runtime made of it, and the ways to run compared.

How a session is run is `onnx_tagger.runtime`'s, what a profile is `onnx_tagger.measures.profiling.profile`'s.
"""
