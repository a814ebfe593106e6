"""The process of a keeper by itself: a line of stdout for each stamp and row, and nothing else there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from examples.fleets import fleet_of
from onnx_tagger.model.fleet import Job, Row, Stamp, Task
from onnx_tagger.workflows.fleet.child import ROW, SAME, STAMP

COMMAND = [sys.executable, "-m", "onnx_tagger.workflows.fleet.child"]


def lines(job: Job, *tasks: Task) -> list[bytes]:
    asked = b"".join(msgspec.json.encode(each) + b"\n" for each in (job, *tasks))
    return subprocess.run(COMMAND, input=asked, capture_output=True, check=True).stdout.splitlines()


def test_a_stamp_and_a_row_for_each_file_and_a_letter_where_nothing_is_new(tmp_path: Path) -> None:
    (file,) = fleet_of(tmp_path / "f", 2)[:1]
    first = lines(Job(ask="stats"), Task(file))
    assert [line[:1] for line in first] == [STAMP, ROW]
    stamp = msgspec.json.decode(first[0][1:], type=Stamp)
    assert msgspec.json.decode(first[1][1:], type=Row).stamp == stamp
    assert lines(Job(ask="stats"), Task(file, stamp)) == [SAME]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not bound the memory of a process")
def test_memory_is_bounded_in_the_process_alone() -> None:
    code = (
        "from onnx_tagger.workflows.fleet.child import bound_memory\n"
        "bound_memory(200)\n"
        "try:\n    bytearray(400_000_000)\nexcept MemoryError:\n    print('bounded')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "bounded\n"
