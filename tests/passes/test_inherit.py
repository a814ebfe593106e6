"""Inherit: constants, chains, diamonds, bodies, functions, fallback; what is inherited encloses its neighbours."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given, settings, strategies as st
from onnx import helper

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.manager import PassManager

TREE = HierarchyMap.from_rows([ModuleRow(path, "M") for path in ("", "a", "a.x", "a.y", "a.y.deep", "b", "b.z")])
PATHS = sorted(TREE.by_path)

Node = onnx.NodeProto


def nodes(text: str) -> list[Node]:
    """Make nodes of lines such as ``name@a.x: Op x w -> y``; a module in the name is that of the node's tag."""
    found = []
    for line in filter(None, map(str.strip, text.split("\n"))):
        head, _, outputs = line.partition("->")
        name, _, call = head.rpartition(":")
        op, *inputs = call.split()
        domain, _, kind = op.rpartition("/")
        found.append(helper.make_node(kind, inputs, outputs.split(), name.strip(), domain=domain))
    return found


def body(owner: Node, attribute: str, text: str, outputs: str = "", inner: tuple[Node, ...] = ()) -> Node:
    """Give a node a body and return it."""
    values = [helper.make_tensor_value_info(name, 1, [1]) for name in outputs.split()]
    graph = helper.make_graph([*nodes(text), *inner], attribute, [], values)
    owner.attribute.append(helper.make_attribute(attribute, graph))
    return owner


def function(name: str, text: str) -> onnx.FunctionProto:
    return helper.make_function("my", name, ["p"], ["r"], nodes(text), [])


def model(text: str, *more: Node, functions: tuple[onnx.FunctionProto, ...] = ()) -> onnx.ModelProto:
    """Make a model of lines and of ready nodes behind them."""
    values = [helper.make_tensor_value_info("in", 1, [1])]
    weights = [helper.make_tensor("w", 1, [1], [1.0])]
    graph = helper.make_graph([*nodes(text), *more], "g", values, [], weights)
    return helper.make_model(graph, functions=list(functions))


def settle(made: onnx.ModelProto, fallback: bool = True, source: Source = Source.EXPORTED) -> Context:
    """Tag the nodes whose name says so and let the others inherit."""
    ctx = Context(made, TREE)
    for op in ctx.ops:
        _, at, path = op.node.name.partition("@")
        if at:
            ctx.tags[op] = TREE.tag(path.strip("."), source)
    return PassManager([Inherit(fallback=fallback)], verify=True).run_in(ctx)


def tags(ctx: Context) -> dict[str, Tag]:
    return {op.node.name: ctx.tags[op] for op in ctx.ops if "@" not in op.node.name and op in ctx.tags}


def inherited(text: str, *more: Node, fallback: bool = True) -> dict[str, str]:
    """Module of each node that had no tag, by node name."""
    return {name: tag.module for name, tag in tags(settle(model(text, *more), fallback)).items()}


def test_a_constant_takes_its_consumer_s_module() -> None:
    text = """
        before@b: Relu in -> h
        c: Constant -> k
        use@a.x: Add h k -> y
    """
    (tag,) = tags(settle(model(text))).values()
    assert (tag.module, tag.source, tag.origins) == ("a.x", Source.INHERITED, ())


def test_a_shared_constant_takes_what_encloses_its_consumers_and_names_them() -> None:
    text = """
        c: Constant -> k
        one@a.x: Add in k -> y
        two@a.y.deep: Add in k -> z
        three@a.x: Add z k -> v
    """
    (tag,) = tags(settle(model(text))).values()
    assert (tag.module, tag.source, tag.origins) == ("a", Source.INHERITED, ("a.x", "a.y.deep"))


def test_a_constant_shared_across_the_model_is_the_root_s() -> None:
    text = "c: Constant -> k \n one@a.x: Add in k -> y \n two@b.z: Add in k -> z"
    (tag,) = tags(settle(model(text))).values()
    assert (tag.module, tag.source, tag.origins) == ("", Source.ROOT, ("a.x", "b.z"))


def test_shape_arithmetic_belongs_to_whom_it_is_for() -> None:
    text = """
        before@b.z: Relu in -> h
        shape: Shape h -> s
        i: Constant -> index
        gather: Gather s index -> d
        more: Concat d index -> t
        use@a.x: Reshape h t -> y
    """
    assert inherited(text) == dict.fromkeys(("shape", "i", "gather", "more"), "a.x")


