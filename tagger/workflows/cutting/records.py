"""What cutting gives back, as JSON: the fields of a record, with its verdict."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path


def record_json(record: object) -> str:
    """The fields of a record and, where it has one, its verdict ``ok``.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Made:
    ...     file: Path
    >>> print(record_json(Made(Path("a.onnx"))))
    {
     "file": "a.onnx"
    }
    """
    assert is_dataclass(record)
    assert not isinstance(record, type)
    value = asdict(record)
    ok = getattr(record, "ok", None)
    return json.dumps(value if ok is None else {"ok": ok, **value}, ensure_ascii=False, indent=1, default=_text)


def _text(value: object) -> str:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")
