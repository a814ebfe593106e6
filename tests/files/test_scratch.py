"""Files beside a target while it is made: whose litter they are, and what they may be called."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from onnx_tagger.files.replacing import replace_file
from onnx_tagger.files.scratch import listing_once, open_scratch, scratch_folder, scratch_path, sweep

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs file locks")


def test_what_a_living_run_writes_is_nobody_s_litter(tmp_path: Path) -> None:
    target = tmp_path / "m.onnx"
    descriptor, path = open_scratch(target, 0o600)
    with scratch_folder(target) as folder:
        sweep(target)
        assert path.exists()
        assert folder.is_dir()
        # Neither is a folder in which a tool still works that outlived the run.
        sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False)
    folder.mkdir()
    sweep(target)
    os.close(descriptor)
    sleeper.communicate(b"\n")
    sweep(target)
    assert list(tmp_path.iterdir()) == []


def test_only_names_of_our_making_are_swept(tmp_path: Path) -> None:
    names = [".m.onnx.tmp", ".m.onnx.0123456789ab.tmp2", ".m.onnx.0123456789AB.tmp", "m.onnx.0123456789ab.tmp",
             ".other.onnx.0123456789ab.tmp"]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / ".m.onnx.0123456789ab.tmp").symlink_to(tmp_path / names[0])
    (tmp_path / ".m.onnx.ba9876543210.tmp").touch()
    sweep(tmp_path / "m.onnx")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, ".m.onnx.0123456789ab.tmp"])


@pytest.mark.parametrize("name", ["m" * 255, "ü" * 127, "模" * 85])
def test_names_as_long_as_they_may_be(name: str, tmp_path: Path) -> None:
    replace_file(tmp_path / name, b"x")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(os.fsencode(scratch_path(tmp_path / name).name)) <= 120
    with scratch_folder(tmp_path / name) as folder:
        assert folder.is_dir()


def test_a_folder_is_listed_once_for_all_files_of_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = [scratch_path(tmp_path / name) for name in ("one.bin", "two.bin", "two.bin")]
    for path in left:
        path.write_bytes(b"left by a run that was killed")
    listed: list[object] = []
    scan = os.scandir
    monkeypatch.setattr(os, "scandir", lambda folder: listed.append(folder) or scan(folder))
    with listing_once():
        sweep(tmp_path / "one.bin")
        assert [path.exists() for path in left] == [False, True, True]
        sweep(tmp_path / "two.bin")
    assert listed == [tmp_path]
    assert not any(path.exists() for path in left)
    sweep(tmp_path / "one.bin")
    assert len(listed) == 2
