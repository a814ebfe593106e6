"""GELU from its parts, by erf and by tanh."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
import onnx

from onnx_tagger.model.graph import Op
from onnx_tagger.passes.analyses.dataflow import TensorKey
from onnx_tagger.passes.fusions.algebra import Expression, Terms, expression_of
from onnx_tagger.passes.fusions.fusing import MICROSOFT, Fusion, Match, fused_node
from onnx_tagger.passes.fusions.parts import Parts

# The version of the standard operators that has Gelu, and the types that runtimes compute it in.
_SINCE = 20
_TYPES = (np.dtype(np.float32), np.dtype(np.float16))
_INNER = {"Erf": {1: 1 / sqrt(2)}, "Tanh": {1: sqrt(2 / pi), 3: 0.044715 * sqrt(2 / pi)}}


@dataclass(frozen=True)
class FuseGelu(Fusion):
    """Write ``x / 2 * (1 + erf(x / sqrt(2)))`` and the form with tanh as one Gelu.

    Parameters
    ----------
    microsoft : bool
        Before version 20 of the operators, which has Gelu, take Gelu and FastGelu of com.microsoft.

    References
    ----------
    D. Hendrycks and K. Gimpel, *Gaussian Error Linear Units*, 2016.
    """

    name = "fuse-gelu"

    microsoft: bool = False

    def find(self, parts: Parts, op: Op) -> Match | None:
        """The match that ends with `op`."""
        if not self.microsoft and parts.opset < _SINCE:
            return None
        outer = expression_of(parts, op)
        if outer is None or len(outer.atoms) != 2:
            return None
        for atom in outer.atoms:
            curve = parts.maker(atom, _INNER, parts.flow.place[op.id])
            (x,) = outer.atoms - {atom}
            if curve is None or not outer.equals({((x, 1),): 0.5, tuple(sorted([(x, 1), (atom, 1)])): 0.5}):
                continue
            key = parts.key(curve, 0)
            inner = parts.flow.producer.get(key) if key is not None and parts.alone(key) else None
            within = expression_of(parts, parts.ops[inner]) if inner is not None else None
            if within is not None and _is_inner(within, curve.node.op_type, x) and _fits(parts, x, outer, within):
                return Match((*outer.ops, curve, *within.ops), self._node(parts, op, curve.node.op_type, x))
        return None

    def _node(self, parts: Parts, op: Op, curve: str, x: TensorKey) -> onnx.NodeProto:
        if parts.opset < _SINCE:
            return fused_node(op, "Gelu" if curve == "Erf" else "FastGelu", [x[1]], MICROSOFT)
        return fused_node(op, "Gelu", [x[1]], approximate="none" if curve == "Erf" else "tanh")


def _is_inner(found: Expression, curve: str, x: TensorKey) -> bool:
    wanted: Terms = {((x, power),): factor for power, factor in _INNER[curve].items()}
    return found.equals(wanted)


def _fits(parts: Parts, x: TensorKey, *formulas: Expression) -> bool:
    """Whether the types are ones that runtimes have, and no constant has more dimensions than x."""
    shape = parts.kind(x).shape
    most = max(formula.rank for formula in formulas)
    dtypes = {dtype for formula in formulas for dtype in formula.dtypes}
    return len(dtypes) == 1 and dtypes <= set(_TYPES) and (most == 0 or (shape is not None and len(shape) >= most))
