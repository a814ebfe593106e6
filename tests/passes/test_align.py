"""Align: fusions, fresh names, inserted and dropped nodes; never a sibling's tag."""

from __future__ import annotations

from dataclasses import replace

import onnx
import pytest
from hypothesis import given, settings, strategies as st
from onnx import helper

from examples.lines import PATHS, TREE, Result, align, map_of, model, modules, parse
from onnx_tagger.errors import PassError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.metadata import Source, add_entries, own_entries
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

LINEAR = """
    matmul: MatMul in w -> h @a.x
    add:    Add h b -> y @a.x
"""


def test_a_fusion_within_a_module() -> None:
    assert align(LINEAR, "Gemm in w b -> y") == {"Gemm": ("a.x", "aligned", ())}


def test_reshape_gemm_reshape_with_fresh_tensors() -> None:
    changed = """
        r1: Reshape in shape -> fresh1
        gemm: Gemm fresh1 w b -> fresh2
        r2: Reshape fresh2 shape2 -> y
    """
    assert align(LINEAR, changed) == dict.fromkeys(("r1", "gemm", "r2"), ("a.x", "aligned", ()))


TWO = """
    matmul: MatMul in w -> h @a.x
    add:    Add h b -> y @a.y
"""


def test_a_fusion_of_two_modules_has_both_as_origins() -> None:
    assert align(TWO, "ms/Fused in w b -> y") == {"Fused": ("a", "aligned", ("a.x", "a.y"))}


def test_merge_output_takes_the_surviving_operation_s_tag() -> None:
    assert align(TWO, "ms/Fused in w b -> y", merge="output") == {"Fused": ("a.y", "aligned", ("a.x", "a.y"))}


def test_a_fusion_of_a_module_with_its_child_is_the_module_s() -> None:
    saved = "MatMul in w -> h @a.y.deep \n Add h b -> y @a.y"
    assert align(saved, "Gemm in w b -> y") == {"Gemm": ("a.y", "aligned", ("a.y", "a.y.deep"))}


def test_a_fusion_across_the_model_is_the_root_s_and_not_a_fallback() -> None:
    saved = "MatMul in w -> h @a.x \n Add h b -> y @b.z"
    assert align(saved, "Gemm in w b -> y") == {"Gemm": ("", "aligned", ("a.x", "b.z"))}


def test_merge_is_checked() -> None:
    with pytest.raises(PassError, match="align: merge is 'input', choose 'enclosing' or 'output'"):
        Align(merge="input")  # type: ignore[arg-type]


ACTIVATION = """
    relu: Relu in -> h @a.x
    exp:  Exp h -> y @b.z
"""


@pytest.mark.parametrize(
    "inserted",
    [
        "c1: Cast h -> f1",
        "c1: QuantizeLinear h s z -> q \n c2: DequantizeLinear q s z -> f1",
        "c1: Cast h -> f0 \n c2: Cast f0 -> f1",
        "c1: nchwc/ReorderInput h -> f1",
    ],
)
def test_inserted_converters_take_the_producer_of_what_they_convert(inserted: str) -> None:
    found = align(ACTIVATION, f"relu: Relu in -> h \n {inserted} \n exp: Exp f1 -> y", stored="s z")
    assert found.pop("relu") == ("a.x", "matched", ())
    assert found.pop("exp") == ("b.z", "aligned", ())
    assert set(found.values()) == {("a.x", "aligned", ())}
    assert len(found) == inserted.count("->")


def test_converters_on_a_weight_take_its_consumer() -> None:
    changed = """
        dq: DequantizeLinear wq s z -> fw
        matmul: MatMul in fw -> h
        add: Add h b -> y
    """
    saved = "matmul: MatMul in w -> h @b.z \n add: Add h b -> y @a.x"
    found = align(saved, changed, stored="wq s z b")
    assert found["dq"] == ("b.z", "aligned", ())
    assert found["matmul"][0] == "b.z"
    assert found["add"] == ("a.x", "matched", ())


def test_converters_on_a_graph_input_take_its_consumer() -> None:
    changed = "cast: Cast in -> f \n relu: Relu f -> h \n exp: Exp h -> y"
    assert align(ACTIVATION, changed)["cast"] == ("a.x", "aligned", ())


