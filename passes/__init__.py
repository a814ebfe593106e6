"""The verbs: passes over an ONNX graph, the analyses that they share and the manager that runs them.

What a model, a map or a tag is lives in `onnx_tagger` itself; nothing here imports torch or `onnx_tagger.exporters`.
"""

if __name__ != "onnx_tagger.passes":
    raise ImportError(
        f"{__name__} is a folder of the onnx-tagger repository, not a package of its own: "
        "install the repository and import onnx_tagger.passes"
    )
