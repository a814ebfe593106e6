"""Runs passes in order: times them, names them in errors, and holds them to what they declare."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from onnx_tagger.errors import PassError, TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.graph import insist_on_text, walk
from onnx_tagger.model.metadata import text_of
from onnx_tagger.model.report import PassTiming, Report
from onnx_tagger.model.texts import brief, html_table, value_text
from onnx_tagger.passes.base import Context, Pass, Touches


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

    def __repr__(self) -> str:
        return brief(self, *(step.name for step in self.passes))

    def _repr_html_(self) -> str:
        """The chain, for a notebook."""
        return html_table("Pass manager", ((step.name, value_text(step)) for step in self.passes))

    def run(
        self, model: onnx.ModelProto, hierarchy: HierarchyMap | None = None, report: Report | None = None
    ) -> Report:
        """Run the chain on a model, in place.

        Parameters
        ----------
        model : onnx.ModelProto
            Changed as the passes say; weights are not copied.
        hierarchy : HierarchyMap, optional
            The map that modules are looked up in.
        report : Report, optional
            One to continue.

        Returns
        -------
        Report

        Raises
        ------
        PassError
            If a pass fails or breaks what it declares; other errors of this package come through with the pass named.
        """
        return self.run_in(Context(model, hierarchy, report=report or Report())).report

    def run_in(self, ctx: Context) -> Context:
        """Run the chain in a context and return it."""
        for step in self.passes:
            if not isinstance(step, Pass):
                raise PassError(f"{step!r} is no pass: give instances of Pass, such as Inherit()")
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
            raise PassError(f"pass {step.name!r} failed: {type(error).__name__}: {error}") from error
        finally:
            ctx._declared.pop()
            ms = (time.perf_counter() - start) * 1e3
            ctx.report.passes.append(PassTiming(step.name, ms, changed, ctx.counted_nodes))
        if type(changed) is not int:
            raise PassError(f"pass {step.name!r} returned {changed!r}: run() must return how many nodes it changed")
        if changed and step.touches:
            ctx.drop(step.touches)
        if guard is not None:
            guard.check(ctx, changed)
        return changed


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
        self._declared(Touches.TOPOLOGY, topology != self.topology, changed)
        self._declared(Touches.METADATA, metadata != self.metadata, changed)
        if not self.step.touches & Touches.TOPOLOGY:
            self._declared(Touches.TAGS, ctx.tags != self.tags, changed)
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

    def _declared(self, kind: Touches, differs: bool, changed: int) -> None:
        if differs and not self.step.touches & kind:
            raise PassError(
                f"pass {self.step.name!r} changed {kind.name} without declaring it: add Touches.{kind.name}"
            )
        if differs and not changed:
            raise PassError(
                f"pass {self.step.name!r} changed {kind.name} but returned 0: return how many nodes it changed"
            )


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
