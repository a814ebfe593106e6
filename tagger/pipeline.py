"""The default chains that write: export, re-tag, strip. What the command and the Python API both call.

Only this module knows both sides, exporters and passes; torch is imported by the exporters alone, and only when one is
asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from onnx_tagger import metadata
from onnx_tagger.checks import MapSource, Target, count, load_map, map_path
from onnx_tagger.collector import collector_paused
from onnx_tagger.errors import TaggerError, require
from onnx_tagger.filecopy import permissions_of
from onnx_tagger.graph import walk
from onnx_tagger.hierarchy import HierarchyMap, Merge
from onnx_tagger.kinship import Kinship, insist_on_kin, note_of_part
from onnx_tagger.onnxfile import Skeleton, read_initializer, read_skeleton, write_spliced
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context, Pass, Touches, Values
from onnx_tagger.passes.coverage import Coverage
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.inject import Inject
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match
from onnx_tagger.report import Limits, Report, peak_rss_mb
from onnx_tagger.treefile import hierarchy_of_model
from onnx_tagger.verify import original_of
from onnx_tagger.verify import verify as verify_files
from onnx_tagger.whole import load_whole, write_whole

if TYPE_CHECKING:
    from torch import Tensor, nn

Progress = Callable[[str], None]


def default_passes(
    *,
    merge: Merge = "enclosing",
    also: Iterable[str] | None = None,
    limits: Limits | None = None,
    distrusted: Collection[str] = (),
) -> list[Pass]:
    """The chain that re-tags a model: Match, Align, Inherit, Inject, Coverage.

    Parameters
    ----------
    merge : "enclosing" or "output"
        Whose tag a node gets that does the work of several modules; see `Align`.
    also : iterable of str, optional
        Dialects to write besides our own keys; None keeps those that the model carries.
    limits : Limits, optional
        What the report judges coverage by.
    distrusted : collection of str
        Tensors that are not what the map's graph calls so; see `Align`.

    Examples
    --------
    >>> [step.name for step in default_passes()]
    ['match', 'align', 'inherit', 'inject', 'coverage']
    """
    bounds = limits or Limits()
    written = None if also is None else metadata.check_dialects(also)
    return [
        Match(distrusted=distrusted),
        Align(merge=merge, distrusted=distrusted),
        Inherit(merge=merge),
        Inject(also=written),
        Coverage(min_coverage=bounds.min_coverage, max_root=bounds.max_root, max_inherited=bounds.max_inherited),
    ]


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


def export(
    model: nn.Module,
    args: Sequence[object] | Tensor = (),
    path: Target = "model.onnx",
    *,
    kwargs: Mapping[str, object] | None = None,
    strategy: str = "auto",
    tag: bool = True,
    also: Iterable[str] = (),
    opset: int | None = None,
    dynamic: bool = False,
    merge: Merge = "enclosing",
    verify_bytes: bool = False,
    progress: Progress | None = None,
) -> Export:
    """Export a PyTorch model as a tagged ONNX file, with its map beside it.

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
    require("torch", "torch", "export")
    from onnx_tagger.exporters.base import Request
    from onnx_tagger.exporters.capture import capture as captured_of
    from onnx_tagger.exporters.capture import with_parameters
    from onnx_tagger.exporters.select import export_with, strategy_names

    target = Path(path)
    strategy_names(strategy)
    dialects = metadata.check_dialects(also)
    for written in (target, map_path(target)) if tag else (target,):
        permissions_of(written)
    inputs = _positional(args)
    report = Report()
    tell = progress or (lambda _: None)
    tell("capture")
    with report.phase("capture"):
        captured = captured_of(model, inputs, kwargs, digests=False)
    if tag:
        tell("digests")
        with report.phase("digests"):
            captured = with_parameters(captured, model)
    annotator = _Annotator(dialects, merge, report)
    # Exporters rename what they have made into place, which would put a link's target out of use.
    place = target.resolve() if target.is_symlink() else target
    request = Request(model, inputs, dict(kwargs or {}), place, annotator if tag else None, opset, dynamic, merge)
    request = replace(request, verify_bytes=verify_bytes)
    tell("export")
    chosen, exported = export_with(strategy, request, captured)
    report.phases.extend(exported.timings)
    report.strategy = chosen
    report.weights = exported.weights.as_dict() if exported.weights is not None else None
    report.fallbacks[:0] = [*exported.notes, *_other_opset(target, opset)]
    hierarchy = exported.hierarchy
    if tag:
        tell("save map")
        with report.phase("save map"):
            hierarchy.save(map_path(target))
    else:
        count(read_skeleton(target).model, report)
    report.peak_rss_mb = peak_rss_mb()
    return Export(target, map_path(target), hierarchy, report)


