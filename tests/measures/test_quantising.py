"""What quantising costs and what was quantised, as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.quantising import ModuleNoise, ModulePrecision, Quantized, Sensitivity, Variant

NOISE = ModuleNoise(module="a", nodes=1, weights=4, noise=0.01, sqnr=20.0, share=1.0)
SENSITIVITY = Sensitivity(
    model="m.onnx", data="d.npz", how="inject", samples=2, modules=(NOISE,), all_sqnr=20.0, predicted_sqnr=20.0
)
QUANTIZED = Quantized(
    model="m.onnx",
    output="q.onnx",
    data=None,
    modules=(ModulePrecision("a", "int8", 1),),
    variants=(Variant(way="dynamic", bytes=3), Variant(way="static", error="no")),
    failures=("too loud",),
)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    SENSITIVITY.save(tmp_path / "s.json")
    assert Sensitivity.load(tmp_path / "s.json") == SENSITIVITY
    QUANTIZED.save(tmp_path / "q.json")
    assert Quantized.load(tmp_path / "q.json") == QUANTIZED


def test_the_last_variant_that_was_made_is_the_one() -> None:
    assert QUANTIZED.chosen.way == "dynamic"
    assert not QUANTIZED.ok


def test_other_files_are_refused(tmp_path: Path) -> None:
    QUANTIZED.save(tmp_path / "q.json")
    with pytest.raises(TaggerError, match="is no sensitivity that onnx-tagger saved"):
        Sensitivity.load(tmp_path / "q.json")
    with pytest.raises(TaggerError, match="cannot be read"):
        Quantized.load(tmp_path / "no.json")
