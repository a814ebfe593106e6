"""Modules as local functions of an ONNX model: which nodes become one call, the functions, and the way back.

Which file is read and written is the workflow's matter.
"""
