"""The captured run, looked up: by weights, by modules and calls, and both together."""

from __future__ import annotations

from onnx_tagger.hierarchy.map import Operation
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.passes.replay.run import Run

RUN = Run(
    [
        Operation("a", "addmm", weights=("a.w", "a.b"), call=("a@0",)),
        Operation("a", "relu", call=("a@0",), reads=(0,)),
        Operation("b", "t", view=True, weights=("b.w",)),
        Operation("b", "addmm", weights=("b.w",), reads=(1,)),
        Operation("a", "addmm", weights=("a.w", "a.b"), call=("a@1",), reads=(3,)),
    ]
)


def tag(module: str, *call: str) -> Tag:
    return Tag(module, f"/Net/{module}", Source.EXPORTED, (), call)


def test_operations_that_read_a_weight_views_left_out() -> None:
    assert RUN.reading(frozenset({"a.w"})) == (0, 4)
    assert RUN.reading(frozenset({"b.w"})) == (3,)
    assert RUN.reading(frozenset({"a.b", "b.w", "none"})) == (0, 3, 4)


def test_operations_of_a_module_or_of_a_call() -> None:
    assert RUN.tagged(tag("a")) == (0, 1, 4)
    assert RUN.tagged(tag("a", "a@1")) == (4,)


def test_what_a_node_may_be_by_its_tag_and_its_weights() -> None:
    assert RUN.possible("Gemm", tag("a"), [frozenset({"a.w"})]) == (0, 4)
    assert RUN.possible("Gemm", tag("a", "a@1"), [frozenset({"a.w"})]) == (4,)
    assert RUN.possible("Gemm", None, [frozenset({"b.w"})]) == (3,)
    assert RUN.possible("Gemm", None, []) is None
    assert not RUN.possible("Softmax", None, [frozenset({"b.w"})])


def test_which_operators_an_operation_is_written_with() -> None:
    assert RUN.fits(1, "Relu")
    assert not RUN.fits(1, "Softmax")
