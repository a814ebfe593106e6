"""A product of two matrices and the sum behind it, as one operator."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from onnx_tagger.model.graph import Op
from onnx_tagger.passes.analyses.types import Kind
from onnx_tagger.passes.fusions.fusing import Fusion, Match, fused_node
from onnx_tagger.passes.fusions.parts import Parts, is_standard

# Since then Gemm broadcasts what it adds by itself.
_SINCE = 7
_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)


@dataclass(frozen=True)
class FuseGemm(Fusion):
    """Write MatMul of two matrices and the Add behind it as one Gemm; of tensors with more dimensions there is none."""

    name = "fuse-gemm"

    def find(self, parts: Parts, op: Op) -> Match | None:
        """The match that ends with `op`."""
        if not is_standard(op, ("Add",)) or parts.opset < _SINCE:
            return None
        for one, other in ((0, 1), (1, 0)):
            product = parts.maker(parts.key(op, one), ("MatMul",), parts.flow.place[op.id])
            bias = parts.key(op, other)
            if product is None or bias is None:
                continue
            kinds = [parts.kind(parts.key(product, 0)), parts.kind(parts.key(product, 1))]
            if all(_is_matrix(kind) for kind in kinds) and _broadcasts(parts.kind(bias), *kinds):
                node = fused_node(op, "Gemm", [*product.node.input, bias[1]])
                return Match((op, product), node)
        return None


def _is_matrix(kind: Kind) -> bool:
    return kind.elem in _TYPES and kind.shape is not None and len(kind.shape) == 2


def _broadcasts(bias: Kind, left: Kind, right: Kind) -> bool:
    """Whether a bias fits a product without the product being repeated for it."""
    assert left.shape is not None
    assert right.shape is not None
    if bias.shape is None or bias.elem != left.elem or len(bias.shape) > 2 or None in bias.shape:
        return False
    sizes = (left.shape[0], right.shape[1])[2 - len(bias.shape) :]
    return all(size in (1, whole) for size, whole in zip(bias.shape, sizes, strict=True))
