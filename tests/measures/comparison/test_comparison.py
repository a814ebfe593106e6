"""Comparisons as values: what they answer, filtering, and their files."""

from __future__ import annotations

from pathlib import Path

import pytest

from examples.compared import comparison
from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.comparison.comparison import Comparison, TensorError


def test_what_it_answers() -> None:
    found = comparison()
    assert (found.ok, found.first_bad, list(found.bad)) == (False, "a.x", ["a.x"])
    assert found.visible == {"", "a", "a.x", "b"}
    assert repr(found) == "<Comparison m.onnx, first bad 'a.x', 3 tensors>"
    assert comparison(bad=False).first_bad is None


def test_a_part_of_the_modules() -> None:
    found = comparison().filter("a")
    assert [module.path for module in found.modules.modules] == ["a", "a.x"]
    assert found.hidden == {}
    assert not found.ok
    assert comparison().filter("c").hidden == {"c": "not visible: fused with a"}


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    comparison().save(tmp_path / "c.json")
    found = Comparison.load(tmp_path / "c.json")
    assert found.as_dict() == comparison().as_dict()
    assert found.tensors[0].excess == pytest.approx(5000)


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('"sqnr"', '"psnr"', "metric: "),
        ('"onnx-tagger/comparison"', '"other"', "format: "),
        ('"calls": [0', '"calls": [-1', "calls"),
        ("{", "", "the file: "),
    ],
)
def test_a_file_that_is_none(before: str, after: str, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(comparison().to_json().replace(before, after, 1), encoding="utf-8")
    with pytest.raises(TaggerError, match=rf"c\.json: .*{fault}"):
        Comparison.load(path)
    with pytest.raises(TaggerError, match="give a comparison that was saved"):
        Comparison.load(tmp_path / "missing.json")


def test_an_error_beyond_measure_exceeds_every_tolerance() -> None:
    assert TensorError("t", "m", "m", None, None, 1e-5, "float32").excess == float("inf")
    assert TensorError("t", "m", "m", 0.0, 0.0, 0.0, "float32").excess == 0.0
