"""The forms of output: the terminal, and the formats that machines read; one a file.

A reporter takes a finished value and renders it; it computes nothing and reads no model.
"""

from __future__ import annotations

from importlib import import_module
from io import StringIO
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from onnx_tagger.measures.comparison.comparison import Comparison
    from onnx_tagger.measures.table import ModuleTable
    from onnx_tagger.model.fleetsummary import Summary
    from onnx_tagger.model.gated import Gated
    from onnx_tagger.model.verdict import Verdict
    from onnx_tagger.workflows.viewing import View

# What `check --format` takes, with the file here whose `render(verdict, out)` writes it.
VERDICT_FORMS = {
    "text": "text",
    "json": "jsonform",
    "junit": "junit",
    "github": "github",
    "sarif": "sarif",
    "markdown": "jobsummary",
}


def render_verdict(verdict: Verdict, form: str, out: TextIO) -> None:
    """Write a verdict in one of the `VERDICT_FORMS`."""
    import_module(f"{__name__}.{VERDICT_FORMS[form]}").render(verdict, out)


def render_gated(gated: Gated, form: str, out: TextIO) -> None:
    """Write what was found in many files, in one of the `VERDICT_FORMS` whose file has a `render_many`."""
    import_module(f"{__name__}.{VERDICT_FORMS[form]}").render_many(gated, out)


# What `--format` of commands that show a table by module takes besides text, with the file that writes it.
TABLE_FORMS = {"json": "jsonform", "csv": "csv", "tsv": "tsv", "markdown": "markdown", "html": "views.page"}


def render_table(table: ModuleTable, form: str, out: TextIO) -> None:
    """Write a table in one of the `TABLE_FORMS`."""
    import_module(f"{__name__}.{TABLE_FORMS[form]}").render(table, out)


# What `view` writes, by the suffix of the file, with the file here that writes it.
VIEW_FORMS = {
    "html": "views.page",
    "svg": "views.svg",
    "me.json": "views.modelexplorer",
    "overlay.json": "views.overlay",
}


def render_view(view: View, form: str) -> str:
    """A view of a file as text, in one of the `VIEW_FORMS`."""
    module = import_module(f"{__name__}.{VIEW_FORMS[form]}")
    out = StringIO()
    module.render_view(view, out)
    return out.getvalue()


# What `compare --format` takes, with the file here that writes it.
COMPARISON_FORMS = {
    "text": "comparison.text",
    "json": "jsonform",
    "junit": "comparison.junit",
    "github": "comparison.github",
    "markdown": "comparison.markdown",
}


def render_comparison(comparison: Comparison, form: str, out: TextIO) -> None:
    """Write a comparison in one of the `COMPARISON_FORMS`."""
    import_module(f"{__name__}.{COMPARISON_FORMS[form]}").render(comparison, out)


# What `fleet report --format` takes, with the file here that writes it.
FLEET_FORMS = {"text": "fleet.text", "json": "jsonform", "markdown": "fleet.markdown", "html": "fleet.page"}


def render_fleet(summary: Summary, form: str) -> str:
    """What a fleet adds up to, in one of the `FLEET_FORMS`."""
    out = StringIO()
    import_module(f"{__name__}.{FLEET_FORMS[form]}").render(summary, out)
    return out.getvalue()
