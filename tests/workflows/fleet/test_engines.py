"""Engines: the same rows, whoever does the work; what a lost worker had is done by another."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import msgspec
import psutil
import pytest

from examples.fleets import fleet_of
from onnx_tagger.errors import TaggerError
from onnx_tagger.model.fleet import Job, Row, Task
from onnx_tagger.workflows.fleet.engines import ENGINES, in_processes, rows_of

JOB = Job(ask="check")


def keepers() -> set[int]:
    """Processes that do files for this one."""
    children = [each for each in psutil.Process().children() if each.status() != psutil.STATUS_ZOMBIE]
    return {each.pid for each in children if "onnx_tagger.workflows.fleet.child" in each.cmdline()}


def rows(engine: str, files: list[str], jobs: int = 2) -> list[Row]:
    found = {task.url: line for task, line in ENGINES[engine](map(Task, files), JOB, jobs, None)}
    made = [msgspec.json.decode(found[file] or b"", type=Row) for file in files]
    return [msgspec.structs.replace(row, seconds=0.0) for row in made]


@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_do_every_file_once(tmp_path: Path, jobs: int) -> None:
    files = fleet_of(tmp_path / "f", 30)
    assert [row.ok for row in rows("process", files, jobs)] == [at % 5 != 4 and at != 29 for at in range(30)]


def test_processes_end_with_who_asked_for_them(tmp_path: Path) -> None:
    files = fleet_of(tmp_path / "f", 30)
    # Other tests may keep one.
    before = keepers()
    found = in_processes(map(Task, files), JOB, 2, None)
    next(found)
    assert len(keepers() - before) == 2
    found.close()  # type: ignore[attr-defined]
    assert not keepers() - before


def test_an_address_is_for_other_engines() -> None:
    with pytest.raises(TaggerError, match="--engine dask or ray"):
        next(in_processes(iter(()), JOB, 1, "tcp://a:1"))


def test_rows_of_is_for_any_engine_that_calls_a_function(tmp_path: Path) -> None:
    files = fleet_of(tmp_path / "f", 6)
    found = rows_of(JOB, list(map(Task, files)))
    assert [task.url for task, _ in found] == files
    assert all(line is not None for _, line in found)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_other_engines_give_the_same_rows(tmp_path: Path, engine: str) -> None:
    pytest.importorskip({"dask": "distributed"}.get(engine, engine))
    files = fleet_of(tmp_path / "f", 100)
    assert rows(engine, files) == rows("process", files)


@pytest.mark.slow
def test_a_bag_of_dask_gives_the_same_rows(tmp_path: Path) -> None:
    pytest.importorskip("dask.bag")
    import dask.bag

    files = fleet_of(tmp_path / "f", 100)
    bag = dask.bag.from_sequence(list(map(Task, files)), npartitions=4)
    found = bag.map_partitions(lambda part: rows_of(JOB, list(part))).compute(scheduler="processes", num_workers=2)
    made = [msgspec.json.decode(line or b"", type=Row) for _, line in found]
    assert [msgspec.structs.replace(row, seconds=0.0) for row in made] == rows("process", files)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["dask", "ray"])
def test_a_run_ends_whole_though_a_worker_is_killed(tmp_path: Path, engine: str) -> None:
    pytest.importorskip({"dask": "distributed"}.get(engine, engine))
    files = fleet_of(tmp_path / "f", 1500)
    killed: list[int] = []

    def kill() -> None:
        """Kill who keeps a process that does files, once there is one."""
        while not killed:
            time.sleep(0.05)
            for each in psutil.Process().children(recursive=True):
                try:
                    if "onnx_tagger.workflows.fleet.child" in each.cmdline():
                        killed.append(each.ppid())
                        break
                except psutil.NoSuchProcess:
                    continue
        time.sleep(0.5)
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    found = rows(engine, files)
    thread.join()
    assert killed
    assert found == rows("process", files)
