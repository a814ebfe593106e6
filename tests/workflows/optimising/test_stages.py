"""The tools of the stages: what each makes of a small file."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from examples.fusible import kinds
from examples.optimised import write_model
from onnx_tagger.workflows.optimising.stages import FUSIONS, STAGES, fuse, stages_of
from onnx_tagger.workflows.reading import read


def test_all_stages_have_trials_of_different_names() -> None:
    for stage in stages_of(STAGES):
        names = [trial.name for trial in stage.trials]
        assert names
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("apart", [False, True], ids=["inside", "apart"])
def test_fusing_a_file(tmp_path: Path, apart: bool) -> None:
    source = write_model(tmp_path / "m.onnx")
    if apart:
        onnx.save(onnx.load(source), source, save_as_external_data=True, location="m.data", size_threshold=0)
    found = fuse(FUSIONS, source, tmp_path / "o.onnx")
    assert [each.op for each in found] == ["Gelu", "Gelu", "Gemm", "Gemm"]
    assert (tmp_path / "o.onnx.data").exists() == apart
    assert kinds(onnx.load(tmp_path / "o.onnx")) == ["Gemm", "Gelu", "Gemm", "Gelu"]
    assert [node.module for node in read(tmp_path / "o.onnx").nodes()] == [
        "blocks.0.fc",
        "blocks.0.act",
        "blocks.1.fc",
        "blocks.1.act",
    ]


@pytest.mark.parametrize("stage", ["graph", "transformers"])
def test_tools_of_others(tmp_path: Path, stage: str, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_model(tmp_path / "m.onnx")
    for place, trial in enumerate(stages_of([stage])[0].trials):
        assert trial.tool is not None
        trial.tool(source, tmp_path / f"{place}.onnx")
        assert onnx.load(tmp_path / f"{place}.onnx").graph.node
    assert capsys.readouterr().out == ""
