"""The forms of output: the terminal, and the formats that machines read.

A reporter takes a finished value and renders it; it computes nothing and reads no model.
"""
