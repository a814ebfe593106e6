"""Files that retagging and checking are tried on."""

from pathlib import Path

import onnx
import pytest

import onnx_tagger as ot
from examples.branching import exported, map_of
from onnx_tagger.workflows.checking import map_path


@pytest.fixture(name="bare")
def _bare(tmp_path: Path) -> Path:
    """An untagged file, with its map beside it."""
    path = tmp_path / "bare.onnx"
    onnx.save(exported(), path)
    map_of(exported()).save(map_path(path))
    return path


@pytest.fixture(name="tagged")
def _tagged(bare: Path) -> Path:
    path = bare.with_name("tagged.onnx")
    ot.retag(bare, map_path(bare), path)
    return path
