"""The default chains that write to files which are there already: re-tag and strip. What command and API both call.

How a model is exported is `exporting`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import onnx

from onnx_tagger.errors import MapError, TaggerError
from onnx_tagger.files.external import same_file
from onnx_tagger.files.onnxfile import read_skeleton, write_spliced
from onnx_tagger.files.whole import load_whole, write_whole
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.hierarchy.inferred.tree import infer_tree
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.hierarchy.map import HierarchyMap, Merge
from onnx_tagger.model import metadata
from onnx_tagger.model.arguments import insist_on, path_of
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.graph import operator, walk
from onnx_tagger.model.metadata import Source
from onnx_tagger.model.report import Limits, Report, peak_rss_mb
from onnx_tagger.model.texts import counted
from onnx_tagger.model.urls import Place, Url, local_path_of, place_of, shown_place
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.inject import Inject
from onnx_tagger.passes.manager import PassManager, passes_of
from onnx_tagger.passes.match import Match
from onnx_tagger.passes.opening import reader_of_blocks, reader_of_values
from onnx_tagger.workflows.checking import Target, coverage_by, judge_of, open_map
from onnx_tagger.workflows.exporting import Progress
from onnx_tagger.workflows.inferring import passes_by_name
from onnx_tagger.workflows.kinship.judging import note_of_part
from onnx_tagger.workflows.kinship.verdict import BY_LINEAGE, Kinship

# The domains of operators that onnxruntime's optimisers and quantisers make; no exporter does.
_OPTIMISERS = ("com.microsoft", "com.ms.internal")
# How many passes of the default chain find tags: Match, Align, Inherit.
_FINDING = 3


def default_passes(
    *,
    merge: Merge = "enclosing",
    also: Iterable[str] | None = None,
    limits: Limits | None = None,
    distrusted: Collection[str] = (),
    evidence: bool = False,
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
    evidence : bool
        Also write what each tag rests on; see `Evidence`.

    Examples
    --------
    >>> [step.name for step in default_passes()]
    ['match', 'align', 'inherit', 'inject', 'coverage']
    """
    bounds = limits if limits is not None else Limits()
    insist_on(bounds, Limits, "limits", "Limits(min_coverage=..., max_root=...)")
    written = None if also is None else metadata.check_dialects(also)
    return [
        Match(distrusted=distrusted),
        Align(merge=merge, distrusted=distrusted),
        Inherit(merge=merge),
        Inject(also=written, evidence=evidence),
        coverage_by(bounds),
    ]


