"""A verdict for people: the headline, and the first nodes that fall short."""

from examples.verdicts import BODY, OK, SHORT, rendered, report_of
from onnx_tagger.model.report import Limits


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
