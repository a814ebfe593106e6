"""The forms of output: the terminal, and the formats that machines read; one a file.

A reporter takes a finished value and renders it; it computes nothing and reads no model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from onnx_tagger.model.verdict import Verdict

# What `check --format` takes, with the file here whose `render(verdict, out)` writes it.
VERDICT_FORMS = {"text": "text", "json": "jsonform", "junit": "junit", "github": "github"}


def render_verdict(verdict: Verdict, form: str, out: TextIO) -> None:
    """Write a verdict in one of the `VERDICT_FORMS`."""
    import_module(f"{__name__}.{VERDICT_FORMS[form]}").render(verdict, out)
