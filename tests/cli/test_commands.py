"""The list of commands: each file is in it, each one in it is a file and documented, help shows it in its order."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import onnx_tagger
from onnx_tagger.cli.commands import GROUPS

Run = Callable[..., tuple[int, str, str]]

NAMES = [name for names in GROUPS.values() for name in names]
PAGE = Path(__file__).parents[2] / "docs" / "commands.md"


def test_the_list_is_the_folder() -> None:
    folder = Path(onnx_tagger.__file__).parent / "cli" / "commands"
    assert sorted(NAMES) == sorted(path.stem.replace("_", "-") for path in folder.glob("[!_]*.py"))


def test_the_page_of_commands_has_a_row_for_each() -> None:
    found = re.findall(r"^\| `([a-z-]+)[ `]", PAGE.read_text("utf-8").partition("\n## ")[0], re.MULTILINE)
    assert sorted(found) == sorted(NAMES)


def test_help_has_the_order_of_use_whatever_ran_before(run: Run) -> None:
    run(NAMES[-1], "--help")
    code, out, _ = run("--help")
    found = re.findall(r"^[│ ]*([a-z][a-z-]*) {2,}[A-Z]", out, re.MULTILINE)
    assert (code, found) == (0, NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_command_has_help(run: Run, name: str) -> None:
    code, out, err = run(name, "-h")
    assert (code, err) == (0, "")
    assert name in out


def test_a_command_imports_no_other() -> None:
    code = (
        "import sys\n"
        "from onnx_tagger.cli import main\n"
        "assert main.run(['check', '--help']) == 0\n"
        "print(*(name for name in sys.modules if name.startswith('onnx_tagger.cli.commands.')), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "onnx_tagger.cli.commands.check\n")
