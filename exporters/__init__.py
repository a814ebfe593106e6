"""The exporters: from a PyTorch module to an ONNX file and the map of its modules, the only place that imports torch.

What is done to a graph afterwards lives in `onnx_tagger.passes`, which is never imported here.
"""

if __name__ != "onnx_tagger.exporters":
    raise ImportError(
        f"{__name__} is a folder of the onnx-tagger repository, not a package of its own: "
        "install the repository and import onnx_tagger.exporters"
    )
