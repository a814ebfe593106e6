"""Records as JSON: with their verdict, and nothing that has no form."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from onnx_tagger.workflows.cutting.records import record_json


@dataclass
class Made:
    file: Path
    held: object

    @property
    def ok(self) -> bool:
        return False


def test_the_verdict_comes_first_and_paths_are_texts() -> None:
    text = record_json(Made(Path("a.onnx"), ("x", None)))
    assert list(json.loads(text).items()) == [("ok", False), ("file", "a.onnx"), ("held", ["x", None])]


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no form"):
        record_json(Made(Path("a"), object()))
