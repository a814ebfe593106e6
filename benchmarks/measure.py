"""Timing several ways of doing one thing beside each other, and the memory that one way takes.

Ways take turns, so that what else the machine does falls on all of them alike; a ratio is taken in each round, and the
median of the rounds is what counts.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

ROUNDS = 7

Way = Callable[[], object]


@dataclass(frozen=True)
class Series:
    """Figures of one way, one for each round: seconds, and those of the processor where both were taken."""

    values: tuple[float, ...]
    processor: tuple[float, ...] = field(default=(), compare=False)

    @property
    def busy(self) -> Series:
        """The seconds of the processor, on which other programs have less influence."""
        return Series(self.processor)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        low, _, high = statistics.quantiles(self.values, n=4, method="inclusive")
        return low, high

    def over(self, other: Series) -> Series:
        """The ratio to another way, round by round."""
        return Series(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def minus(self, other: Series) -> Series:
        """What comes on top of another way, round by round."""
        return Series(tuple(a - b for a, b in zip(self.values, other.values, strict=True)))

    def shown(self, form: str = ".2f") -> str:
        low, high = self.quartiles
        return f"{self.median:{form}} ({low:{form}}–{high:{form}})"


def interleaved(
    ways: Mapping[str, Way], rounds: int = ROUNDS, *, before: Way | None = None, warm_up: int = 1
) -> dict[str, Series]:
    """Seconds of each way; the ways take turns, and each round begins with another one.

    Parameters
    ----------
    ways : mapping
        Name to what is timed. One that returns a number, or two (seconds, then the processor's), has timed itself.
    rounds : int
        How often each is timed.
    before : callable, optional
        Called before each single timing, outside of it.
    warm_up : int
        Rounds that do not count.
    """
    names = list(ways)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    busy: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(-warm_up, rounds):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            if before is not None:
                before()
            gc.collect()
            start, used = time.perf_counter(), processor_seconds()
            told = ways[name]()
            taken, work = time.perf_counter() - start, processor_seconds() - used
            if isinstance(told, tuple) and isinstance(told[0], float):
                taken, work = told
            elif isinstance(told, float):
                taken = told
            if turn >= 0:
                seconds[name].append(taken)
                busy[name].append(work)
    return {name: Series(tuple(seconds[name]), tuple(busy[name])) for name in names}


def processor_seconds() -> float:
    """What this process and its ended children have used, in their own code and in the system's."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


_PEAK = """
import json, sys, time
def peak():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
"""


def in_process(code: str, *arguments: object) -> dict[str, float]:
    """Run Python code in a process of its own; what it puts into `told`, with the peak of its memory in MB.

    Of the kernel's two figures the one of the memory map itself: the other one is inherited from the parent.
    """
    line = [sys.executable, "-c", f"{_PEAK}\ntold = {{}}\n{code}\ntold['mb'] = peak()\nprint(json.dumps(told))"]
    done = subprocess.run([*line, *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def peaks(ways: Mapping[str, tuple[str, Sequence[object]]], rounds: int = 3) -> dict[str, float]:
    """Median of the peak memory of each way, in MB; each is code and its arguments."""
    return {
        name: statistics.median(in_process(code, *arguments)["mb"] for _ in range(rounds))
        for name, (code, arguments) in ways.items()
    }


def synced(path: Path) -> None:
    """Wait until a file is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def removed(*paths: Path) -> Way:
    """What removes files that a way has left, so that each begins alike."""

    def remove() -> None:
        for path in paths:
            path.unlink(missing_ok=True)

    return remove


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep other programs' words out of the tables."""
    import logging
    import warnings

    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):  # noqa: PTH123
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def machine() -> str:
    """A line on the machine and the versions, without names or places."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    packages = ", ".join(f"{name} {version(name)}" for name in ("onnx", "protobuf", "numpy", "networkx"))
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {memory:.0f} GB, {platform.system()}, "
        f"Python {platform.python_version()}, {packages}"
    )


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table in markdown."""
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'-|' * len(head)}", flush=True)
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)
