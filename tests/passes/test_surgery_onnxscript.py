"""Functions of onnxscript and onnx-ir as passes."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import helper

import onnx_tagger as ot
from examples.carried import TREE, tiny_model, values_of
from onnx_tagger.model.metadata import own_tag, props_of
from onnx_tagger.passes.base import Context


def run_pass(fn: object, made: onnx.ModelProto | None = None) -> Context:
    """Run a function of onnx-ir as a pass between reading and writing the tags."""
    chain = [ot.Match(), ot.OnnxscriptPass(fn), ot.Inject(), ot.Coverage()]  # type: ignore[arg-type]
    return ot.PassManager(chain, verify=True).run_in(Context(made or tiny_model(), TREE))


def test_a_rule_of_onnxscript_is_a_pass() -> None:
    pattern = pytest.importorskip("onnxscript.rewriter.pattern")

    def linear(op: Any, x: Any, w: Any, b: Any) -> Any:
        return op.Add(op.MatMul(x, w), b)

    def gemm(op: Any, x: Any, w: Any, b: Any) -> Any:
        return op.Gemm(x, w, b)

    rules = pattern.RewriteRuleSet([pattern.RewriteRule(linear, gemm)])
    ctx = run_pass(rules.apply_to_model)
    found = {op.node.op_type: ctx.tags[op].module for op in ctx.ops}
    assert found == {"Gemm": "encoder.linear", "Relu": "encoder", "Reshape": "encoder"}
    assert ctx.report.ok
    assert values_of(ctx.model) == values_of(tiny_model())


def test_the_optimizer_and_pass_objects_of_onnx_ir_are_passes() -> None:
    optimizer = pytest.importorskip("onnxscript.optimizer")
    common = pytest.importorskip("onnx_ir.passes.common")
    model = tiny_model()
    model.graph.node.append(helper.make_node("Neg", ["x"], ["nobody"], "dead"))
    for fn in (optimizer.optimize, common.RemoveUnusedNodesPass()):
        ctx = run_pass(fn, model)
        assert [ctx.tags[op].module for op in ctx.ops] == ["encoder.linear", "encoder.linear", "encoder", "encoder"]
        assert [own_tag(props_of(op.node)) for op in ctx.ops] == [ctx.tags[op] for op in ctx.ops]


def test_what_is_no_function_of_onnx_ir() -> None:
    pytest.importorskip("onnx_ir")
    with pytest.raises(ot.TaggerError, match=r"pass 'onnxscript': the function returned str: return an onnx_ir\.Model"):
        run_pass(lambda model: "model")
    with pytest.raises(ot.TaggerError, match="pass 'onnxscript' failed: ZeroDivisionError"):
        run_pass(lambda model: 1 / 0)
    bare = tiny_model()
    bare.graph.initializer[0].ClearField("raw_data")
    with pytest.raises(ot.TaggerError, match="the weight 'w' was left out on reading"):
        run_pass(lambda model: None, bare)
