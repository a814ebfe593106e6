"""How much of an input is taken in: the limits that files of strangers meet, what they are by default, how to set them.

The limits on coverage are another matter (`report.Limits`). Who holds an input to a limit: `wire`, `onnxfile` and
`graph` a model, `hierarchy.file` a map.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.texts import brief_fields

VARIABLE = "ONNX_TAGGER_LIMITS"
"""The environment variable that sets limits, ``nodes=5000000,depth=50``."""

MAX_DEPTH = 100
"""Protobuf's own limit for messages inside messages, beyond which a model cannot be parsed whatever is allowed."""


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The most that is taken in of one input; what exceeds a limit is refused in a sentence that names the limit.

    Attributes
    ----------
    skeleton_bytes : int
        Of a model without its tensors' values.
    nodes : int
        In all graphs and functions of a model, and in the graph or the trace of a map.
    modules : int
        That the nodes of a model name, or that a map lists.
    depth : int
        Messages inside messages; a body costs three. Never more than protobuf's own 100.
    string_bytes : int
        A name in a model, or an entry of a node's metadata.
    tensor_bytes : int
        Of one tensor's values, where they are read to know a weight again; a larger one is not compared.
    keys : int
        Metadata entries of one node, and of the model.
    map_bytes : int
        JSON text of a map, after decompression.
    map_values : int
        Values in that text: each costs memory, however short it is; one with a key counts for nine.
    """

    skeleton_bytes: int = 1 << 30
    nodes: int = 2_000_000
    modules: int = 1_000_000
    depth: int = MAX_DEPTH
    string_bytes: int = 1 << 20
    tensor_bytes: int = 1 << 32
    keys: int = 4096
    map_bytes: int = 1 << 29
    map_values: int = 64_000_000

    __repr__ = brief_fields

    def with_text(self, text: str, where: str) -> InputLimits:
        """These limits with some of them changed.

        Parameters
        ----------
        text : str
            ``name=number`` pairs, parted by commas; dashes may stand for underscores.
        where : str
            What the text was given by, for the error.

        Raises
        ------
        TaggerError
            If a name is unknown or a number is no positive integer.

        Examples
        --------
        >>> InputLimits().with_text("nodes=10, map-bytes=100", "here").nodes
        10
        """
        known = {field.name for field in fields(self)}
        changes: dict[str, int] = {}
        for pair in filter(None, (part.strip() for part in text.split(","))):
            name, _, number = pair.partition("=")
            key = name.strip().replace("-", "_")
            if key not in known:
                raise TaggerError(f"{where}: there is no limit {name[:40]!r}; set one of {names_of_limits()}")
            if not (number.strip().isascii() and number.strip().isdigit() and len(number) < 20 and int(number) > 0):
                raise TaggerError(f"{where}: the limit {key} is set to {number[:40]!r}; give an integer above 0")
            changes[key] = int(number)
        return replace(self, **changes)


def names_of_limits() -> str:
    """The limits' names as the command takes them, for a sentence."""
    return ", ".join(field.name.replace("_", "-") for field in fields(InputLimits))


_CHOSEN: ContextVar[InputLimits | None] = ContextVar("onnx_tagger_limits", default=None)


def input_limits() -> InputLimits:
    """The limits that hold now: those set by `limited`, else the environment's, else the defaults.

    Raises
    ------
    TaggerError
        If the environment variable cannot be read.
    """
    chosen = _CHOSEN.get()
    return chosen if chosen is not None else InputLimits().with_text(os.environ.get(VARIABLE, ""), VARIABLE)


@contextmanager
def limited(limits: InputLimits) -> Iterator[None]:
    """Hold inputs to these limits inside the block.

    Examples
    --------
    >>> with limited(InputLimits(nodes=10)):
    ...     input_limits().nodes
    10
    """
    token = _CHOSEN.set(limits)
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def limits_of_texts(texts: Iterable[str]) -> InputLimits:
    """The limits that hold now, with what ``--limit`` options say."""
    found = input_limits()
    for text in texts:
        found = found.with_text(text, "--limit")
    return found


def advice(name: str) -> str:
    """The end of a sentence about an input that exceeds a limit."""
    return f"if it comes from a place that you trust, raise --limit {name.replace('_', '-')}"
