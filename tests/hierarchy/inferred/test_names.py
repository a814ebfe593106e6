"""What single names say."""

import pytest

from onnx_tagger.hierarchy.inferred.names import owner_of_parameter, scope_of_doc, scope_of_name


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("/encoder/layer.0/query/MatMul", "encoder layer.0 query"),
        ("/encoder/LayerNorm/Add_1_output_0", "encoder LayerNorm"),
        ("/encoder/LayerNorm/LayerNormalization", "encoder LayerNorm"),
        ("/q/MatMul/MatMulAddFusion", "q"),
        ("/q/Mul/QuickGeluFusion/", "q"),
        ("/q/MatMul_output_0_QuantizeLinear", "q"),
        ("fused /pooler/Gemm", "pooler"),
        ("model/dense_1/BiasAdd", "model dense_1"),
        ("model/dense_1/MatMul__5", "model dense_1"),
        ("/Add_3", ""),
    ],
)
def test_scopes(name: str, scope: str) -> None:
    found = scope_of_name(name)
    assert found is not None
    assert " ".join(step.name for step in found) == scope


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Constant_12",
        "onnx::MatMul_307",
        "MatMul",
        "p2o.Conv.0",
        "node_linear_1",
        "a/b/c",
        "/a b/MatMul",
        "/a//MatMul",
    ],
)
def test_what_is_no_scope(name: str) -> None:
    assert scope_of_name(name) is None


def test_a_custom_operator_ends_a_name_on_its_own_node_only() -> None:
    assert scope_of_name("/a/Softmax/MyOp_1", "MyOp") == scope_of_name("/a/Softmax/MatMul")
    assert scope_of_name("/a/b/MyOp_1") is None


@pytest.mark.parametrize(
    ("name", "owner"),
    [
        ("a.0.weight", "a.0"),
        ("a.b.weight_quantized", "a.b"),
        ("weight", None),
        ("onnx::MatMul_1", None),
        ("val_3", None),
        ("model/dense/kernel:0", None),
        ("1.5", None),
        ("p2o.Add.0", None),
    ],
)
def test_owners(name: str, owner: str | None) -> None:
    assert owner_of_parameter(name) == owner


def test_doc_strings_without_a_scope_say_nothing() -> None:
    assert scope_of_doc("/home/me/net.py(3): forward") is None
    assert scope_of_doc("scope: Net/odd step/Conv2d[a]") is None
