"""What the fx strategy does with torch's dynamo exporter: its program, what it absorbs and lowers, its save.

The strategy itself is `onnx_tagger.exporters.fx`.
"""
