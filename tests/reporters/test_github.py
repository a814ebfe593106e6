"""A verdict as workflow commands of GitHub: how many, and nothing in a text ends one."""

from examples.verdicts import OK, rendered, report_of
from onnx_tagger.model.report import Limits


def test_github_says_ok_in_a_notice() -> None:
    assert rendered("github", "a,b:c.onnx", OK, Limits()) == (
        "::notice file=a%2Cb%3Ac.onnx,title=onnx-tagger check::a,b:c.onnx: ok, 100 %25 of 4 nodes tagged (exported 4)"
    )


def test_github_shows_nine_errors_and_a_summary() -> None:
    report = report_of(1000, tuple(f"main#{number} Add" for number in range(900)))
    lines = rendered("github", "m.onnx", report, Limits()).splitlines()
    assert len(lines) == 10  # of more GitHub drops some without a word
    assert all(line.startswith("::error file=m.onnx,title=") for line in lines)
    assert lines[-1].endswith("; 891 more are not shown")


def test_github_escapes_what_would_end_a_command() -> None:
    report = report_of(problems=("main#0 A\r\n::error::100%\x1b[31m",))
    (line, _) = rendered("github", "m.onnx", report, Limits()).splitlines()
    assert line.endswith(r"::main#0 A%0D%0A::error::100%25\x1b[31m")
