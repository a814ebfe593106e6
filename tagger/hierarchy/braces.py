"""Braces in patterns, as in a shell: ``layer.{0..5}`` and ``{encoder,decoder}.norm`` are several patterns in one text.

What a pattern without braces names is `globs`' matter.
"""

from __future__ import annotations

import re

from onnx_tagger.errors import TaggerError

_BRACE = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")

# A range of more numbers than this is a typing error: no model has so many layers.
_MOST = 10_000


def expanded(pattern: str) -> list[str]:
    """The patterns that a text with braces stands for.

    Parameters
    ----------
    pattern : str
        ``{a..b}`` counts from one number to another, both included; ``{x,y}`` is one or the other.

    Returns
    -------
    list of str
        At least one, in the order in which a shell lists them, each once.

    Raises
    ------
    TaggerError
        If braces are not closed, or stand for too many patterns.

    Examples
    --------
    >>> expanded("encoder.layer.{0..2}"), expanded("{a,b}.norm"), expanded("x")
    (['encoder.layer.0', 'encoder.layer.1', 'encoder.layer.2'], ['a.norm', 'b.norm'], ['x'])
    """
    found = [pattern]
    while any("{" in text or "}" in text for text in found):
        found = [one for text in found for one in _first(text, pattern)]
        if len(found) > _MOST:
            raise TaggerError(f"the pattern {pattern!r} stands for more than {_MOST} others; write a wildcard")
    return list(dict.fromkeys(found))


def _first(text: str, whole: str) -> list[str]:
    """The patterns that the first innermost pair of braces makes of a text."""
    brace = _BRACE.search(text)
    if brace is None:
        if "{" in text or "}" in text:
            raise TaggerError(f"the pattern {whole!r} has a brace without its partner; write {{0..5}} or {{a,b}}")
        return [text]
    inside = brace.group(1)
    numbers = _RANGE.fullmatch(inside)
    if numbers is None:
        choices = inside.split(",")
    else:
        first, last = int(numbers.group(1)), int(numbers.group(2))
        if abs(last - first) >= _MOST:
            raise TaggerError(f"the range {{{inside}}} in {whole!r} counts more than {_MOST} numbers; write a wildcard")
        choices = [str(k) for k in (range(first, last + 1) if first <= last else range(first, last - 1, -1))]
    return [text[: brace.start()] + choice + text[brace.end() :] for choice in choices]


def split_outside(text: str, mark: str) -> list[str]:
    """The parts of a text between marks, but for those marks that stand within braces.

    Examples
    --------
    >>> split_outside("{a,b}.x, c", ",")
    ['{a,b}.x', ' c']
    """
    parts, depth, start = [], 0, 0
    for place, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if character == mark and depth <= 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
