"""A process for files: one that hangs, takes all memory or is killed costs its own row, and the next file is done."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from pathlib import Path

import msgspec
import onnx
import pytest
from onnx import helper

from examples.fleets import fleet_of, silent_server
from onnx_tagger.model.fleet import Job, Row, Task
from onnx_tagger.workflows.fleet.keeper import Keeper


def row(keeper: Keeper, url: str) -> Row:
    line = keeper.do(Task(url))
    assert line is not None
    return msgspec.json.decode(line, type=Row)


def test_does_files_one_after_the_other_in_one_process(tmp_path: Path) -> None:
    files = fleet_of(tmp_path / "f", 6)
    with Keeper(Job(ask="check")) as keeper:
        rows = [row(keeper, file) for file in files]
        assert keeper._process is not None
        pid = keeper._process.pid
        again = row(keeper, files[0])
        assert keeper._process.pid == pid
    assert [each.ok for each in rows] == [True, True, True, True, False, False]
    assert rows[0].coverage == 100.0
    assert rows[4].by_rule == {"OT001": rows[4].nodes}
    assert "is no ONNX model" in str(rows[5].error)
    assert again.stamp == rows[0].stamp


def test_nothing_is_new_at_the_known_stamp(tmp_path: Path) -> None:
    (file,) = fleet_of(tmp_path / "f", 2)[:1]
    with Keeper(Job(ask="stats")) as keeper:
        stamp = row(keeper, file).stamp
        assert keeper.do(Task(file, stamp)) is None
        Path(file).write_bytes(Path(file).read_bytes())
        os.utime(file, ns=(1, 1))
        assert keeper.do(Task(file, stamp)) is not None


def test_a_file_that_hangs_costs_its_own_row(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    good = fleet_of(tmp_path / "f", 2)[0]
    with silent_server() as url, Keeper(Job(ask="check", seconds=3)) as keeper:
        hung = row(keeper, url)
        assert hung.error == "it takes longer than 3 s; allow more with --timeout, or leave it out"
        assert hung.by_rule == {"OT006": 1}
        assert row(keeper, good).ok


def test_a_process_that_is_killed_costs_its_own_row(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    good = fleet_of(tmp_path / "f", 2)[0]
    with silent_server() as url, Keeper(Job(ask="check")) as keeper:
        assert row(keeper, good).ok
        assert keeper._process is not None

        def kill(pid: int) -> None:
            time.sleep(1)
            os.kill(pid, signal.SIGKILL)

        threading.Thread(target=kill, args=[keeper._process.pid]).start()
        assert "ended with signal SIGKILL" in str(row(keeper, url).error)
        assert row(keeper, good).ok


@pytest.mark.skipif(sys.platform != "linux", reason="other systems bound the address space")
def test_a_file_that_takes_all_memory_costs_its_own_row(tmp_path: Path) -> None:
    good = fleet_of(tmp_path / "f", 2)[0]
    nodes = [helper.make_node("Relu", [f"t{at}"], [f"t{at + 1}"]) for at in range(100_000)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [])), tmp_path / "large.onnx")
    with Keeper(Job(ask="check", megabytes=100)) as keeper:
        found = row(keeper, str(tmp_path / "large.onnx"))
        assert found.size == (tmp_path / "large.onnx").stat().st_size
        # Which of the libraries runs out of it first is theirs to say.
        assert re.search("more than 100 MB|more memory than|the process that read it ended", str(found.error))
        assert row(keeper, good).ok