@collector_paused()
def retag(
    model: Target,
    hierarchy: MapSource | None,
    target: Target,
    *,
    merge: Merge = "enclosing",
    also: Iterable[str] | None = None,
    evidence: bool = False,
    passes: Sequence[Pass] = (),
    force: bool = False,
    parent: bool = False,
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
    """Tag an ONNX file from a saved map, from its own metadata, or, if it has none, from its names.

    Parameters
    ----------
    model : path or URL
        The file to read.
    hierarchy : HierarchyMap, path, URL or None
        A map, a ``.hierarchy.json[.gz]`` file or a tagged ``.onnx``; None for what the file itself says.
    target : path
        The file to write; it may be the input only with `in_place`.
    merge, also, evidence
        See `default_passes`.
    passes : sequence of Pass
        Run after the tags are found and before they are written.
    force : bool
        Take a map that is another model's, or may be; the result is marked then.
    parent : bool
        The file was made from the one that the map is of: nothing is compared, and nothing refused.
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
    source, place = place_of(model, "the model"), local_path_of(target, "the target")
    steps = passes_of(passes)
    insist_on(ir_version, (int, type(None)), "the IR version", "its number, or None for the file's own")
    if ir_version is not None and not 3 <= ir_version <= onnx.IR_VERSION:
        raise TaggerError(
            f"IR version {ir_version} is not one that onnx {onnx.__version__} knows: 3 to {onnx.IR_VERSION}"
        )
    report = Report()
    tell = progress or (lambda _: None)
    tell("read")
    with report.phase("read"):
        skeleton = read_skeleton(source)
        if isinstance(source, Path) and not in_place and same_file(place, source):
            raise TaggerError(f"{target}: is the input file; choose another output or ask for --in-place")
        beside = skeleton.model if values else None
        found = open_map(hierarchy, beside=beside) if hierarchy is not None else None
        tree = found.tree if found is not None else hierarchy_of_model(skeleton.model)
        inferred = infer_tree(skeleton.model) if tree is None else None
        tree = inferred.tree if inferred is not None else tree
        rebuilds = ir_version is not None or any(step.touches & Touches.TOPOLOGY for step in steps)
        whole = load_whole(_local(source, "what changes the graph"), place) if rebuilds else None
    if tree is None:
        raise TaggerError(
            f"{shown_place(model)}: neither metadata nor names say a module; "
            "give --map with the .hierarchy.json saved at export"
        )
    distrusted: Collection[str] = ()
    if verify:
        tell("verify")
        with report.phase("verify"):
            distrusted = _verify(
                _local(source, "running it"), hierarchy if verify is True else verify, tree, inputs, report
            )
    elif inputs is not None:
        raise TaggerError(f"{inputs}: inputs are for verifying; ask for that, too, with --verify")
    chain = default_passes(merge=merge, also=also, distrusted=distrusted, evidence=evidence)
    if inferred is not None:
        chain[:_FINDING] = passes_by_name(merge)
    position = next(i for i, step in enumerate(chain) if isinstance(step, Inject))
    tell("tag")
    with report.phase("tag"):
        proto = whole if whole is not None else skeleton.model
        reads = (reader_of_values(skeleton, report), reader_of_blocks(skeleton, report)) if values else (None, None)
        ctx = Context(proto, tree, report=report, values=reads[0], blocks=reads[1])
        forced = found.forced if found is not None else metadata.model_value(skeleton.model, metadata.FORCED)
        judge = judge_of(ctx, found, report.verified) if found is not None and not parent else None
        if found is not None:
            kinship = judge.verdict() if judge is not None else BY_LINEAGE
            forced = _insist_on_kin(kinship, shown_place(model), report, force=force) or forced
        PassManager([*chain[:position], *steps, *chain[position:]], verify=verify_passes).run_in(ctx)
        note = note_of_part(ctx, judge) if judge is not None else None
        report.fallbacks.extend([note] if note is not None else ())
        report.notes.extend(_better_map(ctx))
        metadata.mark_forced(proto, forced)
    # As much memory as the writing needs, or more.
    del ctx, judge, found, tree
    tell("write")
    with report.phase("write"):
        if whole is not None:
            proved = write_whole(whole, ir_version, _local(source, "this"), place, verify_bytes)
        else:
            proved = write_spliced(
                skeleton, place, in_place=in_place, link=link, verify_bytes=verify_bytes, pad_key=metadata.PAD
            )
        report.weights = proved.as_dict() if proved is not None else None
    report.peak_rss_mb = peak_rss_mb()
    return report


def _better_map(ctx: Context) -> list[str]:
    """What to say where a map of a run alone is given for a file that a tool has changed: there is a better one."""
    tree = ctx.hierarchy
    if tree is None or tree.graph is not None or not tree.trace:
        return []
    guessed = sum(tag.source >= Source.INHERITED for tag in ctx.tags.values())
    foreign = next((kind for op in ctx.ops if (kind := operator(op.node)).startswith(_OPTIMISERS)), None)
    if not guessed or foreign is None:
        return []
    return [
        f"the map is of a run and knows no file, and a tool has changed this one (it has {foreign}), so that "
        f"{counted(guessed, 'node')} could only be inherited: tag the file that the tool was given, and give that "
        "tagged .onnx as --map here"
    ]


def _local(source: Place, purpose: str) -> Path:
    """The path of a file that is needed as a whole."""
    if isinstance(source, Url):
        raise TaggerError(f"{source.shown}: {purpose} takes a local file; download it first")
    return source


def _insist_on_kin(kinship: Kinship, where: str, report: Report, *, force: bool) -> str:
    """Report a verdict, and raise if it is against the map; with `force` return why it should not have been taken."""
    report.kinship = kinship.as_dict()
    report.fallbacks.extend(kinship.notes)
    if kinship.verdict == "kin":
        return ""
    if not force:
        raise MapError(f"{where}: {kinship.sentence}")
    report.fallbacks.append(f"the map was taken by force, although {kinship.relation}: {kinship.grounds}")
    return kinship.relation


def _verify(
    model: Path, source: MapSource | None, tree: HierarchyMap, inputs: Target | None, report: Report
) -> Collection[str]:
    """The tensors that are not what the file that this one was made of calls so, by running both."""
    from onnx_tagger.runtime.verify import original_of, verify as verify_files

    found = verify_files(
        original_of(source, tree), model, inputs=path_of(inputs, "the inputs") if inputs is not None else None
    )
    report.verified = found.as_dict()
    if found.differing:
        report.fallbacks.append(found.sentence())
    return found.distrusted


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
    told = report if report is not None else Report()
    insist_on(told, Report, "report", "a Report to fill")
    place = local_path_of(target, "the target")
    with told.phase("read"):
        skeleton = read_skeleton(place_of(model, "the model"))
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
        proved = write_spliced(skeleton, place, in_place=in_place, verify_bytes=verify_bytes)
    told.weights = proved.as_dict() if proved is not None else None
    told.peak_rss_mb = peak_rss_mb()
    return changed
