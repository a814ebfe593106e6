"""Sums and products as polynomials: however a formula is written, its terms and factors are the same.

`0.5 * x * (1 + t)`, `x * (0.5 * t + 0.5)` and `0.5 * x + 0.5 * x * t` are one polynomial of x and t. Constants are
compared by value, within the rounding of their type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onnx_tagger.model.graph import Op
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.analyses.dataflow import TensorKey
from onnx_tagger.passes.fusions.parts import Parts, is_standard

ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Neg", "Pow")

# A product of powers: each tensor with its exponent, sorted.
Monomial = tuple[tuple[TensorKey, int], ...]
Terms = dict[Monomial, float]

# Formulas that fusions look for are smaller, and so the work on each node is bounded.
_MOST_OPS, _MOST_TERMS, _MOST_POWER = 12, 8, 4

# How far a constant may be off: a few roundings of the type that it is stored in.
_OFF = {np.dtype(np.float64): 1e-6, np.dtype(np.float32): 1e-6, np.dtype(np.float16): 2e-3}


@dataclass
class Expression:
    """A polynomial and the nodes that compute it.

    Attributes
    ----------
    terms : dict
        Product of powers to its coefficient.
    ops : list of Op
        The nodes, the last one first.
    dtypes : set
        Of its constants.
    rank : int
        The largest number of dimensions of a constant.
    """

    terms: Terms
    ops: list[Op]
    dtypes: set[np.dtype[np.generic]]
    rank: int

    __repr__ = brief_fields

    @property
    def atoms(self) -> set[TensorKey]:
        """The tensors that it is a polynomial of."""
        return {atom for monomial in self.terms for atom, _ in monomial}

    def equals(self, wanted: Mapping[Monomial, float]) -> bool:
        """Whether it is a certain polynomial, within the rounding of its constants."""
        if len(self.dtypes) != 1 or self.terms.keys() != wanted.keys():
            return False
        off = _OFF.get(next(iter(self.dtypes)), 0.0)
        return all(abs(self.terms[key] - value) <= off * abs(value) for key, value in wanted.items())


def expression_of(parts: Parts, root: Op) -> Expression | None:
    """The polynomial that a node computes of tensors that are read elsewhere, too, or are no sums or products.

    None if the node is no arithmetic, or the formula is larger than any that is looked for.
    """
    if not is_standard(root, ARITHMETIC):
        return None
    made = Expression({}, [], set(), 0)
    terms = _terms_of(parts, root, made)
    if terms is None:
        return None
    made.terms = {key: value for key, value in terms.items() if value}
    return made


def _terms_of(parts: Parts, op: Op, into: Expression) -> Terms | None:
    if len(into.ops) >= _MOST_OPS:
        return None
    into.ops.append(op)
    sides = []
    for position in range(len(op.node.input)):
        side = _side(parts, op, position, into)
        if side is None:
            return None
        sides.append(side)
    found = _combined(op.node.op_type, sides)
    return found if found is not None and len(found) <= _MOST_TERMS else None


def _side(parts: Parts, op: Op, position: int, into: Expression) -> Terms | None:
    key = parts.key(op, position)
    if key is None:
        return None
    if parts.tensor(key) is not None:
        values, number = parts.constant(key), parts.scalar(key)
        if values is None or number is None:
            return {((key, 1),): 1.0}
        if op.node.op_type != "Pow" or position == 0:
            into.dtypes.add(values.dtype)
        into.rank = max(into.rank, values.ndim)
        return {(): number}
    maker = parts.maker(key, ARITHMETIC, parts.flow.place[op.id])
    if maker is None or not parts.alone(key):
        return {((key, 1),): 1.0}
    return _terms_of(parts, maker, into)


def _combined(kind: str, sides: list[Terms]) -> Terms | None:
    if kind == "Neg" and len(sides) == 1:
        return {key: -value for key, value in sides[0].items()}
    if len(sides) != 2:
        return None
    left, right = sides
    if kind in ("Add", "Sub"):
        sign = 1 if kind == "Add" else -1
        return {key: left.get(key, 0.0) + sign * right.get(key, 0.0) for key in (*left, *right)}
    if kind == "Mul":
        return _product(left, right)
    # Division and powers only by constants.
    number = right.get(()) if right.keys() <= {()} else None
    if number is None:
        return None
    if kind == "Div":
        return {key: value / number for key, value in left.items()} if number else None
    if number not in range(1, _MOST_POWER + 1):
        return None
    found: Terms | None = left
    for _ in range(int(number) - 1):
        found = _product(found, left) if found is not None else None
    return found


def _product(left: Terms, right: Terms) -> Terms | None:
    if len(left) * len(right) > _MOST_TERMS:
        return None
    found: Terms = {}
    for one, a in left.items():
        for other, b in right.items():
            powers = dict(one)
            for atom, power in other:
                powers[atom] = powers.get(atom, 0) + power
            key = tuple(sorted(powers.items()))
            found[key] = found.get(key, 0.0) + a * b
    return found
