"""Words that somebody may have meant: advice for sentences about names that nothing has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# difflib compares with each candidate; beyond this many, only those that contain the word are compared.
_MAX_CANDIDATES = 20_000


def close_matches(word: str, pool: Iterable[str], count: int = 3) -> list[str]:
    """Names similar to a word: those that end with it, then those that contain it, then those spelled alike.

    Examples
    --------
    >>> close_matches("query", ["a.query", "a.key", "a.query_norm", "b"])
    ['a.query', 'a.query_norm']
    """
    names = sorted({name for name in pool if name})
    if not word:
        return []
    found = [name for name in names if name.endswith(word)][:count]
    found += [name for name in names if word in name and name not in found][: count - len(found)]
    if len(found) < count:
        last = word.replace("/", ".").rpartition(".")[2].lower()
        if len(names) > _MAX_CANDIDATES:
            names = [name for name in names if last in name.lower()][:_MAX_CANDIDATES]
        found += [name for name in difflib.get_close_matches(word, names, count) if name not in found]
    return found[:count]


def advice_on(word: str, pool: Iterable[str], otherwise: str) -> str:
    """The end of a sentence about an unknown name: similar ones, or what else to do.

    Examples
    --------
    >>> advice_on("quary", ["query", "key"], "see --help")
    "did you mean 'query'?"
    """
    found = close_matches(word, pool)
    return f"did you mean {' or '.join(map(repr, found))}?" if found else otherwise
