"""Columns that fit a terminal: how wide each is, and how a long cell is wrapped, at blanks or else where a path parts.

How a table is drawn is `terminal`'s.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

# A text is parted behind these where it has no blank.
_PIECES = re.compile(r"[^/.,=:_-]*[/.,=:_-]+|[^/.,=:_-]+")

# No column of texts becomes narrower, whatever there is room for.
_LEAST = 8


def widths_of(columns: Sequence[Sequence[str]], room: int, fixed: Collection[int] = ()) -> list[int]:
    """How wide each column is to be, so that all together fit.

    Columns become narrower from the widest on: first as long as their words stay whole, then as long as the parts of
    paths do.

    Parameters
    ----------
    columns : sequence of sequences of str
        The cells of each, the header among them.
    room : int
        Characters for all columns.
    fixed : collection of int
        Columns that keep their width, such as those of numbers.

    Examples
    --------
    >>> widths_of([["name", "a"], ["module", "/Net/Encoder/Linear.query"]], 20)
    [4, 16]
    """
    widths = [min(_most(column), max(room, _LEAST)) for column in columns]
    whole = [_most(word for cell in column for word in cell.split()) for column in columns]
    parts = [_most(piece for cell in column for piece in _PIECES.findall(cell)) for column in columns]
    for floors in (whole, parts, [_LEAST] * len(columns)):
        _narrow(widths, [width if place in fixed else floors[place] for place, width in enumerate(widths)], room)
    return widths


def _most(texts: Iterable[str]) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, texts), default=0)


def _narrow(widths: list[int], floors: Sequence[int], room: int) -> None:
    while sum(widths) > room:
        place = max(range(len(widths)), key=lambda place: (widths[place] > floors[place], widths[place]))
        if widths[place] <= floors[place]:
            return
        widths[place] -= 1


def wrapped(text: str, width: int) -> list[str]:
    """The lines of a cell; a part of a path that is longer than its column is cut.

    Examples
    --------
    >>> wrapped("Tag the nodes", 8)
    ['Tag the', 'nodes']
    >>> wrapped("/BertModel/BertEncoder/BertLayer.0", 12)
    ['/BertModel/', 'BertEncoder/', 'BertLayer.0']
    """
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return [text]
    lines = [""]
    for word in text.split(" "):
        pieces = [word] if cell_len(word) <= width else _PIECES.findall(word)
        for index, piece in enumerate(pieces):
            start = lines[-1] + (" " if lines[-1] and not index else "")
            if cell_len(start + piece) <= width:
                lines[-1] = start + piece
                continue
            shown = piece if cell_len(piece) <= width else set_cell_size(piece, width - 1) + "…"
            lines[-1:] = [*([lines[-1]] if lines[-1] else []), shown]
    return lines
