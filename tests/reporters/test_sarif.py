"""SARIF: what its standard insists on, and one result for nodes of one kind."""

from __future__ import annotations

import json
from io import StringIO

from examples.verdicts import rendered, report_of
from onnx_tagger.model.findings import UNREADABLE, Finding
from onnx_tagger.model.gated import Gated, Judged
from onnx_tagger.model.report import Limits
from onnx_tagger.reporters import render_gated

REPORT = report_of(9, (*(f"main#{number} Add" for number in range(7)), "main#8 Mul"))


def test_nodes_of_one_operator_are_one_result() -> None:
    (run,) = json.loads(rendered("sarif", "m.onnx", REPORT, Limits()))["runs"]
    adds, mul = run["results"]
    assert (adds["properties"]["nodes"], mul["properties"]["nodes"]) == (7, 1)
    assert adds["message"]["text"].startswith("main#0 Add has no tag; ")
    assert "(and 2 more)" in adds["message"]["text"]
    assert [each["name"] for each in mul["locations"][0]["logicalLocations"]] == ["main#8 Mul"]


def test_references_hold() -> None:
    log = json.loads(rendered("sarif", "a b/ä.onnx", REPORT, Limits()))
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert log["version"] == "2.1.0"
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "a%20b/%C3%A4.onnx"
        assert place["region"]["startLine"] == 1
    prints = [each["partialFingerprints"]["onnxTagger/v1"] for each in run["results"]]
    assert len(set(prints)) == len(prints)


def test_a_file_that_cannot_be_read_has_no_node() -> None:
    lost = Judged("lost.onnx", None, (Finding(UNREADABLE, "lost.onnx", "lost.onnx: no such file"),))
    out = StringIO()
    render_gated(Gated((lost, Judged("ok.onnx", report_of(exported=4)))), "sarif", out)
    (result,) = json.loads(out.getvalue())["runs"][0]["results"]
    assert result["ruleId"] == "OT006"
    assert "logicalLocations" not in result["locations"][0]
