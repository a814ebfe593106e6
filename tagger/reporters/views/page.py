"""A table by module, with its nodes where they are known, as a page of HTML that stands alone.

The page is `page.html` with `page.css` and `page.js`; here its data are made. It fetches nothing, and its policy lets
nothing in but its own style and script. Texts from a model are data: the script writes them as text alone.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from html import escape
from importlib.resources import files
from math import isclose, isfinite
from string import Template
from typing import TextIO

from onnx_tagger.hierarchy.tree import Module
from onnx_tagger.measures.rollup import RolledUp, Value
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.graph import operator
from onnx_tagger.model.metadata import SOURCES, text_of
from onnx_tagger.model.texts import brief, counted, cut
from onnx_tagger.reporters.terminal import printable
from onnx_tagger.version import version
from onnx_tagger.workflows.querying import id_of
from onnx_tagger.workflows.viewing import View, shapes_of

# What nobody reads to its end: names of megabytes would make the page one of megabytes.
_MOST = 300

# Significant digits of what is measured; counts are exact.
_DIGITS = 6


@dataclass(frozen=True)
class NodeColumns:
    """The nodes of a page, by columns of equal length.

    Attributes
    ----------
    names, ops : list of str
        What each is called, and its operator.
    modules : list of (str or None)
        Module path; None for a node without a tag.
    sources : list of (str or None)
        How the tag was found.
    shapes : list of str
        The shape of its first output, for people; empty where the file does not say it.
    origins : dict
        Position of a node to the paths of the modules whose work it does, where these are several.
    """

    names: list[str] = field(default_factory=list)
    ops: list[str] = field(default_factory=list)
    modules: list[str | None] = field(default_factory=list)
    sources: list[str | None] = field(default_factory=list)
    shapes: list[str] = field(default_factory=list)
    origins: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return brief(self, counted(len(self), "node"))


def render(
    table: ModuleTable,
    out: TextIO,
    *,
    title: str = "",
    size: str | None = None,
    colour: str | None = None,
    nodes: NodeColumns | None = None,
    facts: Sequence[tuple[str, str]] = (),
) -> None:
    """Write a page with all rows of a table.

    Parameters
    ----------
    table : ModuleTable
    out : TextIO
    title : str
        What the page is headed by, such as the name of the file.
    size, colour : str, optional
        The columns that modules are sized and coloured by at first; the first one, and the sources of tags or classes,
        if left out.
    nodes : NodeColumns, optional
        The nodes of the model, to be listed by module.
    facts : sequence of (str, str)
        Names and values below the title, such as the digest of the file.

    Raises
    ------
    TaggerError
        If there is no such column.
    """
    for name in filter(None, (size, colour)):
        table.column(name)
    style, script = _squeezed(_asset("page.css")), _squeezed(_asset("page.js"))
    modules = _modules_of(table)
    place = {module.path: at for at, module in enumerate(modules)}
    value = {
        **_of_table(table, modules, place),
        "sources": None if nodes is None else _sources_of(nodes, place),
        "size": size,
        "colour": colour,
        "facts": [[_text(name), _text(said)] for name, said in facts],
    }
    out.write(
        Template(_asset("page.html")).substitute(
            title=escape(_text(title) or "onnx-tagger"),
            generator=escape(f"onnx-tagger {version()}"),
            style=style,
            style_hash=_policy_hash(style),
            script=script,
            script_hash=_policy_hash(script),
            data=_packed(value),
            node_data="" if nodes is None else _packed(_of_nodes(nodes, place)),
        )
    )


def render_view(view: View, out: TextIO) -> None:
    """Write the page of a file, with its nodes."""
    tags = [view.tagged.context.tags.get(op) for op in view.ops]
    nodes = NodeColumns(
        [text_of(op.node.name) or id_of(op) for op in view.ops],
        [operator(op.node) for op in view.ops],
        [None if tag is None else tag.module for tag in tags],
        [None if tag is None else tag.source.label for tag in tags],
        shapes_of(view.ops),
        {at: tag.origins for at, tag in enumerate(tags) if tag is not None and tag.origins},
    )
    render(view.table, out, title=view.title, size=view.size, colour=view.colour, nodes=nodes, facts=view.facts)


def _packed(value: dict[str, object]) -> str:
    """JSON, deflated, in base64: the page inflates it, and neither quotes nor brackets in it mean anything in HTML."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _asset(name: str) -> str:
    return (files("onnx_tagger.reporters.views") / name).read_text("utf-8")


def _squeezed(source: str) -> str:
    """A style or script without indentation and lines that are comments; neither has text over several lines."""
    lines = (line.strip() for line in source.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def _policy_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}"


