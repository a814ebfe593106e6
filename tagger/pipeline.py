"""The default chains: export, re-tag, check, strip. What the command and the Python API both call.

Only this module knows both sides, exporters and passes; torch is imported by the exporters alone, and only when one is
asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from onnx_tagger import external, metadata
from onnx_tagger.errors import MapError, TaggerError, require
from onnx_tagger.files import replace_file
from onnx_tagger.graph import walk
from onnx_tagger.hierarchy import HierarchyMap
from onnx_tagger.onnxfile import Skeleton, read_initializer, read_skeleton, write_spliced
from onnx_tagger.passes.align import Align, Merge
from onnx_tagger.passes.base import Context, Pass, Touches, Values
from onnx_tagger.passes.coverage import Coverage
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.inject import Inject
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match
from onnx_tagger.report import Limits, Report, peak_rss_mb
from onnx_tagger.treefile import hierarchy_of_model

if TYPE_CHECKING:
    from torch import nn

Target = str | os.PathLike[str]
MapSource = HierarchyMap | str | os.PathLike[str]
Progress = Callable[[str], None]

STRATEGIES = ("auto", "fx", "htp", "dynamo", "torchscript")


def default_passes(
    *, merge: Merge = "enclosing", also: Iterable[str] | None = None, limits: Limits | None = None
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

    Examples
    --------
    >>> [step.name for step in default_passes()]
    ['match', 'align', 'inherit', 'inject', 'coverage']
    """
    bounds = limits or Limits()
    written = None if also is None else metadata.check_dialects(also)
    return [
        Match(),
        Align(merge=merge),
        Inherit(),
        Inject(also=written),
        Coverage(min_coverage=bounds.min_coverage, max_root=bounds.max_root, max_inherited=bounds.max_inherited),
    ]


def map_path(path: Target) -> Path:
    """Where a model's map is saved: ``M.onnx`` has ``M.hierarchy.json`` beside it."""
    return Path(path).with_suffix(".hierarchy.json")


