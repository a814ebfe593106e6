"""Random graphs and maps, tagged, tagged again and stripped: what is promised of all of them."""

from __future__ import annotations

import random
from pathlib import Path

import onnx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from onnx import helper

from onnx_tagger.hierarchy.file import parse_map, read_map, to_json
from onnx_tagger.hierarchy.map import HierarchyMap, Parameter, SavedGraph
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model import metadata
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.workflows import retagging
from onnx_tagger.workflows.checking import check, stats

OPERATORS = ["Neg", "Add", "MatMul", "Reshape", "Constant", "Custom"]
CLASSES = ["Linear", "Blk", "Sequential", "a.b", "x/y", "50%", "Ünï"]
ATTRIBUTES = ["a", "b", "0", "1", "layer", "x/y", "%2F", "ключ"]

many = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


@st.composite
def trees(draw: st.DrawFn) -> HierarchyMap:
    """A map of a random module tree; some modules are containers without a tag."""
    paths = {"": "Net"}
    for _ in range(draw(st.integers(0, 10))):
        parent = draw(st.sampled_from(sorted(paths)))
        name = draw(st.sampled_from(ATTRIBUTES))
        paths.setdefault(f"{parent}.{name}" if parent else name, draw(st.sampled_from(CLASSES)))
    rows = [
        ModuleRow(path, name, tagged=not path or draw(st.integers(0, 5)) > 0, keyed=name == "Sequential")
        for path, name in paths.items()
    ]
    tree = HierarchyMap.from_rows(rows, "a test")
    owners = draw(st.lists(st.sampled_from(sorted(paths)), max_size=3))
    parameters = tuple(
        Parameter(f"{owner}.weight{index}", owner, (2, index), "float32", ("0" * 16, "1" * 16))
        for index, owner in enumerate(owners)
    )
    return HierarchyMap(tree.modules, parameters, None, tree.created_by)


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    """A random acyclic graph, with bodies and a function, whose nodes may carry foreign metadata and doc strings."""
    rng = random.Random(draw(st.integers(0, 10**9)))
    known = ["x", "w"]
    functions = [helper.make_function("d", "F", ["p"], ["q"], random_nodes(rng, ["p"], 2, "f"), [])]
    nodes = random_nodes(rng, known, rng.randrange(8), "n", depth=2)
    model = helper.make_model(
        helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info("x", 1, [2])],
            [helper.make_tensor_value_info(rng.choice(known), 1, [2])],
            [helper.make_tensor("w", 1, [300], [0.5] * 300)],
        ),
        functions=functions,
        ir_version=10,
    )
    if rng.random() < 0.5:
        model.metadata_props.add(key="foreign", value="value")
    return model


def random_nodes(rng: random.Random, known: list[str], count: int, prefix: str, depth: int = 0) -> list[onnx.NodeProto]:
    nodes = []
    for index in range(count):
        output = f"{prefix}{index}" if rng.random() < 0.9 else ""
        call = prefix != "f" and rng.random() < 0.1
        node = helper.make_node(
            "F" if call else rng.choice(OPERATORS),
            [rng.choice([*known, ""]) for _ in range(rng.randrange(3))],
            [output],
            name=rng.choice(["", f"{prefix}_{index}", "twice"]),
            domain="d" if call else "",
        )
        if depth and rng.random() < 0.3:
            inner = random_nodes(rng, list(known), 2, f"{prefix}{index}_", depth - 1)
            node.attribute.append(helper.make_attribute("body", helper.make_graph(inner, "b", [], [])))
        for key in ("namespace", "layer_ann", "winml.hierarchy.tag", "k", "pkg.torch.onnx.stack_trace"):
            if rng.random() < 0.2:
                node.metadata_props.add(key=key, value=rng.choice(["", "v", "/Net/Blk.a/", "Net"]))
        if rng.random() < 0.2:
            node.doc_string = rng.choice(["", "text", "onnx_tagger", "a\nb"])
        nodes.append(node)
        known += [output] * bool(output)
    return nodes


def with_graph(tree: HierarchyMap, model: onnx.ModelProto, rng: random.Random) -> HierarchyMap:
    """The map of an export of this very model: each node from a random module, or unknown."""
    tagged = [module.path for module in tree.modules if module.tag is not None]
    tags: list[Tag | None] = []
    for _ in walk(model).ops:
        origins = rng.sample(tagged, rng.randrange(min(3, len(tagged)) + 1))
        tags.append(tree.tag(rng.choice(tagged), Source.EXPORTED, origins) if rng.random() < 0.8 else None)
    graph = SavedGraph.of(walk(model), tags)
    return HierarchyMap(tree.modules, tree.parameters, graph, tree.created_by)


def foreign(model: onnx.ModelProto) -> bytes:
    """A model without what we wrote."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    also = metadata.also_of(bare)
    for op in walk(bare).ops:
        metadata.clear_node(op.node, also)
    metadata.clear_model(bare)
    return bytes(bare.SerializeToString(deterministic=True))


@many
@given(
    model=models(), tree=trees(), seed=st.integers(0, 10**9), also=st.sets(st.sampled_from(sorted(metadata.DIALECTS)))
)
def test_retag_and_strip(model: onnx.ModelProto, tree: HierarchyMap, seed: int, also: set[str], tmp_path: Path) -> None:
    full = with_graph(tree, model, random.Random(seed))
    source, out, again, bare = (tmp_path / f"{name}.onnx" for name in ("m", "out", "again", "bare"))
    source.write_bytes(model.SerializeToString())
    report = retagging.retag(source, full, out, also=also, force=True, verify_passes=True, verify_bytes=True)

    # What is not ours stays as it is, and strip gives all of it back, byte for byte.
    assert foreign(onnx.load(out)) == foreign(model)
    retagging.strip(out, bare, verify_bytes=True)
    assert bare.read_bytes() == source.read_bytes()

    # To tag again changes nothing; without a map, the file's own tags are its map.
    retagging.retag(out, full, again, force=True)
    assert again.read_bytes() == out.read_bytes()
    if report.tagged:
        own = retagging.retag(out, None, again)
        assert own.tags == report.tags
        assert own.by_source == report.by_source

    # Counts add up, and every command gives the same.
    assert report.tagged == sum(report.by_source.values()) == sum(report.tags.values())
    assert report.nodes == sum(report.by_graph.values()) == report.tagged + len(report.untagged)
    seen = stats(out, full)
    judged = check(out, full, min_coverage=0, max_root=report.nodes, allow_forced=True)
    assert judged.ok, judged.failures
    for other in (seen, judged):
        assert (other.nodes, other.tagged, other.tags) == (report.nodes, report.tagged, report.tags)
    assert set(report.tags) <= {module.tag for module in tree.modules}


@many
@given(model=models(), tree=trees(), seed=st.integers(0, 10**9), packed=st.booleans())
def test_maps_read_back(model: onnx.ModelProto, tree: HierarchyMap, seed: int, packed: bool, tmp_path: Path) -> None:
    full = with_graph(tree, model, random.Random(seed))
    path = tmp_path / f"m.hierarchy.json{'.gz' if packed else ''}"
    digest = full.save(path)
    found = read_map(path)
    assert found == full
    assert found.digest == digest
    assert to_json(found) == to_json(full)
    assert parse_map(to_json(full), "here") == full


@pytest.mark.parametrize("name", ["modules", "parameters"])
def test_a_map_without(name: str) -> None:
    """What the strategies above may leave empty is read, too."""
    tree = HierarchyMap.from_rows([ModuleRow("", "Net")])
    assert getattr(parse_map(to_json(tree), "here"), name) == getattr(tree, name)
