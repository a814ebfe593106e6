"""The schema of the file of an optimisation, which ships with the package."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import onnx_tagger
from examples.optimised import report
from onnx_tagger.measures.optimising.file import read_record
from onnx_tagger.measures.optimising.optimised import Optimized, json_schema
from onnx_tagger.model.limits import VARIABLE

SCHEMA = Path(onnx_tagger.__file__).parent / "measures" / "optimising" / "optimisation.schema.json"


def test_the_schema_ships_with_the_package() -> None:
    command = (
        "python -m onnx_tagger.measures.optimising.optimised > tagger/measures/optimising/optimisation.schema.json"
    )
    assert SCHEMA.read_text("utf-8") == json_schema(), f"write it again with {command}"


def test_a_report_is_of_the_schema(tmp_path: Path) -> None:
    report().save(tmp_path / "r.json")
    jsonschema.validate(json.loads((tmp_path / "r.json").read_text("utf-8")), json.loads(SCHEMA.read_text("utf-8")))
    assert read_record(tmp_path / "r.json", Optimized) == report()


def test_a_file_beyond_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "map_bytes=100")
    report().save(tmp_path / "r.json")
    with pytest.raises(onnx_tagger.TaggerError, match="holds more than 100 bytes"):
        read_record(tmp_path / "r.json", Optimized)
