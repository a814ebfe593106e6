"""The forms of a check's verdict: what they say, that machines can read them, that no text in a model breaks them."""

import json
import xml.etree.ElementTree as ET
from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_tagger.model.report import Limits, Report
from onnx_tagger.model.verdict import Verdict
from onnx_tagger.reporters import VERDICT_FORMS, render_verdict
from onnx_tagger.reporters.jsonform import json_text

BODY = "main/If_3.then_branch"


def report_of(
    nodes: int = 4,
    untagged: tuple[str, ...] = (),
    problems: tuple[str, ...] = (),
    limits: Limits | None = None,
    **sources: int,
) -> Report:
    report = Report(nodes=nodes, tagged=nodes - len(untagged), untagged=list(untagged))
    report.by_source |= sources
    report.by_graph = {"main": nodes - 1, BODY: 1} if nodes else {}
    report.judge(limits or Limits())
    report.failures.extend(problems)
    report.ok = not report.failures
    return report


OK = report_of(exported=4)
SHORT = report_of(untagged=("main#2 Add", f"{BODY}#0 Neg"), problems=("main#2 Add has no pkg.onnx_tagger.source",))


def rendered(form: str, file: str, report: Report, limits: Limits) -> str:
    out = StringIO()
    render_verdict(Verdict.of(file, report, limits), form, out)
    return out.getvalue().removesuffix("\n")


def cases(text: str) -> dict[str, ET.Element | None]:
    """Name of each test case to its failure."""
    return {str(case.get("name")): case.find("failure") for case in ET.fromstring(text.encode())}


def test_text_of_a_good_file() -> None:
    assert rendered("text", "m.onnx", OK, Limits()) == "m.onnx: ok, 100 % of 4 nodes tagged (exported 4)"


def test_text_lists_each_node_once() -> None:
    lines = rendered("text", "m.onnx", SHORT, Limits()).splitlines()
    assert lines[0] == "m.onnx: failed (2 failures), 50.0 % of 4 nodes tagged"
    assert lines[2:] == ["  main#2 Add has no pkg.onnx_tagger.source", f"  {BODY}#0 Neg has no tag"]


def test_text_is_cut_after_the_first_nodes() -> None:
    report = report_of(1000, tuple(f"main#{number} Add" for number in range(900)))
    lines = rendered("text", "m.onnx", report, Limits()).splitlines()
    assert len(lines) == 23
    assert lines[-1] == "  and 880 more nodes; --format json lists all"


def test_nodes_that_may_be_untagged_are_not_blamed() -> None:
    limits = Limits(min_coverage=50, max_root=0)
    report = report_of(untagged=("main#2 Add",), limits=limits, root=1)
    verdict = Verdict.of("m.onnx", report, limits)
    assert (verdict.problems, verdict.missing) == ([], [])
    assert [bool(sentence) for sentence in verdict.limits.values()] == [False, True]
    assert cases(rendered("junit", "m.onnx", report, limits))["main"] is None


def test_json_is_the_report() -> None:
    assert json.loads(rendered("json", "m.onnx", SHORT, Limits())) == SHORT.as_dict()


def test_junit_has_a_case_for_each_graph_and_limit() -> None:
    text = rendered("junit", "m.onnx", SHORT, Limits(max_inherited=3))
    suite = ET.fromstring(text.encode())
    assert (suite.get("name"), suite.get("tests"), suite.get("failures")) == ("onnx-tagger check m.onnx", "5", "3")
    found = cases(text)
    assert list(found) == ["main", BODY, "min-coverage 100", "max-root 0", "max-inherited 3"]
    assert found["main"] is not None
    assert found["main"].text == "main#2 Add has no pkg.onnx_tagger.source"
    assert found["max-root 0"] is None


def test_junit_of_an_empty_graph_has_no_failure() -> None:
    assert set(cases(rendered("junit", "m.onnx", report_of(0), Limits())).values()) == {None}


def test_junit_keeps_sentences_that_name_no_known_graph() -> None:
    report = report_of(problems=("nobody knows where#x",))
    assert cases(rendered("junit", "m.onnx", report, Limits()))["whole model"] is not None


def test_graph_names_may_look_like_ids() -> None:
    report = report_of(untagged=("function:d#1 x.f#7 Add",))
    report.by_graph = {"main": 3, "function:d#1 x.f": 1}
    assert cases(rendered("junit", "m", report, Limits()))["function:d#1 x.f"] is not None


def test_github_says_ok_in_a_notice() -> None:
    assert rendered("github", "a,b:c.onnx", OK, Limits()) == (
        "::notice file=a%2Cb%3Ac.onnx,title=onnx-tagger check::a,b:c.onnx: ok, 100 %25 of 4 nodes tagged (exported 4)"
    )


def test_github_shows_at_most_fifty_errors_and_a_summary() -> None:
    report = report_of(1000, tuple(f"main#{number} Add" for number in range(900)))
    lines = rendered("github", "m.onnx", report, Limits()).splitlines()
    assert len(lines) == 51
    assert all(line.startswith("::error file=m.onnx,title=") for line in lines)
    assert lines[-1].endswith("; 851 more are not shown")


def test_github_escapes_what_would_end_a_command() -> None:
    report = report_of(problems=("main#0 A\r\n::error::100%\x1b[31m",))
    (line, _) = rendered("github", "m.onnx", report, Limits()).splitlines()
    assert line.endswith(r"::main#0 A%0D%0A::error::100%25\x1b[31m")


@pytest.mark.parametrize("text", ["\x1b]0;x\x07", "\x9b31m", "\u202e", "\ud800", "a\nb"])
def test_json_steers_no_terminal(text: str) -> None:
    report = report_of(problems=(text,))
    shown = json_text(report)
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert json.loads(shown)["failures"] == [text]


@given(st.text(), st.text(st.characters(exclude_categories=[])))
def test_no_text_breaks_a_form(file: str, name: str) -> None:
    report = report_of(untagged=(f"main#0 {name}", name), problems=(f"main#1 {name} has a problem",))
    limits = Limits()
    texts = {form: rendered(form, file, report, limits) for form in VERDICT_FORMS}
    assert json.loads(texts["json"])["untagged"] == report.untagged
    assert ET.fromstring(texts["junit"].encode()).get("failures") == "3"
    assert len(texts["github"].splitlines()) == 4 + 1
    for line in (*texts["text"].splitlines()[1:], *texts["github"].splitlines()):
        assert line.isprintable()
