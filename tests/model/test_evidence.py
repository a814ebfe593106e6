"""Classes of evidence: their order, their names, and what a node says of it."""

from __future__ import annotations

import pytest
from onnx import helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.evidence import BY_SOURCE, EVIDENCES, Evidence, evidence_class, taken_over, written_evidence
from onnx_tagger.model.keys import EVIDENCE
from onnx_tagger.model.metadata import Source, add_entries


def test_order_is_the_documented_one() -> None:
    order = "exporter stated node name weight structure spelled run neighbours undecided none"
    assert " ".join(EVIDENCES) == order
    assert sorted(Evidence) == list(Evidence)


def test_worse_sources_rest_on_no_stronger_evidence() -> None:
    classes = [BY_SOURCE[source] for source in sorted(Source)]
    assert classes == sorted(classes)


@pytest.mark.parametrize("evidence", list(Evidence))
def test_what_is_taken_over_is_never_stronger(evidence: Evidence) -> None:
    assert all(taken_over(evidence, source) >= evidence for source in Source)
    assert taken_over(evidence, Source.INHERITED) >= Evidence.NEIGHBOURS


def test_reads_what_is_written() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    assert written_evidence(node) is None
    add_entries(node, [(EVIDENCE, "run")])
    assert written_evidence(node) is Evidence.RUN


def test_unknown_class_is_no_evidence_and_no_limit() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    add_entries(node, [(EVIDENCE, "hearsay")])
    assert written_evidence(node) is None
    with pytest.raises(TaggerError, match="unknown class of evidence 'hearsay': choose from exporter, stated"):
        evidence_class("hearsay")