def load_map(source: MapSource) -> HierarchyMap:
    """A map from a ``.hierarchy.json[.gz]`` file or from a tagged ``.onnx``.

    Raises
    ------
    MapError
        If it is neither, or the model has no tags.
    """
    if isinstance(source, HierarchyMap):
        return source
    path = Path(source)
    if not path.is_file():
        raise MapError(f"{path}: no such map; give a .hierarchy.json[.gz] file or a tagged .onnx")
    if path.suffix != ".onnx":
        return HierarchyMap.load(path)
    hierarchy = hierarchy_of_model(read_skeleton(path).model, graph=True)
    if hierarchy is None:
        raise MapError(f"{path}: holds no tags, so it is no map; tag it first, or give its .hierarchy.json")
    return hierarchy


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
    args: Sequence[object] = (),
    path: Target = "model.onnx",
    *,
    kwargs: Mapping[str, object] | None = None,
    strategy: str = "auto",
    tag: bool = True,
    also: Iterable[str] = (),
    opset: int | None = None,
    dynamic: bool = False,
    merge: Merge = "enclosing",
    progress: Progress | None = None,
) -> Export:
    """Export a PyTorch model as a tagged ONNX file, with its map beside it.

    Parameters
    ----------
    model : torch.nn.Module
        Exported in evaluation mode; left as it was.
    args, kwargs
        What its `forward` takes.
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
    from onnx_tagger.exporters.select import export_with, strategy_names

    target = Path(path)
    strategy_names(strategy)
    dialects = metadata.check_dialects(also)
    if not target.parent.is_dir():
        raise TaggerError(f"{target.parent}: no such folder; make it first")
    if target.is_dir():
        raise TaggerError(f"{target}: is a directory; name a file to write")
    report = Report()
    tell = progress or (lambda _: None)
    tell("capture")
    with report.phase("capture"):
        captured = captured_of(model, args, kwargs, digests=tag)
    annotator = _Annotator(dialects, merge, report)
    request = Request(model, tuple(args), dict(kwargs or {}), target, annotator if tag else None, opset, dynamic, merge)
    tell("export")
    chosen, exported = export_with(strategy, request, captured)
    report.phases.extend(exported.timings)
    report.strategy = chosen
    report.fallbacks[:0] = exported.notes
    hierarchy = exported.hierarchy
    if tag:
        tell("save map")
        with report.phase("save map"):
            hierarchy.save(map_path(target))
    else:
        _count(read_skeleton(target).model, report)
    report.peak_rss_mb = peak_rss_mb()
    return Export(target, map_path(target), hierarchy, report)


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
        nodes = [replace(node, tag=ctx.tags.get(op)) for op, node in zip(ctx.ops, graph.nodes, strict=True)]
        finished = replace(hierarchy, graph=replace(graph, nodes=nodes))
        digest = digest_of(to_json(finished))
        PassManager([Inject(also=self.also, map_digest=digest), Coverage()]).run_in(ctx)
        return replace(finished, digest=digest)


def capture(
    model: nn.Module, args: Sequence[object] = (), *, kwargs: Mapping[str, object] | None = None
) -> HierarchyMap:
    """Run a model once and return its module-usage map, for an ONNX file that others exported.

    Raises
    ------
    ExportError
        If the model raises on these inputs.
    """
    require("torch", "torch", "capture")
    from onnx_tagger.exporters.capture import capture as captured_of

    return captured_of(model, args, kwargs).hierarchy


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
        Accept a map that shares no node, tensor or weight name with the file.
    values : bool
        Whether weights may be read, external ones too, to know them again by their values.
    in_place : bool
        Allow `target` to be the input.
    link : bool
        Hard-link external data into another folder instead of copying it.
    ir_version : int, optional
        Written on the model; 10 is what the specification asks for with node metadata.
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
    report = Report()
    tell = progress or (lambda _: None)
    tell("read")
    with report.phase("read"):
        skeleton = read_skeleton(model)
        if not in_place and Path(target).exists() and Path(target).samefile(model):
            raise TaggerError(f"{target}: is the input file; choose another output or ask for --in-place")
        tree = load_map(hierarchy) if hierarchy is not None else hierarchy_of_model(skeleton.model)
        rebuilds = ir_version is not None or any(step.touches & Touches.TOPOLOGY for step in passes)
        whole = _load_whole(model, target) if rebuilds else None
    if tree is None:
        raise TaggerError(
            f"{model}: says nothing of modules by itself; give --map with the .hierarchy.json saved at export"
        )
    if hierarchy is not None and not force:
        _insist_on_kin(skeleton.model, tree, str(model))
    chain = default_passes(merge=merge, also=also)
    position = next(i for i, step in enumerate(chain) if isinstance(step, Inject))
    tell("tag")
    with report.phase("tag"):
        proto = whole if whole is not None else skeleton.model
        ctx = Context(proto, tree, report=report, values=_reader(skeleton, report) if values else None)
        PassManager([*chain[:position], *passes, *chain[position:]], verify=verify_passes).run_in(ctx)
    tell("write")
    with report.phase("write"):
        if whole is not None:
            whole.ir_version = whole.ir_version if ir_version is None else ir_version
            replace_file(target, whole.SerializeToString())
        else:
            write_spliced(skeleton, target, in_place=in_place, link=link)
    report.peak_rss_mb = peak_rss_mb()
    return report


def _insist_on_kin(model: onnx.ModelProto, tree: HierarchyMap, where: str) -> None:
    """Raise if a map has nothing in common with a model: no tensor, no weight, no module that its metadata names."""
    graph = tree.graph
    known = {parameter.name for parameter in tree.parameters}
    if graph is not None:
        known.update(name for node in graph.nodes for name in node.outputs)
        known.update(graph.initializers)
    walked = walk(model)
    names = {name for op in walked.ops for name in op.node.output if name}
    names.update(name for scope in walked.scopes for name in scope.initializer_names)
    if not names or known & names:
        return
    ctx = Context(model, tree)
    PassManager([Match()]).run_in(ctx)
    if ctx.tags and any(tag.module for tag in ctx.tags.values()):
        return
    raise MapError(
        f"{where}: the map knows 0 of its {len(names)} tensors and weights, so it is another model's; "
        "give the right map, or --force"
    )


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


def _load_whole(model: Target, target: Target) -> onnx.ModelProto:
    """Read all of a model, for what a splice cannot express: another topology or another IR version."""
    whole = onnx.load(os.fspath(model), load_external_data=False)
    elsewhere = Path(model).resolve().parent != Path(target).resolve().parent
    if elsewhere and next(external.locations(whole), None) is not None:
        raise TaggerError(
            f"{target}: a graph that a pass may change stays beside its external data; write into the input's folder"
        )
    return whole


def read_tags(model: onnx.ModelProto, hierarchy: HierarchyMap | None = None) -> Context:
    """What a model's own metadata says, by any carrier: our keys, torch's keys, dialects.

    Parameters
    ----------
    model : onnx.ModelProto
        Read only.
    hierarchy : HierarchyMap, optional
        A map to look modules up in; None for the modules that the metadata names.
    """
    tree = hierarchy or hierarchy_of_model(model)
    ctx = Context(model, tree)
    if tree is not None:
        PassManager([Match()]).run_in(ctx)
    return ctx


def _count(model: onnx.ModelProto, report: Report) -> None:
    ctx = read_tags(model)
    ctx.report = report
    PassManager([Coverage()]).run_in(ctx)


def stats(model: Target, hierarchy: MapSource | None = None) -> Report:
    """Count the nodes of a file by source, graph and tag, reading any carrier."""
    report = Report()
    with report.phase("read"):
        skeleton = read_skeleton(model)
        tree = load_map(hierarchy) if hierarchy is not None else None
    with report.phase("count"):
        ctx = read_tags(skeleton.model, tree)
        ctx.report = report
        PassManager([Coverage()]).run_in(ctx)
    report.peak_rss_mb = peak_rss_mb()
    return report


def check(
    model: Target,
    hierarchy: MapSource | None = None,
    *,
    dialect: str | None = None,
    min_coverage: float = 100.0,
    max_root: int = 0,
    max_inherited: int | None = None,
) -> Report:
    """Check a file's tags: every node has one, they are consistent, and the limits hold.

    Parameters
    ----------
    model : path
    hierarchy : HierarchyMap, path or None
        With a map, each pair of module and tag must exist in it; without, the keys must fit each other.
    dialect : str, optional
        Count what this carrier says instead of our own keys: ``torch``, ``winml``, ``namespace``, ``layer_ann`` or
        ``doc_string``.
    min_coverage : float
        Smallest share of tagged nodes, 0 to 100.
    max_root, max_inherited : int
        Largest numbers of nodes with these sources.

    Returns
    -------
    Report
        `ok` and `failures` say whether it holds.

    Raises
    ------
    TaggerError
        If the file or the map cannot be read.
    """
    if not 0 <= min_coverage <= 100:
        raise TaggerError(f"the smallest coverage is {min_coverage:g}, it must lie between 0 and 100")
    report = Report()
    limits = Limits(min_coverage, max_root, max_inherited)
    with report.phase("read"):
        skeleton = read_skeleton(model)
        tree = load_map(hierarchy) if hierarchy is not None else None
    with report.phase("check"):
        if dialect is None:
            problems, ctx = _own_problems(skeleton.model, tree)
        else:
            problems, ctx = _dialect_problems(skeleton.model, tree, dialect)
        ctx.report = report
        step = Coverage(min_coverage=limits.min_coverage, max_root=limits.max_root, max_inherited=limits.max_inherited)
        PassManager([step]).run_in(ctx)
        report.failures.extend(problems)
        report.ok = not report.failures
    report.peak_rss_mb = peak_rss_mb()
    return report


def _own_problems(model: onnx.ModelProto, tree: HierarchyMap | None) -> tuple[list[str], Context]:
    """Read our own keys; a node whose keys do not hold has no tag and a sentence says why."""
    ctx = Context(model, tree)
    problems: list[str] = []
    known: dict[tuple[str, str], str] = {}
    pairs = _Pairs(tree)
    for op in ctx.walk.counted:
        props = metadata.props_of(op.node)
        if not any(key.startswith(metadata.PREFIX) for key in props):
            continue
        tag, problem = metadata.parse_own(props)
        if tag is not None:
            key = (tag.module, tag.tag)
            if key not in known:
                known[key] = pairs.problem(*key)
            problem = known[key] or pairs.origins_problem(tag.origins)
        if tag is not None and not problem:
            ctx.tags[op] = tag
        else:
            problems.append(f"{op.label} {problem}")
    return problems, ctx


class _Pairs:
    """Whether module and tag belong together: by the map, or one to one within the file."""

    def __init__(self, tree: HierarchyMap | None) -> None:
        self.tree = tree
        self.tags: dict[str, str] = {}
        self.modules: dict[str, str] = {}

    def problem(self, module: str, tag: str) -> str:
        if self.tree is not None:
            found = self.tree.by_path.get(module)
            if found is None:
                return f"has the module {module!r}, which the map does not know"
            return (
                "" if found.tag == tag else f"has the tag {tag!r}, but the map gives {module!r} the tag {found.tag!r}"
            )
        if self.tags.setdefault(module, tag) != tag:
            return f"has the tag {tag!r}, but another node of {module!r} has {self.tags[module]!r}"
        if self.modules.setdefault(tag, module) != module:
            return f"has the module {module!r}, but another node tagged {tag!r} has {self.modules[tag]!r}"
        root = tag.split("/")[1]
        if self.modules.setdefault("/", root) != root:
            return f"has the tag {tag!r}, but other tags begin with '/{self.modules['/']}'"
        return ""

    def origins_problem(self, origins: Iterable[str]) -> str:
        if self.tree is None:
            return ""
        lost = [path for path in origins if path not in self.tree.by_path]
        return f"has the origin {lost[0]!r}, which the map does not know" if lost else ""


def _dialect_problems(model: onnx.ModelProto, tree: HierarchyMap | None, dialect: str) -> tuple[list[str], Context]:
    """Read one foreign carrier alone; with a map, what it names must exist there."""
    names = metadata.check_dialects([dialect], metadata.READABLE)
    known = tree or hierarchy_of_model(model, dialects=names, own=False)
    ctx = Context(model, known)
    if known is None:
        return [], ctx
    PassManager([Match(dialects=names, own=False, saved=False)]).run_in(ctx)
    problems = []
    if tree is not None:
        for op in ctx.walk.counted:
            claim = next(metadata.claims(op.node, names), None)
            if claim is not None and op not in ctx.tags:
                problems.append(f"{op.label} names {claim.module or claim.tag!r}, which the map does not know")
    return problems, ctx


def strip(model: Target, target: Target, *, stack_traces: bool = False, in_place: bool = False) -> int:
    """Remove what this package wrote from a file, and nothing else.

    Parameters
    ----------
    model, target : path
    stack_traces : bool
        Also remove the local paths that torch leaves in ``pkg.torch.onnx.stack_trace``.
    in_place : bool
        Allow `target` to be the input.

    Returns
    -------
    int
        How many nodes changed.
    """
    skeleton = read_skeleton(model)
    also = metadata.also_of(skeleton.model)
    changed = 0
    for op in walk(skeleton.model).ops:
        touched = metadata.clear_node(op.node, also)
        if stack_traces:
            touched = metadata.remove_key(op.node, metadata.TORCH_STACK) or touched
        changed += touched
    metadata.clear_model(skeleton.model)
    write_spliced(skeleton, target, in_place=in_place)
    return changed
