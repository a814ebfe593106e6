"""Lists and tables of strings in a file's metadata: Python's `repr`, which torch writes, and JSON, which we write.

Nothing is ever evaluated, and nothing too long is parsed.
"""

from __future__ import annotations

import ast
import json
import re

# Longer values of torch's keys are not parsed: real ones stay below a few kilobytes.
MAX_LITERAL = 64 * 1024

# Longer JSON is not parsed.
MAX_LIST = 1 << 20

# A text is parsed as one literal after another, so that no expression is ever looked at, however it is nested.
_STRING = re.compile(r"""'(?:[^'\\\n\r\0]|\\.)*'|"(?:[^"\\\n\r\0]|\\.)*\"""")
# As Python writes nearly all of them, in which no quote and no escape hides: faster to take apart.
_PLAIN_LIST = re.compile(r"""\['[^'"\\\n\r\0]*'(?:, '[^'"\\\n\r\0]*')*\]""")
_FLAT_LIST = re.compile(rf"""\[\s*(?:(?:{_STRING.pattern})\s*(?:,\s*(?=['"\]])|(?=\])))*\]""")


def literal_list(text: str | None) -> list[str] | None:
    """Parse a Python literal that is a flat list of strings; None if it is anything else or too long."""
    if text is None or len(text) > MAX_LITERAL or not text.startswith("["):
        return None
    if _PLAIN_LIST.fullmatch(text):
        return text[2:-2].split("', '")
    if _FLAT_LIST.fullmatch(text) is None:
        return None
    try:
        return [ast.literal_eval(item) if "\\" in item else item[1:-1] for item in _STRING.findall(text)]
    except (ValueError, SyntaxError):  # an escape that is none
        return None


def string_list(text: str) -> tuple[str, ...] | None:
    """Parse a flat JSON list of strings; None if it is anything else."""
    if not text.startswith("[") or len(text) > MAX_LIST:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return tuple(found) if all(isinstance(item, str) for item in found) else None


def string_object(text: str) -> dict[str, str] | None:
    """Parse a flat JSON object of strings; None if it is anything else."""
    if not text.startswith("{") or len(text) > MAX_LIST:
        return None
    try:
        found: dict[str, str] = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in found.values()):
        return None
    try:
        "".join(found.values()).encode()
    except UnicodeEncodeError:  # JSON has halves of characters, which a file cannot hold
        return None
    return found