def _positional(args: object) -> tuple[object, ...]:
    """The arguments of a call; one that stands alone, as `torch.onnx.export` takes it, is the only one."""
    return tuple(args) if isinstance(args, (tuple, list)) else (args,)


def _other_opset(path: Path, opset: int | None) -> list[str]:
    """A sentence if a file is not of the opset that was asked for: torch keeps its own where it cannot convert."""
    if opset is None:
        return []
    found = [entry.version for entry in read_skeleton(path).model.opset_import if entry.domain in ("", "ai.onnx")]
    return [f"opset {opset} was asked for, torch wrote opset {found[0]}"] if found and found[0] != opset else []


class _Annotator:
    """Tags an exporter's graph before its only save: the `annotate` that exporters are handed."""

    def __init__(self, also: tuple[str, ...], merge: Merge, report: Report) -> None:
        self.also, self.merge, self.report = also, merge, report

    def __call__(self, skeleton: onnx.ModelProto, hierarchy: HierarchyMap) -> HierarchyMap:
        from onnx_tagger.hierarchy_file import digest_of, to_json

        self.report.passes.clear()
        ctx = Context(skeleton, hierarchy, report=self.report)
        PassManager([Match(fresh=True), Inherit()]).run_in(ctx)
        graph = hierarchy.graph
        assert graph is not None
        nodes = [node._replace(tag=ctx.tags.get(op)) for op, node in zip(ctx.ops, graph.nodes, strict=True)]
        finished = replace(hierarchy, graph=replace(graph, nodes=nodes))
        digest = digest_of(to_json(finished))
        PassManager([Inject(also=self.also, map_digest=digest), Coverage()]).run_in(ctx)
        return replace(finished, digest=digest)


def capture(
    model: nn.Module,
    args: Sequence[object] | Tensor = (),
    *,
    kwargs: Mapping[str, object] | None = None,
    report: Report | None = None,
) -> HierarchyMap:
    """Run a model once and return its module-usage map, for an ONNX file that others exported.

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
    require("torch", "torch", "capture")
    from onnx_tagger.exporters.capture import capture as captured_of
    from onnx_tagger.exporters.capture import with_parameters

    told = report or Report()
    with told.phase("capture"):
        captured = captured_of(model, _positional(args), kwargs, digests=False)
    with told.phase("digests"):
        captured = with_parameters(captured, model)
    told.peak_rss_mb = peak_rss_mb()
    return captured.hierarchy


@collector_paused()
def retag(
    model: Target,
    hierarchy: MapSource | None,
    target: Target,
    *,
    merge: Merge = "enclosing",
    also: Iterable[str] | None = None,
    passes: Sequence[Pass] = (),
    force: bool = False,
    values: bool = True,
    in_place: bool = False,
    link: bool = False,
    ir_version: int | None = None,
    verify: bool | Target = False,
    inputs: Target | None = None,
    verify_bytes: bool = False,
    verify_passes: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Tag an ONNX file from a saved map, or from its own metadata.

    Parameters
    ----------
    model : path
        The file to read.
    hierarchy : HierarchyMap, path or None
        A map, a ``.hierarchy.json[.gz]`` file or a tagged ``.onnx``; None for the file's own metadata.
    target : path
        The file to write; it may be the input only with `in_place`.
    merge, also
        See `default_passes`.
    passes : sequence of Pass
        Run after the tags are found and before they are written.
    force : bool
        Accept a map that is another model's by all that it knows of the file's tensors and weights.
    values : bool
        Whether weights may be read, external ones too, to know them again by their values.
    in_place : bool
        Allow `target` to be the input.
    link : bool
        Hard-link external data into another folder instead of copying it.
    ir_version : int, optional
        Written on the model; 10 is what the specification asks for with node metadata.
    verify : bool or path
        Run the file and the one that it was made of in onnxruntime, and align by no tensor whose values differ. True
        for the file that the map was made from: the tagged ``.onnx`` itself, or the one beside the ``.hierarchy.json``.
    inputs : path, optional
        With `verify`, an ``.npz`` file with an array for each input; random values otherwise.
    verify_bytes : bool
        Prove by digests, before the result takes its place, that it stores the same tensors.
    verify_passes : bool
        Hold every pass to what it declares.
    progress : callable, optional
        Told the name of each phase as it begins.

    Returns
    -------
    Report

    Raises
    ------
    TaggerError
        If an input cannot be used or the target not be written; nothing is half-written.
    """
    if ir_version is not None and not 3 <= ir_version <= onnx.IR_VERSION:
        raise TaggerError(
            f"IR version {ir_version} is not one that onnx {onnx.__version__} knows: 3 to {onnx.IR_VERSION}"
        )
    report = Report()
    tell = progress or (lambda _: None)
    tell("read")
    with report.phase("read"):
        skeleton = read_skeleton(model)
        if not in_place and Path(target).exists() and Path(target).samefile(model):
            raise TaggerError(f"{target}: is the input file; choose another output or ask for --in-place")
        beside = skeleton.model if values else None
        tree = load_map(hierarchy, beside=beside) if hierarchy is not None else hierarchy_of_model(skeleton.model)
        rebuilds = ir_version is not None or any(step.touches & Touches.TOPOLOGY for step in passes)
        whole = load_whole(Path(model), Path(target)) if rebuilds else None
    if tree is None:
        raise TaggerError(
            f"{model}: says nothing of modules by itself; give --map with the .hierarchy.json saved at export"
        )
    distrusted: Collection[str] = ()
    if verify:
        tell("verify")
        with report.phase("verify"):
            distrusted = _verify(Path(model), hierarchy if verify is True else verify, tree, inputs, report)
    elif inputs is not None:
        raise TaggerError(f"{inputs}: inputs are for verifying; ask for that, too, with --verify")
    chain = default_passes(merge=merge, also=also, distrusted=distrusted)
    position = next(i for i, step in enumerate(chain) if isinstance(step, Inject))
    tell("tag")
    with report.phase("tag"):
        proto = whole if whole is not None else skeleton.model
        ctx = Context(proto, tree, report=report, values=_reader(skeleton, report) if values else None)
        kinship = Kinship(ctx, tree) if hierarchy is not None else None
        if kinship is not None and not force:
            insist_on_kin(ctx, tree, kinship, str(model))
        PassManager([*chain[:position], *passes, *chain[position:]], verify=verify_passes).run_in(ctx)
        note = note_of_part(ctx, kinship) if kinship is not None else None
        report.fallbacks.extend([note] if note is not None else ())
    # As much memory as the writing needs, or more.
    del ctx, kinship, tree
    tell("write")
    with report.phase("write"):
        if whole is not None:
            proved = write_whole(whole, ir_version, Path(model), Path(target), verify_bytes)
        else:
            proved = write_spliced(
                skeleton, target, in_place=in_place, link=link, verify_bytes=verify_bytes, pad_key=metadata.PAD
            )
        report.weights = proved.as_dict() if proved is not None else None
    report.peak_rss_mb = peak_rss_mb()
    return report


