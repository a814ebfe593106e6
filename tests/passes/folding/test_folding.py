"""Modules become functions where the graph allows it; what is equal is shared; the way back gives the same graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_tagger as ot
from examples.folded import canonical, outputs_of
from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import Source
from onnx_tagger.workflows.functions import functions

ROWS = [ModuleRow("", "Net"), ModuleRow("blocks", "ModuleList", tagged=False, keyed=True)]
for _k in range(3):
    ROWS += [
        ModuleRow(f"blocks.{_k}", "Block"),
        ModuleRow(f"blocks.{_k}.fc", "Linear"),
        ModuleRow(f"blocks.{_k}.act", "ReLU" if _k < 2 else "Rectifier"),
    ]
TREE = HierarchyMap.from_rows([*ROWS, ModuleRow("odd", "Odd")])


def node(op: str, inputs: str, outputs: str, module: str | None, **attributes: object) -> onnx.NodeProto:
    made = helper.make_node(op, inputs.split(), outputs.split(), f"n_{outputs}", **attributes)
    if module is not None:
        ot.write_tag(made, TREE.tag(module, Source.EXPORTED))
    return made


def model_of(nodes: list[onnx.NodeProto], outputs: str = "y") -> onnx.ModelProto:
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 4]) for name in ("x", *outputs.split())}
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.standard_normal((4, 4)).astype(np.float32), f"blocks.{k}.fc.weight")
        for k in range(3)
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 4])]
    weights.append(numpy_helper.from_array(np.float32(0.5), "top"))
    graph = helper.make_graph(nodes, "net", inputs, [values[name] for name in outputs.split()], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def three_blocks() -> list[onnx.NodeProto]:
    found = []
    for k, (before, after) in enumerate((("x", "b0"), ("b0", "b1"), ("b1", "y"))):
        found += [
            node("MatMul", f"{before} blocks.{k}.fc.weight", f"m{k}", f"blocks.{k}.fc"),
            node("Relu", f"m{k}", f"r{k}", f"blocks.{k}.act"),
            node("Add", f"r{k} {before}", after, f"blocks.{k}"),
        ]
    return found


def both(
    tmp_path: Path, model: onnx.ModelProto, **options: object
) -> tuple[Path, Path, dict[str, int], dict[str, str]]:
    flat, folded = tmp_path / "flat.onnx", tmp_path / "folded.onnx"
    onnx.save(model, flat)
    made = functions(flat, folded, **options)  # type: ignore[arg-type]
    onnx.checker.check_model(onnx.load(folded))
    feeds = {"x": np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)}
    for one, other in zip(outputs_of(str(flat), feeds), outputs_of(str(folded), feeds), strict=True):
        assert one.tobytes() == other.tobytes()
    again = tmp_path / "again.onnx"
    if made.calls:
        functions(folded, again, inline=True)
        assert canonical(onnx.load(again)) == canonical(onnx.load(flat))
    return flat, folded, made.calls, {left.module: left.why for left in made.left}


def test_equal_modules_share_a_function_and_others_do_not(tmp_path: Path) -> None:
    flat, folded, calls, left = both(tmp_path, model_of(three_blocks()))
    # The third block holds a module of another class, though it computes the same.
    assert calls == {"Linear": 3, "ReLU": 2, "Block": 2, "Rectifier": 1, "Block_1": 1}
    assert left == {}
    graph = onnx.load(folded).graph
    assert [(n.op_type, n.name) for n in graph.node] == [
        ("Block", "blocks.0"),
        ("Block", "blocks.1"),
        ("Block_1", "blocks.2"),
    ]
    assert ot.check(folded).ok
    assert ot.check(folded, TREE).ok
    assert {(m.path, m.tag) for m in ot.read(flat).modules} == {(m.path, m.tag) for m in ot.read(folded).modules}


def test_a_node_of_a_shared_function_has_the_modules_of_all_calls(tmp_path: Path) -> None:
    _, folded, _, _ = both(tmp_path, model_of(three_blocks()))
    linear = next(f for f in onnx.load(folded).functions if f.name == "Linear")
    tag = ot.tag_of(linear.node[0])
    assert tag is not None
    assert tag.origins == ("blocks.0.fc", "blocks.1.fc", "blocks.2.fc")
    assert list(linear.input) == ["input_0", "weight"]


def test_without_sharing_nodes_keep_their_names_and_tags(tmp_path: Path) -> None:
    flat, folded, calls, _ = both(tmp_path, model_of(three_blocks()), share=False)
    assert set(calls.values()) == {1}
    before = {row.name: row.module for row in ot.read(flat).nodes()}
    after = {row.name: row.module for row in ot.read(folded).nodes()}
    assert {name: after[name] for name in before} == before


def test_depth_limits_the_levels(tmp_path: Path) -> None:
    _, _, calls, _ = both(tmp_path, model_of(three_blocks()), depth=1)
    assert calls == {"Block": 2, "Block_1": 1}


def test_a_module_that_computation_leaves_and_enters_again_stays_in_line(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "a", "odd"),
        node("Neg", "a", "b", "blocks.0.act"),
        node("Add", "a b", "y", "odd"),
    ]
    _, _, calls, left = both(tmp_path, model_of(nodes))
    assert calls == {"ReLU": 1, "Block": 1}
    assert left == {"odd": "what it computes leaves it and comes back"}


def test_two_modules_that_read_each_other_are_not_both_functions(tmp_path: Path) -> None:
    """Each of them is convex by itself; as two calls they would be a circle."""
    nodes = [
        node("Relu", "x", "a", "odd"),
        node("Neg", "x", "b", "blocks.0.act"),
        node("Abs", "a", "c", "blocks.0.act"),
        node("Exp", "b", "d", "odd"),
        node("Add", "c d", "y", None),
    ]
    _, folded, calls, left = both(tmp_path, model_of(nodes))
    assert len(left) >= 1
    assert sum(calls.values()) >= 1
    assert ot.read(folded).measured.tags.count(None) == 1


def test_order_of_the_file_gives_way(tmp_path: Path) -> None:
    """What follows a part of a module has to stand behind all of it, what the module reads before."""
    nodes = [
        node("Relu", "x", "a", "odd"),
        node("Neg", "a", "b", None),
        node("Abs", "x", "c", None),
        node("Exp", "c", "d", "odd"),
        node("Add", "b d", "y", None),
    ]
    _, _, calls, left = both(tmp_path, model_of(nodes))
    assert (calls, left) == ({"Odd": 1}, {})


def test_outputs_of_the_graph_and_dead_ends(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "a", "blocks.0.act"),
        node("Neg", "a", "y", "blocks.0"),
        node("Abs", "x", "nobody", "odd"),
    ]
    _, folded, calls, left = both(tmp_path, model_of(nodes, "y a"))
    assert calls == {"ReLU": 1, "Block": 1}
    assert left == {"odd": "nothing that it computes is read"}
    assert [list(n.output) for n in onnx.load(folded).graph.node if n.op_type == "Block"] == [["a", "y"]]


def test_bodies_and_optional_inputs(tmp_path: Path) -> None:
    def branches(k: int, before: str) -> list[onnx.NodeProto]:
        float_out = helper.make_tensor_value_info
        then = helper.make_graph(
            [node("Neg", before, f"t{k}", f"blocks.{k}.fc")], "then", [], [float_out(f"t{k}", 1, None)]
        )
        other = helper.make_graph(
            [node("Abs", before, f"e{k}", f"blocks.{k}.fc")], "else", [], [float_out(f"e{k}", 1, None)]
        )
        return [
            node("ReduceSum", before, f"s{k}", f"blocks.{k}", keepdims=0),
            node("Cast", f"s{k}", f"c{k}", f"blocks.{k}", to=TensorProto.BOOL),
            node("If", f"c{k}", f"i{k}", f"blocks.{k}.fc", then_branch=then, else_branch=other),
            helper.make_node("Clip", [f"i{k}", "", "top"], [f"o{k}"], f"clip{k}"),
        ]

    nodes = [*branches(0, "x"), *branches(1, "o0"), node("Neg", "o1", "y", "odd")]
    for each, module in ((nodes[3], "blocks.0"), (nodes[7], "blocks.1")):
        ot.write_tag(each, TREE.tag(module, Source.EXPORTED))
    _, _, calls, left = both(tmp_path, model_of(nodes))
    assert (calls, left) == ({"Linear": 2, "Block": 2, "Odd": 1}, {})


def test_calls_of_one_module_are_calls_of_one_function(tmp_path: Path) -> None:
    nodes = []
    for k, (before, after) in enumerate((("x", "a"), ("a", "y"))):
        made = helper.make_node("Relu", [before], [f"r{k}"], f"n{k}")
        ot.write_tag(made, TREE.tag("blocks.0.act", Source.EXPORTED, (), (f"blocks.0@{k}.act",)))
        other = helper.make_node("Add", [f"r{k}", before], [after], f"a{k}")
        ot.write_tag(other, TREE.tag("blocks.0", Source.EXPORTED, (), (f"blocks.0@{k}",)))
        nodes += [made, other]
    _, folded, calls, left = both(tmp_path, model_of(nodes))
    assert (calls, left) == ({"ReLU": 2, "Block": 2}, {})
    assert [n.name for n in onnx.load(folded).graph.node] == ["blocks.0@0", "blocks.0@1"]


@pytest.mark.parametrize("options", [{}, {"inline": True}])
def test_wrong_way(tmp_path: Path, options: dict[str, bool]) -> None:
    _, folded, _, _ = both(tmp_path, model_of(three_blocks()))
    source = tmp_path / "flat.onnx" if options else folded
    with pytest.raises(TaggerError, match="--inline"):
        functions(source, tmp_path / "out.onnx", **options)
    assert not (tmp_path / "out.onnx").exists()


def test_a_file_without_tags(tmp_path: Path) -> None:
    onnx.save(model_of([helper.make_node("Relu", ["x"], ["y"])]), tmp_path / "bare.onnx")
    with pytest.raises(TaggerError, match="no node has a tag"):
        functions(tmp_path / "bare.onnx", tmp_path / "out.onnx")


def test_linear_in_the_size() -> None:
    """Ten times the blocks are about ten times the looked-at places, not a hundred."""
    from onnx_tagger.passes.base import Context
    from onnx_tagger.passes.folding import contraction, folding

    looked: list[int] = []
    plain = contraction.Contraction.producers
    for count in (20, 200):
        seen = 0
        rows = [ModuleRow("", "Net")]
        for k in range(count):
            rows += [ModuleRow(f"b{k}", "Block"), ModuleRow(f"b{k}.fc", "Linear")]
        tree = HierarchyMap.from_rows(rows)
        nodes, tags, last = [], [], "x"
        for k in range(count):
            nodes += [helper.make_node("Neg", [last], [f"f{k}"]), helper.make_node("Abs", [f"f{k}"], [f"y{k}"])]
            tags += [tree.tag(f"b{k}.fc", Source.EXPORTED), tree.tag(f"b{k}", Source.EXPORTED)]
            last = f"y{k}"
        output = helper.make_tensor_value_info(last, 1, [1])
        model = helper.make_model(helper.make_graph(nodes, "g", [], [output]))
        ctx = Context(model, tree)
        ctx.tags.update(zip(ctx.ops, tags, strict=True))

        def counted(self: contraction.Contraction, item: contraction.Item) -> object:
            nonlocal seen
            seen += 1
            return plain(self, item)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(contraction.Contraction, "producers", counted)
            folding.FoldModules().run(ctx)
        looked.append(seen)
    assert looked[1] <= 11 * looked[0]
