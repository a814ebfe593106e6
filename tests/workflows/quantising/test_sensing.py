"""What quantising each module costs: injected noise ranks modules as quantising them one at a time does."""

from __future__ import annotations

from pathlib import Path

import pytest

import onnx_tagger as ot
from examples.quantised import net, samples

pytest.importorskip("onnxruntime")


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> Path:
    return net(tmp_path / "m.onnx")


def test_both_ways_agree(model: Path) -> None:
    injected, alone = (ot.sensitivity(model, samples(), how=how) for how in ("inject", "each"))  # type: ignore[arg-type]
    for found in (injected, alone):
        assert found.modules[0].module == "head"
        assert sum(row.share for row in found.modules) == pytest.approx(1.0)
        assert [row.sqnr for row in found.modules] == sorted(row.sqnr for row in found.modules)
        assert {row.module for row in found.modules} == {"block.up", "block.down", "head"}
        assert found.samples == 4
        assert abs(found.all_sqnr - found.predicted_sqnr) < 3
    rows = {row.module: row.sqnr for row in alone.modules}
    assert all(abs(row.sqnr - rows[row.module]) < 2 for row in injected.modules)
    assert not [path for path in model.parent.iterdir() if path != model]


def test_modules_are_added_up_at_a_depth(model: Path) -> None:
    found = ot.sensitivity(model, samples(), depth=1)
    assert {row.module: row.nodes for row in found.modules} == {"block": 2, "head": 1}
    assert found.modules[0].weights == 256


def test_what_is_left_out_is_not_measured(model: Path) -> None:
    found = ot.sensitivity(model, samples(1), keep=["head"])
    assert {row.module for row in found.modules} == {"block.up", "block.down"}
    assert "one sample" in found.notes[0]


def test_wrong_usage(model: Path) -> None:
    with pytest.raises(ot.TaggerError, match="is no way to measure"):
        ot.sensitivity(model, samples(), how="guess")  # type: ignore[arg-type]
    with pytest.raises(ot.TaggerError, match="holds no sample"):
        ot.sensitivity(model, [])
    with pytest.raises(ot.TaggerError, match="'x'"):
        ot.sensitivity(model, [{"z": samples()[0]["x"]}])
