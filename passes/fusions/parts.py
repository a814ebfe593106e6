"""A model's data flow as patterns ask for it: who makes a tensor, who reads it, constants by value, and types.

What a pattern looks like is each fusion's own matter, what is done with a match `fusing`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

import onnx
from onnx import helper

from onnx_tagger.model.graph import Op
from onnx_tagger.passes.analyses.dataflow import DataFlow, TensorKey
from onnx_tagger.passes.analyses.types import Kind, ValueTypes
from onnx_tagger.passes.base import Context, Values

# A constant with more values than this is no scalar and no list of axes: it is not read.
_FEW = 16


class Parts:
    """The data flow around nodes.

    Parameters
    ----------
    ctx : Context
        Of a pass that requires `DataFlow` and `ValueTypes`.
    """

    def __init__(self, ctx: Context) -> None:
        self.ctx, self.ops, self.flow = ctx, ctx.ops, ctx.get(DataFlow)
        self.reads = Counter(key for keys in self.flow.inputs for key in keys)
        self.given = _given(ctx)
        scopes = ctx.walk.scopes
        self._stored = {
            (place, tensor.name): tensor
            for place, scope in enumerate(scopes)
            if isinstance(scope.proto, onnx.GraphProto)
            for tensor in scope.proto.initializer
        }
        # An initializer that is an input, too, can be given another value at any run.
        for place, scope in enumerate(scopes):
            for name in scope.input_names:
                self._stored.pop((place, name), None)

    @property
    def opset(self) -> int:
        """Version of the standard operators; 1 where the model does not say."""
        return next((each.version for each in self.ctx.model.opset_import if each.domain in ("", "ai.onnx")), 1)

    def key(self, op: Op, position: int) -> TensorKey | None:
        """The tensor that a node reads at a position; None where it is left out."""
        node = op.node
        if position >= len(node.input) or not node.input[position]:
            return None
        # Left-out inputs have no key.
        return self.flow.inputs[op.id][sum(bool(name) for name in node.input[:position])]

    def output(self, op: Op) -> TensorKey:
        """The first tensor that a node makes."""
        return self.flow.place[op.id], op.node.output[0]

    def maker(self, key: TensorKey | None, kinds: Collection[str], scope: int) -> Op | None:
        """The standard node of one of some types that makes a tensor, if it stands in the same graph."""
        index = self.flow.producer.get(key) if key is not None else None
        if index is None or self.flow.place[index] != scope:
            return None
        op = self.ops[index]
        return op if is_standard(op, kinds) and op.node.output[0] == key[1] else None  # type: ignore[index]

    def maker_of_any(self, key: TensorKey | None, kind: str, scope: int) -> Op | None:
        """The standard node of a type that makes a tensor, whichever of its outputs that is."""
        index = self.flow.producer.get(key) if key is not None else None
        if index is None or self.flow.place[index] != scope:
            return None
        return self.ops[index] if is_standard(self.ops[index], (kind,)) else None

    def alone(self, key: TensorKey) -> bool:
        """Whether a tensor is read once and is no output."""
        return self.reads[key] == 1 and key not in self.given

    def hidden(self, ops: Collection[Op], root: Op) -> bool:
        """Whether nobody outside some nodes reads what they make, but for what their last one does."""
        inside = Counter(key for op in ops for key in self.flow.inputs[op.id])
        made = (key for op in ops if op is not root for key in self.flow.outputs[op.id])
        return all(self.reads[key] == inside[key] and key not in self.given for key in made)

    def tensor(self, key: TensorKey | None) -> onnx.TensorProto | None:
        """The tensor that is stored under a name or held by a node of type Constant; its payload may be missing."""
        if key is None:
            return None
        index = self.flow.producer.get(key)
        if index is None:
            return self._stored.get(key)
        node = self.ops[index].node
        if not is_standard(self.ops[index], ("Constant",)):
            return None
        held = next((each for each in node.attribute if each.name == "value"), None)
        if held is not None:
            tensor: onnx.TensorProto = held.t
            return tensor
        plain = next(iter(node.attribute), None)
        if plain is None or plain.name not in ("value_float", "value_int", "value_floats", "value_ints"):
            return None
        kind = onnx.TensorProto.FLOAT if "float" in plain.name else onnx.TensorProto.INT64
        value = helper.get_attribute_value(plain)
        several = isinstance(value, (list, tuple))
        return helper.make_tensor("", kind, [len(value)] if several else [], value if several else [value])

    def constant(self, key: TensorKey | None) -> Values | None:
        """The values of a small constant, or None."""
        tensor = self.tensor(key)
        if tensor is None or _count(tensor.dims) > _FEW:
            return None
        return self.ctx.read_values(tensor)

    def weights(self, key: TensorKey | None) -> Values | None:
        """The values of a stored tensor of any size, or None if they are not at hand."""
        tensor = self.tensor(key)
        return self.ctx.read_values(tensor) if tensor is not None else None

    def kind(self, key: TensorKey | None) -> Kind:
        """Type and shape of a tensor, as far as they are known."""
        tensor = self.tensor(key)
        if tensor is not None:
            return Kind(tensor.data_type, tuple(tensor.dims))
        return self.ctx.get(ValueTypes).get(key, Kind()) if key is not None else Kind()

    def scalar(self, key: TensorKey | None) -> float | None:
        """The value of a constant of one number and at most one dimension, or None."""
        values = self.constant(key)
        if values is None or values.size != 1 or values.ndim > 1 or values.dtype.kind not in "fiu":
            return None
        return float(values.reshape(-1)[0])


def is_standard(op: Op, kinds: Collection[str]) -> bool:
    """Whether a node is a standard operator of one of some types, with an output."""
    node = op.node
    return node.op_type in kinds and node.domain in ("", "ai.onnx") and bool(node.output) and bool(node.output[0])


def attributes_of(op: Op) -> dict[str, object]:
    """The attributes of a node by name."""
    return {each.name: helper.get_attribute_value(each) for each in op.node.attribute}


def _given(ctx: Context) -> set[TensorKey]:
    """What leaves a graph or body, under its own number and those of the graphs around it."""
    scopes = ctx.walk.scopes
    place = {id(scope): number for number, scope in enumerate(scopes)}
    found: set[TensorKey] = set()
    for scope in scopes:
        around = scope
        while True:
            found.update((place[id(around)], name) for name in scope.output_names)
            if around.parent is None:
                break
            around = around.parent
    return found


def _count(dims: Iterable[int]) -> int:
    count = 1
    for dim in dims:
        count *= dim
    return count
