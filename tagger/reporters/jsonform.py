"""JSON that is safe to print: verdicts, tables by module, and other values that know their own JSON."""

from __future__ import annotations

import json
from typing import Protocol, TextIO


class HasJson(Protocol):
    """What can be written as JSON."""

    def to_json(self) -> str:
        """The value as JSON text."""


def render(value: HasJson, out: TextIO) -> None:
    """Write a value as JSON, with a line break at its end."""
    out.write(json_text(value) + "\n")


def render_many(value: HasJson, out: TextIO) -> None:
    """Write what was found in many files, in one JSON object."""
    render(value, out)


def json_text(value: HasJson) -> str:
    """The JSON text of a value, such as a report, without characters that steer a terminal."""
    return safe(value.to_json())


def safe(text: str) -> str:
    """JSON text without characters that steer a terminal: JSON itself asks for escapes below U+0020 alone."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
