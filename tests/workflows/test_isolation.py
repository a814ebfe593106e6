"""Work in a process of its own: what it returns, what it raises, and what is said when it is killed."""

from __future__ import annotations

import faulthandler
import functools
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from onnx_tagger.errors import ExportError, SourceError
from onnx_tagger.files.scratch import open_scratch
from onnx_tagger.model.limits import InputLimits, input_limits, limited
from onnx_tagger.workflows import isolation
from onnx_tagger.workflows.exporting import Attempts, Progress
from onnx_tagger.workflows.isolation import isolated, wanted

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="the tests' functions are in no module that a child imports"
)


@pytest.fixture(autouse=True)
def _forked(monkeypatch: pytest.MonkeyPatch) -> None:
    # other tests may have loaded torch here; the work of these has nothing to do with it
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")


def _kill(number: int) -> None:
    # pytest has its own handler print where the process was.
    faulthandler.disable()
    os.kill(os.getpid(), number)


def _phases(tell: Progress) -> int:
    tell("one")
    tell("two")
    return input_limits().nodes


def _raises(error: Exception, _: Progress) -> None:
    raise error


def _dies(number: int, tell: Progress) -> None:
    tell("the run")
    _kill(number)


def _tries(deadly: tuple[str, ...], tell: Progress) -> list[str]:
    """What `auto` does: the first strategy that works, and why the others did not."""
    assert isinstance(tell, Attempts)
    found = []
    for name in ("a", "b", "c"):
        try:
            tell.attempting(name)
        except ExportError as error:
            found.append(f"{name}: {error}")
            continue
        if name in deadly:
            _kill(signal.SIGSEGV)
        return [*found, name]
    raise ExportError("; ".join(found))


def test_the_phases_and_the_result_come_back_and_limits_hold() -> None:
    told: list[str] = []
    with limited(InputLimits(nodes=7)), isolated(_phases, "s") as running:
        assert running.result(told.append) == 7
    assert told == ["one", "two"]


def test_an_error_is_raised_again_with_the_other_traceback_as_its_cause() -> None:
    with (
        isolated(functools.partial(_raises, SourceError("no such source")), "s") as running,
        pytest.raises(SourceError, match="no such source") as caught,
    ):
        running.result(lambda _: None)
    assert "in _raises" in str(caught.value.__cause__)


def test_an_error_that_cannot_be_sent_becomes_one_that_says_the_same() -> None:
    class Local(Exception):  # noqa: N818
        pass

    with (
        isolated(functools.partial(_raises, Local("odd")), "s") as running,
        pytest.raises(RuntimeError, match="Local: odd"),
    ):
        running.result(lambda _: None)


@pytest.mark.parametrize(
    ("number", "how"),
    [
        (signal.SIGSEGV, "was killed by SIGSEGV in the phase"),
        (signal.SIGKILL, "was killed by SIGKILL, as the system does when memory runs out in the phase"),
    ],
    ids=["segv", "kill"],
)
def test_a_killed_process_is_a_sentence(number: int, how: str) -> None:
    with (
        isolated(functools.partial(_dies, number), "net.py:made") as running,
        pytest.raises(ExportError, match=f"^net.py:made: its process {how} 'the run': "),
    ):
        running.result(lambda _: None)


def test_a_process_that_leaves_by_itself_is_a_sentence() -> None:
    with (
        isolated(_leaves, "s") as running,
        pytest.raises(ExportError, match="ended by itself, with exit code 3 in the phase 'start'"),
    ):
        running.result(lambda _: None)


def _leaves(_: Progress) -> None:
    os._exit(3)


def test_an_attempt_that_kills_is_done_without() -> None:
    with isolated(functools.partial(_tries, ("a", "b")), "s") as running:
        found = running.result(lambda _: None)
    assert found == ["a: its process was killed by SIGSEGV", "b: its process was killed by SIGSEGV", "c"]


def test_when_every_attempt_kills_the_error_names_each() -> None:
    with (
        isolated(functools.partial(_tries, ("a", "b", "c")), "s") as running,
        pytest.raises(ExportError, match=r"^a: its process .*; b: its .*; c: its process was killed by SIGSEGV$"),
    ):
        running.result(lambda _: None)


def _leaves_a_mess(target: Path, _: Progress) -> None:
    open_scratch(target, 0o600)
    tempfile.mkdtemp(prefix="onnx-tagger-")
    _kill(signal.SIGSEGV)


def test_nothing_that_a_killed_process_began_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = tmp_path / "m.onnx"
    with (
        isolated(functools.partial(_leaves_a_mess, target), "s", written=[target]) as running,
        pytest.raises(ExportError),
    ):
        running.result(lambda _: None)
    assert list(tmp_path.iterdir()) == []


def _waits(tell: Progress) -> None:
    tell("waiting")
    signal.pause()


def test_a_process_that_nobody_waits_for_is_ended() -> None:
    with isolated(_waits, "s") as running:
        pass
    assert running.process.exitcode == -signal.SIGTERM


def test_an_interrupted_process_says_what_has_become_of_its_work() -> None:
    with isolated(_interrupted, "s") as running, pytest.raises(KeyboardInterrupt, match="half done"):
        running.result(lambda _: None)


def _interrupted(_: Progress) -> None:
    raise KeyboardInterrupt("half done")


def test_without_a_word_a_process_is_taken_only_where_torch_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wanted(None)
    assert not wanted(False)
    monkeypatch.setitem(sys.modules, "torch", sys)
    assert not wanted(None)
    assert wanted(True)
    assert isolation._context().get_start_method() == "spawn"
