"""The screen: what a terminal and a pipe get, what --quiet leaves out, and that no text steers a terminal."""

import re
import sys
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from onnx_tagger.reporters.terminal import Screen, counted, printable, shortened

EVIL = "[bold]a\x1b]0;title\x07\u202e\n"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A person looks at stdout and stderr."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    for stream in (sys.stdout, sys.stderr):
        monkeypatch.setattr(stream, "isatty", lambda: True)


def shown(text: str) -> str:
    """A text without the colours that rich gives it."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@given(st.text(st.characters(exclude_categories=[])))
def test_printable_text_is_printable_and_plain_text_stays(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@given(st.text(), st.integers(2, 50))
def test_a_shortened_text_keeps_both_ends(text: str, most: int) -> None:
    found = shortened(text, most)
    assert found == text if len(text) <= most else found.startswith(text[: most // 2])
    assert found.endswith(text[-(most // 2) :])


def test_one_is_no_plural() -> None:
    assert [counted(number, "node") for number in (0, 1, 2)] == ["0 nodes", "1 node", "2 nodes"]


@pytest.mark.parametrize(
    "write",
    [
        lambda screen: screen.lines([EVIL]),
        lambda screen: screen.summary(EVIL),
        lambda screen: screen.note(EVIL),
        lambda screen: screen.styled(EVIL, "bold"),
        lambda screen: screen.table(("a", "b"), [(EVIL, "1")], numbers=(1,)),
    ],
)
@pytest.mark.parametrize("seen", [False, True])
def test_no_text_steers_the_terminal(
    write: Callable[[Screen], None], seen: bool, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    if seen:
        request.getfixturevalue("terminal")
    write(Screen())
    out, err = capsys.readouterr()
    text = shown(out + err)
    assert r"[bold]a\x1b]0;title\x07\u202e\n" in text
    assert all(line.isprintable() for line in text.splitlines())


def test_quiet_leaves_out_notes_and_summaries_but_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Screen(quiet=True)
    screen.summary("done")
    screen.note("by the way")
    with screen.progress("work") as progress:
        progress("a step")
    screen.lines(["data"])
    screen.raw("more")
    assert capsys.readouterr() == ("data\nmore\n", "")


def test_a_pipe_gets_a_table_in_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().table(("nodes", "tag"), [("7", "/Net/A"), ("12", "/Net")], numbers=(0,))
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[-2:] == [["7", "/Net/A"], ["12", "/Net"]]
