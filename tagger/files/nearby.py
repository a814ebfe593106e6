"""Names that a missing file may have been meant by: what lies in its folder and is spelled alike.

Every reader of files asks here for the end of its sentence.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

# A folder of data may hold millions of files: so many entries are looked at, and so many names compared.
_MOST_ENTRIES = 10_000
_MOST_COMPARED = 1_000

# Names differ in length by no more than a few letters where they are typing errors of each other.
_LENGTHS = 4
_LONGEST = 255


def advice_on_missing(path: Path) -> str:
    """The end of a sentence about a file that is not there: what may have been meant; empty if nothing is like it.

    Parameters
    ----------
    path : Path
        Of the missing file; where a folder on the way is missing, its neighbours are looked at.
    """
    try:
        found = list(islice(_alike(path), 2))
    except (OSError, ValueError, RecursionError):
        return ""
    return f"did you mean {' or '.join(repr(str(other)) for other in found)}?" if found else ""


def _alike(path: Path) -> Iterator[Path]:
    """Yield paths that exist and differ from one that does not in the spelling of one part, the most alike first."""
    parts = path.parts
    at = next((i for i in range(len(parts)) if not os.path.lexists(Path(*parts[: i + 1]))), None)
    if at is None or len(parts[at]) > _LONGEST:
        return
    folder, word, rest = Path(*parts[:at]), parts[at], parts[at + 1 :]
    for name in _close(word, _names(folder, len(word))):
        other = Path(folder, name, *rest)
        if other.exists() and (rest or name != word):
            yield other


def _names(folder: Path, length: int) -> list[str]:
    """Names in a folder that are about as long as a word, hidden ones left out."""
    with os.scandir(folder) as entries:
        names = (entry.name for entry in islice(entries, _MOST_ENTRIES))
        alike = (name for name in names if abs(len(name) - length) <= _LENGTHS and not name.startswith("."))
        return sorted(islice(alike, _MOST_COMPARED))


def _close(word: str, names: list[str]) -> list[str]:
    """The names that are spelled like a word, whatever their capitals."""
    import difflib

    by_lower = {name.lower(): name for name in reversed(names)}
    return [by_lower[name] for name in difflib.get_close_matches(word.lower(), by_lower, n=3, cutoff=0.75)]
