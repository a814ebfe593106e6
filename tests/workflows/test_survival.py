"""A part of `benchmarks/survival.py`: what tags are worth after other tools, judged by execution and by names.

Each tool is held to its group's bar.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

pytest.importorskip("onnxruntime")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import numpy as np
import onnxruntime as ort
from by_names import judge_by_names
from rows import Row, bar_of
from survival import ALL_TOOLS, STRATEGIES, survey
from toolbox import wipe_names, without_metadata

from onnx_tagger.exporters.truth.judging import Observation, compare
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import PREFIX, Source, add_entries, own_entries

MODELS = ("bert", "gpt2", "resnet", "transformer_encoder", "nested_reuse")

# How many of the part's files a tool cannot take, in these versions.
UNABLE: Mapping[str, int] = {
    "ort_fusions": 1,
    "C++ converter to 18": 6,
    "float16, block list": 5,
    "quantize_dynamic": 1,
    "QDQ, pre-processed": 1,
}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    return survey(MODELS, (False,), list(ALL_TOOLS), tmp_path_factory.mktemp("survival"))


def _names() -> list[str]:
    return [n for n, tool in ALL_TOOLS.items() if not tool.only or tool.only & set(MODELS)]


@pytest.mark.parametrize("name", _names())
def test_tags_survive(name: str, rows: dict[str, Row]) -> None:
    row, bar = rows[name], bar_of(name, ALL_TOOLS[name].group)
    assert row.refused == {}
    assert len(row.shares) + len(row.unable) == len(STRATEGIES) * len(ALL_TOOLS[name].only & set(MODELS) or MODELS)
    assert len(row.unable) <= UNABLE.get(name, 0), row.unable
    assert row.judgement.testable > 0
    assert row.misses(bar) == [], row.judgement.details


# --- the harness itself ---------------------------------------------------------------------------------------------

TREE = HierarchyMap.from_rows(
    [ModuleRow("", "Net"), ModuleRow("a", "Linear"), ModuleRow("b", "Blk"), ModuleRow("b.act", "ReLU")]
)


def _tagged(op: str, inputs: list[str], output: str, name: str, module: str) -> onnx.NodeProto:
    node = helper.make_node(op, inputs, [output], name=name)
    add_entries(node, own_entries(TREE.tag(module, Source.EXPORTED)))
    return node


def _model(nodes: list[onnx.NodeProto], weights: Mapping[str, list[int]]) -> onnx.ModelProto:
    floats = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", floats, [2, 2])],
        [helper.make_tensor_value_info("z", floats, [2, 2])],
        [helper.make_tensor(name, floats, shape, np.ones(shape).ravel()) for name, shape in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


EXPORTED = _model(
    [
        _tagged("MatMul", ["x", "w"], "h", "mm", "a"),
        _tagged("Add", ["h", "bias"], "y", "add", "a"),
        _tagged("Relu", ["y"], "z", "act", "b.act"),
    ],
    {"w": [2, 2], "bias": [2]},
)


@pytest.mark.parametrize(
    ("node", "verdict"),
    [
        (_tagged("MatMul", ["x", "w_dq"], "p", "mm", "a"), "right"),
        (_tagged("QLinearMatMul", ["x", "w_q"], "p", "mm", "b.act"), "wrong"),
        (_tagged("Relu", ["q"], "p", "act", "b"), "ancestor"),
        (_tagged("Mul", ["q", "scale"], "y", "mm_quant_output_scale_mul", "a"), "right"),
        (_tagged("QuantizeLinear", ["h", "s"], "p", "h_QuantizeLinear", "a"), "right"),
        (_tagged("QuantizeLinear", ["h", "s"], "p", "h_QuantizeLinear", "b.act"), "wrong"),
        (_tagged("Mul", ["q", "scale"], "p", "mm_quant_scales_mul", "b.act"), None),
        (_tagged("Relu", ["q"], "p", "mm", "b.act"), None),
    ],
    ids=lambda value: value.name if isinstance(value, onnx.NodeProto) else str(value),
)
def test_names_judge_what_they_tell_of(node: onnx.NodeProto, verdict: str | None) -> None:
    found = judge_by_names(EXPORTED, _model([node], {}), TREE)
    assert dict(found.verdicts) == ({verdict: 1} if verdict else {})
    assert sum(found.untestable.values()) == (verdict is None)


@pytest.mark.parametrize(("module", "verdict"), [("b.act", "right"), ("", "ancestor"), ("a", "wrong")])
def test_a_converter_of_a_weight_is_its_readers(module: str, verdict: str) -> None:
    reader = _tagged("Relu", ["w_single"], "z", "act", "b.act")
    converters = [
        _tagged("DequantizeLinear", ["w_quantized", "s"], "w_half", "w_DequantizeLinear", module),
        _tagged("Cast", ["w_half"], "w_single", "w_cast", module),
    ]
    found = judge_by_names(EXPORTED, _model([*converters, reader], {"w_quantized": [2, 2]}), TREE)
    assert found.verdicts[verdict] == 2 + (verdict == "right")


def test_a_converter_of_what_several_read_may_name_the_module_around_them() -> None:
    readers = [_tagged("Relu", ["x_half"], "z", "act", "b.act"), _tagged("Add", ["x_half", "bias"], "y", "add", "a")]
    cast = _tagged("Cast", ["x"], "x_half", "graph_input_cast0", "")
    assert judge_by_names(EXPORTED, _model([cast, *readers], {}), TREE).verdicts == {"right": 3}


def _with_a_body() -> onnx.ModelProto:
    """An If whose branches read a tensor and a weight from outside."""
    booleans = TensorProto.BOOL
    branches = {
        key: helper.make_graph(
            [_tagged(op, ["h", "w"], f"{key}_made", f"in_{key}", "a")],
            key,
            [],
            [helper.make_tensor_value_info(f"{key}_made", TensorProto.FLOAT, [2, 2])],
        )
        for key, op in (("then", "Add"), ("else", "Sub"))
    }
    condition = helper.make_node("Constant", [], ["yes"], value=helper.make_tensor("v", booleans, [], [True]))
    choice = helper.make_node("If", ["yes"], ["z"], then_branch=branches["then"], else_branch=branches["else"])
    return _model([_tagged("Relu", ["x"], "h", "act", "b.act"), condition, choice], {"w": [2, 2]})


def test_wiped_names_leave_the_function_and_no_name(tmp_path: Path) -> None:
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    onnx.save(_with_a_body(), before)
    wipe_names(before, after, {})
    feeds = {"x": np.array([[1, -2], [3, 4]], np.float32)}
    made = [
        ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, feeds)[0] for path in (before, after)
    ]
    assert np.array_equal(*made)
    names = [_all_names(onnx.load(path)) for path in (before, after)]
    assert names[0] & names[1] == {"x", "z"}


def _all_names(model: onnx.ModelProto) -> set[str]:
    ops = walk(model).ops
    tensors = {name for op in ops for name in (*op.node.input, *op.node.output)}
    return (tensors | {op.node.name for op in ops} | {tensor.name for tensor in model.graph.initializer}) - {""}


def test_no_metadata_is_left_in_bodies_either(tmp_path: Path) -> None:
    before, after = tmp_path / "before.onnx", tmp_path / "after.onnx"
    onnx.save(_with_a_body(), before)
    without_metadata(before, after)
    assert PREFIX.encode() in before.read_bytes()
    assert PREFIX.encode() not in after.read_bytes()
    assert [op.node.op_type for op in walk(onnx.load(after)).ops] == [
        op.node.op_type for op in walk(_with_a_body()).ops
    ]


def test_a_node_of_two_outputs_does_the_work_of_both_makers(tmp_path: Path) -> None:
    """As after a tool that joins two matrix products into one and splits what it makes."""
    rows = np.random.default_rng(0)
    given, first, second = (rows.normal(size=(2, 2)).astype(np.float32) for _ in range(3))
    joined = helper.make_tensor("w", TensorProto.FLOAT, [2, 4], np.hstack([first, second]).ravel())
    model = _model([helper.make_node("MatMul", ["x", "w"], ["both"])], {})
    model.graph.initializer.append(joined)
    model.graph.node.append(helper.make_node("Split", ["both"], ["z", "other"], axis=1, num_outputs=2))
    onnx.save(model, tmp_path / "joined.onnx")
    start = Observation("", "", True, given, data=True)
    made = [Observation(name, "mm", False, given @ w, (0,), True) for name, w in (("a", first), ("b", second))]
    found = compare(tmp_path / "joined.onnx", [start, *made], {"x": given})
    assert [candidate.ran for candidate in found.truths[1].candidates] == [{"a", "b"}]
    assert found.truths[0].candidates == ()
