"""Checking many files: by the same limits, whatever one of them is."""

from __future__ import annotations

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.report import Limits
from onnx_tagger.workflows.gating import check_files, ignored

pytestmark = pytest.mark.usefixtures("nets")


def test_a_file_that_cannot_be_read_is_a_finding_and_not_the_end() -> None:
    found = list(check_files(["before.onnx", "missing.onnx", "net.hierarchy.json", "plain.onnx"]))
    assert [each.file for each in found] == ["before.onnx", "missing.onnx", "net.hierarchy.json", "plain.onnx"]
    assert [{finding.rule.id for finding in each.findings} for each in found[1:]] == [{"OT006"}, {"OT006"}, {"OT001"}]
    assert found[1].findings[0].says.startswith("missing.onnx cannot be opened")


def test_names_of_nodes_are_in_findings() -> None:
    (found,) = check_files(["plain.onnx"])
    assert [(each.name, each.node) for each in found.findings] == [("n", "main#0 Neg")]


def test_limits_and_rules() -> None:
    (found,) = check_files(["plain.onnx"], limits=Limits(min_coverage=0))
    assert found.ok
    (found,) = check_files(["plain.onnx"], left_out=ignored([], ["untagged-node"]))
    assert found.ok
    (found,) = check_files(["missing.onnx"], left_out=ignored(["OT001"], []))
    assert found.ok
    with pytest.raises(TaggerError, match="no rule is named 'OT9'"):
        ignored(["OT9"], [])


def test_a_map_that_cannot_be_read_is_told_before_any_file() -> None:
    with pytest.raises(TaggerError, match=r"missing\.json"):
        next(check_files(["before.onnx"], "missing.json"))
