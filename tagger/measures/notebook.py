"""A table as a cell of a notebook: the icicle as a picture, and below it the table, folded.

There is no script in it, so that it is shown where notebooks are not trusted and after they were converted.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.fragment import html_table
from onnx_tagger.measures.icicle import icicle
from onnx_tagger.model.texts import counted, cut, printable

if TYPE_CHECKING:
    from onnx_tagger.measures.table import ModuleTable

# A notebook is saved with all of its cells. Bytes of one, and of the picture in it.
MOST = 60_000
_MOST_OF_PICTURE = 26_000

# How many modules the picture is tried with, until it is small enough; levels are left out from below.
_TRIES = (120, 60, 25, 8, 1)


def notebook_cell(table: ModuleTable, heading: str = "") -> str:
    """A table for a notebook, of at most `MOST` bytes.

    Parameters
    ----------
    table : ModuleTable
    heading : str
        A line above it.
    """
    line = f"<p><b>{escape(printable(cut(heading, 300)))}</b></p>" if heading else ""
    picture = _picture(table)
    room = MOST - len((line + picture).encode()) - 200
    rows = html_table(table, most_bytes=room)
    is_open = "" if picture else " open"
    return f"{line}{picture}<details{is_open}><summary>{counted(len(table), 'module')}</summary>{rows}</details>"


def _picture(table: ModuleTable) -> str:
    for most in _TRIES:
        try:
            picture = icicle(table, most=most, width=900)
        except TaggerError:  # no column of it can be a width
            return ""
        if len(picture.encode()) <= _MOST_OF_PICTURE:
            return picture
    return ""