def test_a_converter_on_an_input_takes_the_consumer_that_its_metadata_tells() -> None:
    made = model("cast: Cast in -> f \n relu: Relu f -> g \n exp: Exp g -> y")
    tree = map_of(model(ACTIVATION), modules(ACTIVATION))
    for node, path in zip(made.graph.node[1:], ("b.z", "a.x"), strict=True):
        add_entries(node, own_entries(TREE.tag(path, Source.MATCHED)))
    ctx = PassManager([Match(), Align()]).run_in(Context(made, tree))
    assert [ctx.tags[op].module for op in ctx.ops] == ["b.z", "b.z", "a.x"]


def test_quantised_chain() -> None:
    """What static quantisation makes of MatMul and Relu: every node to the module whose tensor it makes or converts."""
    saved = "matmul: MatMul in w -> h @a.x \n relu: Relu h -> y @a.y"
    changed = """
        q1: QuantizeLinear in s z -> in_q
        d1: DequantizeLinear in_q s z -> in_d
        dw: DequantizeLinear wq s z -> w_d
        matmul: MatMul in_d w_d -> h
        q2: QuantizeLinear h s z -> h_q
        d2: DequantizeLinear h_q s z -> h_d
        relu: Relu h_d -> y
    """
    found = {name: path for name, (path, _, _) in align(saved, changed, stored="wq s z").items()}
    inputs = dict.fromkeys(("q1", "d1", "dw"), "a.x")
    assert found == {**inputs, "matmul": "a.x", "q2": "a.x", "d2": "a.x", "relu": "a.y"}


def test_a_converter_of_the_saved_graph_keeps_its_own_module() -> None:
    saved = "relu: Relu in -> h @a.x \n cast: Cast h -> c @b.z \n exp: Exp c -> y @b"
    assert align(saved, "relu: Relu in -> h2 \n cast: Cast h2 -> c \n exp: Exp c -> y")["cast"][0] == "b.z"


def test_a_converter_of_the_saved_graph_is_no_inserted_one() -> None:
    saved = "relu: Relu in -> h @a.x \n drop: Identity h -> i @a.x \n cast: Cast i -> c @b.z"
    module, _, origins = align(saved, "relu: Relu in -> h \n cast: Cast h -> c")["cast"]
    assert TREE.encloses(module, "b.z")
    assert "b.z" in (origins or (module,))


def test_what_only_reads_a_region_s_tensors_is_of_the_region() -> None:
    changed = "gemm: Gemm in w b -> f \n r: Reshape f shape -> y \n extra: Size f -> fresh"
    assert align(LINEAR, changed) == dict.fromkeys(("gemm", "r", "extra"), ("a.x", "aligned", ()))


def test_renamed_tensors_are_told_by_the_node_s_name() -> None:
    changed = "relu: Relu in -> renamed \n exp: Exp renamed -> y"
    assert align(ACTIVATION, changed) == {"relu": ("a.x", "aligned", ()), "exp": ("b.z", "aligned", ())}


def test_renamed_tensors_and_nodes_are_told_by_the_operator() -> None:
    changed = "other: Relu in -> renamed \n another: Exp renamed -> y"
    assert align(ACTIVATION, changed) == {"other": ("a.x", "aligned", ()), "another": ("b.z", "aligned", ())}


@pytest.mark.parametrize("name", ["exp", "nameless"])
def test_a_renamed_graph_output_is_told_by_what_makes_it(name: str) -> None:
    found = align(ACTIVATION, f"relu: Relu in -> h \n {name}: Exp h -> renamed")
    assert found[name] == ("b.z", "aligned", ())


def test_a_name_with_another_operator_is_another_node() -> None:
    assert "exp" not in align(ACTIVATION, "relu: Relu in -> h \n exp: Neg h -> renamed")


def test_dropped_nodes() -> None:
    saved = "relu: Relu in -> h @a.x \n drop: Identity h -> i @a.y \n exp: Exp i -> y @b.z"
    found = align(saved, "relu: Relu in -> h \n exp: Exp h -> y")
    assert found["relu"] == ("a.x", "matched", ())
    module, source, origins = found["exp"]
    assert source == "aligned"
    assert TREE.encloses(module, "b.z")
    assert "b.z" in (origins or (module,))


def test_folded_producers_count_as_origins() -> None:
    """Shape arithmetic that was folded into a stored tensor leaves its name alive: it is no work of the reader's."""
    saved = "c: ConstantOfShape s -> k @a.x \n add: Add in k -> y @b.z"
    assert align(saved, "add: Add in k -> y", stored="k")["add"] == ("b.z", "matched", ())


def test_a_source_of_the_saved_node_that_is_worse_stays() -> None:
    assert align(LINEAR, "Gemm in w b -> y", source=Source.INHERITED) == {"Gemm": ("a.x", "inherited", ())}


