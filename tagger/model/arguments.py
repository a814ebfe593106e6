"""What a caller of the Python interface gave, held against what was asked for: a sentence where they differ.

What a path leads to, and what a file holds, is found out where it is read.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.texts import cut, value_text


def described(value: object) -> str:
    """What a value is, for a sentence: the class of an object, and short values themselves.

    Examples
    --------
    >>> described(None), described(3), described([1]), described(dict)
    ('None', 'the int 3', 'a list', 'the class dict')
    """
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {cut(value.__qualname__)}"
    name = cut(type(value).__name__)
    if isinstance(value, (str, bool, int, float)):
        return f"the {name} {value_text(value)}"
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def insist_on(value: object, kinds: type | tuple[type, ...], what: str, give: str) -> None:
    """Raise unless a value is of one of some types; a bool is no number here.

    Parameters
    ----------
    value : object
    kinds : type or tuple of types
    what : str
        What the value is, as the subject of the sentence.
    give : str
        What to give instead.

    Raises
    ------
    TaggerError
        If it is of another type.
    """
    known = kinds if isinstance(kinds, tuple) else (kinds,)
    if not isinstance(value, known) or (isinstance(value, bool) and bool not in known):
        raise TaggerError(f"{what} is {described(value)}; give {give}")


def path_of(value: object, what: str) -> Path:
    """The path that a caller gave.

    Parameters
    ----------
    value : object
    what : str
        What the path is, as the subject of the sentence.

    Raises
    ------
    TaggerError
        If it is no path, or an empty one.

    Examples
    --------
    >>> path_of("net.onnx", "the model").name
    'net.onnx'
    """
    if not isinstance(value, (str, os.PathLike)):
        raise TaggerError(f"{what} is {described(value)}; give the path of a file")
    text = os.fsdecode(value)
    if not text:
        raise TaggerError(f"{what} is an empty path; give the path of a file")
    return Path(text)


def names_of(value: object, what: str) -> tuple[str, ...]:
    """The names that a caller gave, in a list or as any iterable but a text.

    Raises
    ------
    TaggerError
        If it is a single text, no iterable, or one of other things.
    """
    if isinstance(value, (str, bytes)):
        raise TaggerError(f"{what} is {described(value)}; give a list of names, [{value_text(value)}]")
    if not isinstance(value, Iterable):
        raise TaggerError(f"{what} is {described(value)}; give a list of names")
    found = tuple(value)
    for name in found:
        insist_on(name, str, f"an entry of {what}", "a name")
    return found


def choice_of(value: object, choices: Collection[str], what: str) -> str:
    """The word that a caller chose.

    Raises
    ------
    TaggerError
        If it is none of them.
    """
    if not isinstance(value, str) or value not in choices:
        raise TaggerError(f"{what} is {described(value)}; choose {' or '.join(map(repr, choices))}")
    return value
