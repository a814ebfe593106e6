"""Looking at files: their maps, what their metadata says of each node, and whether it holds. Nothing is written."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.onnxfile import Skeleton, read_skeleton
from onnx_tagger.files.tensors import read_blocks
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.hierarchy.loading import MapSource as MapSource, load_map as load_map, load_with_file
from onnx_tagger.hierarchy.map import HierarchyMap, Parameter
from onnx_tagger.model import metadata
from onnx_tagger.model.arguments import insist_on
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.dialects import READABLE, claims
from onnx_tagger.model.evidence import EVIDENCES, evidence_class
from onnx_tagger.model.report import Limits, Report, peak_rss_mb
from onnx_tagger.model.urls import local_path_of, place_of
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.coverage import Coverage
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

if TYPE_CHECKING:
    from onnx_tagger.workflows.kinship.judging import Judge
    from onnx_tagger.workflows.kinship.stored import StoredWeight
    from onnx_tagger.workflows.kinship.verdict import Kinship

Target = str | os.PathLike[str]

# A node's id, the module that it says to be in, and a sentence that begins with the id.
Problem = tuple[str, str | None, str]


def map_path(path: Target) -> Path:
    """Where a model's map is saved: ``M.onnx`` has ``M.hierarchy.json`` beside it."""
    return local_path_of(path, "the model").with_suffix(".hierarchy.json")


@dataclass(frozen=True)
class LoadedMap:
    """A map with the tagged file that it was made of, if it was.

    Attributes
    ----------
    tree : HierarchyMap
    skeleton : Skeleton or None
        Of the tagged ``.onnx``.
    """

    tree: HierarchyMap
    skeleton: Skeleton | None = None

    @property
    def forced(self) -> str:
        """What a tagged file says of a map that was forced on it; empty if nothing was."""
        return metadata.model_value(self.skeleton.model, metadata.FORCED) if self.skeleton is not None else ""

    @cached_property
    def _weights(self) -> tuple[Context, list[StoredWeight], Mapping[str, Sequence[str]]]:
        """The tagged file, its weights, and the modules that read them."""
        from onnx_tagger.workflows.kinship.stored import stored_weights

        assert self.skeleton is not None
        graph = self.tree.graph
        ctx = Context(self.skeleton.model, self.tree, blocks=partial(read_blocks, self.skeleton))
        return ctx, stored_weights(ctx), graph.initializers if graph is not None else {}

    def listed(self) -> list[Parameter]:
        """The same without their values: names, owners and shapes."""
        if self.skeleton is None:
            return []
        _, weights, owners = self._weights
        return [
            Parameter(each.name, next(iter(owners.get(each.name, ())), ""), each.shape, "", ("", ""))
            for each in weights
        ]

    def parameters(self, names: Collection[str] | None = None) -> list[Parameter]:
        """The weights of a tagged file, all or those of some names, read some rows at a time."""
        if self.skeleton is None:
            return []
        from onnx_tagger.workflows.kinship.weights import parameters_of

        return parameters_of(*self._weights, names)


def open_map(source: MapSource, *, beside: onnx.ModelProto | None = None) -> LoadedMap:
    """The same as `load_map`, with the file that it was made of."""
    return LoadedMap(*load_with_file(source, beside=beside))


def kinship_of(model: Target, hierarchy: MapSource, *, values: bool = True) -> Kinship:
    """Whether a map is of a file's model, as `retag` decides it.

    Parameters
    ----------
    model : path
    hierarchy : HierarchyMap or path
    values : bool
        Whether weights may be read.

    Raises
    ------
    TaggerError
        If the file or the map cannot be read.
    """
    skeleton = read_skeleton(model)
    source = open_map(hierarchy, beside=skeleton.model if values else None)
    blocks = partial(read_blocks, skeleton) if values else None
    return judge_of(Context(skeleton.model, source.tree, blocks=blocks), source).verdict()


def judge_of(ctx: Context, source: LoadedMap, verified: Mapping[str, object] | None = None) -> Judge:
    """Who decides whether a map is of a file's model; the weights of a tagged file are read when they are needed."""
    from onnx_tagger.workflows.kinship.judging import Judge

    if source.skeleton is None:
        return Judge(ctx, source.tree, verified=verified)
    return Judge(ctx, source.tree, source.parameters, source.listed, verified)


