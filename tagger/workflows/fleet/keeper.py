"""Keeps the process in which files are looked at, one after the other: a file that hangs, or takes all memory, or kills
its process costs its own row and nothing else.

The same in any engine: a worker of Dask or Ray keeps such a process of its own.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import IO

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.fleet import Job, Row, Stamp, Task
from onnx_tagger.model.urls import shown_place
from onnx_tagger.version import version
from onnx_tagger.workflows.fleet.child import ROW, SAME, STAMP

# One core a process: with several there are as many of them as cores already.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

_encode = msgspec.json.Encoder().encode


class _Watch:
    """Calls a function if something takes too long: one thread for all of it, which sleeps while nothing is late.

    Parameters
    ----------
    strike : callable
    """

    def __init__(self, strike: Callable[[], None]) -> None:
        self._strike = strike
        self._until = self._late_at = math.inf
        self._wake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None

    @contextmanager
    def over(self, seconds: float) -> Iterator[Callable[[], bool]]:
        """Give what is done in the block so many seconds; the function says whether it took longer."""
        if self._thread is None:
            self._seconds = seconds
            self._thread = threading.Thread(target=self._look, daemon=True)
            self._thread.start()
        until = self._until = time.monotonic() + seconds
        try:
            yield lambda: self._late_at == until
        finally:
            self._until = math.inf

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        self._wake.set()

    def _look(self) -> None:
        while not self._stopped:
            now, until = time.monotonic(), self._until
            if now >= until:
                self._until, self._late_at = math.inf, until
                self._strike()
            # What begins while this sleeps ends later than it.
            self._wake.wait(min(self._seconds, until - now) if until > now else self._seconds)


class Keeper:
    """A process that does the tasks of a job, started when there is one and again after it died.

    Parameters
    ----------
    job : Job

    Examples
    --------
    >>> with Keeper(Job(ask="stats")) as keeper:
    ...     row = msgspec.json.decode(keeper.do(Task("missing.onnx")), type=Row)
    >>> "missing.onnx" in row.error
    True
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._watch = _Watch(self._kill)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def do(self, task: Task) -> bytes | None:
        """A file's row as JSON, None if nothing is new."""
        pipes = self._pipes()
        stamp: Stamp | None = None
        with self._watch.over(self.job.seconds) as late:
            with suppress(BrokenPipeError):
                pipes[0].write(_encode(task) + b"\n")
                pipes[0].flush()
            while line := pipes[1].readline():
                kind, value = line[:1], line[1:-1]
                if kind == STAMP:
                    stamp = msgspec.json.decode(value, type=Stamp)
                elif kind in (ROW, SAME) and line.endswith(b"\n"):
                    return value if kind == ROW else None
        return _encode(self._lost(task, stamp, late()))

    def close(self) -> None:
        """End the process; no other one is started."""
        self._closed = True
        self._watch.stop()
        self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            if self._closed:
                raise TaggerError("the fleet was stopped")
            self._process = subprocess.Popen(
                [sys.executable, "-m", "onnx_tagger.workflows.fleet.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={**os.environ, **_ONE_THREAD},
            )
            assert self._process.stdin is not None
            with suppress(BrokenPipeError):
                self._process.stdin.write(_encode(self.job) + b"\n")
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _lost(self, task: Task, stamp: Stamp | None, late: bool) -> Row:
        """The row of a file whose process has ended without one."""
        code = self._process.wait() if self._process is not None else 0
        self._end()
        row = Row(url=shown_place(task.url), tool=version(), job=self.job.key)
        if stamp is not None:
            row.size, row.etag, row.mtime = stamp.size, stamp.etag, stamp.mtime
        if late:
            row.seconds = self.job.seconds
            row.fail(f"it takes longer than {self.job.seconds:g} s; allow more with --timeout, or leave it out")
        elif stamp is None and code == 1:
            raise TaggerError("a process of the fleet cannot start; run it with --jobs 1 and see what it prints")
        else:
            row.fail(f"the process that read it ended with {_ended(code)}; leave the file out, or report it")
        return row


def _ended(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"
