"""What `tree`, `nodes`, `show` and `diff` find out about small models whose tags are set by hand."""

import pytest
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import Op, operator
from onnx_tagger.model.metadata import PREFIX, TORCH_SCOPES, TORCH_STACK, Source, Tag, remove_key, write_node
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


def names(ops: list[Op]) -> list[str]:
    return [querying.name_of(op) for op in ops]


def outline(top: querying.Branch) -> list[tuple[int, str, str | None, int, int]]:
    return [(depth, b.segment, b.path, b.own, b.total) for depth, b in top.below()][1:]


def test_module_tree_counts_own_and_all_below(ctx: Context) -> None:
    assert outline(querying.module_tree(ctx)) == [
        (1, "Net", "(root)", 0, 5),
        (2, "Blk.0", "layers.0", 1, 3),
        (3, "Linear", "layers.0.fc", 2, 2),
        (2, "Blk.10", "layers.10", 2, 2),
        (2, "Blk.1", "layers.1", 0, 0),
    ]


def test_a_captured_map_gives_the_order_of_the_tree() -> None:
    modules = (Module("", "Net", "/Net", None, 0), Module("b", "B", "/Net/B", "", 2), Module("a", "A", "/Net/A", "", 1))
    ctx = tagged(net(), ["a", "b", None, None, None, None], HierarchyMap(modules))
    assert [row[1] for row in outline(querying.module_tree(ctx))] == ["Net", "B", "A"]


def test_module_tree_names_levels_whose_path_the_file_does_not_tell() -> None:
    modules = (Module("", "Net", "/Net", None), Module("enc.layer.0", "Blk", "/Net/Enc/Blk.0", ""))
    ctx = tagged(net(), ["enc.layer.0"] + [None] * 5, HierarchyMap(modules))
    assert outline(querying.module_tree(ctx))[1:] == [
        (2, "Enc", None, 0, 1),
        (3, "Blk.0", "enc.layer.0", 1, 1),
    ]


def test_module_tree_leaves_uncalled_functions_out() -> None:
    dead = helper.make_function("d", "dead", ["p"], ["q"], [helper.make_node("Neg", ["p"], ["q"])], [])
    ctx = tagged(model_of([helper.make_node("Relu", ["x"], ["y"])], [dead]), ["layers.1", "layers.1"])
    assert outline(querying.module_tree(ctx))[0] == (1, "Net", "(root)", 0, 1)


def test_a_very_deep_tag_costs_no_more_than_its_length() -> None:
    tag = "/" + "/".join(["A"] * 50_000)
    ctx = tagged(net(), [None] * 6)
    ctx.tags[ctx.ops[0]] = Tag("a", tag, Source.EXPORTED)
    assert max(depth for depth, _ in querying.module_tree(ctx).below()) == 50_000


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("layers.0", ["mul", "add", "if"]),
        ("/Net/Blk.0", ["mul", "add", "if"]),
        ("/Net/Blk.0/", ["mul", "add", "if"]),
        ("layers.1", []),
        ("layers", ["mul", "add", "if", "inner", "inner"]),
        ("", ["mul", "add", "if", "inner", "inner"]),
        (None, ["mul", "add", "if", "inner", "inner", "main#3"]),
    ],
)
def test_nodes_under(ctx: Context, path: str | None, found: list[str]) -> None:
    assert names(querying.nodes_under(ctx, path)) == found


def test_nodes_under_knows_aliases_and_origins() -> None:
    modules = (
        Module("", "Net", "/Net", None),
        Module("a", "A", "/Net/A", "", aliases=("tied",)),
        Module("b", "B", "/Net/B", ""),
    )
    ctx = tagged(net(), [None] * 6, HierarchyMap(modules))
    ctx.tags[ctx.ops[0]] = Tag("", "/Net", Source.ALIGNED, ("a", "b"))
    assert names(querying.nodes_under(ctx, "tied")) == ["mul"]
    assert names(querying.nodes_under(ctx, "/Net/B")) == ["mul"]


def test_nodes_of_an_operator(ctx: Context) -> None:
    ctx.ops[0].node.domain = "my.ops"
    assert names(querying.nodes_under(ctx, None, ["Mul", "Relu"])) == ["mul", "main#3"]
    assert names(querying.nodes_under(ctx, "layers.0", ["my.ops::Mul"])) == ["mul"]


def test_an_unknown_module_is_answered_with_similar_ones(ctx: Context) -> None:
    with pytest.raises(TaggerError, match=r"'layer\.0\.fc'.*did you mean 'layers\.0\.fc'"):
        querying.nodes_under(ctx, "layer.0.fc")
    with pytest.raises(TaggerError, match="'zzzzzz': see onnx-tagger tree"):
        querying.nodes_under(ctx, "zzzzzz")


def test_close_matches_in_a_large_file_stay_quick() -> None:
    pool = [f"layer.{number}.attention.query" for number in range(60_000)]
    assert querying.close_matches("layer.7.atention.query", pool)[0].endswith("query")
    assert querying.close_matches("", pool) == []


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
