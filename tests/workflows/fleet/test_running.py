"""A whole run: rows in the order of the files, and going on after being killed anywhere."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from examples.fleets import fleet_of, told
from onnx_tagger.errors import TaggerError
from onnx_tagger.model.fleet import Job
from onnx_tagger.workflows.fleet import engines, running
from onnx_tagger.workflows.fleet.running import run_fleet, summary_of

JOB = Job(ask="check")


def test_rows_come_in_the_order_of_the_files(tmp_path: Path) -> None:
    files = fleet_of(tmp_path / "f", 20)
    seen: list[tuple[int, int]] = []
    summary = run_fleet(files, JOB, tmp_path / "r.jsonl", jobs=2, progress=lambda done, of: seen.append((done, of)))
    assert [row.url for row in told(tmp_path / "r.jsonl")] == files
    assert (summary.whole.files, summary.whole.short, summary.whole.unreadable) == (20, 4, 1)
    assert seen == [(done, 20) for done in range(1, 21)]
    assert not (tmp_path / "r.jsonl.part").exists()
    assert summary_of(tmp_path / "r.jsonl").to_json() != ""


def test_resuming_does_what_is_new_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = fleet_of(tmp_path / "f", 10)
    run_fleet(files[:6], JOB, tmp_path / "r.jsonl", jobs=1)
    whole = tmp_path / "whole.jsonl"
    Path(files[2]).write_bytes(Path(files[4]).read_bytes())
    run_fleet(files, JOB, whole, jobs=1)
    done: list[str] = []

    def watched(*args: object) -> object:
        for task, line in engines.in_processes(*args):  # type: ignore[arg-type]
            done.extend([task.url] if line is not None else [])
            yield task, line

    monkeypatch.setitem(running.ENGINES, "process", watched)  # type: ignore[arg-type]
    run_fleet(files, JOB, tmp_path / "r.jsonl", jobs=1, resume=True)
    assert done == [files[2], *files[6:]]
    assert told(tmp_path / "r.jsonl") == told(whole)
    # Of another job nothing is taken over.
    done.clear()
    run_fleet(files, Job(ask="stats"), tmp_path / "r.jsonl", jobs=1, resume=True)
    assert done == files


def test_rows_of_a_run_that_was_broken_off_are_not_lost(tmp_path: Path) -> None:
    files = fleet_of(tmp_path / "f", 4)
    (tmp_path / "r.jsonl.part").write_bytes(b'{"url":"a"}\n')
    with pytest.raises(TaggerError, match="go on with it by --resume, or remove the file"):
        run_fleet(files, JOB, tmp_path / "r.jsonl")
    assert (tmp_path / "r.jsonl.part").exists()


@pytest.mark.parametrize(
    ("job", "output", "engine", "message"),
    [
        (Job(ask="retag"), "r.jsonl", "process", "give --into DIR"),
        (JOB, "r.xlsx", "process", "Parquet, CSV or JSON lines"),
        (JOB, "r.jsonl", "spark", "'spark' is no engine"),
    ],
)
def test_refuses(tmp_path: Path, job: Job, output: str, engine: str, message: str) -> None:
    with pytest.raises(TaggerError, match=message):
        run_fleet(["a.onnx"], job, tmp_path / output, engine=engine)


def killed_and_resumed(tmp_path: Path, files: list[str], times: int) -> Counter[str]:
    """Kill a run at random moments, let it go on, and count how often each file was done."""
    output = tmp_path / "killed.jsonl"
    command = [sys.executable, "-m", "onnx_tagger", "-q", "fleet", "check", str(tmp_path / "f"), "-o", str(output)]
    part, chance = output.with_name(output.name + ".part"), random.Random(0)
    for _ in range(times):
        process = subprocess.Popen([*command, "--jobs", "2", "--resume"])
        time.sleep(0.4 + 1.2 * chance.random())
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert subprocess.run([*command, "--jobs", "2", "--resume"], check=False).returncode == 1
    assert not part.exists()
    return Counter(row.url for row in told(output))


def test_a_run_that_was_killed_goes_on(tmp_path: Path) -> None:
    files = fleet_of(tmp_path / "f", 300)
    run_fleet(files, JOB, tmp_path / "whole.jsonl", jobs=2)
    assert killed_and_resumed(tmp_path, files, times=2) == Counter(files)
    assert told(tmp_path / "killed.jsonl") == told(tmp_path / "whole.jsonl")


@pytest.mark.slow
def test_a_run_that_was_killed_often_goes_on(tmp_path: Path) -> None:
    files = fleet_of(tmp_path / "f", 3000)
    run_fleet(files, JOB, tmp_path / "whole.jsonl", jobs=2)
    assert killed_and_resumed(tmp_path, files, times=20) == Counter(files)
    assert told(tmp_path / "killed.jsonl") == told(tmp_path / "whole.jsonl")
