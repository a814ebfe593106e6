"""Running ONNX files: sessions and their settings, the values that they are fed, profiles, and comparing two files.

It is the only place that imports onnxruntime; what is concluded from a run is decided by its callers.
"""

if __name__ != "onnx_tagger.runtime":
    raise ImportError(
        f"{__name__} is a folder of the onnx-tagger repository, not a package of its own: "
        "install the repository and import onnx_tagger.runtime"
    )
