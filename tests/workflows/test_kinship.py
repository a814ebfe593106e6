"""Whether a map is of a file's model: what is refused with which shares, what passes, and what is said of a part."""

from __future__ import annotations

import re
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
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Source, own_tag, props_of
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.checking import load_map
from onnx_tagger.workflows.kinship import Kinship

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
        Parameter(name, paths[name], values.shape, "float32", value_digests(values)) for name, values in stored.items()
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


def test_another_model_of_the_same_tensor_names_is_refused_with_both_shares() -> None:
    other = map_of(chain(6, seed=50, prefix="block"))
    sentence = "file.onnx: the map knows 100 % of its 8 tensors and 0 % of its 4 weights, so it is another model's"
    made = chain(4)
    for node in made.graph.node:
        node.op_type = node.op_type.replace("Relu", "Tanh")
    with pytest.raises(MapError, match=re.escape(sentence)):
        retag(made, other)
    assert not Path("out.onnx").exists()
    assert retag(made, other, force=True).nodes == 8


def test_weights_alone_are_enough() -> None:
    made, tree = renamed(chain(4)), map_of(chain(4))
    assert retag(made, tree).coverage == 100
    with pytest.raises(MapError, match="knows 0 % of its 8 tensors and 0 % of its 4 weights"):
        retag(made, tree, values=False)


def test_zeros_and_ones_prove_nothing() -> None:
    flat = chain(4)
    for at, tensor in enumerate(flat.graph.initializer):
        tensor.CopyFrom(numpy_helper.from_array(np.full((SIZE, SIZE), at % 2, np.float32), tensor.name))
    tree = map_of(flat)
    ctx = Context(renamed(flat), tree)
    assert Kinship(ctx, tree).weights == ()


def test_weights_are_read_only_if_the_rest_does_not_tell() -> None:
    tree, read = map_of(chain(4)), []
    made = chain(4)
    for tensor in made.graph.initializer:
        tensor.name += "_renamed"
        tensor.ClearField("raw_data")
    for node in made.graph.node[::2]:
        node.input[1] += "_renamed"
    assert Kinship(Context(made, tree, values=lambda name: read.append(name)), tree).close
    assert read == []
    for node in made.graph.node:
        node.op_type = "Tanh"
    assert not Kinship(Context(made, tree, values=lambda name: read.append(name)), tree).close
    assert set(read) == {f"layer{at}.weight_renamed" for at in range(4)}


def test_a_quantised_file_needs_no_weight_that_is_known() -> None:
    made, tree = chain(4), map_of(chain(4))
    del made.graph.initializer[:]
    for at, node in enumerate(made.graph.node[::2]):
        made.graph.initializer.append(
            numpy_helper.from_array(np.ones((SIZE, SIZE), np.int8), f"layer{at}.weight_quantized")
        )
        node.op_type, node.input[1] = "MatMulInteger", f"layer{at}.weight_quantized"
    assert retag(made, tree).coverage == 100


def test_a_map_of_an_older_export_says_which_part_it_knows() -> None:
    report = retag(chain(4), map_of(chain(3)))
    assert report.coverage == 100
    (note,) = (text for text in report.fallbacks if text.startswith("the map knows"))
    assert note == (
        "the map knows 75.0 % of its 8 tensors and 75.0 % of its 4 weights, not layer3.weight: it may be of another "
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
    with pytest.raises(MapError, match="0 % of its 4 weights"):
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
    assert tree.parameters == tuple(p for p in map_of(chain(4)).parameters if p.name in known)


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
