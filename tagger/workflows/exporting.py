"""The chain of an export: capture, digests, export with tags, and the map; and the capture alone.

Only this module knows both sides, exporters and passes; torch is imported by the exporters alone, and only when one is
asked for. Files that are there already are `retagging`'s.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, runtime_checkable

import onnx

from onnx_tagger.errors import TaggerError, is_installed, one_line, require
from onnx_tagger.files.filecopy import permissions_of
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.hierarchy.map import HierarchyMap, Merge
from onnx_tagger.model import metadata
from onnx_tagger.model.arguments import choice_of, described, insist_on, path_of
from onnx_tagger.model.report import Report, peak_rss_mb
from onnx_tagger.model.texts import brief, html_table
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.coverage import Coverage
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.inject import Inject
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match
from onnx_tagger.workflows.checking import Target, count, map_path, read_tags

if TYPE_CHECKING:
    from torch import Tensor, nn

    from onnx_tagger.exporters.base import Request

Progress = Callable[[str], None]


@runtime_checkable
class Attempts(Protocol):
    """A progress that is told of each strategy before it is tried, too."""

    def attempting(self, strategy: str) -> None:
        """Take note of it; raises `ExportError` if it is not to be tried."""


def nothing_to_tell(_: str) -> None:
    """The progress of who wants none."""


_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")

# Whose turn it is to have a model run and exported.
_TURN = RLock()


@dataclass(frozen=True)
class Export:
    """What `export` made.

    Attributes
    ----------
    path : Path
        The ONNX file.
    map_path : Path
        The map beside it.
    hierarchy : HierarchyMap
        The map itself.
    report : Report
        Coverage, phases, the strategy that was taken and why.
    """

    path: Path
    map_path: Path
    hierarchy: HierarchyMap
    report: Report

    def __repr__(self) -> str:
        return brief(self, str(self.path), f"strategy {self.report.strategy}", self.report.split())

    def _repr_html_(self) -> str:
        """Files, coverage and strategy, for a notebook."""
        rows = {"file": self.path, "map": self.map_path, "strategy": self.report.strategy, "nodes": self.report.split()}
        return html_table("Export", rows.items()) + self._picture()

    def _picture(self) -> str:
        """The file by module, as it is now; nothing if it is gone, or no ONNX file any more."""
        from onnx_tagger.workflows.reading import read

        try:
            return read(self.path, self.hierarchy).table(("nodes", "fused", "sources"))._repr_html_()
        except TaggerError:
            return ""


def _in_turn(function: Callable[_Given, _Made]) -> Callable[_Given, _Made]:
    """Have one thread at a time call a function: what it replaces is the model's and the process's, not its own."""

    @functools.wraps(function)
    def called(*args: _Given.args, **kwargs: _Given.kwargs) -> _Made:
        with _TURN:
            return function(*args, **kwargs)

    return called


@_in_turn
def export(
    model: nn.Module,
    args: Sequence[object] | Tensor = (),
    path: Target = "model.onnx",
    *,
    kwargs: Mapping[str, object] | None = None,
    strategy: str = "auto",
    tag: bool = True,
    also: Iterable[str] = (),
    evidence: bool = False,
    opset: int | None = None,
    dynamic: bool = False,
    merge: Merge = "enclosing",
    verify_bytes: bool = False,
    input_names: Sequence[str] = (),
    output_names: Sequence[str] = (),
    dynamic_shapes: Mapping[str, Any] | Sequence[Any] | None = None,
    compare: bool = True,
    debug: bool = False,
    progress: Progress | None = None,
) -> Export:
    """Export a PyTorch model as a tagged ONNX file, with its map beside it.

    Threads take turns at this and at `capture`: both replace things of the model's and of torch's while they run.

    Parameters
    ----------
    model : torch.nn.Module
        Exported in evaluation mode; left as it was.
    args, kwargs
        What its `forward` takes; a tensor alone is the only positional argument.
    path : path
        The file to write; the map goes to ``M.hierarchy.json`` beside it.
    strategy : "auto", "fx" or "htp"
        ``dynamo`` and ``torchscript`` are accepted for fx and htp.
    tag : bool
        False for the bare export through the same path; no map is written.
    evidence : bool
        Also write on each node what its tag rests on.
    also : iterable of str
        Dialects to write besides our own keys.
    opset : int, optional
        ONNX opset version.
    dynamic : bool
        Leave the dimensions of tensor inputs open.
    merge : "enclosing" or "output"
        Whose tag a node gets that does the work of several modules.
    verify_bytes : bool
        Prove by digests, before the file takes its place, that it stores what the exporter made.
    input_names, output_names : sequence of str
        Names for the first inputs and outputs of the file; the others have the exporter's.
    dynamic_shapes : mapping or sequence, optional
        Which dimensions of which input are left open, as ``torch.onnx.export`` takes it; not together with `dynamic`.
        For htp, which knows no dimension that depends on another one, names are made of it.
    compare : bool
        Run model and file on these inputs and compare the outputs, if onnxruntime is installed. Where they differ, the
        file stays, ``report.ok`` is False and ``report.failures`` names the output; ``report.compared`` has the
        figures.
    debug : bool
        Let through what torch logs and prints.
    progress : callable, optional
        Told the name of each phase as it begins.

    Returns
    -------
    Export

    Raises
    ------
    ExportError
        If no strategy can export the model.
    TaggerError
        If the target cannot be written or an option is unknown.
    """
    target, given = path_of(path, "the target"), _keywords(kwargs)
    _insist_on_module(model)
    insist_on(strategy, str, "the strategy", "'auto', 'fx' or 'htp'")
    insist_on(opset, (int, type(None)), "the opset", "its number, or None for the exporter's own")
    choice_of(merge, ("enclosing", "output"), "merge")
    require("torch", "torch", "export")
    from onnx_tagger.exporters.base import Request
    from onnx_tagger.exporters.capture import capture as captured_of, with_parameters
    from onnx_tagger.exporters.select import export_with, strategy_names

    strategy_names(strategy)
    if dynamic and dynamic_shapes is not None:
        raise TaggerError("dynamic opens all dimensions, dynamic_shapes names those to open: give one of them")
    for names in (input_names, output_names):
        _check_given(names)
    dialects = metadata.check_dialects(also)
    for written in (target, map_path(target)) if tag else (target,):
        permissions_of(written)
    inputs = _positional(args)
    report = Report()
    tell = progress or nothing_to_tell
    tell("capture")
    with report.phase("capture"):
        captured = captured_of(model, inputs, given, digests=False)
    if tag:
        tell("digests")
        with report.phase("digests"):
            captured = with_parameters(captured, model)
    annotator = _Annotator(dialects, merge, report, evidence=evidence)
    # Exporters rename what they have made into place, which would put a link's target out of use.
    place = target.resolve() if target.is_symlink() else target
    request = Request(model, inputs, dict(given or {}), place, annotator if tag else None, opset, dynamic, merge)
    request = replace(
        request,
        verify_bytes=verify_bytes,
        input_names=tuple(input_names),
        output_names=tuple(output_names),
        dynamic_shapes=dynamic_shapes,
        debug=debug,
    )
    tell("export")
    before = tell.attempting if isinstance(tell, Attempts) else nothing_to_tell
    chosen, exported = export_with(strategy, request, captured, before)
    report.phases.extend(exported.timings)
    report.strategy = chosen
    report.weights = exported.weights.as_dict() if exported.weights is not None else None
    report.fallbacks[:0] = exported.notes
    hierarchy = exported.hierarchy
    if tag:
        tell("save map")
        with report.phase("save map"):
            hierarchy.save(map_path(target))
    else:
        count(read_tags(read_skeleton(target).model), report)
    report.peak_rss_mb = peak_rss_mb()
    if compare and is_installed("onnxruntime"):
        tell("compare")
        with report.phase("compare"):
            _compare(request, report)
    return Export(target, map_path(target), hierarchy, report)


def _insist_on_module(model: object) -> None:
    """Raise unless a model looks like a module; torch is not imported to find out."""
    if isinstance(model, type) or not callable(getattr(model, "named_modules", None)):
        raise TaggerError(f"the model is {described(model)}; give a torch.nn.Module")


def _keywords(kwargs: object) -> Mapping[str, object] | None:
    if kwargs is None:
        return None
    if not isinstance(kwargs, Mapping) or any(not isinstance(name, str) for name in kwargs):
        raise TaggerError(f"kwargs is {described(kwargs)}; give a dict of the forward's keyword arguments")
    return kwargs


def _positional(args: object) -> tuple[object, ...]:
    """The arguments of a call; one that stands alone, as `torch.onnx.export` takes it, is the only one."""
    return tuple(args) if isinstance(args, (tuple, list)) else (args,)


def _check_given(names: Sequence[str]) -> None:
    """Insist on names that can stand in a file."""
    if isinstance(names, str):
        raise TaggerError(f"{names!r}: names of inputs and outputs are a list; give [{names!r}]")
    wrong = next((name for name in names if not isinstance(name, str) or not name), None)
    if wrong is not None:
        raise TaggerError(f"{wrong!r} is no name of an input or output; give a text that is not empty")
    twice = next((name for name in names if list(names).count(name) > 1), None)
    if twice is not None:
        raise TaggerError(f"the name {twice!r} is given twice; names of inputs and outputs are unique")


def _compare(request: Request, report: Report) -> None:
    """Compare what the model returns with what the file does; what stands in the way is a note."""
    from onnx_tagger.exporters.interface import feeds_of
    from onnx_tagger.exporters.outputs import runs_of
    from onnx_tagger.runtime.agreement import NotComparedError, agreement, difference, tolerance

    try:
        with runs_of(request.model, request.args, request.kwargs) as runs:
            wanted = next(runs)
            feeds = feeds_of(request.path, request.model, request.args, request.kwargs, request.input_names)
            found = agreement(request.path, feeds, wanted)
            again = wanted if found.agrees else next(runs)
    except NotComparedError as error:
        report.fallbacks.append(f"not compared with torch: {error}")
        return
    except Exception as error:  # noqa: BLE001 - the export has succeeded; whatever the model raises now is told
        report.fallbacks.append(f"not compared with torch: {one_line(error)}")
        return
    if any(difference(one, two) > tolerance(one.dtype) for one, two in zip(wanted, again, strict=True)):
        report.fallbacks.append("not compared with torch: the model is not deterministic")
        return
    report.compared = found.as_dict()
    if not found.agrees:
        report.ok = False
        report.failures.append(found.sentence(request.path))


class _Annotator:
    """Tags an exporter's graph before its only save: the `annotate` that exporters are handed."""

    def __init__(self, also: tuple[str, ...], merge: Merge, report: Report, *, evidence: bool = False) -> None:
        self.also, self.merge, self.report, self.evidence = also, merge, report, evidence

    def __call__(self, skeleton: onnx.ModelProto, hierarchy: HierarchyMap) -> HierarchyMap:
        from onnx_tagger.hierarchy.file import digest_of, to_json

        self.report.passes.clear()
        ctx = Context(skeleton, hierarchy, report=self.report)
        PassManager([Match(fresh=True), Inherit()]).run_in(ctx)
        graph = hierarchy.graph
        assert graph is not None
        nodes = [node._replace(tag=ctx.tags.get(op)) for op, node in zip(ctx.ops, graph.nodes, strict=True)]
        finished = replace(hierarchy, graph=replace(graph, nodes=nodes))
        digest = digest_of(to_json(finished))
        PassManager([Inject(also=self.also, map_digest=digest, evidence=self.evidence), Coverage()]).run_in(ctx)
        return replace(finished, digest=digest)


@_in_turn
def capture(
    model: nn.Module,
    args: Sequence[object] | Tensor = (),
    *,
    kwargs: Mapping[str, object] | None = None,
    report: Report | None = None,
) -> HierarchyMap:
    """Run a model once and return its module-usage map, for an ONNX file that others exported.

    Threads take turns at this and at `export`.

    Parameters
    ----------
    model : torch.nn.Module
        Left as it was.
    args, kwargs
        What its `forward` takes; a tensor alone is the only positional argument.
    report : Report, optional
        Takes the phases.

    Raises
    ------
    ExportError
        If the model raises on these inputs.
    """
    given, told = _keywords(kwargs), report if report is not None else Report()
    _insist_on_module(model)
    insist_on(told, Report, "report", "a Report to fill")
    require("torch", "torch", "capture")
    from onnx_tagger.exporters.capture import capture as captured_of, with_parameters

    with told.phase("capture"):
        captured = captured_of(model, _positional(args), given, digests=False)
    with told.phase("digests"):
        captured = with_parameters(captured, model)
    told.peak_rss_mb = peak_rss_mb()
    return captured.hierarchy
