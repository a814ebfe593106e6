"""Whether a map is of a file's model: what is refused by which evidence, what passes, and what is said of a part."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import onnx_tagger as ot
from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.digest import value_digests
from onnx_tagger.hierarchy.map import Parameter, SavedGraph
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.sketch import sketch_of
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import FORCED, MAP, Source, own_tag, props_of
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.checking import load_map
from onnx_tagger.workflows.kinship.judging import Judge

# Weights so large stay in the file when its skeleton is read.
SIZE = 32


def weight(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal((SIZE, SIZE)).astype(np.float32)


def chain(layers: int, *, seed: int = 0, prefix: str = "layer") -> onnx.ModelProto:
    """Layers of MatMul and Relu, each with a weight of its own; tensors are numbered as fx does."""
    nodes, last = [], "x"
    for at in range(layers):
        nodes.append(helper.make_node("MatMul", [last, f"{prefix}{at}.weight"], [f"linear_{at}"], f"node_{at}"))
        nodes.append(helper.make_node("Relu", [f"linear_{at}"], [f"relu_{at}"], f"node_relu_{at}"))
        last = f"relu_{at}"
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, SIZE]) for name in ("x", last))
    weights = [numpy_helper.from_array(weight(seed + at), f"{prefix}{at}.weight") for at in range(layers)]
    graph = helper.make_graph(nodes, "chain", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def map_of(made: onnx.ModelProto) -> ot.HierarchyMap:
    """The map that an export of `chain` would have."""
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    paths = {name: name.removesuffix(".weight") for name in stored}
    tree = ot.HierarchyMap.from_rows([ModuleRow("", "Net"), *(ModuleRow(path, "Layer") for path in paths.values())])
    parameters = tuple(
        Parameter(name, paths[name], values.shape, "float32", value_digests(values), sketch_of(values.T))
        for name, values in stored.items()
    )
    owners = [path for path in paths.values() for _ in range(2)]
    tags = [tree.tag(path, Source.EXPORTED) for path in owners]
    return ot.HierarchyMap(tree.modules, parameters, SavedGraph.of(walk(made), tags))


def renamed(made: onnx.ModelProto) -> onnx.ModelProto:
    """Every node, tensor and weight called otherwise."""
    names = {name: f"t{at}" for at, name in enumerate(sorted({n for node in made.graph.node for n in node.output}))}
    names |= {tensor.name: f"w{at}" for at, tensor in enumerate(made.graph.initializer)}
    for node in made.graph.node:
        node.name = ""
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    for value in (*made.graph.initializer, *made.graph.output):
        value.name = names[value.name]
    return made


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def retag(made: onnx.ModelProto, tree: ot.HierarchyMap, **options: bool) -> ot.Report:
    onnx.save(made, "file.onnx")
    return ot.retag("file.onnx", tree, "out.onnx", **options)  # type: ignore[arg-type]


def judged(made: onnx.ModelProto, tree: ot.HierarchyMap) -> Judge:
    judge = Judge(Context(made, tree, values=lambda name: None), tree)
    judge.verdict()
    return judge


def test_names_that_any_export_has_and_other_weights_are_no_kin() -> None:
    """What a quantiser and a dynamo export name alike once passed any map as its own."""
    other = map_of(chain(6, seed=50, prefix="block"))
    with pytest.raises(MapError, match="the weights of another seed or training") as refused:
        retag(chain(4), other)
    assert "file.onnx: " in str(refused.value)
    assert "the map knows 0 of 4 weights that were compared" in str(refused.value)
    assert not Path("out.onnx").exists()
    made = chain(4)
    for node in made.graph.node:
        node.op_type = node.op_type.replace("Relu", "Tanh")
    with pytest.raises(MapError, match="the file is of another model than the map"):
        retag(made, map_of(chain(9, seed=50, prefix="block")))


def test_what_is_forced_is_marked_until_it_is_stripped_or_tagged_from_the_right_map() -> None:
    other = map_of(chain(4, seed=50, prefix="block"))
    report = retag(chain(4), other, force=True)
    assert report.kinship is not None
    assert report.kinship["verdict"] == "doubt"
    checked = ot.check("out.onnx", other)
    (failure,) = checked.failures
    assert failure.startswith("the tags rest on a map that was taken with --force, although the file has the arch")
    assert not checked.ok
    allowed = ot.check("out.onnx", other, allow_forced=True)
    assert allowed.ok
    assert allowed.fallbacks == [failure]
    # A file that a tool makes of it has the same tags, and is marked as well.
    ot.carry("out.onnx", "carried.onnx", lambda model: None)
    assert ot.check("carried.onnx").failures == [failure]
    ot.strip("out.onnx", "stripped.onnx")
    assert Path("stripped.onnx").read_bytes() == Path("file.onnx").read_bytes()
    with pytest.raises(MapError):
        ot.retag("out.onnx", other, "again.onnx")
    ot.retag("out.onnx", map_of(chain(4)), "right.onnx")
    assert ot.check("right.onnx").ok


def test_what_is_forced_needs_no_mark_if_the_map_is_right() -> None:
    retag(chain(4), map_of(chain(4)), force=True)
    assert ot.check("out.onnx").ok


def test_weights_alone_are_enough() -> None:
    made, tree = renamed(chain(4)), map_of(chain(4))
    report = retag(made, tree)
    assert report.coverage == 100
    assert report.kinship is not None
    assert report.kinship["verdict"] == "kin"
    assert report.as_dict()["kinship"] == report.kinship
    with pytest.raises(MapError, match="cannot be told"):
        retag(made, tree, values=False)


def test_zeros_and_ones_prove_nothing() -> None:
    flat = chain(4)
    for at, tensor in enumerate(flat.graph.initializer):
        tensor.CopyFrom(numpy_helper.from_array(np.full((SIZE, SIZE), at % 2, np.float32), tensor.name))
    assert judged(renamed(flat), map_of(flat)).weights() is None


def test_few_weights_are_read_where_those_are_plainly_the_map_s() -> None:
    tree, read = map_of(chain(40)), []
    made = chain(40)
    held = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    for tensor in made.graph.initializer:
        tensor.ClearField("raw_data")

    def values(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        read.append(name)
        return held[name]

    judge = Judge(Context(made, tree, values=values), tree)
    assert judge.verdict().verdict == "kin"
    assert len(read) <= 6


def test_a_file_that_names_another_map_is_not_taken_in_silence() -> None:
    made, tree = chain(4), replace(map_of(chain(4)), digest="0" * 32)
    made.metadata_props.add(key=MAP, value="f" * 32)
    notes = retag(made, tree).fallbacks
    assert notes == [
        f"the file carries the digest of another map ({'f' * 32}) and was tagged from this one, "
        "by what both have in common"
    ]
    bare = replace(tree, parameters=())
    with pytest.raises(MapError, match="the file carries the digest of another map"):
        retag(made, bare)


def test_the_digest_of_the_map_is_enough_unless_it_was_forced() -> None:
    made, tree = renamed(chain(4)), replace(map_of(chain(4)), digest="0" * 32, parameters=())
    made.metadata_props.add(key=MAP, value="0" * 32)
    report = retag(made, tree)
    assert report.kinship is not None
    assert report.kinship["evidence"] == [
        {"kind": "lineage", "says": "the file carries the digest of this map", "bits": 20.0}
    ]
    made.metadata_props.add(key=FORCED, value="the map is another model's")
    assert judged(made, tree).verdict().verdict == "doubt"


def test_a_quantised_file_needs_no_weight_that_is_known() -> None:
    made, tree = chain(4), map_of(chain(4))
    del made.graph.initializer[:]
    for at, node in enumerate(made.graph.node[::2]):
        made.graph.initializer.append(
            numpy_helper.from_array(np.round(30 * weight(at)).astype(np.int8), f"rounded{at}")
        )
        node.op_type, node.input[1] = "MatMulInteger", f"rounded{at}"
    assert retag(made, tree).coverage == 100


def test_a_map_of_an_older_export_says_which_part_it_knows() -> None:
    report = retag(chain(4), map_of(chain(3)))
    assert report.coverage == 100
    (note,) = (text for text in report.fallbacks if text.startswith("the map knows"))
    assert note == (
        "the map knows 3 of 4 weights that were compared (3 the same values), not layer3.weight: it may be of another "
        "version of this model; 2 of 8 nodes were tagged by their neighbours alone"
    )


def test_nothing_is_said_where_the_map_speaks_for_all() -> None:
    assert not retag(chain(4), map_of(chain(4))).fallbacks
    assert not retag(chain(3), map_of(chain(4))).fallbacks


def test_a_tagged_file_knows_its_weights_by_value() -> None:
    onnx.save(chain(4), "bare.onnx")
    ot.retag("bare.onnx", map_of(chain(4)), "tagged.onnx")
    onnx.save(renamed(chain(4)), "file.onnx")
    assert ot.retag("file.onnx", "tagged.onnx", "out.onnx").coverage == 100
    found = [own_tag(props_of(node)) for node in onnx.load("out.onnx").graph.node]
    assert [tag.module for tag in found if tag is not None][::2] == [f"layer{at}" for at in range(4)]
    with pytest.raises(MapError, match="cannot be told"):
        ot.retag("file.onnx", "tagged.onnx", "out.onnx", values=False)


def test_weights_of_a_tagged_file_are_owned_by_who_reads_them() -> None:
    made = chain(4)
    made.graph.node[4].input[1] = made.graph.node[6].input[1]
    onnx.save(made, "bare.onnx")
    ot.retag("bare.onnx", map_of(chain(4)), "tagged.onnx")
    assert load_map("tagged.onnx").parameters == ()
    assert load_map("tagged.onnx", beside=made).parameters == ()
    tree = load_map("tagged.onnx", beside=renamed(chain(4)))
    known = {parameter.name: parameter.owner for parameter in tree.parameters}
    assert known == {"layer0.weight": "layer0", "layer1.weight": "layer1"}
    assert tree.graph is not None
    assert tree.graph.initializers["layer3.weight"] == ("layer2", "layer3")
    exported = (replace(p, sketch="") for p in map_of(chain(4)).parameters)
    assert tree.parameters == tuple(p for p in exported if p.name in known)


def test_a_file_that_torch_tagged_is_a_map_with_its_graph() -> None:
    made = chain(2)
    for at, node in enumerate(made.graph.node):
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=repr(["", f"layer{at // 2}", "op"]))
        node.metadata_props.add(key="pkg.torch.onnx.class_hierarchy", value=repr(["m.Net", "m.Layer", "aten.op"]))
    onnx.save(made, "torch.onnx")
    tree = load_map("torch.onnx")
    assert tree.graph is not None
    assert [node.tag.module for node in tree.graph.nodes if node.tag is not None] == ["layer0"] * 2 + ["layer1"] * 2

    def wipe(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            del node.metadata_props[:]
            node.name = ""

    assert ot.carry("torch.onnx", "out.onnx", wipe).by_source["matched"] == 4


def test_a_renamed_file_with_nearly_everything_folded_is_known_by_what_is_left(tmp_path: Path) -> None:
    """Of a convolutional network that TorchScript folded, one weight in many is as it was."""
    torch.manual_seed(0)
    blocks = [layer for _ in range(8) for layer in (nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())]
    model = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(64, 5)).eval()
    with torch.no_grad():
        for parameter in (*model.parameters(), *model.buffers()):
            if parameter.is_floating_point():
                parameter.add_(torch.rand_like(parameter))
    x = (torch.randn(1, 4, 4, 4),)
    ot.export(model, x, tmp_path / "m.onnx", strategy="htp", tag=False)
    wiped = onnx.load(tmp_path / "m.onnx")
    names = {tensor.name: f"w{i}" for i, tensor in enumerate(wiped.graph.initializer)}
    for tensor in wiped.graph.initializer:
        tensor.name = names[tensor.name]
    for i, node in enumerate(wiped.graph.node):
        node.name = f"n{i}"
        node.input[:] = [names.get(name, name) for name in node.input]
    onnx.save(wiped, tmp_path / "w.onnx")
    report = ot.retag(tmp_path / "w.onnx", ot.capture(model, x), tmp_path / "t.onnx")
    assert report.coverage == 100
    assert report.by_source["root"] == 0
