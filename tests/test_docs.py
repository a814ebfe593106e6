"""README and docs are run: Python blocks are executed, console blocks typed into a shell and their output compared.

In expected output ``...`` stands for anything. A block behind ``<!-- not run: why -->`` is left out. Blocks of one
file share a folder and, if Python, a namespace.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").glob("*.md")),
]

BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
LEFT_OUT = re.compile(r"<!-- not run: .+? -->\s*\Z")
MADE = re.compile(r"<!-- made by: (?P<command>.+?) -->\n(?P<text>(?:\|.*\n)+)")
PLACE = re.compile(r"`((?:tagger|passes|exporters|runtime|tests|benchmarks|fixtures|docs)/[\w./-]+\.\w+)`")
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)(?:#[^)]*)?\)")


def _blocks(page: Path) -> list[tuple[str, str, int]]:
    text = page.read_text("utf-8")
    return [
        (match["kind"], match["text"], text.count("\n", 0, match.start()) + 2)
        for match in BLOCK.finditer(text)
        if not LEFT_OUT.search(text[: match.start()])
    ]


def _commands(text: str) -> list[tuple[str, str]]:
    """(command, expected output) pairs of a console block."""
    found: list[tuple[str, list[str]]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and found[-1][0].endswith("\\") and not found[-1][1]:
            found[-1] = (f"{found[-1][0]}\n{line}", [])
        elif found:
            found[-1][1].append(line)
    return [(command, "\n".join(lines)) for command, lines in found]


def _run(command: str, expected: str, folder: Path, where: str) -> None:
    code = int(match[1]) if (match := re.search(r"#\s*exits (\d)\s*$", command)) else 0
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "120",
    }
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == code, f"{where}: {command}\n{done.stdout}\n{done.stderr}"
    if expected.strip():
        got = "\n".join(line.rstrip() for line in done.stdout.splitlines())
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        same = doctest.OutputChecker().check_output(expected.strip() + "\n", got.strip() + "\n", flags)
        assert same, f"{where}: {command}\nexpected:\n{expected}\ngot:\n{got}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Dataclasses look their module up, so the blocks of a page are one.
    module = ModuleType(f"docs_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    for kind, text, line in _blocks(page):
        where = f"{page.name}:{line}"
        if kind == "python":
            exec(compile("\n" * (line - 1) + text, str(page), "exec"), module.__dict__)
        elif kind == "console":
            for command, expected in _commands(text):
                _run(command, expected, tmp_path, where)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_tables_are_what_their_command_prints(page: Path) -> None:
    for match in MADE.finditer(page.read_text("utf-8")):
        _run(match["command"], match["text"], ROOT, page.name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text("utf-8")):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "fixtures" / "zoo" / "README.md"], ids=lambda page: page.name)
def test_files_that_are_named_are_there(page: Path) -> None:
    for name in PLACE.findall(page.read_text("utf-8")):
        assert (ROOT / name).exists(), f"{page.name} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_says_what_it_is(page: Path) -> None:
    """A block without a language would silently not be run."""
    for kind, _, line in _blocks(page):
        assert kind, f"{page.name}:{line} has no language"
