"""The demo from end to end, once; it is the one test of the command that exports a real model."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from onnx_tagger.cli.demo import check_folder
from onnx_tagger.errors import TaggerError


def test_demo(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    line = [sys.executable, "-m", "onnx_tagger", "demo", "--keep", str(folder)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    # The profile says what it was run on, and how many rows are too small to show; nothing else has anything to say.
    told = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert not told or re.fullmatch(r"\d+ rows? of less than 1 % left out.*", told[0])
    assert len(told) <= 1
    names = ["bert.hierarchy.json", "bert.onnx", "bert.opt.onnx", "bert.opt.tagged.onnx", "config.json"]
    assert sorted(path.name for path in folder.iterdir()) == names
    steps = [line.split()[1:3] for line in done.stdout.splitlines() if line.startswith("$ ")]
    assert [step[1] for step in steps] == ["export", "tree", "nodes", "-c", "retag", "check", "profile"]
    assert done.stdout.count("100 % of") == 5
    assert "0 of them with metadata left" in done.stdout
    assert "    BertLayer.1  encoder.layer.1  " in done.stdout
    assert "-> encoder.layer.0.attention.self.query" in done.stdout
    assert "bert.opt.tagged.onnx: ok, " in done.stdout
    assert "100 % of them and 100 % of their time have a module" in done.stdout


def test_the_demo_overwrites_nothing(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "folder")
    (tmp_path / "mine").touch()
    for taken in (tmp_path, tmp_path / "mine"):
        with pytest.raises(TaggerError, match="an empty or a new folder"):
            check_folder(taken)
