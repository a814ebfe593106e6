"""What a verdict blames, and which limits it says hold."""

from examples.verdicts import report_of
from onnx_tagger.model.report import Limits
from onnx_tagger.model.verdict import Verdict


def test_nodes_that_may_be_untagged_are_not_blamed() -> None:
    limits = Limits(min_coverage=50, max_root=0)
    report = report_of(untagged=("main#2 Add",), limits=limits, root=1)
    verdict = Verdict.of("m.onnx", report, limits)
    assert (verdict.problems, verdict.missing) == ([], [])
    assert [bool(sentence) for sentence in verdict.limits.values()] == [False, True]
