"""DataFlow: producers, consumers and order against a brute-force answer; scoping, odd names, cycles."""

from __future__ import annotations

import networkx as nx
import onnx
import pytest
from hypothesis import given, strategies as st
from onnx import helper

from onnx_tagger.errors import FileFormatError
from onnx_tagger.passes.analyses.dataflow import DataFlow, Flow
from onnx_tagger.passes.base import Context, Pass
from onnx_tagger.passes.manager import PassManager


def node(op: str, inputs: list[str], outputs: list[str], **bodies: onnx.GraphProto) -> onnx.NodeProto:
    made: onnx.NodeProto = helper.make_node(op, inputs, outputs, "n")
    made.attribute.extend(helper.make_attribute(name, body) for name, body in bodies.items())
    return made


def graph(*nodes: onnx.NodeProto, inputs: str = "", outputs: str = "", stored: str = "") -> onnx.GraphProto:
    def values(names: str) -> list[onnx.ValueInfoProto]:
        return [helper.make_tensor_value_info(name, 1, [1]) for name in names.split()]

    weights = [helper.make_tensor(name, 1, [1], [1.0]) for name in stored.split()]
    return helper.make_graph(list(nodes), "g", values(inputs), values(outputs), weights)


def flow_of(made: onnx.GraphProto, functions: tuple[onnx.FunctionProto, ...] = ()) -> Flow:
    return Context(helper.make_model(made, functions=list(functions))).get(DataFlow)


def edges(flow: Flow) -> set[tuple[int, int]]:
    return set(flow.graph.edges)


@st.composite
def random_graphs(draw: st.DrawFn) -> tuple[onnx.GraphProto, set[tuple[int, int]]]:
    """Draw a graph in shuffled order with the edges that it has, counted by node position."""
    count = draw(st.integers(0, 12))
    tensors = ["in", "w", ""]
    links: set[tuple[int, int]] = set()
    nodes: list[onnx.NodeProto] = []
    maker: dict[str, int] = {}
    for index in range(count):
        inputs = draw(st.lists(st.sampled_from(tensors), max_size=4))
        links.update((maker[name], index) for name in inputs if name in maker)
        outputs = [f"t{index}.{k}" if draw(st.booleans()) else "" for k in range(draw(st.integers(0, 2)))]
        maker.update(dict.fromkeys(filter(None, outputs), index))
        tensors.extend(filter(None, outputs))
        nodes.append(node("Op", inputs, outputs))
    place = draw(st.permutations(range(count)))
    shuffled = [nodes[old] for old in place]
    new = {old: at for at, old in enumerate(place)}
    return graph(*shuffled, inputs="in", stored="w"), {(new[a], new[b]) for a, b in links}


@given(random_graphs())
def test_random_graphs(drawn: tuple[onnx.GraphProto, set[tuple[int, int]]]) -> None:
    made, expected = drawn
    flow = flow_of(made)
    assert edges(flow) == expected
    assert sorted(flow.order) == list(range(len(made.node)))
    place = {op: at for at, op in enumerate(flow.order)}
    assert all(place[a] < place[b] for a, b in expected)
    for op in range(len(made.node)):
        assert set(flow.producers(op)) == {a for a, b in expected if b == op}
        assert set(flow.consumers(op)) == {b for a, b in expected if a == op}
    for key in [(0, "in"), (0, "w")]:
        assert flow.readers.get(key, []) == [i for i, n in enumerate(made.node) for name in n.input if name == key[1]]


def test_edges_carry_a_tensor_that_links_the_two() -> None:
    flow = flow_of(graph(node("A", [], ["t", "u"]), node("B", ["u"], ["v"])))
    assert flow.graph.edges[0, 1]["tensor"] == "u"


def test_bodies_see_outer_tensors_and_feed_their_owner() -> None:
    inner = graph(node("Use", ["outer"], ["i"]), outputs="i")
    middle = graph(node("If", ["c"], ["m"], then_branch=inner), outputs="m")
    flow = flow_of(graph(node("Make", [], ["outer"]), node("If", ["c"], ["y"], then_branch=middle)))
    # 0 Make, 1 If, 2 the If in it, 3 Use
    assert edges(flow) == {(0, 3), (3, 2), (2, 1)}
    assert flow.order == [0, 3, 2, 1]
    assert flow.inputs[3] == [(0, "outer")]


