"""What TorchScript's node names say, where that is certain: ``/encoder/layer.0/query/MatMul``.

A scope is the way from module to module, by attributes. But a child that is called from outside its parent loses the
way to it, and a second call of a module is numbered like a second module of that name: ``/conv1_1/Conv`` may be the
second call of `conv1` or the first of `layer1.conv1`. And a child whose `forward` is called directly leaves no scope
at all. How often modules ran, what they did and the weights that nodes read tell.
"""

from __future__ import annotations

from collections.abc import Mapping

from onnx_tagger.hierarchy.carriers import modules_on, scope_in, tag_of_scope_name, unqualified
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import Op
from onnx_tagger.model.metadata import Tag
from onnx_tagger.passes.analyses.weights import WeightOwners
from onnx_tagger.passes.base import Analysis, Context
from onnx_tagger.passes.replay.operators import MOVES, writes
from onnx_tagger.passes.replay.run import CapturedRun, Run

# An exporter writes them for any operation: constants, sizes, and positions and what picks by them.
_AUXILIARY = frozenset(
    [
        "Add",
        "And",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Equal",
        "Gather",
        "GatherND",
        "Less",
        "Mul",
        "NonZero",
        "Range",
        "ScatterElements",
        "ScatterND",
        "Shape",
        "Size",
        "Sub",
        "Tile",
        "Where",
    ]
)


class ScopeNames(Analysis[Mapping[int, Tag]]):
    """Op id to the tag that the op's name spells; what is ambiguous is not in it."""

    requires = (WeightOwners, CapturedRun)

    def compute(self, ctx: Context) -> Mapping[int, Tag]:
        """Read all names, then leave out what cannot be."""
        tree = ctx.hierarchy
        if tree is None:
            return {}
        said = {op.id: tag for op in ctx.ops if (tag := tag_of_scope_name(op, tree)) is not None}
        if not said:
            return said
        ambiguous, others = _ambiguous(ctx, tree, said), _Others(tree, ctx.get(WeightOwners))
        run = ctx.get(CapturedRun) if tree.trace else None
        return {
            index: tag
            for index, tag in said.items()
            if tag.module not in ambiguous
            and not others.own(ctx.ops[index], tag.module)
            and (run is None or _ran(run, ctx.ops[index].node.op_type, tag))
        }


def _ran(run: Run, op_type: str, tag: Tag) -> bool:
    """Whether a module may have run what is written with an operator: others alone did, if it did not."""
    if op_type in MOVES or op_type in _AUXILIARY or any(run.fits(place, op_type) for place in run.tagged(tag)):
        return True
    return not any(op_type in writes(operator) for operator in run.operators)


def _ambiguous(ctx: Context, tree: HierarchyMap, said: Mapping[int, Tag]) -> set[str]:
    """The modules that a scope may spell although another one of their name was called.

    So it is unless each call of each module of the name has left a scope of its own.
    """
    scopes = _scopes(ctx, tree, said)
    alike: dict[str, list[str]] = {}
    for module in tree.modules:
        alike.setdefault(unqualified(module.path), []).append(module.path)
    found: set[str] = set()
    for paths in alike.values():
        calls = {path: tree.by_path[path].calls for path in paths}
        if not any(calls.values()):
            # Nothing is known of calls, so that a second scope tells only if the name is the only one.
            found.update(path for path in paths if len(paths) > 1 and len(scopes.get(path, ())) > 1)
        elif any(len(scopes.get(path, ())) != calls[path] for path in paths):
            ran = [path for path in paths if calls[path]]
            alone = ran[0] if len(ran) == 1 else None
            found.update(path for path in paths if path != alone or len(scopes.get(path, ())) > calls[path])
    return found


def _scopes(ctx: Context, tree: HierarchyMap, said: Mapping[int, Tag]) -> dict[str, set[str]]:
    """Each module that names spell, or that is on the way, with the scopes that do."""
    found: dict[str, set[str]] = {}
    for scope in {scope_in(ctx.ops[index].node.name) for index in said}:
        parts = scope[1:].split("/") if scope else []
        for count, path in enumerate(modules_on(parts, tree), start=1):
            found.setdefault(path, set()).add("/".join(parts[:count]))
    return found


class _Others:
    """Weights that nodes read, of modules other than those that their names spell."""

    def __init__(self, tree: HierarchyMap, owners: Mapping[str, frozenset[str]]) -> None:
        self.tree, self.owners = tree, owners
        self.holders = {parameter.owner for parameter in tree.parameters}

    def own(self, op: Op, path: str) -> bool:
        """Whether all weights of a node are others', though the module that its name spells has weights of its own."""
        if path not in self.holders:
            return False
        read = [found for name in op.node.input if (found := self.owners.get(name))]
        return bool(read) and not any(path in found for found in read)
