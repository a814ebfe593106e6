"""Which files names, folders, globs and stdin mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.gathering import gather, names_many


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "m" / "deep").mkdir(parents=True)
    for name in ("m/b.onnx", "m/a.onnx", "m/deep/c.onnx", "m/notes.txt", "[x].onnx", "x.onnx"):
        (tmp_path / name).touch()
    (tmp_path / "m" / "folder.onnx").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_folders_and_globs_are_sorted_and_each_file_comes_once(folder: Path) -> None:
    assert gather(["m"]) == ["m/a.onnx", "m/b.onnx", "m/deep/c.onnx"]
    assert gather(["m/b.onnx", "m/*.onnx", "m/**/*.onnx"]) == ["m/b.onnx", "m/a.onnx", "m/deep/c.onnx"]
    assert gather([str(folder / "m" / "*.onnx")]) == [str(folder / "m/a.onnx"), str(folder / "m/b.onnx")]


def test_a_file_is_taken_by_its_name_before_a_glob(folder: Path) -> None:
    assert gather(["[x].onnx"]) == ["[x].onnx"]
    assert not names_many(["[x].onnx"])


def test_a_missing_file_is_for_its_reader(folder: Path) -> None:
    assert gather(["missing.onnx"]) == ["missing.onnx"]


def test_a_url_is_no_glob(folder: Path) -> None:
    assert gather(["https://host/*.onnx?x=[1]", "m/a.onnx"]) == ["https://host/*.onnx?x=[1]", "m/a.onnx"]


def test_stdin_names_files(folder: Path) -> None:
    assert gather(["-"], ["m/a.onnx\r\n", "\n", "m/deep\n"]) == ["m/a.onnx", "m/deep/c.onnx"]


@pytest.mark.parametrize(
    ("name", "says"), [("m/*.onxx", "no file is named so"), ("-", "stdin names no file"), ("m/folder.onnx", "holds no")]
)
def test_names_that_mean_nothing_are_refused(folder: Path, name: str, says: str) -> None:
    with pytest.raises(TaggerError, match=says):
        gather([name])


def test_what_may_mean_many(folder: Path) -> None:
    assert [names_many([name]) for name in ("m", "m/*.onnx", "-", "m/a.onnx", "missing.onnx")] == [True] * 3 + [
        False
    ] * 2
    assert names_many(["m/a.onnx", "m/b.onnx"])
