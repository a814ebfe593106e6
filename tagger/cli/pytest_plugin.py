"""The plug-in for pytest: with ``--onnx-check`` each ``*.onnx`` file is a test, and `onnx_tagged` checks one in a test.

pytest imports this file in every run in which the package is installed, whether or not it is asked for: so nothing but
pytest is imported here, and all else inside functions.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from onnx_tagger.model.gated import Judged
    from onnx_tagger.model.report import Report

# Findings that the report of a failure names.
_SHOWN = 20


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--onnx-check``."""
    group = parser.getgroup("onnx-tagger")
    group.addoption(
        "--onnx-check",
        action="store_true",
        default=False,
        help="check the tags of *.onnx files by the settings of onnx-tagger: each file is a test",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect an ONNX file, if that is asked for and the settings mean it."""
    if file_path.suffix != ".onnx" or not parent.config.getoption("--onnx-check"):
        return None
    gate = _gate_of(parent.config)
    if not gate.means(file_path):
        return None
    found: pytest.Collector = OnnxFile.from_parent(parent, path=file_path)
    return found


class OnnxFile(pytest.File):
    """A model file, which holds one item."""

    def collect(self) -> Iterable[pytest.Item]:
        """The check of the file."""
        yield OnnxCheck.from_parent(self, name="onnx-check")


class OnnxCheck(pytest.Item):
    """The check of a file: it fails with the findings."""

    def runtest(self) -> None:
        """Check the file by the settings."""
        judged = _gate_of(self.config).judge(str(self.path))
        if not judged.ok:
            raise UntaggedError(_sentences(judged))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """The findings, a line each; of a mistake in the settings the sentence."""
        from onnx_tagger.errors import TaggerError

        if isinstance(excinfo.value, (UntaggedError, TaggerError)):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the item is: the file as such."""
        return self.path, None, f"onnx-check: {self.path.name}"


class UntaggedError(AssertionError):
    """A file whose tags do not hold; the message has a line for each finding."""


class _Gate:
    """The settings of a run, read once."""

    def __init__(self, config: pytest.Config) -> None:
        from onnx_tagger.cli.gate import Asked
        from onnx_tagger.model.gate.settings import names_in
        from onnx_tagger.workflows.gate import configuring

        settings = configuring.find(config.rootpath)
        names = [settings.path_of(name) for name in names_in(settings.values.get("files"))]
        self.asked = Asked.of(settings, {}, names) if names else Asked.without_files(settings)
        self._meant = {os.path.realpath(name) for name in self.asked.files} if names else None

    def means(self, path: Path) -> bool:
        """Whether a file is one of those that the settings list, if they list any."""
        return self._meant is None or os.path.realpath(path) in self._meant

    def judge(self, file: str) -> Judged:
        from onnx_tagger.workflows import gating
        from onnx_tagger.workflows.gate import baselines

        terms, path = self.asked.terms(file), self.asked.baseline
        if path is None:
            (found,) = gating.check_by([file], lambda _: terms)
            return found
        (found,) = gating.check_by([file], lambda _: baselines.every_node(terms))
        return baselines.hold(
            [(file, found)], baselines.load(path), path, left_out=lambda _: terms.left_out
        ).gated.files[0]


_GATE = pytest.StashKey[_Gate]()


def _gate_of(config: pytest.Config) -> _Gate:
    if _GATE not in config.stash:
        from onnx_tagger.errors import TaggerError

        try:
            config.stash[_GATE] = _Gate(config)
        except TaggerError as error:
            raise pytest.UsageError(str(error)) from error
    return config.stash[_GATE]


def _sentences(judged: Judged) -> str:
    lines = [judged.headline, *(f"  {each.rule.id} {each.says}" for each in judged.findings[:_SHOWN])]
    if len(judged.findings) > _SHOWN:
        lines.append(f"  and {len(judged.findings) - _SHOWN} more")
    return "\n".join(lines)


@pytest.fixture
def onnx_tagged(request: pytest.FixtureRequest) -> Callable[[str | os.PathLike[str]], Report]:
    """A function that checks a file by the settings, fails the test with what is found, and returns the report."""
    gate = _gate_of(request.config)

    def check(file: str | os.PathLike[str]) -> Report:
        judged = gate.judge(os.fspath(file))
        if not judged.ok or judged.report is None:
            pytest.fail(_sentences(judged), pytrace=False)
        return judged.report

    return check
