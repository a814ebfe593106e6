"""What a file elsewhere has to offer: its size, and ranges of its bytes. Bounded retries of what fails for a moment.

How ranges are fetched is said by `http` and `filesystems`; which ones are wanted, by `readahead`.
"""

from __future__ import annotations

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TypeVar

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.urls import Url

Range = tuple[int, int]
"""Offsets of the first byte and of the one behind the last."""

ATTEMPTS = 4
"""How often a range is asked for before the error stands."""

LONGEST_WAIT = 30.0
"""Seconds that a server may ask for (``Retry-After``); one that asks for more is not waited for."""

FIRST_WAIT = 0.25  # seconds before the second attempt, twice as many before each further one

_T = TypeVar("_T")


class Ranges(ABC):
    """Ranges of one file, and how many were asked for.

    Attributes
    ----------
    url : Url
    size : int
        Bytes of the file.
    together : bool
        Whether several ranges take no longer than one.
    requests : int
        How many were sent, repeated ones too.
    received : int
        Bytes of the file that came.
    """

    url: Url
    size: int
    together: bool = False
    requests: int = 0
    received: int = 0

    @abstractmethod
    def fetch(self, wanted: Sequence[Range]) -> list[bytes]:
        """The bytes of each range, all of which lie within the file.

        Raises
        ------
        TaggerError
            If they cannot be had, or are those of another version of the file.
        """

    @property
    def version(self) -> tuple[str | None, str | None]:
        """What the file's version is called and when it was changed, each None where nobody says it."""
        return None, None

    def confirm(self) -> None:  # noqa: B027 - not abstract: `fetch` may see all there is to see
        """Raise if the file is another one than at the beginning, where `fetch` itself does not see that."""


class Momentary(Exception):  # noqa: N818 - never leaves this room
    """What may succeed if it is tried again.

    Parameters
    ----------
    what : str
        A clause for the sentence, such as "the connection was cut".
    wait : float or None
        Seconds that the server asks for.
    """

    def __init__(self, what: str, wait: float | None = None) -> None:
        super().__init__(what)
        self.what, self.wait = what, wait


def wait_before(attempt: int, failure: Momentary, url: Url) -> float:
    """Seconds to wait before the next attempt.

    Raises
    ------
    TaggerError
        If this was the last one, or the server asks for more patience than there is.
    """
    if failure.wait is not None and failure.wait > LONGEST_WAIT:
        raise TaggerError(
            f"{url.shown} cannot be read now: {failure.what} and asks for a pause of {failure.wait:.0f} s; try later"
        )
    if attempt + 1 >= ATTEMPTS:
        raise TaggerError(
            f"{url.shown} cannot be read: {failure.what}, {ATTEMPTS} times in a row; try again later or download it"
        )
    return failure.wait if failure.wait is not None else FIRST_WAIT * 2**attempt * random.uniform(0.5, 1.5)


def patiently(ask: Callable[[], _T], url: Url) -> _T:
    """Ask until there is an answer or patience ends."""
    for attempt in range(ATTEMPTS):
        try:
            return ask()
        except Momentary as failure:
            time.sleep(wait_before(attempt, failure, url))
    raise AssertionError("the last attempt raises")


def changed(url: Url, what: str) -> TaggerError:
    """The error for a file that is not what it was a moment ago."""
    return TaggerError(f"{url.shown} was changed while it was read ({what}); read it again")
