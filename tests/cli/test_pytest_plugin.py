"""The plug-in, in runs of pytest as a user starts them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("nets")


def ran(*arguments: str) -> tuple[int, str]:
    """A run of pytest in the current folder, with the installed plug-ins alone that it needs."""
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run([*line, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_files_are_no_tests_unless_asked_for() -> None:
    code, out = ran()
    assert code == 5
    assert "no tests ran" in out


def test_each_file_is_a_test() -> None:
    Path("onnx-tagger.toml").write_text('[per-file."plain.*"]\nmin-coverage = 0\n')
    code, out = ran("--onnx-check", "-rf")
    assert code == 1
    assert "2 failed, 1 passed" in out
    assert "  OT001 loose (main#5 Cast) has no tag" in out.splitlines()
    assert "Traceback" not in out


def test_the_settings_say_which_files_and_which_baseline() -> None:
    Path("onnx-tagger.toml").write_text('files = ["before.onnx"]\nbaseline = "tags.json"\n')
    code, out = ran("--onnx-check")
    assert code == 1
    assert "tags.json: there is no such baseline; --update-baseline writes it" in out
    subprocess.run([sys.executable, "-m", "onnx_tagger", "check", "--update-baseline"], check=True, capture_output=True)
    assert "1 passed" in ran("--onnx-check")[1]


def test_wrong_settings_are_wrong_usage() -> None:
    Path("onnx-tagger.toml").write_text("max-rot = 1\n")
    code, out = ran("--onnx-check")
    assert code != 0
    assert "has the unknown key 'max-rot': did you mean 'max-root'" in out


def test_the_fixture() -> None:
    Path("onnx-tagger.toml").write_text('map = "net.hierarchy.json"\n[per-file."before.*"]\nmin-coverage = 80\n')
    Path("test_it.py").write_text(
        "def test_good(onnx_tagged):\n    assert onnx_tagged('before.onnx').nodes == 8\n\n\n"
        "def test_bad(onnx_tagged):\n    onnx_tagged('plain.onnx')\n"
    )
    code, out = ran()
    assert code == 1
    assert "1 failed, 1 passed" in out
    assert "OT001 n (main#0 Neg) has no tag" in out


def test_who_does_not_ask_for_it_pays_nothing() -> None:
    code = (
        "import sys, pytest, onnx_tagger.cli.pytest_plugin\n"
        "print(*sorted({'onnx', 'numpy', 'networkx', 'msgspec', 'typer', 'rich.console'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
