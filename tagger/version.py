"""The version of this package, looked up on request: reading the installed metadata slows an import down."""

from __future__ import annotations

from functools import cache


@cache
def version() -> str:
    """The version of the installed distribution."""
    from importlib.metadata import version as installed

    return installed("onnx-tagger")
