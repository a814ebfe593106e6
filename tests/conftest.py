"""Settings that every test runs under, and a model that the tests of several rooms look at; other fixtures live beside
the tests that use them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

    from onnx_tagger.hierarchy.map import HierarchyMap

# Before any test imports torch or transformers: one thread per worker, and no model hub.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Rich and typer wrap to the terminal's width; a fixed one keeps expected texts the same everywhere.
os.environ["COLUMNS"] = "120"
os.environ["NO_COLOR"] = "1"
os.environ.pop("FORCE_COLOR", None)

# Time limits on single examples fail at random on a shared machine; CI must also draw the same examples at every run.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", parent=settings.get_profile("default"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture
def net_map() -> HierarchyMap:
    """The modules of `net`: two blocks in a list, and a head without nodes."""
    from onnx_tagger.hierarchy.map import HierarchyMap
    from onnx_tagger.hierarchy.naming import ModuleRow

    rows = [ModuleRow("", "Net"), ModuleRow("layers", "ModuleList", tagged=False, keyed=True)]
    for block in ("layers.0", "layers.1"):
        rows += [ModuleRow(block, "Blk"), ModuleRow(f"{block}.fc", "Linear"), ModuleRow(f"{block}.act", "ReLU")]
    return HierarchyMap.from_rows([*rows, ModuleRow("head", "Head")], "a test")


@pytest.fixture
def net(net_map: HierarchyMap) -> Callable[..., ModelProto]:
    """A small tagged model: an If with two bodies, two nodes without a name, one without a tag.

    With ``after=True`` the first three nodes are one, as an optimiser makes it; `loose` names the untagged node.
    """
    from onnx import TensorProto, helper, numpy_helper

    from onnx_tagger.model.metadata import Source, Tag, write_node

    def place(node: NodeProto, path: str, source: Source, origins: tuple[str, ...] = ()) -> NodeProto:
        write_node(node, Tag(path, net_map.tag(path, source).tag, source, origins), ())
        return node

    def make(after: bool = False, loose: str = "loose") -> ModelProto:
        floats = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("x", "y", "t", "e")}
        neg = place(helper.make_node("Neg", ["r"], ["t"], "neg"), "layers.1.fc", Source.ALIGNED)
        absolute = place(helper.make_node("Abs", ["r"], ["e"]), "layers.1.fc", Source.INHERITED)
        bodies = {
            "then_branch": helper.make_graph([neg], "then", [], [floats["t"]]),
            "else_branch": helper.make_graph([absolute], "else", [], [floats["e"]]),
        }
        plain = [
            place(helper.make_node("MatMul", ["x", "w"], ["m"], "mm"), "layers.0.fc", Source.EXPORTED),
            place(helper.make_node("Add", ["m", "b"], ["a"], "add"), "layers.0.fc", Source.EXPORTED),
            place(helper.make_node("Relu", ["a"], ["r"], "relu"), "layers.0.act", Source.EXPORTED),
        ]
        one = helper.make_node("FusedGemm", ["x", "w", "b"], ["r"], "one", domain="com.microsoft")
        place(one, "layers.0", Source.ALIGNED, ("layers.0.act", "layers.0.fc"))
        nodes = [
            *([one] if after else plain),
            place(helper.make_node("If", ["c"], ["i"], "if", **bodies), "layers.1", Source.EXPORTED),
            place(helper.make_node("Sigmoid", ["i"], ["s"]), "layers.1.act", Source.EXPORTED),
            helper.make_node("Cast", ["s"], ["y"], loose, to=TensorProto.FLOAT),
        ]
        weights = [
            numpy_helper.from_array(np.zeros((4, 4), np.float32), "w"),
            numpy_helper.from_array(np.zeros(4, np.float32), "b"),
        ]
        inputs = [floats["x"], helper.make_tensor_value_info("c", TensorProto.BOOL, [])]
        return helper.make_model(helper.make_graph(nodes, "net", inputs, [floats["y"]], weights))

    return make


@pytest.fixture
def nets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, net: Callable[..., ModelProto], net_map: HierarchyMap
) -> Path:
    """A folder, the current one, with before.onnx, after.onnx, plain.onnx without tags, and net.hierarchy.json."""
    import onnx

    monkeypatch.chdir(tmp_path)
    onnx.save(net(), "before.onnx")
    onnx.save(net(after=True), "after.onnx")
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph([onnx.helper.make_node("Neg", ["x"], ["y"], "n")], "g", [], [])),
        "plain.onnx",
    )
    net_map.save("net.hierarchy.json")
    return tmp_path
