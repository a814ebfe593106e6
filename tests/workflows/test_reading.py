"""Reading tags in Python: any kind of source, modules, rows, tables, the graph, and what is wrong with a question."""

import io
from pathlib import Path

import networkx as nx
import onnx
import pytest
from onnx import TensorProto, helper

import onnx_tagger as ot
from onnx_tagger.errors import MapError, TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.model.metadata import Source, Tag, write_node
from onnx_tagger.workflows.reading import COLUMNS, Node, Tagged, read

BLOCKS = {number: Tag(f"layers.{number}", f"/Net/Blk.{number}", Source.EXPORTED) for number in range(2)}
FUSED = Tag("", "/Net", Source.ALIGNED, ("layers.0.fc", "layers.1"), ("layers.1@1",))


def model() -> onnx.ModelProto:
    """Mul in layer 1, though it stands first, Add in layer 0, a fused Gemm, an If with a body in layer 1, a Relu."""
    inner = helper.make_graph(
        [helper.make_node("Neg", ["c"], ["o"], "inner")],
        "body",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, [1])],
    )
    nodes = [
        helper.make_node("Mul", ["w", "w"], ["m"], "mul"),
        helper.make_node("Add", ["x", "w"], ["a"], "add"),
        helper.make_node("FusedGemm", ["a", "m"], ["c"], "gemm", domain="com.microsoft"),
        helper.make_node("If", ["k"], ["i"], "if", then_branch=inner),
        helper.make_node("Relu", ["i"], ["y"]),
    ]
    for node, tag in zip((*nodes[:4], inner.node[0]), (BLOCKS[1], BLOCKS[0], FUSED, BLOCKS[1], BLOCKS[1]), strict=True):
        write_node(node if node is not inner.node[0] else nodes[3].attribute[0].g.node[0], tag, ())
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xky"]
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0] * 4)
    return helper.make_model(helper.make_graph(nodes, "g", ends[:2], ends[2:], [weight]))


@pytest.fixture(name="tagged")
def _tagged() -> Tagged:
    return read(model())


def names(rows: list[Node]) -> list[str]:
    return [row.name or row.id for row in rows]


def test_every_kind_of_source_says_the_same(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(), path)
    data = path.read_bytes()
    with path.open("rb") as stream:
        sources = [model(), path, str(path), data, bytearray(data), memoryview(data), io.BytesIO(data), stream]
        found = [read(source) for source in sources]
    assert all(one.nodes() == found[0].nodes() for one in found)
    assert str(path) in repr(found[1])
    assert str(path) in repr(found[-1])


def test_a_stream_that_gives_bytes_in_pieces() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 7) if size and size > 0 else size)

    assert read(Slow(model().SerializeToString())).nodes() == read(model()).nodes()


@pytest.mark.parametrize("source", [None, 3, object(), io.StringIO("text"), [model]])
def test_what_is_no_model_is_refused_in_a_sentence(source: object) -> None:
    with pytest.raises(TaggerError, match=r"give a path, bytes, a ModelProto or a binary stream|is a stream of text"):
        read(source)  # type: ignore[arg-type]


def test_modules_and_those_around_them(tagged: Tagged) -> None:
    # By the data flow, layer 0 runs first; layer 1's Mul of weights stands before it in the file.
    assert [module.path for module in tagged.modules] == ["", "layers", "layers.0", "layers.0.fc", "layers.1"]
    assert tagged["layers.1"].cls == "Blk"
    assert tagged["layers.1"].parent is tagged["layers"]
    with pytest.raises(KeyError, match=r"did you mean 'layers\.1'"):
        tagged["layer.1"]


def test_a_map_adds_classes_order_and_modules_without_nodes() -> None:
    modules = (
        Module("", "Net", "/Net", None, 0, 1),
        Module("layers", "ModuleList", None, ""),
        Module("layers.0", "Blk", "/Net/Blk.0", "layers", 3, 1),
        Module("layers.0.fc", "Linear", "/Net/Blk.0/Linear", "layers.0", 4, 1),
        Module("layers.1", "Blk", "/Net/Blk.1", "layers", 1, 2),
        Module("drop", "Dropout", "/Net/Dropout", "", 5, 1),
    )
    tagged = read(model(), map=HierarchyMap(modules))
    assert [m.path for m in tagged.modules] == ["", "layers", "layers.1", "layers.0", "layers.0.fc", "drop"]
    assert tagged["layers.1"].calls == 2
    assert tagged.table()["drop"].total == {"nodes": 0, "fused": 0}


def test_a_map_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="no such map"):
        read(model(), map=tmp_path / "none.hierarchy.json")


