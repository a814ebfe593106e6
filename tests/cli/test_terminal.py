"""The command on a real terminal of 80 columns and in a pipe: colours as the environment asks, tables, completion."""

from __future__ import annotations

import io
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import helper
from rich.text import Text

from onnx_tagger.model import metadata
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.reporters.colour import coloured, console_of, painted
from onnx_tagger.reporters.columns import widths_of, wrapped

if sys.platform == "win32":
    pytest.skip("has no pseudo-terminals", allow_module_level=True)

import fcntl
import pty
import termios

COLOUR = re.compile(r"\x1b\[[0-9;]+m")
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
COLOURS = ("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "TERM", "COLUMNS", "GITHUB_ACTIONS", "COLORTERM")
COMMAND = [sys.executable, "-m", "onnx_tagger"]


def environment(**changes: str) -> dict[str, str]:
    return (
        {key: value for key, value in os.environ.items() if key not in COLOURS} | {"TERM": "xterm-256color"} | changes
    )


def on_terminal(*args: str, columns: int = 80, **changes: str) -> str:
    """What a command prints on a terminal."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(
        [*COMMAND, *args], stdin=follower, stdout=follower, stderr=follower, env=environment(**changes)
    ):
        os.close(follower)
        shown = b""
        while True:
            try:
                chunk = os.read(leader, 1 << 16)
            except OSError:  # how Linux tells that nobody writes any more
                break
            if not chunk:
                break
            shown += chunk
    os.close(leader)
    return shown.decode().replace("\r\n", "\n")


def in_pipe(*args: str, **changes: str) -> str:
    done = subprocess.run([*COMMAND, *args], capture_output=True, text=True, check=False, env=environment(**changes))
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def tagged(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file with the tags of a deep module tree."""
    steps = ["BertModel", "BertEncoder", "BertLayer.0", "BertAttention", "BertSdpaSelfAttention", "Linear.query"]
    path = "encoder.layer.0.attention.self.query".replace("self", "self_attention")
    tags = [Tag("", "/BertModel", Source.EXPORTED), Tag(path, "/" + "/".join(steps), Source.EXPORTED)]
    nodes = [helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], f"n{i}") for i in range(2)]
    for node, tag in zip(nodes, tags, strict=True):
        metadata.add_entries(node, metadata.own_entries(tag))
    target = tmp_path_factory.mktemp("terminal") / "deep.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [])), target)
    return str(target)


@pytest.mark.parametrize(
    ("changes", "terminal", "pipe"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, True, True),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"CLICOLOR_FORCE": "0"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"CLICOLOR": "0"}, False, False),
        ({"GITHUB_ACTIONS": "true"}, True, False),
    ],
    ids=lambda value: ",".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else str(value),
)
def test_colours_are_what_the_environment_asks_for(
    monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], terminal: bool, pipe: bool
) -> None:
    for name in COLOURS:
        monkeypatch.delenv(name, raising=False)
    for name, value in ({"TERM": "xterm"} | changes).items():
        monkeypatch.setenv(name, value)
    for stream, expected in ((_Stream(True), terminal), (_Stream(False), pipe)):
        assert coloured(stream) is expected
        console_of(stream).print(Text("told", "bold red"))
        assert (stream.getvalue() == "told\n") is not expected
        assert (painted("told", "red", stream) == "told") is not expected


class _Stream(io.StringIO):
    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize("args", [["stats", "FILE"], ["--help"], ["retag", "--help"], ["check", "missing.onnx"]])
def test_all_output_has_them_help_and_errors_too(tagged: str, args: list[str]) -> None:
    args = [tagged if word == "FILE" else word for word in args]
    assert COLOUR.search(on_terminal(*args))
    assert not COLOUR.search(on_terminal(*args, NO_COLOR="1"))
    assert COLOUR.search(in_pipe(*args, FORCE_COLOR="1"))
    assert "\x1b" not in in_pipe(*args, GITHUB_ACTIONS="true")


def words_of(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z]+", text))


@pytest.mark.parametrize("columns", [60, 80])
@pytest.mark.parametrize("command", ["passes", "stats"])
def test_tables_are_not_wrapped_in_mid_word(tagged: str, command: str, columns: int) -> None:
    args = [command, tagged] if command == "stats" else [command]
    shown = ESCAPE.sub("", on_terminal(*args, columns=columns))
    assert max(map(len, shown.splitlines())) <= columns
    assert words_of(shown) <= words_of(in_pipe(*args))


def test_a_long_tag_is_wrapped_where_it_parts(tagged: str) -> None:
    shown = ESCAPE.sub("", on_terminal("stats", tagged))
    rows = [line.strip() for line in shown.splitlines()]
    assert rows[-3].endswith("/BertModel/BertEncoder/BertLayer.0/BertAttention/")
    assert rows[-2] == "BertSdpaSelfAttention/Linear.query"


def test_columns_become_narrower_from_the_widest_on() -> None:
    columns = [["name", "a"], ["does", "one two three four"], ["n", "12345"]]
    assert widths_of(columns, 80, fixed=[2]) == [4, 18, 5]
    assert widths_of(columns, 17, fixed=[2]) == [4, 8, 5]
    assert widths_of(columns, 15, fixed=[2]) == [4, 6, 5]
    assert sum(widths_of([["x" * 10_000], ["y" * 50]], 60)) <= 60


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("", 5, [""]),
        ("  inside", 8, ["  inside"]),
        ("a/b", 3, ["a/b"]),
        ("key='value', other=1", 12, ["key='value',", "other=1"]),
        ("averyverylongword", 8, ["averyve…"]),
        ("short averyverylongword", 8, ["short", "averyve…"]),
        ("/a/b/c", 3, ["/a/", "b/c"]),
        ("層層層層/層", 6, ["層層 …", "層"]),
    ],
)
def test_a_cell_is_wrapped_at_blanks_or_where_paths_part(text: str, width: int, lines: list[str]) -> None:
    assert wrapped(text, width) == lines


# --- completion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "place", "found"),
    [
        ("onnx-tagger re", 1, ["retag"]),
        ("onnx-tagger st", 1, ["stats", "strategies", "strip"]),
        ("onnx-tagger retag --verify-", 2, ["--verify-bytes"]),
        ("onnx-tagger check --format j", 3, ["json", "junit"]),
    ],
)
def test_commands_and_options_are_completed(words: str, place: int, found: list[str]) -> None:
    asked = {"_ONNX_TAGGER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(place)}
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=False, env=environment(**asked))
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split()) == found


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_is_installed_and_works_in_a_shell(tmp_path: Path) -> None:
    bash = shutil.which("bash") or "bash"
    command = Path(sys.executable).with_name("onnx-tagger")
    home = environment(HOME=str(tmp_path), PATH=f"{command.parent}{os.pathsep}{os.environ['PATH']}")

    def run(text: str) -> str:
        # A second command keeps the shell from giving its place to the first: the command looks for its shell.
        line = [bash, "-c", f"{text}; exit $?"]
        return subprocess.run(line, capture_output=True, text=True, check=True, env=home, cwd=tmp_path).stdout

    assert "_onnx_tagger_completion" in run("onnx-tagger --show-completion")
    assert "completion installed" in run("onnx-tagger --install-completion")
    (script,) = (tmp_path / ".bash_completions").iterdir()
    assert str(script) in (tmp_path / ".bashrc").read_text()
    ask = "COMP_WORDS=(onnx-tagger ca); COMP_CWORD=1; _onnx_tagger_completion onnx-tagger"
    assert sorted(run(f"source {script}; {ask}; echo ${{COMPREPLY[@]}}").split()) == ["capture", "carry"]
