"""What the htp strategy does with the TorchScript exporter: its traced graph and the calls that it traces.

The strategy itself is `onnx_tagger.exporters.htp`.
"""
