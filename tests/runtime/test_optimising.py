"""Optimisers of onnxruntime as tools: they write a file and print nothing."""

from __future__ import annotations

import logging
from pathlib import Path

import onnx
import pytest

from examples.optimised import write_model
from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.optimising import as_transformer, at_level


def test_levels(tmp_path: Path) -> None:
    source = write_model(tmp_path / "m.onnx")
    for level in ("basic", "extended"):
        at_level(level, source, tmp_path / f"{level}.onnx")
        assert len(onnx.load(tmp_path / f"{level}.onnx").graph.node) < 14


def test_the_optimiser_for_transformers(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = write_model(tmp_path / "m.onnx")
    as_transformer("bert", source, tmp_path / "t.onnx")
    assert len(onnx.load(tmp_path / "t.onnx").graph.node) <= 14
    assert capfd.readouterr().out == ""
    assert logging.root.manager.disable == logging.NOTSET


def test_a_file_that_does_not_load(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"no model")
    with pytest.raises(TaggerError, match="does not load it"):
        at_level("basic", tmp_path / "m.onnx", tmp_path / "o.onnx")
