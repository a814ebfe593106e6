"""Having a wrapper called in place of one of torch's own functions for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import get_ident
from typing import Any


@contextmanager
def wrapped(holder: Any, name: str, wrap: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Iterator[None]:
    """Have this thread, while the block runs, call a wrapper in place of one of torch's functions.

    If others wrap it meanwhile, theirs stays; what they have wrapped is then torch's function again.
    """
    original = getattr(holder, name)
    ours, thread = wrap(original), get_ident()
    running = True

    def either(*args: Any, **kwargs: Any) -> Any:
        return (ours if running and get_ident() == thread else original)(*args, **kwargs)

    setattr(holder, name, either)
    try:
        yield
    finally:
        running = False
        if getattr(holder, name) is either:
            setattr(holder, name, original)
