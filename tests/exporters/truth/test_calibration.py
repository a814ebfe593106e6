"""How often tags are right by what they rest on, on models of the zoo: the order of the classes, and lower bounds.

The bounds are those of docs/accuracy.md, which `benchmarks/evidence.py` prints of more models.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from onnx_tagger.exporters.truth.judging import Judgement
from onnx_tagger.model.evidence import Evidence

sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from evidence import survey

pytest.importorskip("onnxruntime")

# Of what is judged, the smallest share that is right, and the largest that names a module that did not do the work.
SURE = (Evidence.EXPORTER, Evidence.STATED, Evidence.NODE, Evidence.NAME, Evidence.WEIGHT, Evidence.STRUCTURE)
LEAST_RIGHT = dict.fromkeys(SURE, 0.99) | {Evidence.RUN: 0.9}
MOST_WRONG = dict.fromkeys(SURE, 0.01) | {Evidence.RUN: 0.05, Evidence.UNDECIDED: 0.0}

Found = Mapping[Evidence, Judgement]


def assert_calibrated(found: Found, least: int) -> None:
    """Hold classes to their bounds; of those that are sure, so many nodes must have been judged."""
    judged = {evidence: judgement for evidence, judgement in found.items() if judgement.testable}
    assert sum(judged[evidence].testable for evidence in SURE if evidence in judged) >= least
    for evidence, judgement in judged.items():
        told = f"{evidence.label}: {dict(judgement.verdicts)}: {judgement.details[:5]}"
        assert judgement.verdicts["right"] >= LEAST_RIGHT.get(evidence, 0.0) * judgement.testable, told
        assert judgement.verdicts["wrong"] <= MOST_WRONG.get(evidence, 1.0) * judgement.testable, told


def share_right(found: Found, classes: tuple[Evidence, ...]) -> float:
    judged = [found[evidence] for evidence in classes if evidence in found]
    return sum(each.verdicts["right"] for each in judged) / max(1, sum(each.testable for each in judged))


def test_a_net_that_calls_its_modules_again(tmp_path: Path) -> None:
    found = survey(["nested_reuse"], ["names wiped"], tmp_path)
    assert_calibrated(found, least=150)
    assert {Evidence.EXPORTER, Evidence.WEIGHT, Evidence.STRUCTURE, Evidence.RUN} <= found.keys()


@pytest.mark.slow
def test_transformers_and_a_convnet_after_optimisers(tmp_path: Path) -> None:
    found = survey(["bert", "vit", "resnet"], ["ORT ALL", "onnxslim", "names wiped", "names wiped > ORT ALL"], tmp_path)
    assert_calibrated(found, least=1_500)
    # What is said outright is right no less often than what was found by the run. What nothing tells apart has the
    # module around it, which is often the very one: of so few nodes the share is chance.
    assert share_right(found, SURE) >= share_right(found, (Evidence.RUN,))
