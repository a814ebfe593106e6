"""Stages as text: skips are cut, sizes that are open are said."""

from pathlib import Path

import pytest

from onnx_tagger.reporters.splitting import show_split
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.workflows.splitting.splitting import BorderTensor, Split, Stage


def test_skips_are_cut_and_sizes_that_are_open_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    taken = tuple(BorderTensor(f"t{k}", "float", (None,), None if k else 4, 0) for k in range(10))
    stages = tuple(
        Stage(f"stage{k}.onnx", "", f"m{k}", (), 3, 0, 0, 99, None, taken if k == 2 else (), ()) for k in range(3)
    )
    show_split(Screen(), Split("m.onnx", Path(), stages, None, (), ("y",), False, ("y",)))
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].endswith("10  4 + 9 unknown")
    assert lines[4] == "skip: t0 from stage 0 to stage 2"
    assert lines[-2:] == ["and 2 more; stages.json lists all", "differ from the whole: y"]
