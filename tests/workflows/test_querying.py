"""What `tree`, `nodes`, `show` and `diff` find out about small models whose tags are set by hand."""

import pytest
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import Op
from onnx_tagger.model.metadata import TORCH_STACK, Source
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows import querying

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


def names(ops: list[Op]) -> list[str]:
    return [querying.name_of(op) for op in ops]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mul", ["main#0"]),
        ("main#3", ["main#3"]),
        ("main#3 Relu", ["main#3"]),
        ("main/If_2.else_branch#0", ["main/If_2.else_branch#0"]),
        ("y", ["main#3"]),
        ("inner", ["main/If_2.then_branch#0", "main/If_2.else_branch#0"]),
    ],
)
def test_find_nodes(ctx: Context, text: str, found: list[str]) -> None:
    assert sorted(map(querying.id_of, querying.find_nodes(ctx, text))) == sorted(found)


@pytest.mark.parametrize(("text", "advice"), [("mull", "did you mean 'mul'"), ("main#3 Add", "see"), ("", "see")])
def test_an_unknown_node_is_an_error(ctx: Context, text: str, advice: str) -> None:
    with pytest.raises(TaggerError, match=advice):
        querying.find_nodes(ctx, text)


def test_a_name_wins_over_an_id(ctx: Context) -> None:
    ctx.ops[0].node.name = "main#3"
    assert [op.index for op in querying.find_nodes(ctx, "main#3")] == [0]


def test_neighbours(ctx: Context) -> None:
    mul, add, _, inner, *_ = ctx.ops
    assert querying.inputs_of(ctx, mul) == [
        querying.Neighbour("x", "input of main"),
        querying.Neighbour("w", "initializer"),
    ]
    assert querying.inputs_of(ctx, add) == [
        querying.Neighbour("m", "mul Mul", "layers.0.fc"),
        querying.Neighbour("nowhere", "nothing makes it"),
    ]
    assert querying.outputs_of(ctx, add) == [
        querying.Neighbour("a", "inner Abs", "layers.10"),  # make_node sorts the bodies by name
        querying.Neighbour("a", "inner Neg", "layers.10"),
    ]
    assert querying.outputs_of(ctx, inner) == [
        querying.Neighbour("out", f"output of {inner.scope.name}, a body of if If"),
    ]
    assert querying.outputs_of(ctx, ctx.ops[-1]) == [querying.Neighbour("y", "output of main")]


def test_an_output_that_nothing_reads_is_listed() -> None:
    ctx = tagged(model_of([helper.make_node("Split", ["x"], ["y", "", "spare"])]), [None])
    assert querying.outputs_of(ctx, ctx.ops[0]) == [
        querying.Neighbour("y", "output of main"),
        querying.Neighbour("spare", "nothing reads it"),
    ]


def test_code_line(ctx: Context) -> None:
    op = ctx.ops[0]
    assert querying.code_line(op) == ""
    op.node.doc_string = "/a/b.py:3\nonnx_tagger:layers.0\n"
    assert querying.code_line(op) == "/a/b.py:3"
    op.node.metadata_props.add(key=TORCH_STACK, value='File "m.py", line 3, in forward\n    return a * b\n')
    assert querying.code_line(op) == 'File "m.py", line 3, in forward: return a * b'


@pytest.mark.parametrize(
    ("text", "code", "doc"),
    [
        ("fused Matmul and Add ", "", "fused Matmul and Add"),
        ("fused LayerNorm subgraphs ", "", "fused LayerNorm subgraphs"),
        ("Added by (1): me", "", "Added by (1): me"),
        ("onnx_tagger:layers.0\n", "", ""),
        ("onnx_tagger:layers.0\nfused Add and Gelu", "", "fused Add and Gelu"),
        ("net.py(12): forward\n/lib/torch/nn/modules/module.py(1768): _slow_forward\n", "net.py(12): forward", ""),
        ("<string>(5): forward\nrun.py(3): <module>", "<string>(5): forward", ""),
        ('File "/a/net.py", line 12, in forward', 'File "/a/net.py", line 12, in forward', ""),
        ("see net.py for details", "", "see net.py for details"),
    ],
)
def test_a_doc_string_is_code_only_where_it_names_a_place_in_python(
    ctx: Context, text: str, code: str, doc: str
) -> None:
    op = ctx.ops[0]
    op.node.doc_string = text
    assert (querying.code_line(op), querying.doc_line(op)) == (code, doc)


def test_names_that_are_no_text_are_refused() -> None:
    """Protobuf gives bytes for what is not UTF-8."""
    data = net().SerializeToString().replace(b"mul", b"m\xffl")
    with pytest.raises(FileFormatError, match="main#0 Mul: its name or type is no valid UTF-8"):
        tagged(ModelProto.FromString(data), ["layers.0"] + [None] * 5)