def test_origins_that_the_map_does_not_know_tell_nothing() -> None:
    saved = "MatMul in w -> h @a.x \n Add h b -> y"
    assert align(saved, "Gemm in w b -> y") == {"Gemm": ("a.x", "aligned", ())}
    assert align("MatMul in w -> h \n Add h b -> y", "Gemm in w b -> y") == {}


def test_a_region_that_the_saved_graph_does_not_have_stays_untagged() -> None:
    assert align(ACTIVATION, "relu: Relu in -> h \n exp: Exp h -> y \n new: Neg y -> z").keys() == {"relu", "exp"}


CONV = """
    conv: Conv in w -> h @a.x
    sum: Add h in -> s @a
    act: Relu s -> r @a.y
    last: Conv r w -> y @b
"""


def test_a_blocked_convolution_makes_what_it_is_called_after() -> None:
    blocked = "h_nchwc: nchwc/Conv in w -> f1 \n s_sum: Add f1 in -> f2 \n act: Relu f2 -> r \n last: Conv r w -> y"
    assert align(CONV, blocked)["h_nchwc"] == ("a.x", "aligned", ())


def test_a_blocked_convolution_has_taken_in_the_sum_of_its_fourth_input_and_its_activation() -> None:
    blocked = model("h_nchwc: nchwc/Conv in w b in -> f1 \n last: nchwc/Conv f1 w -> y")
    blocked.graph.node[0].attribute.append(helper.make_attribute("activation", "Relu"))
    ctx = PassManager([Match(), Align()], verify=True).run_in(Context(blocked, map_of(model(CONV), modules(CONV))))
    first, last = (ctx.tags[op] for op in ctx.ops)
    assert (first.module, first.origins) == ("a", ("a", "a.x", "a.y"))
    assert (last.module, last.origins) == ("b", ())


def test_a_node_that_the_saved_graph_names_is_not_known_by_its_scope_alone() -> None:
    """`/a/x/Conv` has taken in what followed it: its name still says `a.x`, the region says both."""
    saved = "/a/x/Conv: Conv in w -> h @a.x \n norm: Relu h -> s @a.y \n out: Neg s -> y @b"
    assert align(saved, "/a/x/Conv: Conv in b -> s \n out: Neg s -> y")["/a/x/Conv"] == ("a", "aligned", ("a.x", "a.y"))


def test_bodies_are_aligned_too() -> None:
    def either(text: str) -> onnx.ModelProto:
        made = model("If c -> y")
        body = helper.make_graph(parse(text), "t", [], [helper.make_tensor_value_info("i", 1, [1])])
        made.graph.node[0].attribute.append(helper.make_attribute("then_branch", body))
        return made

    tree = map_of(either("MatMul in w -> h \n Add h b -> i"), ["a", "a.x", "a.x"])
    ctx = PassManager([Match(), Align()], verify=True).run_in(Context(either("Gemm in w b -> i"), tree))
    assert [ctx.tags[op].module for op in ctx.ops] == ["a", "a.x"]


def test_without_a_saved_graph_nothing_is_done() -> None:
    ctx = PassManager([Align()]).run_in(Context(model(LINEAR), TREE))
    assert ctx.tags == {}


@st.composite
def rewritten_chains(draw: st.DrawFn) -> tuple[onnx.ModelProto, HierarchyMap, list[set[str]]]:
    """Draw a chain with a module for each node, and a file made of it with the modules whose work each node does.

    Runs of nodes are fused into one; tensors and nodes are renamed; later nodes may read any tensor that is left.
    """
    count = draw(st.integers(1, 9))
    ops = [draw(st.sampled_from(["A", "B", "C"])) for _ in range(count)]
    paths = [draw(st.sampled_from(PATHS)) for _ in range(count)]
    ends = sorted({count - 1, *draw(st.sets(st.integers(0, count - 1)))})
    skips = [draw(st.sampled_from([None, None, *(e for e in ends if e < i)])) for i in range(count)]
    lines = [
        f"n{i}: {ops[i]} {f't{i - 1}' if i else 'in'} {f't{skips[i]}' if skips[i] is not None else ''} -> t{i}"
        for i in range(count)
    ]
    exported = model("\n".join(lines))
    new, truth, start = [], [], 0
    names = {end: f"fresh{end}" if end < count - 1 and draw(st.booleans()) else f"t{end}" for end in ends}
    for end in ends:
        members = range(start, end + 1)
        inputs = [names[start - 1] if start else "in"]
        inputs += [names[skip] for i in members if (skip := skips[i]) is not None and skip < start]
        op = ops[end] if start == end else "Fused"
        name = draw(st.sampled_from([f"n{end}", f"n{start}", "", "renamed"]))
        new.append(f"{name}: {op} {' '.join(inputs)} -> {names[end]}")
        truth.append({paths[i] for i in members})
        start = end + 1
    return model("\n".join(new)), map_of(exported, list(paths)), truth


