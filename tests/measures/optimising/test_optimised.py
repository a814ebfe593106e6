"""The record of an optimisation: saved, loaded, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import onnx_tagger as ot
from examples.optimised import report


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    made = report()
    made.save(tmp_path / "r.json")
    assert ot.Optimized.load(tmp_path / "r.json") == made
    fields = json.loads((tmp_path / "r.json").read_text())
    assert (fields["format"], fields["version"]) == ("onnx-tagger/optimisation", 1)
    assert repr(made) == "<Optimized o.onnx, fusions/all, x1.25, 4 tries>"
    assert made.winner.name == "all"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": "other"}, "format"),
        ({"version": 2}, "version"),
        ({"tries": 3}, "tries"),
        ({"chosen": "nothing"}, "is none of its 4 records"),
        ({"speedup": {"mean": "fast"}}, "speedup"),
    ],
    ids=str,
)
def test_what_is_no_report(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    (tmp_path / "r.json").write_text(json.dumps(json.loads(report().to_json()) | change))
    with pytest.raises(ot.TaggerError, match=sentence):
        ot.Optimized.load(tmp_path / "r.json")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ot.TaggerError, match="cannot be read"):
        ot.Optimized.load(tmp_path / "r.json")
