"""Findings: which rule, which node, and a fingerprint that a moved node keeps."""

from __future__ import annotations

from dataclasses import replace

import pytest

from examples.verdicts import report_of
from onnx_tagger.errors import TaggerError
from onnx_tagger.model.findings import FORCED, INCONSISTENT, INHERITED, ROOT, RULES, UNTAGGED, findings_of, rules_of
from onnx_tagger.model.report import Limits, Report
from onnx_tagger.model.verdict import Verdict


def findings(report: Report, limits: Limits | None = None) -> list[tuple[str, str, str]]:
    found = findings_of(Verdict.of("m.onnx", report, limits or Limits()))
    return [(each.rule.id, each.node, each.says) for each in found]


def test_each_untagged_node_is_one_finding_with_its_name() -> None:
    report = report_of(untagged=("main#2 Add", "main/If_3.then_branch#0 Neg"))
    report.names = {"main#2 Add": "/fc/Add"}
    assert findings(report) == [
        ("OT001", "main#2 Add", "/fc/Add (main#2 Add) has no tag"),
        ("OT001", "main/If_3.then_branch#0 Neg", "main/If_3.then_branch#0 Neg has no tag"),
    ]


def test_limits_on_sources_stand_for_the_nodes_that_they_count() -> None:
    limits = Limits(max_inherited=0)
    report = Report(nodes=4, tagged=4, weak={"root": ["main#0 Mul"], "inherited": ["main#1 Add"]})
    report.by_source |= {"root": 1, "inherited": 1, "exported": 2}
    report.judge(limits)
    assert findings(report, limits) == [
        (ROOT.id, "main#0 Mul", "main#0 Mul got only the root as fallback"),
        (INHERITED.id, "main#1 Add", "main#1 Add inherited its tag"),
    ]


def test_keys_that_do_not_hold_and_force() -> None:
    text = "the tags rest on a map that was taken with --force, although it is another model's"
    report = report_of(problems=("main#2 Add has no pkg.onnx_tagger.source", text))
    assert [each[0] for each in findings(report)] == [INCONSISTENT.id, FORCED.id]
    assert findings(report)[0][1:] == ("main#2 Add", "main#2 Add has no pkg.onnx_tagger.source")


def test_what_holds_has_no_findings() -> None:
    assert findings(report_of(exported=4)) == []


def test_a_fingerprint_holds_no_position() -> None:
    report = report_of(untagged=("main#2 Add",))
    (first,) = findings_of(Verdict.of("m.onnx", report, Limits()))
    assert first.fingerprint == replace(first, node="main#9 Add").fingerprint
    assert first.fingerprint != replace(first, node="main#2 Mul").fingerprint
    assert first.fingerprint != replace(first, rule=ROOT).fingerprint


def test_rules_are_chosen_by_id_beginning_and_name() -> None:
    assert rules_of(["untagged-node"]) == {UNTAGGED.id}
    assert rules_of(["OT"]) == {rule.id for rule in RULES}
    assert len({rule.id for rule in RULES}) == len({rule.name for rule in RULES}) == len(RULES)
    with pytest.raises(TaggerError, match=r"'untaged-node'.*did you mean 'untagged-node'"):
        rules_of(["untaged-node"])
