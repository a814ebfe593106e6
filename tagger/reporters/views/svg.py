"""A table by module as a picture in SVG, without script: the icicle for a README or a slide."""

from __future__ import annotations

from typing import TextIO

from onnx_tagger.measures.icicle import icicle
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.workflows.viewing import View


def render(table: ModuleTable, out: TextIO, *, size: str | None = None, colour: str | None = None) -> None:
    """Write a picture of a table.

    Parameters
    ----------
    table : ModuleTable
    out : TextIO
    size, colour : str, optional
        The columns that modules are sized and coloured by; see `onnx_tagger.measures.icicle`.

    Raises
    ------
    TaggerError
        If there is no such column, or it cannot be a size.
    """
    out.write(icicle(table, size=size, colour=colour) + "\n")


def render_view(view: View, out: TextIO) -> None:
    """Write the picture of a file."""
    render(view.table, out, size=view.size, colour=view.colour)
