"""What `diff` finds out about small models whose tags are set by hand."""

import pytest
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import operator
from onnx_tagger.model.metadata import PREFIX, TORCH_SCOPES, Source, Tag, remove_key, write_node
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows import diffing, querying
from onnx_tagger.workflows.checking import read_tags

ROWS = [
    ModuleRow("", "Net"),
    ModuleRow("layers", "ModuleList", tagged=False, keyed=True),
    ModuleRow("layers.0", "Blk"),
    ModuleRow("layers.0.fc", "Linear"),
    ModuleRow("layers.1", "Blk"),
    ModuleRow("layers.10", "Blk"),
]


def floats(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])


def model_of(nodes: list[NodeProto], functions: list[FunctionProto] | None = None) -> ModelProto:
    weight = helper.make_tensor("w", TensorProto.FLOAT, [2], [1, 2])
    graph = helper.make_graph(nodes, "g", [floats("x")], [floats("y")], [weight])
    return helper.make_model(graph, functions=functions or [])


def net() -> ModelProto:
    """Mul, Add, an If whose bodies each hold one node, and an unnamed Relu."""
    bodies = {
        name: helper.make_graph([helper.make_node(kind, ["a"], ["out"], "inner")], name, [], [floats("out")])
        for name, kind in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    return model_of(
        [
            helper.make_node("Mul", ["x", "w"], ["m"], "mul"),
            helper.make_node("Add", ["m", "nowhere"], ["a"], "add"),
            helper.make_node("If", ["x"], ["i"], "if", **bodies),
            helper.make_node("Relu", ["i"], ["y"]),
        ]
    )


def tagged(model: ModelProto, places: list[str | None], tree: HierarchyMap | None = None) -> Context:
    """The context of a model whose nodes, in the order of the walk, are in these modules."""
    tree = tree or HierarchyMap.from_rows(ROWS)
    ctx = Context(model, tree)
    for op, path in zip(ctx.ops, places, strict=True):
        if path is not None:
            ctx.tags[op] = tree.tag(path, Source.EXPORTED)
    return ctx


@pytest.fixture
def ctx() -> Context:
    return tagged(net(), ["layers.0.fc", "layers.0.fc", "layers.0", "layers.10", "layers.10", None])


def test_equal_models_do_not_differ(ctx: Context) -> None:
    other = tagged(net(), ["layers.0.fc", "layers.0.fc", "layers.0", "layers.10", "layers.10", None])
    found = diffing.diff(ctx, other)
    assert not found
    assert found.paired == 6


def test_diff_names_what_differs(ctx: Context) -> None:
    other = tagged(net(), ["layers.1", None, "layers.0", "layers.10", "layers.10", "layers.1"])
    other.tags[other.ops[2]] = Tag("layers.0", "/Net/Blk.0", Source.ALIGNED, ("layers.0", ""), ("layers.0@1",))
    found = diffing.diff(ctx, other)
    assert [(querying.name_of(change.before), change.fields) for change in found.changed] == [
        ("mul", (("module", "layers.0.fc", "layers.1"), ("tag", "/Net/Blk.0/Linear", "/Net/Blk.1"))),
        ("add", (("module", "layers.0.fc", "(none)"),)),
        (
            "if",
            (
                ("source", "exported", "aligned"),
                ("origins", "(none)", "layers.0, (root)"),
                ("call", "(none)", "layers.0@1"),
            ),
        ),
        ("main#3", (("module", "(none)", "layers.1"),)),
    ]


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("tag", "x", ("tag", "/Net/Blk.0", "x")),
        ("tag", "/Net/Blk.1", ("tag", "/Net/Blk.0", "/Net/Blk.1")),
        ("tag", None, ("tag", "/Net/Blk.0", "(none)")),
        ("module", "layers.1", ("module", "layers.0", "layers.1")),
        ("source", "root", ("source", "exported", "root")),
        ("origins", "broken", ("origins", "(none)", "broken")),
    ],
)
def test_diff_compares_own_keys_as_they_stand(key: str, value: str | None, said: tuple[str, str, str]) -> None:
    """Torch's keys say the same on both nodes, and must not stand in for the one whose own keys do not hold."""
    models = [chain(("Neg", "n", "a"), ("Abs", "o", "b")).model for _ in range(2)]
    for model in models:
        for node in model.graph.node:
            write_node(node, Tag("layers.0", "/Net/Blk.0", Source.EXPORTED), ())
            node.metadata_props.add(key=TORCH_SCOPES, value=repr(["", "layers.0", "neg"]))
    changed = models[1].graph.node[0]
    remove_key(changed, PREFIX + key)
    if value is not None:
        changed.metadata_props.add(key=PREFIX + key, value=value)
    found = diffing.diff(read_tags(models[0]), read_tags(models[1]))
    assert [(querying.name_of(change.after), change.fields) for change in found.changed] == [("n", (said,))]


def chain(*nodes: tuple[str, str, str]) -> Context:
    """One Net of nodes given as operator, name and output, all in the root."""
    made = [helper.make_node(kind, ["x"], [output], name) for kind, name, output in nodes]
    return tagged(model_of(made), [""] * len(made))


def test_diff_pairs_by_name_then_outputs_then_position() -> None:
    before = chain(("Neg", "n", "a"), ("Abs", "", "b"), ("Exp", "twice", "c"), ("Exp", "twice", "d"), ("Log", "l", "e"))
    after = chain(
        ("Neg", "new", "z"), ("Neg", "n", "a2"), ("Abs", "", "b"), ("Exp", "twice", "c2"), ("Exp", "twice", "d2")
    )
    found = diffing.diff(before, after)
    assert [querying.name_of(op) for op in found.only_before] == ["l"]
    assert [querying.name_of(op) for op in found.only_after] == ["new"]
    assert (found.changed, found.paired) == ([], 4)


def test_diff_does_not_pair_different_operators() -> None:
    found = diffing.diff(chain(("Neg", "n", "a")), chain(("Abs", "n", "a")))
    assert [operator(op.node) for op in (*found.only_before, *found.only_after)] == ["Neg", "Abs"]


def test_diff_of_empty_models() -> None:
    assert not diffing.diff(chain(), chain())
