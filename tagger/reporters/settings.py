"""The settings that are in force, as a table and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable

from onnx_tagger.model.gate.settings import Setting, Settings


def rows(settings: Iterable[Setting]) -> list[tuple[str, str, str]]:
    """Key, value and origin of each, as text."""
    return [(each.name, _shown(each.value), each.origin) for each in settings]


def exceptions(settings: Settings) -> list[str]:
    """A line for each glob, with what differs for the files that it fits."""
    return [
        f"per-file {glob!r}: " + ", ".join(f"{name} = {_shown(value)}" for name, value in values.items())
        for glob, values in settings.per_file.items()
    ]


def as_json(found: Iterable[Setting], settings: Settings) -> str:
    """Everything in one JSON object."""
    shape = {
        "file": settings.place or None,
        "settings": {each.name: {"value": each.value, "from": each.origin} for each in found},
        "per_file": settings.per_file,
    }
    return json.dumps(shape, ensure_ascii=False, indent=1)


def _shown(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
