"""Which tensors enter and leave calls, and which points nodes serve."""

from __future__ import annotations

from onnx import NodeProto, helper

from examples.faulty import file_of, tagged
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.comparison.borders import Borders, work_of


def borders(*nodes: NodeProto, spans: dict[str, tuple[int, int]] | None = None) -> Borders:
    return Borders.of(read_tags(file_of(*nodes)), spans or {})


def node(op: str, reads: str, makes: str, module: str, **options: tuple[str, ...]) -> NodeProto:
    return tagged(helper.make_node(op, reads.split(), [makes]), module, **options)


def test_a_tensor_leaves_what_no_reader_is_in() -> None:
    found = borders(
        node("Relu", "x", "a", "blk.fc"),
        node("Neg", "a", "b", "blk.act"),
        node("Exp", "b", "c", "head"),
        node("Abs", "c", "out", ""),
    )
    assert found.exits == {"blk.fc": ["a"], "blk": ["b"], "blk.act": ["b"], "head": ["c"], "": ["out"]}
    assert found.entries == {"blk.act": ["a"], "head": ["b"]}


def test_calls_of_one_module_have_borders_of_their_own() -> None:
    found = borders(
        node("Relu", "x", "a", "cell.fc", call=("cell@0.fc",)), node("Relu", "a", "out", "cell.fc", call=("cell@1.fc",))
    )
    assert (found.exits["cell@0"], found.entries["cell@1"], found.exits["cell@1.fc"]) == (["a"], ["a"], ["out"])


def test_a_fused_node_takes_for_the_first_and_gives_for_the_last() -> None:
    tag = Tag("blk", "/Net/Blk", Source.MATCHED, ("blk.fc", "blk.act"))
    assert work_of(tag, {"blk.fc": (3, 4), "blk.act": (5, 5)}).first == "blk.fc"
    found = borders(
        node("Relu", "x", "a", "pre"),
        node("Gelu", "a", "b", "blk", origins=("blk.fc", "blk.act")),
        node("Neg", "b", "out", ""),
        spans={"blk.fc": (3, 4), "blk.act": (5, 5)},
    )
    assert found.entries["blk.fc"] == ["a"]
    assert found.exits["blk.act"] == ["b"]
    assert not {"blk.act"} & set(found.entries)
    assert not {"blk.fc"} & set(found.exits)


def test_nodes_serve_the_first_points_that_they_lead_to() -> None:
    found = borders(
        node("Relu", "x", "a", "p"),
        node("Neg", "a", "b", "q"),
        node("Exp", "b", "c", "r"),
        node("Add", "a c", "out", ""),
    )
    served = {place: sorted(points) for place, points in found.served(["b", "out"]).items()}
    assert served == {0: ["b", "out"], 1: ["b"], 2: ["out"], 3: ["out"]}


def test_a_file_need_not_be_sorted() -> None:
    found = borders(node("Neg", "a", "out", "q"), node("Relu", "x", "a", "p"))
    assert found.order == [1, 0]
    assert found.served(["out"]) == {0: ["out"], 1: ["out"]}


def test_modules_in_bodies_are_noted() -> None:
    body = helper.make_graph(
        [node("Neg", "r", "n", "inner")], "body", [], [helper.make_tensor_value_info("n", 1, None)]
    )
    found = borders(
        node("Relu", "x", "r", "p"),
        tagged(helper.make_node("If", ["flag"], ["out"], then_branch=body, else_branch=body), "outer"),
    )
    assert list(found.hidden) == ["inner"]
    assert found.exits["p"] == ["r"]


def test_between_two_nodes_that_work_for_the_same_calls_a_tensor_enters_none_of_them() -> None:
    both = ("blk.conv", "blk.norm")
    found = borders(
        node("Relu", "x", "a", "pre"),
        node("Neg", "a", "b", "blk", origins=both),
        node("Exp", "b", "c", "blk", origins=both),
        node("Abs", "c", "out", ""),
        spans={"blk.conv": (3, 4), "blk.norm": (5, 5)},
    )
    assert found.entries["blk.conv"] == ["a"]
    assert found.exits["blk.norm"] == ["c"]
