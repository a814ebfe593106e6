"""The files that are run."""

from pathlib import Path

import onnx
import pytest

import onnx_tagger as ot
from examples.running import TREE, exported, renaming
from onnx_tagger.hierarchy.map import SavedGraph
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Source


@pytest.fixture(name="files")
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with net.onnx, its map, and renamed.onnx; it is the current one."""
    monkeypatch.chdir(tmp_path)
    made = exported()
    tags = [TREE.tag(path, Source.EXPORTED) for path in "aabbc"]
    tree = ot.HierarchyMap(TREE.modules, (), SavedGraph.of(walk(made), tags), "a test")
    tree.save("net.hierarchy.json")
    onnx.save(made, "bare.onnx")
    ot.retag("bare.onnx", "net.hierarchy.json", "net.onnx")
    onnx.save(renaming(), "renamed.onnx")
    return tmp_path