def _text(text: str) -> str:
    return printable(cut(text, _MOST))


class _Numbered:
    """Texts that are stored once, in the order in which they come up."""

    def __init__(self) -> None:
        self.places: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        return self.places.setdefault(text, len(self.places))

    @property
    def texts(self) -> list[str]:
        return list(map(_text, self.places))


def _modules_of(table: ModuleTable) -> list[Module]:
    """The modules of the rows in the order of the tree, each behind the one around it, however the rows are sorted."""
    kept = {module.path for module in table.modules}
    return [module for module in table.tree.root.below() if module.path in kept]


def _of_table(table: ModuleTable, modules: Sequence[Module], place: dict[str, int]) -> dict[str, object]:
    """Modules and their numbers; totals that are sums of what is in the page are left to it."""
    row = {module.path: at for at, module in enumerate(table.modules)}
    rows = [row[module.path] for module in modules]
    above = [_row_above(module, place) for module in modules]
    classes = _Numbered()
    return {
        "names": [_text(module.segment or module.shown) for module in modules],
        "paths": [
            _rest(module.path, modules[up].path if up >= 0 else "") for module, up in zip(modules, above, strict=True)
        ],
        "class": [-1 if module.cls is None else classes(module.cls) for module in modules],
        "classes": classes.texts,
        "tagged": [int(module.tag is not None) for module in modules],
        "up": above,
        "columns": [{"name": _text(c.name), "unit": c.unit, "rule": c.rule, "worse": c.worse} for c in table.columns],
        "cells": [_of_cells(table.cells[c.name], rows, above, c.rule == "sum") for c in table.columns],
    }


def _row_above(module: Module, place: dict[str, int]) -> int:
    """The position of the nearest module around one that is in the page, or -1."""
    above = module.parent
    while above is not None and above.path not in place:
        above = above.parent
    return -1 if above is None else place[above.path]


def _rest(path: str, above: str) -> str:
    """A path without that of the module around it, which the page puts before it again."""
    return _text(path[len(above) + 1 :] if above and path.startswith(f"{above}.") else path)


def _of_cells(cells: RolledUp, rows: Sequence[int], above: Sequence[int], summed: bool) -> dict[str, object]:
    own, total = ([values[row] for row in rows] for values in (cells.own, cells.total))
    left_out = summed and _adds_up(own, total, above)
    return {
        "own": list(map(_number, own)),
        "total": None if left_out else list(map(_number, total)),
        "untagged": _number(cells.untagged),
        "whole": _number(cells.whole),
    }


def _adds_up(own: Sequence[Value], total: Sequence[Value], above: Sequence[int]) -> bool:
    """Whether each total is the sum of the own numbers in the page: not so where rows were left out, or had none."""
    if None in own or None in total:
        return False
    sums = [value or 0.0 for value in own]
    for place in range(len(sums) - 1, -1, -1):
        if above[place] >= 0:
            sums[above[place]] += sums[place]
    return all(isclose(one, other or 0.0, rel_tol=1e-9, abs_tol=1e-12) for one, other in zip(sums, total, strict=True))


def _number(value: Value) -> float | int | None:
    """A number as JSON has it, with as many digits as a measurement has."""
    if value is None or not isfinite(value):
        return None
    return int(value) if value.is_integer() else float(f"{value:.{_DIGITS}g}")


def _sources_of(nodes: NodeColumns, place: dict[str, int]) -> list[list[int]]:
    """For each source the number of a module's own nodes whose tags were found so."""
    counts = [[0] * len(place) for _ in SOURCES]
    for path, source in zip(nodes.modules, nodes.sources, strict=True):
        if path in place and source is not None:
            counts[SOURCES[source]][place[path]] += 1
    return counts


def _of_nodes(nodes: NodeColumns, place: dict[str, int]) -> dict[str, object]:
    ops, shapes = _Numbered(), _Numbered()
    at = [-1 if path is None else place.get(path, -1) for path in nodes.modules]
    # Neighbours are mostly of one module: differences are small numbers, which deflate well.
    steps = [here - before for here, before in zip(at, [0, *at], strict=False)]
    return {
        "names": list(map(_text, nodes.names)),
        "op": list(map(ops, nodes.ops)),
        "ops": ops.texts,
        "steps": steps,
        "source": [-1 if source is None else SOURCES[source].value for source in nodes.sources],
        "shape": list(map(shapes, nodes.shapes)),
        "shapes": shapes.texts,
        "origins": [[node, [place[path] for path in paths if path in place]] for node, paths in nodes.origins.items()],
    }