def test_a_weight_s_arithmetic_belongs_to_its_consumer() -> None:
    text = "before@b: Relu in -> h \n t: Transpose w -> wt \n use@a.x: MatMul h wt -> y"
    assert inherited(text) == {"t": "a.x"}


def test_weights_and_shapes_together_are_still_for_the_consumer() -> None:
    text = "before@b: Relu in -> h \n s: Shape h -> s \n e: Expand w s -> we \n use@a.x: MatMul h we -> y"
    assert inherited(text) == {"s": "a.x", "e": "a.x"}


def test_data_takes_what_encloses_both_sides() -> None:
    text = "before@a.x: Relu in -> h \n mid: Identity h -> i \n after@a.y.deep: Exp i -> y"
    assert inherited(text) == {"mid": "a"}


def test_data_between_a_module_s_own_nodes_is_the_module_s() -> None:
    text = "before@a.x: Relu in -> h \n mid: Identity h -> i \n after@a.x: Exp i -> y"
    assert inherited(text) == {"mid": "a.x"}


def test_a_chain_of_untagged_nodes_settles() -> None:
    links = "\n".join(f"n{i}: Identity {f't{i - 1}' if i else 'h'} -> t{i}" for i in range(30))
    text = f"before@a.x: Relu in -> h \n {links} \n after@a.y: Exp t29 -> y"
    assert inherited(text) == {f"n{i}": "a" for i in range(30)}


def test_a_diamond_between_siblings_is_the_ancestor_s() -> None:
    text = """
        left@a.x: Relu in -> l
        right@a.y: Exp in -> r
        one: Neg l -> ln
        two: Neg r -> rn
        join: Add ln rn -> j
        after@a.y: Exp j -> y
    """
    assert inherited(text) == {"one": "a", "two": "a.y", "join": "a"}


def test_one_tagged_side_is_enough() -> None:
    assert inherited("before@a.x: Relu in -> h \n last: Identity h -> y") == {"last": "a.x"}
    assert inherited("first: Identity in -> h \n after@a.x: Relu h -> y") == {"first": "a.x"}
    assert inherited("before@a.x: Relu in -> h \n shape: Shape h -> y") == {"shape": "a.x"}


def test_the_fallback_is_the_root_and_says_so() -> None:
    text = "alone: Relu in -> h \n other@a: Exp in -> y"
    assert tags(settle(model(text)))["alone"] == TREE.tag("", Source.ROOT)
    assert inherited(text, fallback=False) == {}


def test_an_inherited_root_says_so() -> None:
    text = "before@a: Relu in -> h \n mid: Identity h -> i \n after@b: Exp i -> y"
    assert tags(settle(model(text)))["mid"].source is Source.ROOT


def test_what_has_a_tag_keeps_it() -> None:
    ctx = settle(model("one@a.x: Relu in -> h \n two@b: Exp h -> y"))
    assert [ctx.tags[op].module for op in ctx.ops] == ["a.x", "b"]


def test_without_a_map_nothing_is_done() -> None:
    ctx = PassManager([Inherit()]).run_in(Context(model("n: Relu in -> y")))
    assert ctx.tags == {}


# Bodies.


def test_a_body_node_stays_within_its_owner_s_module() -> None:
    (owner,) = nodes("owner@a.x: If c -> y")
    body(owner, "then_branch", "i: Relu h -> i", outputs="i")
    assert inherited("outer@b.z: Exp in -> h", owner) == {"i": "a.x"}


def test_a_body_node_may_be_deeper_than_its_owner() -> None:
    (owner,) = nodes("owner@a: Loop c -> y")
    body(owner, "body", "k: Constant -> k \n in1@a.y.deep: Relu k -> i", outputs="i")
    assert inherited("", owner) == {"k": "a.y.deep"}


def test_bodies_in_bodies_are_held_to_the_outermost_too() -> None:
    (inner,) = nodes("inner: If c -> i")
    body(inner, "then_branch", "deepest: Relu h -> d", outputs="d")
    (owner,) = nodes("owner@a: If c -> y")
    body(owner, "then_branch", "", outputs="i", inner=(inner,))
    assert inherited("outer@b: Exp in -> h", owner) == {"inner": "a", "deepest": "a"}


def test_an_untagged_owner_and_its_body() -> None:
    (owner,) = nodes("owner: If c -> y")
    body(owner, "then_branch", "i: Relu h -> i", outputs="i")
    assert inherited("before@a.x: Exp in -> h \n", owner, *nodes("after@a.y: Neg y -> z")) == {"owner": "a", "i": "a"}


