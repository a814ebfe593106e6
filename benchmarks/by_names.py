"""Judge tags where values no longer tell: after tools that round, by the names and the tensors that they leave.

A node that kept its name and operator, or that makes a tensor of a kept name, must name a module that the exported
file's node had. A converter that a tool inserted must name that of the maker of the tensor that it converts; on a
weight or an input, that of its readers. A quantiser that is called after the result of a clamp which is no more does
that clamp's work. The rest is not judged.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

import onnx

from onnx_tagger.exporters.truth.verdicts import Candidate, Judgement
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import MAIN, Op, walk
from onnx_tagger.model.metadata import Tag, own_tag, props_of

CONVERTERS = frozenset(
    {"Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ReorderInput", "ReorderOutput"}
)

# Tools drop them in front of a quantiser, which saturates, and may give their tensor's name to what came before.
CLAMPS = frozenset({"Clip", "Relu"})

UNKNOWN = "no name or converted tensor that the exported file has"


def judge_by_names(
    exported: onnx.ModelProto, changed: onnx.ModelProto, tree: HierarchyMap, known: Collection[int] = ()
) -> Judgement:
    """Judge a tagged file beside the tagged file that was exported.

    Parameters
    ----------
    exported, changed : onnx.ModelProto
    tree : HierarchyMap
        The model's map.
    known : collection of int
        The ids of nodes that are judged otherwise; they are left out.
    """
    result = Judgement()
    names = _Names(exported, changed)
    for op in names.ops:
        if op.id in known:
            continue
        result.nodes += 1
        truth = names.expected(op)
        if not truth:
            result.untestable[UNKNOWN] += 1
            continue
        modules = frozenset(path for tag in truth for path in tag.modules)
        calls = frozenset(call for tag in truth for call in tag.call)
        if names.inserted(op):
            # Of several readers none is the right one; the module around them all is as right as each.
            modules |= {tree.enclosing(modules)}
        result.node(op, own_tag(props_of(op.node)), [Candidate(modules, modules, calls)], tree)
    # A kept name says one of a fused node's modules, not all.
    result.said = result.true = result.agreed = 0
    result.details = [line for line in result.details if not line.startswith("origins")]
    return result


class _Names:
    """A changed file beside the exported one."""

    def __init__(self, exported: onnx.ModelProto, changed: onnx.ModelProto) -> None:
        before = walk(exported).ops
        self.ops = walk(changed).ops
        self.by_name = _unique((op.node.name, op) for op in before)
        self.by_output = _unique((name, op) for op in before if op.scope.name == MAIN for name in op.node.output)
        self.maker = {name: op for op in self.ops if op.scope.name == MAIN for name in op.node.output if name}
        self.readers: dict[str, list[Op]] = defaultdict(list)
        for op in self.ops:
            for name in op.node.input:
                self.readers[name].append(op)

    def inserted(self, op: Op) -> bool:
        """Whether a node is a converter that the exported file did not have."""
        known = self.by_name.get(op.node.name)
        return op.node.op_type in CONVERTERS and (known is None or known.node.op_type != op.node.op_type)

    def expected(self, op: Op) -> list[Tag]:
        """The tags of the exported nodes whose work a node surely does; none if that cannot be said."""
        found = self._made(op)
        return found or (self._converted(op) if self.inserted(op) else [])

    def _made(self, op: Op) -> list[Tag]:
        """By the node's own name and those of its tensors."""
        known = self.by_name.get(op.node.name)
        # A quantised operator is called after the plain one: QLinearConv, MatMulInteger, MatMulNBits.
        kept = known is not None and known.node.op_type in op.node.op_type
        same = [known] if known is not None and kept else []
        made = [self.by_output[name] for name in op.node.output if op.scope.name == MAIN and name in self.by_output]
        same += [self._before_quantisers(op, one) for one in made]
        return _tags(same)

    def _before_quantisers(self, op: Op, made: Op) -> Op:
        """The exported node whose tensor a node makes: what comes before a clamp that is left to quantisers."""
        readers = {reader.node.op_type for name in op.node.output for reader in self.readers[name]}
        left = made.node.op_type in CLAMPS and made.node.op_type != op.node.op_type and readers == {"QuantizeLinear"}
        return self.by_output.get(made.node.input[0], made) if left and not op.node.domain else made

    def _saturated(self, op: Op) -> list[Tag]:
        """The clamp that a quantiser does as it saturates, if its name says so and nothing else does it."""
        called, _, suffix = op.node.name.rpartition("_")
        clamp = self.by_output.get(called)
        if op.node.op_type != "QuantizeLinear" or suffix != "QuantizeLinear" or clamp is None:
            return []
        left = self.maker.get(op.node.input[0])
        done = clamp.node.op_type not in CLAMPS or left is None or left.node.op_type == clamp.node.op_type
        return [] if done or (left is not None and left.node.domain) else _tags([clamp])

    def _converted(self, op: Op) -> list[Tag]:
        if clamped := self._saturated(op):
            return clamped
        source = op.node.input[0]
        while source not in self.by_output and source in self.maker:
            maker = self.maker[source]
            found = self._made(maker) or self._saturated(maker)
            if found or not self.inserted(maker):
                return found
            source = maker.node.input[0]
        if source in self.by_output:
            return _tags([self.by_output[source]])
        return [tag for reader in self._readers(op) for tag in self._made(reader)]

    def _readers(self, op: Op) -> Iterator[Op]:
        for reader in (reader for name in op.node.output for reader in self.readers.get(name, ())):
            if self.inserted(reader):
                yield from self._readers(reader)
            else:
                yield reader


def _unique(pairs: Iterable[tuple[str, Op]]) -> dict[str, Op]:
    """Names that one node alone bears."""
    found: dict[str, list[Op]] = defaultdict(list)
    for name, op in pairs:
        found[name].append(op)
    return {name: ops[0] for name, ops in found.items() if name and len(ops) == 1}


def _tags(ops: Iterable[Op]) -> list[Tag]:
    return [tag for op in ops if (tag := own_tag(props_of(op.node))) is not None]
