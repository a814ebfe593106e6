"""Which rows of a profile are shown, and in which order."""

from __future__ import annotations

from collections.abc import Sequence

from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.measures.table import ModuleTable

# Levels of modules that are shown unless others are asked for.
_DEPTH = 4


def chosen_rows(profile: Profile, under: Sequence[str] | None, depth: int | None, sort: str) -> ModuleTable:
    """The rows that were asked for, in the order that was asked for."""
    table = profile.modules.filter(under or None, depth=_DEPTH if depth is None else depth)
    # A container takes the time of what is in it, which has rows of its own.
    kept = [m for m in table.modules if m.tag is not None or m.parent is None or not m.children]
    table = table.of_modules(kept)
    if sort == "order":
        return table
    names = {"kernels": "kernels", "self": "time", "µs": "time", "us": "time"}
    return table.sort(names.get(sort, sort), by="own" if sort == "self" else "total")