def _verify(
    model: Path, source: MapSource | None, tree: HierarchyMap, inputs: Target | None, report: Report
) -> Collection[str]:
    """The tensors that are not what the file that this one was made of calls so, by running both."""
    found = verify_files(original_of(source, tree), model, inputs=Path(inputs) if inputs is not None else None)
    report.verified = found.as_dict()
    if found.differing:
        report.fallbacks.append(found.sentence())
    return found.distrusted


def _reader(skeleton: Skeleton, report: Report) -> Callable[[str], Values | None]:
    """Reads weights on request; those that cannot be read are noted once and do without."""

    def read(name: str) -> Values | None:
        try:
            return read_initializer(skeleton, name)
        except TaggerError as error:
            if not any(note.startswith("weights are not compared") for note in report.fallbacks):
                report.fallbacks.append(f"weights are not compared by value: {error}")
            return None

    return read


@collector_paused()
def strip(
    model: Target,
    target: Target,
    *,
    stack_traces: bool = False,
    in_place: bool = False,
    verify_bytes: bool = False,
    report: Report | None = None,
) -> int:
    """Remove what this package wrote from a file, and nothing else.

    Parameters
    ----------
    model, target : path
    stack_traces : bool
        Also remove the local paths that torch leaves in ``pkg.torch.onnx.stack_trace``.
    in_place : bool
        Allow `target` to be the input.
    verify_bytes : bool
        Prove by digests, before the result takes its place, that it stores the same tensors.
    report : Report, optional
        Takes the phases.

    Returns
    -------
    int
        How many nodes changed.
    """
    told = report or Report()
    with told.phase("read"):
        skeleton = read_skeleton(model)
    with told.phase("strip"):
        also = metadata.also_of(skeleton.model)
        changed = 0
        for op in walk(skeleton.model).ops:
            touched = metadata.clear_node(op.node, also)
            if stack_traces:
                touched = metadata.remove_key(op.node, metadata.TORCH_STACK) or touched
            changed += touched
        metadata.clear_model(skeleton.model)
    with told.phase("write"):
        proved = write_spliced(skeleton, target, in_place=in_place, verify_bytes=verify_bytes)
    told.weights = proved.as_dict() if proved is not None else None
    told.peak_rss_mb = peak_rss_mb()
    return changed
