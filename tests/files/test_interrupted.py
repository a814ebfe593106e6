"""Writing that is cut short: killed at every system call, no room, no leave, two writers. All or nothing."""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.onnxfile import read_skeleton, write_spliced
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.files.scratch import scratch_folder
from onnx_tagger.workflows.carrying import Command, carry

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs fork, signals and file locks")

CALLS = ("open", "write", "copy_file_range", "fchmod", "fsync", "close", "replace", "unlink", "link", "mkdir", "rmdir")


def save(path: Path, count: int = 60_000, *, external: bool = False) -> Path:
    node = helper.make_node("Neg", ["w"], ["y"], name="n")
    weight = numpy_helper.from_array(np.arange(count, dtype=np.float32), "w")
    model = helper.make_model(helper.make_graph([node], "g", [], [], [weight]), ir_version=10)
    if external:
        onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    else:
        path.write_bytes(model.SerializeToString())
    return path


def write(source: Path, target: Path, text: str = "/Net") -> None:
    skeleton = read_skeleton(source)
    del skeleton.model.graph.node[0].metadata_props[:]
    skeleton.model.graph.node[0].metadata_props.add(key="pkg.onnx_tagger.tag", value=text)
    write_spliced(skeleton, target, in_place=True)


def killed_at(place: int, *, after: bool, action: Callable[[], None]) -> bool:
    """Run an action in a process that kills itself at its n-th system call; False if there were not so many."""
    child = os.fork()
    if not child:
        count = 0

        def counted(call: Callable[..., object]) -> Callable[..., object]:
            def wrapped(*args: object, **kwargs: object) -> object:
                nonlocal count
                count += 1
                if count == place and not after:
                    os.kill(os.getpid(), signal.SIGKILL)
                result = call(*args, **kwargs)
                if count == place and after:
                    os.kill(os.getpid(), signal.SIGKILL)
                return result

            return wrapped

        for name in CALLS:
            if hasattr(os, name):
                setattr(os, name, counted(getattr(os, name)))
        try:
            action()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def kill_everywhere(action: Callable[[], None], insist: Callable[[], None]) -> int:
    kills = 0
    for after in (False, True):
        place = 1
        while killed_at(place, after=after, action=action):
            insist()
            kills += 1
            place += 1
    print(f"{kills} kills survived")
    return kills


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("in_place", [False, True])
def test_killed_at_any_call_the_old_file_or_the_new_one_stands(in_place: bool, tmp_path: Path) -> None:
    source = save(tmp_path / "m.onnx")
    target = source if in_place else tmp_path / "out.onnx"
    write(source, tmp_path / "new.onnx")
    write(source, target, "/Old")
    old = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    whole = {digest(target), digest(tmp_path / "new.onnx")}
    seen = set()

    def insist() -> None:
        seen.add(digest(target))
        assert seen <= whole
        write(target, target, "/Other")  # the next run, whatever it writes
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(old)
        for name, data in old.items():
            (tmp_path / name).write_bytes(data)

    assert kill_everywhere(lambda: write(source, target), insist) >= 14
    assert seen == whole


def test_killed_while_weights_are_copied_the_next_run_ends_the_work(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    source = save(tmp_path / "in" / "m.onnx", external=True)
    out = tmp_path / "out"
    out.mkdir()

    def insist() -> None:
        left = {path.name for path in out.iterdir() if path.suffix != ".tmp"}
        assert left in (set(), {"w.bin"}, {"w.bin", "m.onnx"})
        write(source, out / "m.onnx")
        assert sorted(path.name for path in out.iterdir()) == ["m.onnx", "w.bin"]
        assert digest(out / "w.bin") == digest(source.with_name("w.bin"))
        for path in out.iterdir():
            path.unlink()

    assert kill_everywhere(lambda: write(source, out / "m.onnx"), insist) >= 25


def test_a_carry_that_was_killed_leaves_nothing_after_the_next_run(tmp_path: Path) -> None:
    source, place = save(tmp_path / "m.onnx", 10), tmp_path / "out.onnx"
    write(source, source)
    with pytest.raises(TaggerError, match="holds no tags"):
        carry(source, place, lambda before, made: None)
    child = os.fork()
    if not child:
        with scratch_folder(place) as folder:
            (folder / "half.onnx").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [path.name for path in tmp_path.glob(".out.onnx.*.tmp/*")] == ["half.onnx"]
    replace_file(place, b"next")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "out.onnx"]


def test_without_room_the_old_file_stands(tmp_path: Path) -> None:
    """The system's limit on the size of a file ends a write as a full disk does."""
    source, target = save(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    target.write_bytes(b"old")
    code = (
        "import resource, sys\n"
        "from onnx_tagger.cli import main as cli\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "sys.exit(cli.run(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "strip", source, "-o", target], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{target} cannot be written: {os.strerror(errno.EFBIG)}" in done.stderr
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "out.onnx"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_without_leave_the_old_file_stands(tmp_path: Path) -> None:
    source = save(tmp_path / "m.onnx")
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "out.onnx").write_bytes(b"old")
    folder.chmod(0o500)
    try:
        with pytest.raises(TaggerError, match="cannot be written"):
            write(source, folder / "out.onnx")
        assert (folder / "out.onnx").read_bytes() == b"old"
    finally:
        folder.chmod(0o700)


def test_two_writers_at_once(tmp_path: Path) -> None:
    source, target = save(tmp_path / "m.onnx"), tmp_path / "out.onnx"
    whole = set()
    for text in ("/One", "/Two"):
        write(source, target, text)
        whole.add(digest(target))
    children = []
    for text in ("/One", "/Two"):
        child = os.fork()
        if not child:
            try:
                for _ in range(30):
                    write(source, target, text)
            except BaseException:  # noqa: BLE001 - the parent is told by the exit code
                os._exit(1)
            os._exit(0)
        children.append(child)
    looks = 0
    while children:
        done, status = os.waitpid(-1, os.WNOHANG)
        assert status == 0
        assert digest(target) in whole
        looks += 1
        children = [child for child in children if child != done]
    assert looks > 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "out.onnx"]


def test_a_tool_that_leaves_a_process_behind_is_not_waited_for(tmp_path: Path) -> None:
    """Such a process holds the pipe of the tool's stderr; it ends by itself when this test does."""
    code = (
        "import subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-c', 'input()'])\n"
        "print('done', file=sys.stderr)\n"
        "sys.exit(3)"
    )
    reading, writing = os.pipe()
    saved = os.dup(0)
    os.dup2(reading, 0)
    try:
        with pytest.raises(TaggerError, match="failed with exit code 3: done"):
            Command([sys.executable, "-c", code, "{in}", "{out}"])(tmp_path / "a", tmp_path / "b")
    finally:
        os.dup2(saved, 0)
        for descriptor in (saved, reading, writing):
            os.close(descriptor)
