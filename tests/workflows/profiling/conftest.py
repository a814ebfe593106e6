"""The small files of `examples.profiled` in the current folder, and their profile, made once."""

from pathlib import Path

import pytest

import onnx_tagger as ot
from examples.profiled import TREE, blocks, looping, saved


@pytest.fixture(name="folder", scope="session")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profiled")
    saved(blocks(), folder / "blocks.onnx")
    saved(blocks(tagged=False), folder / "bare.onnx")
    saved(blocks(named=False), folder / "nameless.onnx")
    saved(looping(), folder / "looping.onnx")
    TREE.save(folder / "blocks.hierarchy.json")
    return folder


@pytest.fixture(name="profile", scope="session")
def _profile(folder: Path) -> ot.Profile:
    return ot.profile(folder / "blocks.onnx", sessions=2, runs=5, roofline=True, memory=True)
