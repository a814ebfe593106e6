"""The forms of output: the terminal, and the formats that machines read; one a file.

A reporter takes a finished value and renders it; it computes nothing and reads no model.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from onnx_tagger.measures.table import ModuleTable
    from onnx_tagger.model.verdict import Verdict

# What `check --format` takes, with the file here whose `render(verdict, out)` writes it.
VERDICT_FORMS = {"text": "text", "json": "jsonform", "junit": "junit", "github": "github"}


def render_verdict(verdict: Verdict, form: str, out: TextIO) -> None:
    """Write a verdict in one of the `VERDICT_FORMS`."""
    import_module(f"{__name__}.{VERDICT_FORMS[form]}").render(verdict, out)


# What `--format` of commands that show a table by module takes besides text, with the file that writes it.
TABLE_FORMS = {"json": "jsonform", "csv": "csv", "tsv": "tsv", "markdown": "markdown", "html": "page"}


def render_table(table: ModuleTable, form: str, out: TextIO) -> None:
    """Write a table in one of the `TABLE_FORMS`."""
    import_module(f"{__name__}.{TABLE_FORMS[form]}").render(table, out)
