"""What a fleet costs: small files by a pool of two and by a plain loop, and files on a web server that fails at times.

Run it as ``python benchmarks/fleet.py [--files 1000] [--served 10000] [--runs 3]``. The first table gives CPU seconds
of all processes together, each run of both in turn; the second that all rows are right, how many requests failed on the
way, and what the driver held. `onnx-tagger check` as a process for each file is measured on 20 of them.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

import onnx_tagger as ot  # noqa: E402
from examples.fleets import fleet_of, told  # noqa: E402 - a folder, no package
from examples.web import Web, serving  # noqa: E402

LOOP = """
import sys
from pathlib import Path
from onnx_tagger.files.gathering import gather
from onnx_tagger.model.fleet import Job, Task
from onnx_tagger.workflows.fleet.one import row_of
from onnx_tagger.workflows.fleet.tables import write_rows
write_rows(Path(sys.argv[2]), [row_of(Job(ask="check"), Task(file)) for file in gather([sys.argv[1]])])
"""


def spent(command: list[str]) -> tuple[float, float, float]:
    """CPU and wall seconds of a command with all that it starts, and the megabytes that the largest process held."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, wall, after.ru_maxrss * 1024 / 1e6


def fleet(files: str, output: Path) -> list[str]:
    """The command line of a fleet's check."""
    return [sys.executable, "-m", "onnx_tagger", "-q", "fleet", "check", files, "-o", str(output), "--jobs", "2"]


def compare(folder: Path, count: int, runs: int) -> None:
    """Print what a pool of two costs beside a plain loop and a process for each file."""
    sample = folder / "bert.onnx"
    subprocess.run([sys.executable, "-m", "onnx_tagger", "-q", "demo", "--keep", str(folder)], check=True)
    files = fleet_of(folder / "small", count, sample)
    print(f"{ot.stats(sample).nodes} nodes, {sample.stat().st_size} bytes each\n")
    loop = [sys.executable, "-c", LOOP, str(folder / "small"), str(folder / "loop.parquet")]
    pairs = [(spent(loop), spent(fleet(str(folder / "small"), folder / f"r{run}.parquet"))) for run in range(runs)]
    one = statistics.median(spent([sys.executable, "-m", "onnx_tagger", "check", file])[0] for file in files[:20])
    ratios = [pool[0] / plain[0] for plain, pool in pairs]
    print("| way | CPU s | wall s |\n|-|-|-|")
    for name, at in (("a plain loop", 0), ("fleet, a pool of 2", 1)):
        cpu, wall = (statistics.median(pair[at][kind] for pair in pairs) for kind in (0, 1))
        print(f"| {name} | {cpu:.2f} | {wall:.2f} |")
    print(f"| a process for each file (from 20) | {one * count:.0f} | |\n")
    print(f"{count} files, pool ÷ loop in CPU: {statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})")


def serve(folder: Path, count: int) -> None:
    """Print whether all rows are right of files on a server that is slow and fails at times."""
    names = fleet_of(folder / "served", count)
    web = Web({f"{at}.onnx": Path(name).read_bytes() for at, name in enumerate(names)}, latency=0.001)
    faults: Counter[str] = Counter()
    kinds = ("cut", "short", "503", "429:0")

    def fault(number: int) -> str:
        kind = kinds[number // 100 % len(kinds)] if number % 100 == 0 else ""
        faults[kind] += bool(kind)
        return kind

    web.fault = fault
    with serving(web):
        (folder / "urls.txt").write_text("".join(web.url(f"{at}.onnx") + "\n" for at in range(count)))
        driver = [*fleet("-", folder / "served.parquet")]
        start = time.perf_counter()
        with (folder / "urls.txt").open() as stdin:
            process = subprocess.Popen(driver, stdin=stdin)
            peak = 0.0
            while process.poll() is None:
                try:
                    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
                except OSError:
                    break
                peak = max(
                    peak, *(int(line.split()[1]) / 1e3 for line in status.splitlines() if line.startswith("VmHWM")), 0.0
                )
                time.sleep(0.2)
            process.wait()
        wall = time.perf_counter() - start
    rows = told(folder / "served.parquet")
    right = sum(row.ok is (at % 5 != 4 and at != count - 1) for at, row in enumerate(rows))
    lost = sum(row.error is not None for row in rows) - 1
    print(
        f"\n{count} files on a server with 1 ms latency, {sum(faults.values())} of {len(web.requests)} requests failed:"
    )
    print(f"{right} of {count} rows right, {lost} files not read; {wall:.0f} s, the driver held {peak:.0f} MB")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--served", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options.files, options.runs)
        serve(Path(name), options.served)


if __name__ == "__main__":
    main()
