"""Operations and bytes of kernels, from shapes; what torch counts for the same modules is in the slow tests."""

from typing import Any

import pytest
from onnx import helper

from onnx_tagger.measures.work import bytes_of, flops_of, size_of

Shape = tuple[int, ...]


@pytest.mark.parametrize(
    ("op", "domain", "attributes", "inputs", "outputs", "flops"),
    [
        ("MatMul", "", {}, [(2, 3), (3, 4)], [(2, 4)], 2 * 2 * 3 * 4),
        ("MatMul", "", {}, [(5, 2, 3), (5, 3, 4)], [(5, 2, 4)], 5 * 2 * 2 * 3 * 4),
        ("MatMul", "", {}, [(3,), (3,)], [()], 6),
        ("FusedMatMul", "com.microsoft", {"transA": 1}, [(3, 2), (3, 4)], [(2, 4)], 2 * 2 * 3 * 4),
        ("Gemm", "", {"transA": 1, "transB": 1}, [(3, 2), (4, 3), (4,)], [(2, 4)], 2 * 2 * 3 * 4),
        ("Conv", "", {"group": 2}, [(1, 4, 8, 8), (6, 2, 3, 3)], [(1, 6, 6, 6)], 2 * 6 * 36 * 2 * 9),
        ("FusedConv", "com.microsoft", {}, [(1, 4, 8), (6, 4, 3)], [(1, 6, 6)], 2 * 6 * 6 * 4 * 3),
        ("ConvTranspose", "", {}, [(1, 4, 8), (4, 6, 3)], [(1, 6, 10)], 2 * 4 * 8 * 6 * 3),
        ("QLinearConv", "", {}, [(1, 4, 8), (), (), (6, 4, 3)], [(1, 6, 6)], 2 * 6 * 6 * 4 * 3),
        ("LSTM", "", {}, [(7, 2, 3), (1, 20, 3), (1, 20, 5)], [(7, 1, 2, 5)], 2 * 7 * 2 * 4 * 5 * (3 + 5)),
        ("Einsum", "", {"equation": "ij,jk->ik"}, [(2, 3), (3, 4)], [(2, 4)], 2 * 2 * 3 * 4),
        ("Einsum", "", {"equation": "i,j->ij"}, [(2,), (3,)], [(2, 3)], 0),
        ("Attention", "com.microsoft", {}, [(1, 8, 16), (16, 48)], [(1, 8, 16)], 2 * 8 * 16 * 48 + 2 * 2 * 8 * 8 * 16),
        ("MultiHeadAttention", "com.microsoft", {}, [(1, 8, 16)] * 3, [(1, 8, 16)], 2 * 2 * 8 * 8 * 16),
        ("MatMulNBits", "com.microsoft", {"K": 64}, [(2, 64), (4, 2, 16)], [(2, 4)], 2 * 2 * 4 * 64),
        ("Relu", "", {}, [(2, 3)], [(2, 3)], 0),
        ("SkipLayerNormalization", "com.microsoft", {}, [(2, 3)] * 2, [(2, 3)], 0),
        ("Attention", "", {}, [(1, 2, 8, 16)] * 3, [(1, 2, 8, 16)], None),
        ("SomethingNew", "com.microsoft", {}, [(2, 3)], [(2, 3)], None),
        ("Mine", "custom", {}, [(2, 3)], [(2, 3)], None),
        ("Gemm", "", {}, [(3,)], [(2, 4)], None),
        ("Einsum", "", {"equation": "...ij,...jk->...ik"}, [(2, 3), (3, 4)], [(2, 4)], None),
    ],
)
def test_operations(
    op: str, domain: str, attributes: dict[str, Any], inputs: list[Shape], outputs: list[Shape], flops: float | None
) -> None:
    node = helper.make_node(op, [f"i{k}" for k in range(len(inputs))], ["o"], domain=domain, **attributes)
    found = flops_of(node, [("float", shape) for shape in inputs], [("float", shape) for shape in outputs])
    assert found == flops


def test_bytes() -> None:
    assert size_of("float", (2, 3)) == 24
    assert size_of("int4", (4,)) == 2
    assert size_of("float", (0, 3)) == 0
    assert bytes_of([("float16", (2, 2)), ("int64", ())], [("bool", (3,))]) == 8 + 8 + 3
