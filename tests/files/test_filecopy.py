"""Bytes from file to file: every way of copying, targets that cannot be written, and all or nothing."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from examples.stored import tag
from onnx_tagger.errors import TaggerError
from onnx_tagger.files import filecopy, wire
from onnx_tagger.files.onnxfile import read_skeleton, splice_bytes, write_spliced


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".tmp"))


def failing(code: int) -> Callable[..., int]:
    def fail(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    return fail


def nothing(*arguments: object) -> int:
    return 0


def by_pieces(copy: Callable[..., int]) -> Callable[..., int]:
    """Copy at most 1000 bytes a call, and give up for good in the middle."""
    calls = iter(range(300))

    def some(source: int, target: int, count: int, offset: int) -> int:
        return copy(source, target, min(count, 1000), offset) if next(calls, None) is not None else 0

    return some


@pytest.mark.parametrize("path", ["fast", "missing", "zero", "pieces", *map(errno.errorcode.get, [1, 18, 22, 38, 95])])
@pytest.mark.parametrize("second", ["fast", "missing", "zero", "ENOTSOCK"])
def test_every_way_of_copying_gives_the_same_file(
    path: str, second: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if second == "missing":
        monkeypatch.delattr(os, "sendfile", raising=False)
    elif second == "zero":
        monkeypatch.setattr(os, "sendfile", nothing)
    elif second != "fast":
        monkeypatch.setattr(os, "sendfile", failing(errno.ENOTSOCK))
    if path == "missing":
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    elif path == "zero":
        monkeypatch.setattr(os, "copy_file_range", nothing)
    elif path == "pieces":
        monkeypatch.setattr(os, "copy_file_range", by_pieces(os.copy_file_range))
    elif path != "fast":
        monkeypatch.setattr(os, "copy_file_range", failing(getattr(errno, path)))
    skeleton = read_skeleton(source)
    tag(skeleton)
    expected = onnx.load(source)
    expected.graph.node[0].metadata_props.add(key="pkg.onnx_tagger.tag", value="/A/B")
    expected.graph.node[1].metadata_props.add(key="pkg.onnx_tagger.tag", value="/A/B")
    expected.metadata_props.add(key="pkg.onnx_tagger.version", value="1")
    write_spliced(skeleton, tmp_path / "out.onnx")
    assert onnx.load(tmp_path / "out.onnx") == expected
    assert (tmp_path / "out.onnx").read_bytes() == splice_bytes(skeleton)
    onnx.checker.check_model(str(tmp_path / "out.onnx"))


@pytest.mark.parametrize("chunk", [1000, 1 << 16, 1 << 17])
def test_a_copy_without_the_kernel_reads_a_chunk_at_a_time(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filecopy, "_by_range", nothing)
    monkeypatch.setattr(filecopy, "_by_sendfile", nothing)
    monkeypatch.setattr(filecopy, "CHUNK", chunk)
    data = bytes(range(256)) * 1200
    (tmp_path / "in").write_bytes(data)
    asked: list[int] = []

    def read(self: wire.FileReader, offset: int, length: int) -> bytes:
        asked.append(length)
        return data[offset : offset + length]

    monkeypatch.setattr(wire.FileReader, "read_at", read)
    with wire.open_file(tmp_path / "in") as reader, filecopy.replacing(tmp_path / "out") as output:
        output.copy(reader, 7, len(data))
    assert (tmp_path / "out").read_bytes() == data[7:]
    assert set(asked[:-1]) == {chunk}
    assert sum(asked) == len(data) - 7


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no hints")
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("in_memory", [False, True])
def test_the_disk_begins_before_the_end_if_it_can_be_asked(
    refused: bool, in_memory: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def fadvise(descriptor: int, offset: int, length: int, advice: int) -> None:
        assert offset + length <= os.fstat(descriptor).st_size
        asked.append((offset, offset + length))
        if refused:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(filecopy, "_STRIDE", 1 << 17)
    monkeypatch.setattr(os, "posix_fadvise", fadvise)
    skeleton = read_skeleton(source.read_bytes() if in_memory else source)
    tag(skeleton)
    write_spliced(skeleton, tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx").read_bytes() == splice_bytes(skeleton)
    ends = [end for _, end in asked]
    assert [start for start, _ in asked] == [0, *ends[:-1]]
    assert source.stat().st_size - ends[-1] < 1 << 18


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failed_write_leaves_the_target_as_it_was(
    code: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.onnx"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "copy_file_range", failing(code))
    with pytest.raises(TaggerError, match=f"cannot be written: {os.strerror(code)}"):
        write_spliced(read_skeleton(source), target)
    assert target.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_an_interrupt_leaves_nothing_behind(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "copy_file_range", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_spliced(read_skeleton(source), tmp_path / "out.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_permissions_are_those_of_a_new_file_or_of_the_old_target(source: Path, tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        write_spliced(read_skeleton(source), tmp_path / "new.onnx")
        (tmp_path / "old.onnx").touch(0o600)
        (tmp_path / "old.onnx").chmod(0o606)
        write_spliced(read_skeleton(source), tmp_path / "old.onnx")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "new.onnx").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "old.onnx").stat().st_mode) == 0o606


def test_impossible_targets_are_refused(source: Path, tmp_path: Path) -> None:
    skeleton = read_skeleton(source)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for target, what in [
        (tmp_path, "is a directory"),
        (tmp_path / "none" / "out.onnx", "there is no folder"),
        (source / "out.onnx", "is not a folder"),
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path / "loop", "cannot be written: Too many"),
        (tmp_path / ("x" * 300), "cannot be written: File name too long"),
        (tmp_path / "nul\0", "cannot be written: embedded null"),
    ]:
        with pytest.raises(TaggerError, match=what):
            write_spliced(skeleton, target)
    assert leftovers(tmp_path) == []


def test_write_protected_targets_are_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out.onnx").touch(0o400)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anything
    with pytest.raises(TaggerError, match="is write-protected"):
        write_spliced(read_skeleton(source), tmp_path / "out.onnx")
