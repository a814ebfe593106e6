"""SiLU, also called Swish, from its parts."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from onnx_tagger.model.graph import Op
from onnx_tagger.passes.fusions.fusing import MICROSOFT, Fusion, Match, fused_node
from onnx_tagger.passes.fusions.parts import Parts, is_standard

# The version of the standard operators that has Swish.
_SINCE = 24


@dataclass(frozen=True)
class FuseSilu(Fusion):
    """Write ``x * sigmoid(a * x)``, where `a` is 1 or a constant, as one Swish.

    Parameters
    ----------
    microsoft : bool
        Before version 24 of the operators, which has Swish, take QuickGelu of com.microsoft.

    References
    ----------
    S. Elfwing, E. Uchibe and K. Doya, *Sigmoid-weighted linear units*, 2017.
    """

    name = "fuse-silu"

    microsoft: bool = False

    def find(self, parts: Parts, op: Op) -> Match | None:
        """The match that ends with `op`."""
        if not is_standard(op, ("Mul",)) or (not self.microsoft and parts.opset < _SINCE):
            return None
        scope = parts.flow.place[op.id]
        for x, other in ((0, 1), (1, 0)):
            key, sigmoid = parts.key(op, x), parts.maker(parts.key(op, other), ("Sigmoid",), scope)
            if key is None or sigmoid is None or parts.kind(key).elem != onnx.TensorProto.FLOAT:
                continue
            inner = parts.key(sigmoid, 0)
            if inner == key:
                return Match((op, sigmoid), self._node(parts, op, key[1], 1.0))
            scaled = parts.maker(inner, ("Mul",), scope)
            for side in (0, 1) if scaled is not None else ():
                assert scaled is not None
                factor = parts.scalar(parts.key(scaled, 1 - side))
                tensor = parts.tensor(parts.key(scaled, 1 - side))
                if factor is not None and tensor is not None and not tensor.dims and parts.key(scaled, side) == key:
                    return Match((op, sigmoid, scaled), self._node(parts, op, key[1], factor))
        return None

    def _node(self, parts: Parts, op: Op, x: str, factor: float) -> onnx.NodeProto:
        if parts.opset < _SINCE:
            return fused_node(op, "QuickGelu", [x], MICROSOFT, alpha=factor)
        return fused_node(op, "Swish", [x], alpha=factor)
