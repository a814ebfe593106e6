"""Work on a model in a process of its own, so that a model that kills its process leaves a sentence, no dead tool.

The process is forked before torch is loaded, which costs milliseconds: there are no threads of torch's yet that a fork
would leave behind half alive, and the parent never loads torch at all. Where torch is loaded already, or forking is not
safe or not there, a fresh interpreter is started. What work there is on a model's source is `from_source`'s.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, Generic, TypeVar

from onnx_tagger.errors import ExportError
from onnx_tagger.files.scratch import sweep
from onnx_tagger.model.limits import InputLimits, input_limits, limited
from onnx_tagger.workflows.exporting import Progress

_Made = TypeVar("_Made")

# What may kill its process: called with a progress, which it tells of its phases and attempts.
Work = Callable[[Progress], _Made]


def wanted(isolate: bool | None) -> bool:
    """Whether work on a source goes to a process of its own.

    Parameters
    ----------
    isolate : bool or None
        None if nobody said: then it does unless torch is loaded here already, as in a program that calls the command.
    """
    return "torch" not in sys.modules if isolate is None else isolate


@contextmanager
def isolated(
    work: Work[_Made], source: str, *, written: Sequence[Path] = (), debug: bool = False
) -> Iterator[Isolated[_Made]]:
    """Start work in a process of its own, which is ended at the end of the block at the latest.

    Parameters
    ----------
    work : callable
        Takes a progress; it and what it returns can be pickled.
    source : str
        What it works on, for the sentence about its end.
    written : sequence of path
        The files that it writes: what a killed process left beside them is removed.
    debug : bool
        Whether the process shows where it was killed.
    """
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        started = Isolated(work, source, tuple(written), debug, folder)
        try:
            yield started
        finally:
            started.end()


class Isolated(Generic[_Made]):
    """Work that runs in a process of its own; made by `isolated`."""

    def __init__(self, work: Work[_Made], source: str, written: tuple[Path, ...], debug: bool, folder: str) -> None:
        self.work, self.source, self.written, self.debug, self.folder = work, source, written, debug, folder
        # Strategies whose attempt has killed a process, with the reason.
        self.deadly: dict[str, str] = {}
        self._start()

    def _start(self) -> None:
        context = _context()
        self.reader, writer = context.Pipe(duplex=False)
        settings = (self.work, dict(self.deadly), input_limits(), self.debug, self.folder)
        self.process: Any = context.Process(target=_serve, args=(writer, *settings))  # type: ignore[attr-defined]
        self.process.start()
        # The end of the pipe shows when the process ends.
        writer.close()

    def result(self, tell: Progress) -> _Made:
        """Wait for the work, and return what it returned.

        An attempt of a strategy that kills the process is done without: the work begins again, and is told that this
        strategy cannot do it.

        Parameters
        ----------
        tell : callable
            Told the name of each phase as it begins.

        Raises
        ------
        ExportError
            If the process was killed, or ended by itself, outside of any attempt.
        """
        while True:
            phase, attempt = "start", None
            while True:
                kind, *said = self._next()
                if kind == "phase":
                    (phase,), attempt = said, None
                    tell(phase)
                elif kind == "attempt":
                    (attempt,) = said
                elif kind == "done":
                    made: _Made = said[0]
                    return made
                elif kind == "raised":
                    error, text = said
                    raise error from _FromProcess(text)
                elif kind == "interrupted":
                    raise KeyboardInterrupt(*said[0])
                else:
                    break
            self._buried(phase, attempt)
            self._start()

    def _next(self) -> Sequence[Any]:
        """What the process sends next; ``("over",)`` once it has ended without a word."""
        try:
            # A process that the model has started may hold the pipe open for longer than its own lives.
            ready = connection.wait([self.reader, self.process.sentinel])
            if self.reader in ready or self.reader.poll():
                found: Sequence[Any] = self.reader.recv()
                return found
        except (EOFError, OSError):
            pass
        return ("over",)

    def _buried(self, phase: str, attempt: str | None) -> None:
        """Note which strategy has killed the process; raise if it was none, or one that was not to be tried again."""
        self.process.join()
        self.reader.close()
        for path in self.written:
            sweep(path)
        how = _end_of(self.process.exitcode)
        if attempt is None or attempt in self.deadly:
            raise ExportError(
                f"{self.source}: its process {how} in the phase {phase!r}: run it with --debug, which shows where"
            )
        self.deadly[attempt] = f"its process {how}"

    def end(self) -> None:
        """End the process, if it is still there; an interrupted one is left a moment to put things in order."""
        if self.process.is_alive():
            self.process.join(2 if isinstance(sys.exc_info()[1], KeyboardInterrupt) else 0)
        if self.process.is_alive():
            self.process.terminate()
            self.process.join(2)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        for path in self.written if self.process.exitcode else ():
            sweep(path)
        self.reader.close()


class _FromProcess(Exception):  # noqa: N818 - no error of its own: the other process's traceback, for --debug
    """The traceback of an error that was raised in the other process."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


def _context() -> BaseContext:
    """Forked from here where that is safe: a child has none of torch's threads, but the locks that they hold."""
    safe = hasattr(os, "fork") and sys.platform != "darwin" and "torch" not in sys.modules
    return get_context("fork" if safe else "spawn")


def _end_of(code: int | None) -> str:
    """How a process ended, by its exit code."""
    if code is None or code >= 0:
        return f"ended by itself, with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was killed by {name}" + (", as the system does when memory runs out" if name == "SIGKILL" else "")


# --- in the other process ---------------------------------------------------------------------------------------------


class _Told:
    """The progress of the other process: what it is told, the parent is sent."""

    def __init__(self, writer: Any, deadly: dict[str, str]) -> None:
        self.writer, self.deadly = writer, deadly

    def __call__(self, phase: str) -> None:
        self.writer.send(("phase", phase))

    def attempting(self, strategy: str) -> None:
        """Send which strategy is tried; raises `ExportError` for one that has killed a process."""
        if strategy in self.deadly:
            raise ExportError(self.deadly[strategy])
        self.writer.send(("attempt", strategy))


def _serve(writer: Any, work: Work[Any], deadly: dict[str, str], limits: InputLimits, debug: bool, folder: str) -> None:
    """Do the work and send what comes of it."""
    # What a killed process leaves behind there goes with the parent's folder.
    tempfile.tempdir = folder
    if debug:
        import faulthandler

        faulthandler.enable()
    try:
        with limited(limits), warnings.catch_warnings():
            if not debug:
                warnings.simplefilter("ignore")
            answer: tuple[Any, ...] = ("done", work(_Told(writer, deadly)))
    except KeyboardInterrupt as stop:
        answer = ("interrupted", stop.args)
    except Exception as error:  # noqa: BLE001 - raised again in the parent
        answer = ("raised", error, "".join(traceback.format_exception(error)))
    try:
        writer.send(answer)
    except (pickle.PicklingError, TypeError, AttributeError):
        if answer[0] != "raised":
            raise
        writer.send(("raised", RuntimeError(f"{type(answer[1]).__name__}: {answer[1]}"), answer[2]))
