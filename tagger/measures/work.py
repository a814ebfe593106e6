"""How much work a kernel does, from the shapes that it saw: floating-point operations, and bytes read and written.

Only matrix products and convolutions count as operations, as in torch's FlopCounterMode: two for each multiplication
with its addition. A kernel of another kind has 0, and none where an operator is not known here that may hold products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import onnx
from onnx import helper

from onnx_tagger.model.graph import operator

Shape = tuple[int, ...]
Shapes = Sequence[tuple[str, Shape]]

# Bytes of the types, as onnxruntime's profile names them.
_SIZES = {
    **dict.fromkeys(("double", "int64", "uint64", "complex64"), 8.0),
    **dict.fromkeys(("float", "int32", "uint32"), 4.0),
    **dict.fromkeys(("float16", "bfloat16", "int16", "uint16"), 2.0),
    **dict.fromkeys(("int4", "uint4"), 0.5),
    "complex128": 16.0,
}

Attributes = dict[str, object]
Rule = Callable[[list[Shape], list[Shape], Attributes], float]


def bytes_of(inputs: Shapes, outputs: Shapes) -> float:
    """Bytes of all tensors that a kernel reads and makes; a byte for each number of a type that is not known."""
    return sum(size_of(kind, shape) for kind, shape in (*inputs, *outputs))


def size_of(kind: str, shape: Shape) -> float:
    """Bytes of one tensor.

    Examples
    --------
    >>> size_of("float", (2, 3)), size_of("uint8", ())
    (24.0, 1.0)
    """
    return prod(shape) * _SIZES.get(kind, 1.0)


def flops_of(node: onnx.NodeProto, inputs: Shapes, outputs: Shapes) -> float | None:
    """Floating-point operations of one execution of a kernel.

    Parameters
    ----------
    node : onnx.NodeProto
        What it executes, with its attributes.
    inputs, outputs : sequence of (str, tuple of int)
        Type and shape of what it read and made.

    Returns
    -------
    float or None
        None where the operator is not known here, or its shapes are not what they should be.

    Examples
    --------
    >>> node = helper.make_node("MatMul", ["a", "b"], ["c"])
    >>> flops_of(node, [("float", (2, 3)), ("float", (3, 4))], [("float", (2, 4))])
    48.0
    """
    name = operator(node)
    rule = _RULES.get(name)
    if rule is None:
        known = node.domain in ("", "ai.onnx", "com.microsoft.nchwc") or name in _WITHOUT
        return 0.0 if known and node.op_type not in _UNKNOWN else None
    attributes: Attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.type != a.GRAPH}
    try:
        return float(rule([shape for _, shape in inputs], [shape for _, shape in outputs], attributes))
    except (IndexError, ValueError, TypeError, ZeroDivisionError):
        return None


def _int(attributes: Attributes, name: str, otherwise: int = 0) -> int:
    value = attributes.get(name, otherwise)
    return value if isinstance(value, int) else otherwise


def _matmul(inputs: list[Shape], outputs: list[Shape], attributes: Attributes) -> float:
    left = inputs[0]
    inner = left[-2] if _int(attributes, "transA") and len(left) > 1 else left[-1]
    return 2.0 * prod(outputs[0]) * inner


def _gemm(inputs: list[Shape], outputs: list[Shape], attributes: Attributes) -> float:
    return 2.0 * prod(outputs[0]) * inputs[0][0 if _int(attributes, "transA") else 1]


def _conv(inputs: list[Shape], outputs: list[Shape], attributes: Attributes) -> float:
    return _conv_with(inputs[1])(inputs, outputs, attributes)


def _qlinear_conv(inputs: list[Shape], outputs: list[Shape], attributes: Attributes) -> float:
    return _conv_with(inputs[3])(inputs, outputs, attributes)


def _conv_with(weight: Shape) -> Rule:
    return lambda inputs, outputs, attributes: 2.0 * prod(outputs[0]) * prod(weight[1:])


def _conv_transpose(inputs: list[Shape], outputs: list[Shape], attributes: Attributes) -> float:
    return 2.0 * prod(inputs[0]) * prod(inputs[1][1:])


def _recurrent(gates: int) -> Rule:
    def count(inputs: list[Shape], outputs: list[Shape], attributes: Attributes) -> float:
        steps, batch, width = inputs[0]
        directions, _, hidden = inputs[2][0], inputs[2][1], inputs[2][2]
        return 2.0 * steps * batch * directions * gates * hidden * (width + hidden)

    return count


def _attention(inputs: list[Shape], outputs: list[Shape], attributes: Attributes) -> float:
    """com.microsoft::Attention: the product with the packed weights, then two of each pair of positions."""
    batch, steps, width = inputs[0]
    packed = inputs[1][1]
    value = outputs[0][2]
    projected = 2.0 * batch * steps * width * packed
    return projected + 2.0 * batch * steps * steps * ((packed - value) / 2 + value)


def _multi_head(inputs: list[Shape], outputs: list[Shape], attributes: Attributes) -> float:
    """com.microsoft::MultiHeadAttention with query, key and value apart: two products of each pair of positions."""
    batch, steps, width = inputs[0]
    seen, value = inputs[1][1] if len(inputs[1]) == 3 else inputs[1][2], outputs[0][2]
    return 2.0 * batch * steps * seen * (width + value)


def _einsum(inputs: list[Shape], outputs: list[Shape], attributes: Attributes) -> float:
    equation = attributes.get("equation", b"")
    text = equation.decode() if isinstance(equation, bytes) else str(equation)
    terms = text.replace(" ", "").partition("->")[0].split(",")
    if len(terms) != 2 or "." in text:
        raise ValueError("not a product of two tensors by letters alone")
    sizes = {
        letter: size
        for term, shape in zip(terms, inputs, strict=True)
        for letter, size in zip(term, shape, strict=True)
    }
    # Without a letter that is summed over it is no matrix product.
    summed = set(sizes) - set(text.partition("->")[2])
    return 2.0 * prod(sizes.values()) if summed else 0.0


def _nbits(inputs: list[Shape], outputs: list[Shape], attributes: Attributes) -> float:
    return 2.0 * prod(outputs[0]) * _int(attributes, "K", inputs[0][-1])


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("MatMul", "MatMulInteger", "com.microsoft::FusedMatMul", "QLinearMatMul"), _matmul),
    **dict.fromkeys(
        (
            "com.microsoft::MatMulIntegerToFloat",
            "com.microsoft::DynamicQuantizeMatMul",
            "com.microsoft::TransposeMatMul",
            "com.microsoft::FusedMatMulActivation",
        ),
        _matmul,
    ),
    **dict.fromkeys(("Gemm", "com.microsoft::FusedGemm", "com.microsoft::QGemm"), _gemm),
    **dict.fromkeys(
        (
            "Conv",
            "ConvInteger",
            "com.microsoft::FusedConv",
            "com.microsoft.nchwc::Conv",
            "com.ms.internal.nhwc::Conv",
            "com.microsoft::NhwcFusedConv",
        ),
        _conv,
    ),
    **dict.fromkeys(("QLinearConv", "com.microsoft::QLinearConv"), _qlinear_conv),
    "ConvTranspose": _conv_transpose,
    "RNN": _recurrent(1),
    "GRU": _recurrent(3),
    "LSTM": _recurrent(4),
    "com.microsoft::Attention": _attention,
    "com.microsoft::MultiHeadAttention": _multi_head,
    "Einsum": _einsum,
    "com.microsoft::MatMulNBits": _nbits,
}

# Operators of ONNX that hold products which are not counted here.
_UNKNOWN = {"Attention", "DeformConv", "DFT", "STFT"}


def _names(text: str) -> list[str]:
    return text.split()


# Contributed operators without products.
_WITHOUT = {
    f"com.microsoft::{name}"
    for name in _names(
        "Gelu FastGelu BiasGelu QuickGelu BiasSoftmax BiasDropout LayerNormalization SkipLayerNormalization "
        "SkipSimplifiedLayerNormalization SimplifiedLayerNormalization EmbedLayerNormalization QuantizeLinear "
        "DequantizeLinear QLinearAdd QLinearMul QLinearSigmoid QLinearLeakyRelu QLinearSoftmax QLinearAveragePool "
        "QLinearGlobalAveragePool QLinearConcat QLinearReduceMean QLinearWhere RotaryEmbedding NhwcMaxPool Trilu "
        "Inverse Unique GatherND CropAndResize Pad BiasAdd GroupNorm MemcpyFromHost MemcpyToHost"
    )
}