def test_a_row_holds_all_that_is_known(tagged: Tagged) -> None:
    assert tagged.nodes()[2] == Node(
        id="main#2",
        name="gemm",
        op="FusedGemm",
        domain="com.microsoft",
        module="",
        tag="/Net",
        call=("layers.1@1",),
        source="aligned",
        origins=("layers.0.fc", "layers.1"),
        inputs=("a", "m"),
        outputs=("c",),
        scope="main",
    )
    last = tagged.nodes()[-1]
    assert (last.id, last.module, last.tag, last.source, last.shown) == ("main#4", None, None, None, "(none)")
    assert [row.scope for row in tagged.nodes()].count("main/If_3.then_branch") == 1


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ({}, ["mul", "add", "gemm", "if", "inner", "main#4"]),
        ({"under": "layers.1"}, ["mul", "gemm", "if", "inner"]),
        ({"under": "layers.1", "origin": False}, ["mul", "if", "inner"]),
        ({"under": "<Blk>", "op": "Add"}, ["add"]),
        ({"under": ["layers.0", "layers.1"], "source": "exported"}, ["mul", "add", "if", "inner"]),
        ({"under": "layers.*.fc"}, ["gemm"]),
        ({"op": ["Add", "com.microsoft::FusedGemm"]}, ["add", "gemm"]),
        ({"op": "FusedGemm"}, ["gemm"]),
        ({"op": "Conv"}, []),
        ({"op": "com.microsoft::Attention"}, []),
        ({"source": ("aligned", "matched")}, ["gemm"]),
        ({"untagged": True}, ["main#4"]),
        ({"untagged": True, "under": ""}, []),
    ],
)
def test_questions(tagged: Tagged, question: dict[str, object], found: list[str]) -> None:
    assert names(tagged.nodes(**question)) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"op": "Rleu"}, "no node has the operator 'Rleu': did you mean 'Relu'"),
        ({"op": "Cnov"}, "did you mean 'Conv'"),
        ({"source": "alligned"}, "no tag has the source 'alligned': did you mean 'aligned'"),
        ({"under": "layers.2"}, r"did you mean 'layers\.\d'"),
        ({"under": "<Block>"}, "no class is named 'Block', did you mean 'Blk'|see onnx-tagger tree"),
    ],
)
def test_mistaken_questions_are_answered_with_similar_words(
    tagged: Tagged, question: dict[str, object], said: str
) -> None:
    with pytest.raises(TaggerError, match=said):
        tagged.nodes(**question)  # type: ignore[arg-type]


def test_a_table_of_named_measures_and_of_ones_own(tagged: Tagged) -> None:
    count = len(tagged.measured.ops)
    table = tagged.table(["nodes", "weights", Measure(Column("time", "µs"), [2.0] * count)])
    assert [column.name for column in table.columns] == ["nodes", "weights", "time"]
    assert table["layers.1"].total == {"nodes": 3, "weights": 8, "time": 6}
    assert table.whole == {"nodes": 6, "weights": 16, "time": 12}
    assert table.untagged["nodes"] == 1
    assert tagged.table(["nodes"], fused="shared")["layers.1"].total["nodes"] == 3.5
    with pytest.raises(TaggerError, match="no measure is named 'node'"):
        tagged.table(["node"])


def test_functions_that_are_never_called_do_not_count() -> None:
    proto = model()
    dead = helper.make_function("d", "dead", ["p"], ["q"], [helper.make_node("Neg", ["p"], ["q"])], [])
    proto.functions.append(dead)
    tagged = read(proto)
    assert len(tagged.nodes()) == 7
    assert tagged.table(["nodes"]).whole == {"nodes": 6}


def test_the_graph_carries_the_rows(tagged: Tagged) -> None:
    graph = tagged.graph
    assert isinstance(graph, nx.DiGraph)
    assert graph.nodes[2]["name"] == "gemm"
    assert set(graph.nodes[2]) == set(COLUMNS)
    assert graph.edges[1, 2]["tensor"] == "a"
    graph.remove_node(2)
    assert 2 in tagged.graph, "a copy, not the analysis itself"


def test_a_data_frame(tagged: Tagged) -> None:
    pd = pytest.importorskip("pandas")
    frame = tagged.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == list(COLUMNS)
    assert frame[frame.module == "layers.1"].op.tolist() == ["Mul", "If", "Neg"]


def test_a_data_frame_needs_pandas(tagged: Tagged, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ot.TaggerError, match="pip install pandas"):
        tagged.to_pandas()


def test_a_file_without_tags_has_a_root_and_untagged_nodes() -> None:
    tagged = read(helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], [])))
    assert [module.path for module in tagged.modules] == [""]
    assert (tagged.table(["nodes"]).untagged, tagged.table(["nodes"]).whole) == ({"nodes": 1}, {"nodes": 1})
    assert "0.0 % of 1 nodes tagged" in repr(tagged)


def test_one_node_by_hand() -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    assert ot.tag_of(node) is None
    ot.write_tag(node, BLOCKS[0])
    node.metadata_props.add(key="theirs", value="1")
    ot.write_tag(node, BLOCKS[1])
    assert ot.tag_of(node) == BLOCKS[1]
    assert [entry.key for entry in node.metadata_props].count(ot.keys.TAG) == 1
    assert {entry.key: entry.value for entry in node.metadata_props}["theirs"] == "1"
    with pytest.raises(TaggerError, match="does not fit its module"):
        ot.write_tag(node, Tag("layers.1", "/Net/Blk.0", Source.EXPORTED))
    next(entry for entry in node.metadata_props if entry.key == ot.keys.TAG).value = "no tag"
    assert ot.tag_of(node) is None


def test_reprs_are_short_and_notebooks_get_a_table(tagged: Tagged) -> None:
    assert all(len(repr(value)) < 300 for value in (tagged, *tagged.nodes()))
    assert "<table>" in tagged._repr_html_()
