"""Texts for people: what is safe and short enough to be shown, and how values look at a prompt and in a notebook.

A representation is one line of at most 300 characters, whatever a model holds, and takes no longer for a large one.
Where texts are printed is the reporters' matter.
"""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from itertools import islice
from pathlib import PurePath

MOST = 300
"""Characters of a representation."""

_TEXT = 60  # characters of one value in it
_CELL = 200  # characters of a cell in a notebook
_LISTED = 8  # texts of a folded list in a notebook
_ITEMS = 3  # longer collections are counted
_DEPTH = 2  # values in values that are shown
_BITS = 200  # of an integer that is written out

_PLAIN = (bool, float, Enum, type(None))


def printable(text: str) -> str:
    r"""Replace what steers a terminal or hides text: control characters, line breaks, direction marks, surrogates.

    Examples
    --------
    >>> printable("a\x1b[31mb\n")
    'a\\x1b[31mb\\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, most: int = 2000) -> str:
    """Leave out the middle of a text that nobody would read to its end, such as a sentence with a name of megabytes.

    Examples
    --------
    >>> shortened("a" * 50 + "z" * 50, most=20)
    'aaaaaaaaaa... (80 characters left out) ...zzzzzzzzzz'
    """
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}... ({len(text) - 2 * half} characters left out) ...{text[-half:]}"


def counted(number: int, noun: str) -> str:
    """A number with its noun, ``1 node`` or ``2 nodes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def cut(text: str, most: int = _TEXT) -> str:
    """The beginning and the end of a text, which say most of a path or a node's name.

    Examples
    --------
    >>> cut("/encoder/layer.0/attention/self/query/MatMul", most=24)
    '/encoder/layer.../MatMul'
    """
    if len(text) <= most:
        return text
    tail = (most - 3) // 3
    return f"{text[: most - 3 - tail]}...{text[len(text) - tail :]}"


def brief(value: object, *facts: str) -> str:
    """A representation of a value that is more than its fields: its type, and what is worth knowing of it.

    Parameters
    ----------
    value : object
    facts : str
        Phrases, from files too.

    Examples
    --------
    >>> brief([], "no nodes", "no tags")
    '<list no nodes, no tags>'
    """
    text = ", ".join(_one_line(fact, MOST) for fact in facts)
    return _ended(f"<{type(value).__name__} {text}", ">")


def brief_fields(self: object) -> str:
    """A representation of a dataclass or a named tuple by its fields, with long values cut and large ones counted.

    Examples
    --------
    >>> from onnx_tagger.model.report import PassTiming
    >>> PassTiming("match", 1.5, 84)
    PassTiming(name='match', ms=1.5, changed=84, nodes=0)
    """
    return _ended(_with_fields(self, 0), ")")


def _with_fields(value: object, depth: int) -> str:
    names: Iterable[str]
    if dataclasses.is_dataclass(value):
        names = [field.name for field in dataclasses.fields(value) if field.repr]
    else:
        names = getattr(value, "_fields", ())
    shown = (f"{name}={value_text(getattr(value, name, None), depth + 1)}" for name in names)
    return f"{type(value).__name__}({', '.join(shown)})"


def value_text(value: object, depth: int = _DEPTH) -> str:
    r"""One value in a short line, without asking it for a representation that may be of any length.

    Examples
    --------
    >>> value_text("a\tb"), value_text([1, 2]), value_text(range(1000)), value_text(print)
    ("'a\\tb'", '[1, 2]', '<range of 1000>', 'print')
    """
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, int):
        return repr(value) if value.bit_length() <= _BITS else f"<int of {value.bit_length()} bits>"
    if isinstance(value, (str, PurePath)):
        return _one_line(repr(cut(str(value))), 2 * _TEXT)
    if type(value).__repr__ is brief_fields or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return _with_fields(value, depth) if depth <= _DEPTH else f"<{type(value).__name__}>"
    if type(value).__module__.partition(".")[0] == "onnx_tagger" and not isinstance(value, type):
        return cut(repr(value), 2 * _TEXT)
    if isinstance(value, Collection):
        return _collection_text(value, depth)
    name = getattr(value, "__qualname__", None) if callable(value) else None
    return cut(name) if isinstance(name, str) else f"<{cut(type(value).__name__)}>"


def _collection_text(value: Collection[object], depth: int) -> str:
    count = len(value)
    if count > _ITEMS or depth > _DEPTH or not isinstance(value, (tuple, list, set, frozenset, Mapping)):
        return f"<{cut(type(value).__name__)} of {count}>"
    if isinstance(value, Mapping):
        pairs = (f"{value_text(key, depth + 1)}: {value_text(item, depth + 1)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    items = ", ".join(value_text(item, depth + 1) for item in value)
    if isinstance(value, tuple):
        return f"({items},)" if count == 1 else f"({items})"
    return f"[{items}]" if isinstance(value, list) else f"{{{items}}}"


def _one_line(text: str, most: int) -> str:
    return printable(cut(text, most))


def _ended(text: str, end: str) -> str:
    """A text with its end; of a long one the beginning, and the end."""
    if not text.endswith(end):
        text += end
    return text if len(text) <= MOST else f"{text[: MOST - 3 - len(end)]}...{end}"


def html_table(title: str, rows: Iterable[tuple[str, object]]) -> str:
    """A small table for a notebook: a title, and a row with a name and a value for each fact; every text is escaped.

    Examples
    --------
    >>> html_table("Report", [("nodes", 2)])
    '<table><caption>Report</caption><tbody><tr><th>nodes</th><td>2</td></tr></tbody></table>'
    """
    cells = "".join(f"<tr><th>{_cell(name)}</th><td>{_cell(value)}</td></tr>" for name, value in rows)
    return f"<table><caption>{_cell(title)}</caption><tbody>{cells}</tbody></table>"


def html_list(title: str, texts: Collection[str]) -> str:
    """Texts for a notebook, folded below their title and number: the first of them, each cut; every text is escaped.

    Examples
    --------
    >>> html_list("notes", ["a < b"])
    '<details><summary>notes: 1</summary><ul><li>a &lt; b</li></ul></details>'
    """
    shown = "".join(f"<li>{_cell(text)}</li>" for text in islice(texts, _LISTED))
    left = f"<li>and {len(texts) - _LISTED} more</li>" if len(texts) > _LISTED else ""
    return f"<details><summary>{_cell(title)}: {len(texts)}</summary><ul>{shown}{left}</ul></details>"


def _cell(value: object) -> str:
    return html.escape(_one_line(str(value), _CELL))