def read_tags(model: onnx.ModelProto, hierarchy: HierarchyMap | None = None) -> Context:
    """What a model says by itself, by any carrier: our keys, torch's keys, dialects; if there is none, its names.

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
    from onnx_tagger.workflows.inferring import context_by_name

    return context_by_name(model) or ctx


def coverage_by(limits: Limits, *, assume: bool = True) -> Coverage:
    """The pass that judges by some limits; see `Coverage` for `assume`."""
    return Coverage(
        min_coverage=limits.min_coverage,
        max_root=limits.max_root,
        max_inherited=limits.max_inherited,
        max_named=limits.max_named,
        min_evidence=limits.min_evidence,
        assume=assume,
    )


def count(ctx: Context, report: Report | None = None) -> Report:
    """Count the nodes of a model whose tags have been read, into a report or a new one."""
    ctx.report = report or Report()
    PassManager([Coverage(assume=False)]).run_in(ctx)
    return ctx.report


@collector_paused()
def stats(model: Target, hierarchy: MapSource | None = None) -> Report:
    """Count the nodes of a file by source, graph and tag, reading any carrier."""
    report = Report()
    with report.phase("read"):
        skeleton = read_skeleton(place_of(model, "the model"))
        tree = load_map(hierarchy) if hierarchy is not None else None
    with report.phase("count"):
        count(read_tags(skeleton.model, tree), report)
    report.peak_rss_mb = peak_rss_mb()
    return report


@collector_paused()
def check(
    model: Target,
    hierarchy: MapSource | None = None,
    *,
    dialect: str | None = None,
    min_coverage: float = 100.0,
    max_root: int = 0,
    max_inherited: int | None = None,
    max_named: int | None = None,
    allow_forced: bool = False,
    min_evidence: str | None = None,
) -> Report:
    """Check a file's tags: every node has one, they are consistent, and the limits hold.

    Parameters
    ----------
    model : path or URL
    hierarchy : HierarchyMap, path, URL or None
        With a map, each pair of module and tag must exist in it; without, the keys must fit each other.
    dialect : str, optional
        Count what this carrier says instead of our own keys: ``torch``, ``winml``, ``namespace``, ``layer_ann`` or
        ``doc_string``.
    min_coverage : float
        Smallest share of tagged nodes, 0 to 100.
    max_root, max_inherited, max_named : int
        Largest numbers of nodes with these sources.
    allow_forced : bool
        Let tags pass that rest on a map that was taken by force: a note says so then, and a failure otherwise.
    min_evidence : str, optional
        What each tag must rest on at least, by what ``pkg.onnx_tagger.evidence`` says on the node; see `Evidence`.

    Returns
    -------
    Report
        `ok` and `failures` say whether it holds.

    Raises
    ------
    TaggerError
        If the file or the map cannot be read.
    """
    insist_on(min_coverage, (int, float), "min_coverage", "a number from 0 to 100")
    insist_on(max_root, int, "max_root", "a whole number")
    insist_on(max_inherited, (int, type(None)), "max_inherited", "a whole number, or None for no limit")
    insist_on(max_named, (int, type(None)), "max_named", "a whole number, or None for no limit")
    if not 0 <= min_coverage <= 100:
        raise TaggerError(f"the smallest coverage is {min_coverage:g}, it must lie between 0 and 100")
    report = Report()
    least = evidence_class(min_evidence) if min_evidence is not None else None
    limits = Limits(min_coverage, max_root, max_inherited, max_named, least)
    with report.phase("read"):
        skeleton = read_skeleton(place_of(model, "the model"))
        tree = load_map(hierarchy) if hierarchy is not None else None
    with report.phase("check"):
        check_skeleton(skeleton, tree, limits, report, dialect=dialect, allow_forced=allow_forced)
    report.peak_rss_mb = peak_rss_mb()
    return report


def check_skeleton(
    skeleton: Skeleton,
    tree: HierarchyMap | None,
    limits: Limits,
    report: Report,
    *,
    dialect: str | None = None,
    allow_forced: bool = False,
) -> None:
    """The same of a file that was read, into a report."""
    if dialect is None:
        problems, ctx = _own_problems(skeleton.model, tree)
    else:
        problems, ctx = _dialect_problems(skeleton.model, tree, dialect)
    ctx.report = report
    PassManager([coverage_by(limits, assume=False)]).run_in(ctx)
    report.failures.extend(text for _, _, text in problems)
    report.modules |= {label: module for label, module, _ in problems if module is not None}
    if forced := metadata.model_value(skeleton.model, metadata.FORCED):
        told = report.fallbacks if allow_forced else report.failures
        told.append(f"the tags rest on a map that was taken with --force, although {forced}")
    report.ok = not report.failures


def _own_problems(model: onnx.ModelProto, tree: HierarchyMap | None) -> tuple[list[Problem], Context]:
    """Read our own keys; a node whose keys do not hold has no tag and a sentence says why."""
    ctx = Context(model, tree)
    problems: list[Problem] = []
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
        problem = problem or _evidence_problem(props)
        if tag is not None and not problem:
            ctx.tags[op] = tag
            if metadata.EVIDENCE in props:
                ctx.evidence[op] = EVIDENCES[props[metadata.EVIDENCE]]
        else:
            problems.append((op.label, tag.module if tag is not None else None, f"{op.label} {problem}"))
    return problems, ctx


def _evidence_problem(props: Mapping[str, str]) -> str:
    """What is wrong with the evidence that a node names; empty if it names a class that there is, or none."""
    said = props.get(metadata.EVIDENCE)
    return "" if said is None or said in EVIDENCES else f"has the unknown {metadata.EVIDENCE} {said!r}"


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


def _dialect_problems(model: onnx.ModelProto, tree: HierarchyMap | None, dialect: str) -> tuple[list[Problem], Context]:
    """Read one foreign carrier alone; with a map, what it names must exist there."""
    names = metadata.check_dialects([dialect], READABLE)
    known = tree or hierarchy_of_model(model, dialects=names, own=False)
    ctx = Context(model, known)
    if known is None:
        return [], ctx
    PassManager([Match(dialects=names, own=False, saved=False)]).run_in(ctx)
    problems: list[Problem] = []
    if tree is not None:
        for op in ctx.walk.counted:
            claim = next(claims(op.node, names), None)
            if claim is not None and op not in ctx.tags:
                text = f"{op.label} names {claim.module or claim.tag!r}, which the map does not know"
                problems.append((op.label, claim.module, text))
    return problems, ctx
