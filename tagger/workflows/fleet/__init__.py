"""Thousands of files, each in a row: what is done with one, in processes that may be killed, by which engine, and how a
run that was broken off goes on.

What a row holds is said in `onnx_tagger.model.fleet`; how a table of rows looks is for reporters.
"""