def test_a_tagged_body_node_speaks_for_its_untagged_owner() -> None:
    (owner,) = nodes("owner: If c -> y")
    body(owner, "then_branch", "in@a.y.deep: Relu h -> i", outputs="i")
    assert inherited("", owner, *nodes("after@a.y: Neg y -> z")) == {"owner": "a.y"}


def test_all_tagged_body_nodes_speak_for_their_untagged_owner() -> None:
    """As in a merged decoder, whose branches each hold the exported graph; not the last node of a branch alone."""
    (owner,) = nodes("owner: If c -> y")
    body(owner, "then_branch", "in1@a.x: Relu h -> i \n in2@a.y.deep: Exp i -> j", outputs="j")
    body(owner, "else_branch", "in3@a.x: Relu h -> k \n in4@a.y.deep: Exp k -> l", outputs="l")
    assert inherited("", owner) == {"owner": "a"}


def test_bodies_in_bodies_speak_for_all_their_owners() -> None:
    (inner,) = nodes("inner: If c -> i")
    body(inner, "then_branch", "deepest1@a.x: Relu h -> k \n deepest2@a.y: Exp k -> j", outputs="j")
    (owner,) = nodes("owner: If c -> y")
    body(owner, "then_branch", "", outputs="i", inner=(inner,))
    assert inherited("", owner) == {"owner": "a", "inner": "a"}


# Functions.


def test_a_function_takes_the_union_of_its_call_sites() -> None:
    f = function("f", "f1: Relu p -> q \n f2: Exp q -> r")
    ctx = settle(model("one@a.x: my/f in -> h \n two@a.y.deep: my/f h -> y", functions=(f,)))
    assert set(tags(ctx)) == {"f1", "f2"}
    for tag in tags(ctx).values():
        assert (tag.module, tag.origins) == ("a", ("a.x", "a.y.deep"))


def test_a_function_called_from_one_module_is_that_module_s() -> None:
    f = function("f", "f1: Relu p -> r")
    ctx = settle(model("one@a.x: my/f in -> h \n two@a.x: my/f h -> y", functions=(f,)), source=Source.MATCHED)
    assert tags(ctx) == {"f1": TREE.tag("a.x", Source.MATCHED)}


def test_the_worst_call_site_s_source_counts() -> None:
    f = function("f", "f1: Relu p -> r")
    text = "one@a.x: my/f in -> h \n two: my/f h -> y \n three@a.x: Exp y -> z"
    ctx = settle(model(text, functions=(f,)))
    assert tags(ctx)["f1"].source is Source.INHERITED


def test_nested_functions_are_resolved_in_their_callers() -> None:
    f, g, h = function("f", "fg: my/g p -> r"), function("g", "gh: my/h p -> r"), function("h", "h1: Relu p -> r")
    text = "one@a.x: my/f in -> h \n two@a.y: my/g h -> i \n three@b.z: my/h i -> y"
    found = tags(settle(model(text, functions=(h, g, f))))
    assert {name: (tag.module, tag.origins) for name, tag in found.items()} == {
        "fg": ("a.x", ()),
        "gh": ("a", ("a.x", "a.y")),
        "h1": ("", ("a.x", "a.y", "b.z")),
    }


def test_bodies_in_functions_and_calls_from_bodies() -> None:
    (inside,) = nodes("inside: If c -> r")
    body(inside, "then_branch", "deep: Relu p -> i", outputs="i")
    f = helper.make_function("my", "f", ["p"], ["r"], [inside], [])
    (owner,) = nodes("owner@a: If c -> y")
    body(owner, "then_branch", "call@a.x: my/f h -> i", outputs="i")
    found = tags(settle(model("", owner, functions=(f,))))
    assert {name: tag.module for name, tag in found.items()} == {"inside": "a.x", "deep": "a.x"}


def test_a_call_site_that_falls_back_to_the_root_counts() -> None:
    """A function that an unknown place calls, too, is not the known place's."""
    f = function("f", "f1: Relu p -> r")
    found = tags(settle(model("one@a.x: my/f in -> y \n two: my/f other -> z", functions=(f,))))
    assert found["two"].source is Source.ROOT
    assert (found["f1"].module, found["f1"].source, found["f1"].origins) == ("", Source.ROOT, ("", "a.x"))


def test_without_fallback_a_function_with_an_unknown_call_site_stays_unknown() -> None:
    f = function("f", "f1: Relu p -> r")
    assert tags(settle(model("one@a.x: my/f in -> y \n two: my/f other -> z", functions=(f,)), fallback=False)) == {}


