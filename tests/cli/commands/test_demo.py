"""The command demo: what it needs."""

import pytest

from onnx_tagger.cli import main


def test_what_the_demo_needs_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from importlib import util

    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    assert main.run(["demo"]) == 2
    assert capsys.readouterr().err == (
        "onnx-tagger: the demo needs onnxruntime, which is not installed: pip install 'onnx-tagger[ort]'\n"
    )