@settings(max_examples=300)
@given(rewritten_chains())
def test_never_a_sibling_s_tag(drawn: tuple[onnx.ModelProto, HierarchyMap, list[set[str]]]) -> None:
    made, tree, truth = drawn
    ctx = PassManager([Match(), Align()], verify=True).run_in(Context(made, tree))
    for op, paths in zip(ctx.ops, truth, strict=True):
        tag = ctx.tags[op]
        assert all(tree.encloses(tag.module, path) for path in paths)
        assert paths <= set(tag.modules)
        assert tag.source >= Source.MATCHED


def test_the_ops_of_a_large_region_share_what_they_are() -> None:
    """Else memory would grow with the square of the region."""
    length = 500
    places = ["a.x", "b.z"]
    saved = "\n".join(f"Relu t{i} -> t{i + 1} @{places[i % 2]}" for i in range(length)).replace("t0 ", "in ")
    changed = model(saved.replace(" t", " u"))
    changed.graph.node[-1].output[0] = f"t{length}"
    ctx = PassManager([Match(), Align()]).run_in(Context(changed, map_of(model(saved), modules(saved))))
    assert [ctx.tags[op].module for op in ctx.ops] == [places[i % 2] for i in range(length)]
    assert len({id(tag) for tag in ctx.tags.values()}) == 2


@pytest.mark.parametrize("source", list(Source))
def test_the_output_s_module_never_has_the_root_s_source(source: Source) -> None:
    """A region of the root's and of another's work: what is tagged as the other's is no fallback to the root."""
    saved = "n1: Mul in w -> t @\nn2: Add t b -> out @a.x"
    tree = map_of(model(saved), modules(saved))
    assert tree.graph is not None
    nodes = list(tree.graph.nodes)
    nodes[0] = nodes[0]._replace(tag=TREE.tag("", source))
    tree = replace(tree, graph=replace(tree.graph, nodes=nodes))
    ctx = PassManager([Match(), Align(merge="output")]).run_in(Context(model("f: Fused in w b -> out"), tree))
    tag = ctx.tags[ctx.ops[0]]
    assert tag.module == "a.x"
    assert tag.source is not Source.ROOT


@pytest.mark.parametrize(
    ("saved", "changed", "expected"),
    [
        pytest.param(
            "MatMul in w -> h @a.x\nAdd h b -> y @a.y\nRelu h -> z @b.z",
            "Gemm in w b -> y\nMatMul in w -> h9\nRelu h9 -> z9",
            {
                "Gemm": ("a", "aligned", ("a.x", "a.y")),
                "MatMul": ("a.x", "aligned", ()),
                "Relu": ("b.z", "aligned", ()),
            },
            id="for others that read it",
        ),
        pytest.param(
            "MatMul in w -> h @a.x\nAdd h b -> g @a.x\nRelu g -> r @b.z",
            "ms/FusedGemm in w b -> r\nMatMul in w -> h9\nAdd h9 b -> g9",
            {
                "FusedGemm": ("", "aligned", ("a.x", "b.z")),
                "MatMul": ("a.x", "aligned", ()),
                "Add": ("a.x", "aligned", ()),
            },
            id="for a new output, with no reader that is left",
        ),
        pytest.param(
            "Exp in -> h1 @a.x\nAdd h1 b -> y1 @a.x\nExp in -> h2 @b.z\nAdd h2 b -> y2 @b.z",
            "ms/ExpAdd in b -> y1\nExp in -> h9\nAdd h9 b -> y9",
            {"ExpAdd": ("a.x", "aligned", ()), "Exp": ("b.z", "aligned", ()), "Add": ("b.z", "aligned", ())},
            id="by its like, which is left",
        ),
    ],
)
def test_what_an_op_has_taken_in_may_be_computed_once_more(saved: str, changed: str, expected: Result) -> None:
    assert align(saved, changed) == expected


def test_what_reads_a_renamed_tensor_has_not_taken_in_its_maker() -> None:
    found = align("Exp in -> h @a.x\nAbs h -> y @b.z", "Exp in -> h9\nCast h9 -> c\nms/Fused c -> y")
    assert (found["Exp"], found["Cast"]) == (("a.x", "aligned", ()),) * 2