def test_functions_that_are_never_called_stay_untagged() -> None:
    dead, f = function("dead", "d1: Relu p -> q \n d2: my/f q -> r"), function("f", "f1: Exp p -> r")
    assert set(tags(settle(model("one@a.x: my/f in -> y", functions=(dead, f))))) == {"f1"}


def test_a_call_from_a_function_that_is_never_called_does_not_count() -> None:
    dead, f = function("dead", "d@b.z: my/f p -> r"), function("f", "f1: Exp p -> r")
    found = tags(settle(model("one@a.x: my/f in -> y", functions=(dead, f))))
    assert (found["f1"].module, found["f1"].origins) == ("a.x", ())


# What is inherited encloses what it was inherited from.


@st.composite
def random_graphs(draw: st.DrawFn) -> tuple[onnx.ModelProto, HierarchyMap, list[str | None]]:
    """Draw a DAG, a module tree, and a module or none for each node."""
    paths = [""]
    for index in range(draw(st.integers(0, 8))):
        above = draw(st.sampled_from(paths))
        paths.append(f"{above}.m{index}" if above else f"m{index}")
    tree = HierarchyMap.from_rows([ModuleRow(path, "M") for path in paths])
    tensors, lines = ["in", "w"], []
    for index in range(draw(st.integers(1, 14))):
        op = draw(st.sampled_from(["Add", "Add", "Add", "Constant", "Shape"]))
        count = {"Constant": 0, "Shape": 1}.get(op, draw(st.integers(1, 3)))
        inputs = [draw(st.sampled_from(tensors)) for _ in range(count)]
        tensors.append(f"t{index}")
        lines.append(f"n{index}: {op} {' '.join(inputs)} -> t{index}")
    some = st.none() | st.sampled_from(paths)
    return model("\n".join(lines)), tree, [draw(some) for _ in lines]


def nearest(start: int, made: onnx.ModelProto, known: list[str | None], down: bool) -> set[str]:
    """Modules of the nearest tagged nodes on one side, found by walking over untagged ones."""
    maker = {node.output[0]: i for i, node in enumerate(made.graph.node)}
    edges = [(maker[name], i) for i, node in enumerate(made.graph.node) for name in node.input if name in maker]
    found, seen, queue = set(), {start}, [start]
    while queue:
        at = queue.pop()
        for other in [b for a, b in edges if a == at] if down else [a for a, b in edges if b == at]:
            path = known[other]
            if path is not None:
                found.add(path)
            elif other not in seen:
                seen.add(other)
                queue.append(other)
    return found


@settings(max_examples=200)
@given(random_graphs())
def test_an_inherited_tag_encloses_what_it_comes_from(
    drawn: tuple[onnx.ModelProto, HierarchyMap, list[str | None]],
) -> None:
    made, tree, known = drawn
    ctx = Context(made, tree)
    ctx.tags.update(
        {op: tree.tag(path, Source.MATCHED) for op, path in zip(ctx.ops, known, strict=True) if path is not None}
    )
    more = Context(made, tree)
    more.tags.update({more.ops[op.id]: tag for op, tag in ctx.tags.items()})
    PassManager([Inherit(repetition=False)], verify=True).run_in(ctx)
    PassManager([Inherit()], verify=True).run_in(more)
    for op, path in zip(ctx.ops, known, strict=True):
        tag = ctx.tags[op]
        # What the rule says holds; repetition may know a module within it.
        assert tree.encloses(tag.module, more.tags[more.ops[op.id]].module)
        if path is not None:
            assert tag == tree.tag(path, Source.MATCHED)
            continue
        below, above = (nearest(op.id, made, known, down) for down in (True, False))
        assert all(tree.encloses(tag.module, other) for other in below)
        # Either both sides, or, for constants and shapes, the consumers alone: and then no more than needed.
        assert tag.module in (tree.enclosing(below | above), tree.enclosing(below))
        if tag.module != tree.enclosing(below | above):
            assert below
        assert tag.source is (Source.INHERITED if tag.module else Source.ROOT)
        assert set(tag.origins) <= below


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_of_the_nodes_in_the_file_does_not_count(order: int) -> None:
    text = "before@a.x: Relu in -> h \n m1: Identity h -> i \n m2: Neg i -> j \n after@a.y: Exp j -> y"
    made = model("\n".join(text.split("\n")[::order]))
    assert {name: tag.module for name, tag in tags(settle(made)).items()} == {"m1": "a", "m2": "a"}
