"""A table by module as a static picture: an icicle in SVG, without script, for notebooks, READMEs and slides.

Each module is as wide as its share of a column of sums. All texts are escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import sqrt
from typing import TYPE_CHECKING

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import Module
from onnx_tagger.measures.rollup import Value
from onnx_tagger.measures.shown import shown
from onnx_tagger.model.metadata import SOURCES
from onnx_tagger.model.texts import cut, printable

if TYPE_CHECKING:
    from onnx_tagger.measures.measure import Column
    from onnx_tagger.measures.table import ModuleTable

# Okabe and Ito's colours, which differ for all kinds of colour vision; those of sources from best to worst.
_CLASSES = ("#56b4e9", "#e69f00", "#009e73", "#f0e442", "#cc79a7", "#0072b2", "#d55e00", "#9ad0c2", "#c9b1e0")
_SOURCES = ("#0072b2", "#56b4e9", "#f0e442", "#e69f00", "#d55e00")
_PLAIN, _UNTAGGED = "#c6ccd3", "#8a9199"
_RAMP = ("#e9f2fa", "#8cc6ea", "#2a7fb8", "#00375c")
_WORSE = ("#fbf3dd", "#f2bb4b", "#d55e00", "#7d2f00")
_CHANGE = ("#0072b2", "#8cc0de", "#eceef0", "#eda97c", "#d55e00")

# Of one level, and of a letter; what is narrower than the least is left out.
_ROW, _LETTER, _LEAST = 22, 6.3, 1.5
_LEGEND = 26
_MOST = 200


@dataclass(frozen=True, slots=True)
class Box:
    """A module in the picture, or the nodes without a tag: where it is, and its level."""

    module: Module | None
    x: float
    width: float
    level: int


def icicle(
    table: ModuleTable,
    *,
    size: str | None = None,
    colour: str | None = None,
    width: int = 1200,
    most: int | None = None,
    depth: int | None = None,
) -> str:
    """The picture of a table.

    Parameters
    ----------
    table : ModuleTable
    size : str, optional
        The column of sums that modules are as wide as; the first that fits if left out.
    colour : str, optional
        A column; classes, or the sources of tags where these differ and the table has them, if left out.
    width : int
        In pixels; the picture scales.
    most : int, optional
        Leave out the deepest levels until the picture has at most so many modules.
    depth : int, optional
        Levels to show.

    Returns
    -------
    str
        An ``svg`` element.

    Raises
    ------
    TaggerError
        If there is no such column, or its numbers cannot be widths.

    Examples
    --------
    >>> from onnx_tagger.hierarchy.map import HierarchyMap
    >>> from onnx_tagger.hierarchy.naming import ModuleRow
    >>> from onnx_tagger.hierarchy.tree import ModuleTree
    >>> from onnx_tagger.measures.measure import Column, Measure
    >>> from onnx_tagger.measures.table import ModuleTable
    >>> from onnx_tagger.model.metadata import Source
    >>> modules = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("fc", "Linear")])
    >>> tags = [modules.tag("fc", Source.EXPORTED)]
    >>> picture = icicle(ModuleTable.of(ModuleTree(modules), tags, [Measure(Column("nodes"), [1])]))
    >>> picture.count("<title>"), picture.startswith("<svg")
    (2, True)
    """
    column = _size_of(table, size)
    place = {module.path: at for at, module in enumerate(table.modules)}
    boxes = list(_boxes(table, column, place, width))
    levels = max((box.level for box in boxes), default=0) + 1 if depth is None else depth + 1
    if most is not None:
        while levels > 1 and sum(box.level < levels for box in boxes) > most:
            levels -= 1
    kept = [box for box in boxes if box.level < levels]
    levels = max((box.level for box in kept), default=0) + 1
    paint = _paint(table, colour, column, place)
    height = levels * _ROW + _LEGEND
    parts = [_drawn(table, column, box, place, paint) for box in kept]
    legend = _legend(paint, levels * _ROW + 6, f"width: {_titled(column)}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="100%" role="img" '
        f'font-family="system-ui,sans-serif" font-size="11">{"".join(parts)}{legend}</svg>'
    )


def _size_of(table: ModuleTable, name: str | None) -> Column:
    columns = [table.column(name)] if name is not None else list(table.columns)
    for column in columns:
        if column.rule == "sum" and all((value or 0.0) >= 0 for value in table.cells[column.name].total):
            return column
    what = f"the column {name!r}" if name else "no column of the table"
    raise TaggerError(
        f"{what} cannot be shown as widths: that takes sums without negative numbers; name such a column as the size"
    )


def _boxes(table: ModuleTable, column: Column, place: Mapping[str, int], width: int) -> Iterator[Box]:
    cells = table.cells[column.name]
    children: dict[str | None, list[Module]] = {}
    for module in table.tree.root.below():
        if module.path in place:
            above = module.parent
            while above is not None and above.path not in place:
                above = above.parent
            children.setdefault(None if above is None else above.path, []).append(module)
    tops, loose = children.get(None, []), cells.untagged or 0.0
    whole = sum(cells.total[place[module.path]] or 0.0 for module in tops) + loose
    if whole <= 0:
        return
    stack: list[Box] = []
    x = 0.0
    for module in tops:
        stack.append(Box(module, x, width * (cells.total[place[module.path]] or 0.0) / whole, 0))
        x += stack[-1].width
    if loose:
        yield Box(None, x, width * loose / whole, 0)
    while stack:
        box = stack.pop()
        if box.width < _LEAST or box.module is None:
            continue
        yield box
        total, x = cells.total[place[box.module.path]] or 0.0, box.x
        for child in children.get(box.module.path, ()):
            part = box.width * (cells.total[place[child.path]] or 0.0) / total if total else 0.0
            stack.append(Box(child, x, part, box.level + 1))
            x += part


@dataclass(frozen=True, slots=True)
class _Paint:
    """How modules are coloured: by their position in the table, and what the colours mean."""

    colours: Sequence[str]
    legend: Sequence[tuple[str, str]]


def _paint(table: ModuleTable, colour: str | None, size: Column, place: Mapping[str, int]) -> _Paint:
    if colour is not None:
        return _by_column(table, table.column(colour))
    names = {column.name for column in table.columns}
    if names >= SOURCES.keys():
        found = [name for name in SOURCES if table.whole[name]]
        if len(found) > 1:
            return _by_source(table, found)
    return _by_class(table, size)


def _by_class(table: ModuleTable, size: Column) -> _Paint:
    """The classes that the most lies in have a colour each; those around others have none."""
    weights: dict[str, float] = {}
    own = table.cells[size.name].own
    for at, module in enumerate(table.modules):
        if module.cls is not None and not module.children:
            weights[module.cls] = weights.get(module.cls, 0.0) + (own[at] or 0.0)
    ranked = sorted(weights, key=lambda name: -weights[name])[: len(_CLASSES)]
    colours = dict(zip(ranked, _CLASSES, strict=False))
    legend = [(colour, name) for name, colour in colours.items()]
    return _Paint([colours.get(module.cls or "", _PLAIN) for module in table.modules], [*legend, (_PLAIN, "other")])


def _by_source(table: ModuleTable, found: Sequence[str]) -> _Paint:
    """The worst source below a module says what is not known outright."""
    colours = []
    for at in range(len(table)):
        worst = next((name for name in reversed(found) if table.cells[name].total[at]), None)
        colours.append(_PLAIN if worst is None else _SOURCES[SOURCES[worst]])
    return _Paint(colours, [(_SOURCES[SOURCES[name]], name) for name in found])


def _by_column(table: ModuleTable, column: Column) -> _Paint:
    values = table.cells[column.name].total
    numbers = [value for value in values if value is not None]
    high, low = max(numbers, default=0.0), min(numbers, default=0.0)
    if low < 0:
        end = max(high, -low)
        ends = (-end, end)
        shares = [None if value is None else 0.5 + value / end / 2 for value in values]
        ramp: Sequence[str] = _CHANGE
    else:
        ends = (0.0, high)
        # A sum shrinks from level to level: the root of its share tells the lower ones apart.
        bend = sqrt if column.rule == "sum" else float
        shares = [None if value is None else bend(value / high) if high else 0.0 for value in values]
        ramp = _RAMP if column.worse is None else _WORSE if column.worse == "higher" else _WORSE[::-1]
    colours = [_PLAIN if share is None else _mixed(ramp, share) for share in shares]
    texts = [f"{shown(end)} {column.unit}".strip() for end in ends]
    return _Paint(colours, [(ramp[0], f"{column.name}: {texts[0]}"), (ramp[-1], texts[1])])


def _mixed(ramp: Sequence[str], share: float) -> str:
    at = min(max(share, 0.0), 1.0) * (len(ramp) - 1)
    low = min(int(at), len(ramp) - 2)
    one, other = (bytes.fromhex(ramp[place][1:]) for place in (low, low + 1))
    return "#" + bytes(round(a + (b - a) * (at - low)) for a, b in zip(one, other, strict=True)).hex()


def _drawn(table: ModuleTable, column: Column, box: Box, place: Mapping[str, int], paint: _Paint) -> str:
    cells = table.cells[column.name]
    if box.module is None:
        name, path, fill, value = "(no tag)", "nodes without a tag", _UNTAGGED, cells.untagged
    else:
        at = place[box.module.path]
        name, path, fill, value = (
            box.module.segment or box.module.shown,
            box.module.shown,
            paint.colours[at],
            cells.total[at],
        )
    top, room = box.level * _ROW, int((box.width - 8) / _LETTER)
    if len(name) > room and box.module is not None:
        name = box.module.path.rpartition(".")[2] or name
    words = "" if room < 2 else _text(name if len(name) <= room else f"{name[: room - 1]}…")
    tip = f"{_text(cut(path, _MOST))}: {_number(value, column)}"
    label = f'<text x="{box.x + 4:.1f}" y="{top + 15}" fill="{_ink(fill)}">{words}</text>' if words else ""
    return (
        f'<g><title>{tip}</title><rect x="{box.x + 0.5:.1f}" y="{top + 0.5}" width="{max(box.width - 1, 0.5):.1f}" '
        f'height="{_ROW - 1}" rx="3" fill="{fill}"/>{label}</g>'
    )


def _legend(paint: _Paint, top: int, words: str) -> str:
    parts, x = [], 0.0
    for fill, name in paint.legend:
        text = _text(cut(name, 40))
        parts.append(f'<rect x="{x:.1f}" y="{top}" width="11" height="11" rx="2" fill="{fill}"/>')
        # A grey that is read on white and on black.
        parts.append(f'<text x="{x + 15:.1f}" y="{top + 10}" fill="#7d8590">{text}</text>')
        x += 28 + _LETTER * len(text)
    parts.append(f'<text x="{x + 8:.1f}" y="{top + 10}" fill="#7d8590">{_text(words)}</text>')
    return "".join(parts)


def _titled(column: Column) -> str:
    return cut(f"{column.name} ({column.unit})" if column.unit else column.name, 60)


def _number(value: Value, column: Column) -> str:
    return _text(f"{column.name} {shown(value)} {column.unit}".strip())


def _ink(fill: str) -> str:
    red, green, blue = bytes.fromhex(fill[1:])
    return "#fff" if 0.299 * red + 0.587 * green + 0.114 * blue < 120 else "#14171b"


def _text(text: str) -> str:
    return escape(printable(text))
