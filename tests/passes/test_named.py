"""What a file's own names say of its nodes."""

import numpy as np
from onnx import ModelProto, NodeProto, helper, numpy_helper

from onnx_tagger.hierarchy.inferred.tree import infer_tree
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.named import Named


def model_of(nodes: list[NodeProto], **dims: tuple[int, ...]) -> ModelProto:
    stored = [numpy_helper.from_array(np.zeros(size, np.float32), name) for name, size in dims.items()]
    return helper.make_model(helper.make_graph(nodes, "g", [], [], stored))


def said(model: ModelProto, *, inherit: bool = False) -> list[str]:
    found = infer_tree(model)
    assert found is not None
    ctx = Context(model, found.tree)
    PassManager([Named(), Inherit(ends=False)] if inherit else [Named()], verify=True).run_in(ctx)
    tags = [ctx.tags.get(op) for op in ctx.ops]
    return [f"{tag.source.label} {','.join(tag.modules)}" if tag is not None else "-" for tag in tags]


def test_names_of_nodes_and_of_what_they_make() -> None:
    nodes = [
        helper.make_node("Add", ["x", "x"], ["/enc/q/Add_output_0"], "Add_token_3"),
        helper.make_node("Relu", ["/enc/q/Add_output_0"], ["/enc/act/Relu_output_0"], "/enc/q/Relu"),
        helper.make_node("Neg", ["/enc/act/Relu_output_0"], ["y"], "Neg_7"),
    ]
    assert said(model_of(nodes)) == ["named enc.q", "named enc.act,enc.q", "-"]
    # What is behind the last node that is known may be anywhere.
    assert said(model_of(nodes), inherit=True)[2] == "root "


def test_a_parameter_says_whose_its_reader_is_and_the_product_before_a_bias() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "val_3"], ["m"], "node_matmul"),
        helper.make_node("Add", ["m", "enc.q.bias"], ["y"], "node_linear"),
        helper.make_node("Mul", ["y", "two.w"], ["z"]),
        helper.make_node("Mul", ["z", "two.w"], ["r"]),
    ]
    model = model_of(nodes, **{"val_3": (2, 2), "enc.q.bias": (2,), "two.w": (2,)})
    assert said(model) == ["named enc.q", "named enc.q", "-", "-"]


def test_a_shared_table_has_one_name_of_several() -> None:
    gather = helper.make_node("Gather", ["head.weight", "ids"], ["e"])
    product = helper.make_node("MatMul", ["e", "val_1"], ["y"])
    assert said(model_of([gather, product], **{"head.weight": (3, 2), "val_1": (2, 3)})) == ["-", "-"]
    assert said(model_of([gather, product], **{"head.weight": (3, 2), "val_1": (2, 2)})) == ["named head", "-"]


def test_a_convolution_with_a_folded_normalisation_is_of_the_module_around_both() -> None:
    convolution = helper.make_node("Conv", ["x", "onnx::Conv_7", "onnx::Conv_8"], ["c"], "/stage/conv/Conv")
    gemm = helper.make_node("Gemm", ["c", "fc.weight", "fc.bias"], ["y"], "/fc/Gemm")
    named = {"fc.weight": (2, 2), "fc.bias": (2,)}
    assert (
        said(model_of([convolution, gemm], **{"onnx::Conv_7": (1,), "onnx::Conv_8": (1,)}, **named))[0] == "named stage"
    )
    convolution.input[1:] = ["stage.conv.weight"]
    assert said(model_of([convolution, gemm], **{"stage.conv.weight": (1,)}, **named))[0] == "named stage.conv"
