"""Small files are written whole or not at all."""

import os
from pathlib import Path

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.replacing import replace_file


def test_a_file_takes_the_place_of_another_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_bytes(b"a longer one that was there")
    path.chmod(0o640)
    replace_file(str(path), b"new")
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "r.json").symlink_to("elsewhere/r.json")
    replace_file(tmp_path / "r.json", b"new")
    assert (tmp_path / "r.json").is_symlink()
    assert (tmp_path / "elsewhere" / "r.json").read_bytes() == b"new"


@pytest.mark.parametrize("target", ["missing/r.json", ".", "pipe"])
def test_what_cannot_be_written_is_one_sentence_and_leaves_nothing(target: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TaggerError):
        replace_file(tmp_path / target, b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]
