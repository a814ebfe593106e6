"""The exporters: from a PyTorch module to an ONNX file and the map of its modules, the only place that imports torch.

What is done to a graph afterwards lives in `onnx_tagger.passes`, which is never imported here.
"""

if __name__ != "onnx_tagger.exporters":
    raise ImportError(
        f"{__name__} is a folder of the onnx-tagger repository, not a package of its own: "
        "install the repository and import onnx_tagger.exporters"
    )

# Strategies and the classes that export by them, in the order in which `auto` tries them: fx knows the module of nearly
# every node and keeps it through its own folds. A class is imported when it is used, so that the names need no torch.
STRATEGIES = {
    "fx": "onnx_tagger.exporters.fx:FxExporter",
    "htp": "onnx_tagger.exporters.htp:HtpExporter",
}

# Other names that are accepted for a strategy.
ALIASES = {"dynamo": "fx", "torchscript": "htp"}