def test_inputs_stored_tensors_and_outputs_of_a_body_shadow() -> None:
    bodies = {
        "by_input": graph(node("Use", ["t"], ["a"]), inputs="t"),
        "by_stored": graph(node("Use", ["t"], ["b"]), stored="t"),
        "by_output": graph(node("Use", ["t"], ["c"]), node("Make", [], ["t"])),
    }
    flow = flow_of(graph(node("Make", [], ["t"]), node("Odd", [], ["y"], **bodies), node("Use", ["t"], ["z"])))
    # 0 Make, 1 Odd, 2 Use(input), 3 Use(stored), 4 Use(output), 5 inner Make, 6 Use
    assert edges(flow) == {(5, 4), (0, 6)}
    assert flow.inputs[2:5] == [[(1, "t")], [(2, "t")], [(3, "t")]]
    assert (2, "t") in flow.stored
    assert flow.readers[1, "t"] == [2]


def test_siblings_do_not_see_each_other() -> None:
    bodies = {"a": graph(node("Make", [], ["t"])), "b": graph(node("Use", ["t"], ["u"]))}
    flow = flow_of(graph(node("Odd", [], ["y"], **bodies)))
    assert edges(flow) == set()
    assert flow.inputs[2] == [(2, "t")]


def test_an_outer_tensor_that_leaves_a_body_links_its_maker_to_the_owner() -> None:
    flow = flow_of(graph(node("Make", [], ["t"]), node("If", ["c"], ["y"], then_branch=graph(outputs="t"))))
    assert edges(flow) == {(0, 1)}


def test_functions_are_components_of_their_own() -> None:
    function = helper.make_function("d", "f", ["t"], ["y"], [node("Use", ["t"], ["y"])], [])
    flow = flow_of(graph(node("Make", [], ["t"]), helper.make_node("f", ["t"], ["y"], domain="d")), (function,))
    assert edges(flow) == {(0, 1)}
    assert flow.inputs[2] == [(1, "t")]


def test_optional_inputs_and_outputs_are_nothing() -> None:
    flow = flow_of(graph(node("Make", [""], ["", "t"]), node("Use", ["", "t", ""], [""]), node("Use", [""], ["z"])))
    assert edges(flow) == {(0, 1)}
    assert flow.inputs == [[], [(0, "t")], []]


def test_names_of_nodes_do_not_count() -> None:
    made = graph(node("A", [], ["t"]), node("B", ["t"], ["u"]), node("C", ["u"], ["v"]))
    for name in ("same", ""):
        for each in made.node:
            each.name = name
        assert edges(flow_of(made)) == {(0, 1), (1, 2)}


def test_of_two_makers_of_one_tensor_the_first_counts() -> None:
    flow = flow_of(graph(node("A", [], ["t"]), node("B", [], ["t"]), node("C", ["t"], ["u"])))
    assert edges(flow) == {(0, 2)}


@pytest.mark.parametrize(
    "made",
    [
        graph(node("Add", ["b"], ["a"]), node("Mul", ["a"], ["b"])),
        graph(node("Add", ["a"], ["a"])),
        graph(node("If", ["c"], ["y"], then_branch=graph(node("Add", ["y"], ["i"]), outputs="i"))),
    ],
    ids=["two", "itself", "through a body"],
)
def test_circles_are_refused(made: onnx.GraphProto) -> None:
    with pytest.raises(FileFormatError, match=r"nodes read each other in a circle, among them main.*#\d"):
        flow_of(made)


def test_it_is_an_analysis_that_a_pass_can_ask_for() -> None:
    found: list[nx.DiGraph[int]] = []

    class Asks(Pass):
        name = "asks"
        requires = (DataFlow,)

        def run(self, ctx: Context) -> int:
            found.append(ctx.get(DataFlow).graph)
            return 0

    PassManager([Asks(), Asks()]).run(helper.make_model(graph(node("A", [], ["t"]))))
    assert found[0] is found[1]
    assert list(found[0]) == [0]


def test_the_order_is_the_file_s_if_that_is_sorted() -> None:
    """An owner comes behind its bodies, whatever stands behind it."""
    body = graph(node("Use", ["b"], ["i"]), outputs="i")
    made = graph(node("Make", [], ["a"]), node("Make", [], ["b"]), node("If", ["a"], ["y"], then_branch=body))
    flow = flow_of(made)
    assert flow.order == [0, 1, 3, 2]
    assert flow.outputs == [[(0, "a")], [(0, "b")], [(0, "y")], [(1, "i")]]
    assert flow.producers(2) == [0, 3]


def test_a_node_that_reads_what_it_makes_is_a_circle() -> None:
    with pytest.raises(FileFormatError, match="in a circle"):
        flow_of(graph(node("Own", ["t"], ["t"])))
