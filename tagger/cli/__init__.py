"""The command line: its global options, what commands share, and one file for each command in `commands`.

What a command does lives in `onnx_tagger.workflows`, what its result looks like in `onnx_tagger.reporters`.
"""
