"""A verdict as JUnit XML: a case for each graph and limit, and names that look like something else."""

import xml.etree.ElementTree as ET

from examples.verdicts import BODY, SHORT, rendered, report_of
from onnx_tagger.model.report import Limits


def cases(text: str) -> dict[str, ET.Element | None]:
    """Name of each test case to its failure."""
    return {str(case.get("name")): case.find("failure") for case in ET.fromstring(text.encode())}


def test_junit_blames_no_node_that_may_be_untagged() -> None:
    limits = Limits(min_coverage=50, max_root=0)
    report = report_of(untagged=("main#2 Add",), limits=limits, root=1)
    assert cases(rendered("junit", "m.onnx", report, limits))["main"] is None


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
