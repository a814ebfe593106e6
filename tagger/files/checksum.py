"""SHA-256 of data in memory: by Python's own module where they are few, by OpenSSL where they are many.

To load OpenSSL takes three milliseconds and 3.5 MB, and then it is six times as fast.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

_FEW = 1 << 20


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal digits.

    Examples
    --------
    >>> sha256(b"")[:16]
    'e3b0c44298fc1c14'
    """
    lean = _lean() if len(data) <= _FEW and "_hashlib" not in sys.modules else None
    if lean is not None:
        return lean(data)
    import hashlib

    return hashlib.sha256(data).hexdigest()


def _lean() -> Callable[[bytes], str] | None:
    """Python's own, which `random` takes for the same reason; its home has changed with 3.12, and it may be missing."""
    for name in ("_sha2", "_sha256"):
        try:
            made = import_module(name).sha256
        except (ImportError, AttributeError):
            continue
        return lambda data: str(made(data).hexdigest())
    return None
