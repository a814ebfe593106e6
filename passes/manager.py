"""Runs passes in order: times them, names them in errors, and holds them to what they declare."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx

from onnx_tagger.errors import PassError, TaggerError
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.model.arguments import described, insist_on
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.graph import insist_on_text, walk
from onnx_tagger.model.metadata import text_of
from onnx_tagger.model.report import PassTiming, Report
from onnx_tagger.model.texts import brief, html_table, value_text
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.opening import ModelSource, context_of


@dataclass(frozen=True)
class PassManager:
    """A chain of passes.

    Parameters
    ----------
    passes : sequence of Pass
        Run in this order; one with `again_after` runs once more at the end if a later one changed what it derives from.
    verify : bool
        Check between passes that each changed only what it declares, that every key of the tag table is a live node
        and that every tag is in the map.

    Examples
    --------
    >>> from onnx import helper
    >>> from onnx_tagger.passes.coverage import Coverage
    >>> model = helper.make_model(helper.make_graph([], "empty", [], []))
    >>> PassManager([Coverage()]).run(model).coverage
    100.0
    """

    passes: Sequence[Pass]
    verify: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "passes", passes_of(self.passes))

    def __repr__(self) -> str:
        return brief(self, *(step.name for step in self.passes))

    def _repr_html_(self) -> str:
        """The chain, for a notebook."""
        return html_table("Pass manager", ((step.name, value_text(step)) for step in self.passes))

    def run(self, model: ModelSource, hierarchy: MapSource | None = None, report: Report | None = None) -> Report:
        """Run the chain on a model, in place.

        Parameters
        ----------
        model : onnx.ModelProto, path or bytes
            Changed as the passes say; weights are not copied. Of a file, or the bytes of one, only the report remains:
            to keep what the passes make of it, load it with `onnx.load`, run, and write it with `save`.
        hierarchy : HierarchyMap, path or None
            The map that modules are looked up in: a map, a ``.hierarchy.json[.gz]`` file or a tagged ``.onnx``; None
            for the modules that the model names by itself.
        report : Report, optional
            One to continue.

        Returns
        -------
        Report

        Raises
        ------
        PassError
            If a pass fails or breaks what it declares; other errors of this package come through with the pass named.
        TaggerError
            If the model or the map is something else, or a file that cannot be read.

        Examples
        --------
        >>> from onnx import helper
        >>> node = helper.make_node("Relu", ["x"], ["y"])
        >>> PassManager([]).run(helper.make_model(helper.make_graph([node], "net", [], []))).ok
        True
        """
        told = report if report is not None else Report()
        insist_on(told, Report, "report", "a Report to continue")
        whole = any(step.touches & Touches.TOPOLOGY for step in self.passes)
        return self.run_in(context_of(model, hierarchy, told, whole=whole)).report

    def run_in(self, ctx: Context) -> Context:
        """Run the chain in a context and return it."""
        insist_on(ctx, Context, "the context", "a Context, or call run with a model")
        dirty: dict[int, Touches] = {}
        with collector_paused():
            for position, step in enumerate(self.passes):
                if self._run_one(step, ctx):
                    for earlier in range(position):
                        dirty[earlier] = dirty.get(earlier, Touches.NOTHING) | step.touches
            for position, step in enumerate(self.passes):
                if step.again_after & dirty.get(position, Touches.NOTHING):
                    self._run_one(step, ctx)
        return ctx

    def _run_one(self, step: Pass, ctx: Context) -> int:
        guard = _Guard(ctx, step) if self.verify else None
        changed = 0
        start = time.perf_counter()
        ctx._declared.append((step.name, step.requires))
        try:
            changed = step.run(ctx)
        except TaggerError as error:
            error.args = (_named(step, error),)
            raise
        except Exception as error:
            # Names that are no text are looked for only now: to look at each of them takes longer than many a pass.
            insist_on_text(ctx.walk)
            why = (
                ""
                if step.touches & Touches.TOPOLOGY or ctx.lists_all()
                else f" ({_undeclared(step, Touches.TOPOLOGY)})"
            )
            raise PassError(f"pass {step.name!r} failed: {type(error).__name__}: {error}{why}") from error
        finally:
            ctx._declared.pop()
            ms = (time.perf_counter() - start) * 1e3
            ctx.report.passes.append(PassTiming(step.name, ms, changed, ctx.counted_nodes))
        if type(changed) is not int:
            raise PassError(f"pass {step.name!r} returned {changed!r}: run() must return how many nodes it changed")
        if changed and step.touches:
            ctx.drop(step.touches)
        if guard is None:
            # What follows would work on nodes that are gone; the guard, where there is one, says so of more changes.
            _insist_on_declared(step, Touches.TOPOLOGY, differs=not ctx.lists_all(), changed=changed)
        if guard is not None:
            guard.check(ctx, changed)
        return changed


def passes_of(value: object) -> tuple[Pass, ...]:
    """The passes that a caller gave.

    Raises
    ------
    PassError
        If it is no list of instances of passes.
    """
    if isinstance(value, (Pass, str, type)) or not isinstance(value, Iterable):
        raise PassError(f"the passes are {described(value)}: give a list of passes, such as [Match(), Inherit()]")
    steps = tuple(value)
    for step in steps:
        if isinstance(step, type) and issubclass(step, Pass):
            raise PassError(
                f"{step.__qualname__} is the class of a pass: give an instance of it, {step.__qualname__}()"
            )
        if not isinstance(step, Pass):
            raise PassError(f"{described(step)} is no pass: give instances of Pass, such as Inherit()")
    return steps


def _named(step: Pass, error: TaggerError) -> str:
    text = str(error)
    return text if step.name in text else f"pass {step.name!r}: {text}"


class _Guard:
    """Holds one pass to its declaration."""

    def __init__(self, ctx: Context, step: Pass) -> None:
        self.step = step
        self.topology, self.metadata = _digests(ctx.model)
        self.tags = dict(ctx.tags)

    def check(self, ctx: Context, changed: int) -> None:
        topology, metadata = _digests(ctx.model)
        moved = topology != self.topology or not ctx.lists_all()
        _insist_on_declared(self.step, Touches.TOPOLOGY, differs=moved, changed=changed)
        _insist_on_declared(self.step, Touches.METADATA, differs=metadata != self.metadata, changed=changed)
        if not self.step.touches & Touches.TOPOLOGY:
            _insist_on_declared(self.step, Touches.TAGS, differs=ctx.tags != self.tags, changed=changed)
        live = set(ctx.ops)
        name = self.step.name
        for op, tag in ctx.tags.items():
            if op not in live:
                raise PassError(f"pass {name!r} left a tag on {op.label}, which is no node of the model any more")
            if ctx.hierarchy is None:
                continue
            module = ctx.hierarchy.by_path.get(tag.module)
            if module is None or module.tag != tag.tag:
                raise PassError(
                    f"pass {name!r} gave {op.label} the tag {tag.tag!r} of {tag.module!r}, which the map lacks"
                )


def _insist_on_declared(step: Pass, kind: Touches, *, differs: bool, changed: int) -> None:
    """Raise if a pass changed what it does not declare, or says that it changed nothing."""
    if differs and not step.touches & kind:
        raise PassError(_undeclared(step, kind))
    if differs and not changed:
        raise PassError(f"pass {step.name!r} changed {kind.name} but returned 0: return how many nodes it changed")


def _undeclared(step: Pass, kind: Touches) -> str:
    return f"pass {step.name!r} changed {kind.name} without declaring it: add Touches.{kind.name}"


def _digests(model: onnx.ModelProto) -> tuple[bytes, bytes]:
    """Digest of what computes, and of the nodes' metadata."""
    from hashlib import sha256

    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    notes = sha256()
    for op in walk(bare).ops:
        for entry in op.node.metadata_props:
            notes.update(f"{op.id}\0{entry.key}\0{entry.value}\0".encode("utf-8", "surrogateescape"))
        notes.update(text_of(op.node.doc_string).encode("utf-8", "surrogateescape"))
        del op.node.metadata_props[:]
        op.node.doc_string = ""
    del bare.metadata_props[:]
    return sha256(bare.SerializeToString(deterministic=True)).digest(), notes.digest()
