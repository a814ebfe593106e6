"""Comparing a file with its reference, module by module: the first one that is wrong, and whose fault it is.

A reference is a model of torch, another ONNX file, or a recording of either. The parts are in
`onnx_tagger.workflows.comparison`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onnx_tagger.errors import MapError, TaggerError, require
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.hierarchy.loading import MapSource, load_map
from onnx_tagger.measures.comparison.comparison import LOCAL, Comparison
from onnx_tagger.measures.comparison.distances import check_metric
from onnx_tagger.measures.comparison.metrics import METRICS
from onnx_tagger.measures.comparison.recorded import Recording
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.arguments import insist_on, path_of
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Source
from onnx_tagger.model.report import Report
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.opening import reader_of_values
from onnx_tagger.runtime.probing import Probe
from onnx_tagger.workflows.checking import Target, kinship_of
from onnx_tagger.workflows.comparison.feeding import fitted_feeds, insist_on_repeatable, is_tagged
from onnx_tagger.workflows.comparison.judging import Judged, comparison_of, judged, merged
from onnx_tagger.workflows.comparison.references import FileReference, Reference, recorded, reference_of
from onnx_tagger.workflows.comparison.running import Trial
from onnx_tagger.workflows.comparison.tolerances import DEFAULTS
from onnx_tagger.workflows.reading import Tagged, read
from onnx_tagger.workflows.retagging import default_passes

if TYPE_CHECKING:
    from torch import Tensor, nn

Progress = Callable[[str], None]

# What stands for an error without a number where JSON asks for one.
_BEYOND = 1e6


def record(
    model: nn.Module, args: Sequence[object] | Tensor = (), *, kwargs: Mapping[str, object] | None = None
) -> Recording:
    """Run a model of torch once and keep what each call of each module takes and gives.

    Parameters
    ----------
    model : torch.nn.Module
    args, kwargs
        What its `forward` takes; a tensor alone is the only positional argument.

    Returns
    -------
    Recording
        `compare` takes it in the model's place; saved, also where there is no torch.

    Raises
    ------
    ExportError
        If the model raises on these inputs.
    """
    return recorded(model, tuple(args) if isinstance(args, (tuple, list)) else (args,), kwargs)


def record_file(path: Target, inputs: Mapping[str, Any] | Target | Sequence[object] = ()) -> Recording:
    """Run an ONNX file once and keep what enters and leaves each call of its modules.

    Parameters
    ----------
    path : path
        A tagged file.
    inputs : mapping or path
        Input names to arrays, or an ``.npz`` file; random values if left out.

    Raises
    ------
    TaggerError
        If it does not run on these inputs.
    """
    found, _ = reference_of(path, inputs, None, lambda _: None).sample(0)
    return found


def errors_of_nodes(found: Comparison, path: Target) -> tuple[Measure, list[str]]:
    """The local errors of a comparison by node, and what the nodes are called where a graph is shown.

    Parameters
    ----------
    found : Comparison
    path : path
        The file that was compared.

    Returns
    -------
    tuple of (Measure, list of str)
        A number, or none, for each node that makes a tensor, and the tensor's name. One beyond measure is a million.
    """
    errors = {error.tensor: error.local if error.local is not None else _BEYOND for error in found.tensors}
    names = [next(iter(op.node.output), "") for op in walk(read_skeleton(path).model).scopes[0].ops]
    return Measure(Column(LOCAL, rule="max", worse="higher"), [errors.get(name) for name in names]), names


def compare(
    reference: nn.Module | Recording | Target,
    path: Target,
    inputs: Sequence[object] | Tensor | Mapping[str, Any] | Target = (),
    *,
    kwargs: Mapping[str, object] | None = None,
    map: MapSource | None = None,  # noqa: A002 - the option's name everywhere
    metric: str = "sqnr",
    tolerance: float | None = None,
    samples: int = 1,
    ops: bool = False,
    stop_at_first: bool = False,
    progress: Progress | None = None,
) -> Comparison:
    """Find the modules of a file that compute something else than the reference does.

    Each tensor at a border of a module is compared twice: in the run as it is, where errors pass on, and with the
    reference's values in whatever it is computed of, which shows whose fault an error is.

    Parameters
    ----------
    reference : torch.nn.Module, Recording or path
        A model, or what `record` made of one, or an ``.npz`` file of that, or another ``.onnx`` file.
    path : path
        The ONNX file. One without tags is tagged for this, by the map, the reference file's tags, or the model.
    inputs : sequence, tensor, mapping or path
        What the model's forward takes; for a reference file a mapping of input names to arrays or an ``.npz`` file,
        and random values if left out. A recording has its own.
    kwargs : mapping, optional
        What the model's forward takes by name.
    map : HierarchyMap or path, optional
        The map of the file, where neither file has tags.
    metric : "sqnr", "max", "cosine" or "ulp"
        See `onnx_tagger.measures.comparison.distances.distance`.
    tolerance : float, optional
        How far a tensor may be off that is computed in float32; coarser types may be off further.
    samples : int
        On how many inputs both are run: those that are given, and others of the same kind.
    ops : bool
        Look for the operations within modules that differ; not for a recording, which has no values of them.
    stop_at_first : bool
        Look no further than the first module that differs.
    progress : callable, optional
        Told the name of each phase as it begins.

    Returns
    -------
    Comparison
        `first_bad` names the first module that differs, `modules` is the table, `tensors` has each tensor.

    Raises
    ------
    TaggerError
        If the two cannot be compared: the file does not run, has a random operator or no tags, or the model gives
        other values each time.
    MissingExtraError
        If onnxruntime is missing, or torch for a model.
    """
    insist_on(samples, int, "samples", "a whole number of 1 or more")
    insist_on(tolerance, (int, float, type(None)), "the tolerance", "a number of 0 or more, or None")
    if samples < 1:
        raise TaggerError(f"{samples} samples: give 1 or more")
    if tolerance is not None and not tolerance >= 0:
        raise TaggerError(f"the tolerance is {tolerance}; give a number of 0 or more")
    insist_on(metric, str, "the metric", f"one of {', '.join(METRICS)}")
    kind = check_metric(metric)
    target = path_of(path, "the file")
    require("onnxruntime", "ort", "comparing")
    tell = progress or (lambda _: None)
    other = reference_of(reference, inputs, kwargs, tell)
    if ops and not other.has_operations:
        raise TaggerError(f"{other.name}: has no values of operations; give the model itself for those")
    tell("read")
    probe = Probe(target)
    tagged = _tagged(target, map, other)
    insist_on_repeatable(tagged.context, str(target))
    limit = DEFAULTS[kind] if tolerance is None else float(tolerance)
    several: list[Judged] = []
    trials: list[Trial] = []
    for number in range(samples):
        tell("record" if samples == 1 else f"record {number + 1} of {samples}")
        recording, given = other.sample(number)
        feeds = fitted_feeds(str(target), probe.inputs(), given)
        trial = Trial(probe, tagged.context, recording, feeds, kind, limit)
        tell("run" if samples == 1 else f"run {number + 1} of {samples}")
        trial.run_as_it_is()
        if not trial.pairing.chosen:
            raise TaggerError(f"{target}: none of its tensors is one that {other.name} knows; is it this model's file?")
        trial.run_with_reference(stop_at_first=stop_at_first)
        several.append(judged(trial))
        trials.append(trial)
    found = merged(several)
    if any(error.differs for error in found.tensors):
        other.insist_on_repeatable(trials[0].recording)
    tree = tagged.modules
    blank = Comparison(other.name, str(target), kind, limit, samples, (), ModuleTable.of(tree, [], []))
    comparison = comparison_of(found, tree, blank)
    if any(tag is not None and tag.source is Source.NAMED for tag in tagged.measured.tags):
        spelled = "the file has neither tags nor a map: its modules are those that its own names spell"
        comparison = replace(comparison, notes=(*comparison.notes, spelled))
    if ops and comparison.bad:
        tell("look for operations")
        comparison = other.with_operations(comparison, trials[0])
    return comparison


def _tagged(target: Path, source: MapSource | None, other: Reference) -> Tagged:
    """The file with its tags; one without our own is tagged in memory."""
    found = read(target, source)
    if is_tagged(found.context):
        return found
    by = source if source is not None else other.hierarchy()
    if by is not None:
        return _by_map(target, by, lineage=isinstance(other, FileReference) and source is None)
    if not found.context.tags:
        raise TaggerError(
            f"{target}: says nothing of modules, and neither does {other.name}; give --map with the .hierarchy.json "
            "saved at export"
        )
    return found


# The passes that find tags, without those that write and judge them.
_FINDING = ("match", "align", "inherit")


def _by_map(target: Path, source: MapSource, *, lineage: bool) -> Tagged:
    """A file with the tags that a map gives it; with `lineage` it was made from the file that the map is of."""
    if not lineage:
        kinship = kinship_of(target, source)
        if kinship.verdict == "stranger":
            raise MapError(f"{target}: {kinship.sentence}")
    skeleton = read_skeleton(target)
    report = Report()
    values = reader_of_values(skeleton, report)
    ctx = Context(skeleton.model, load_map(source), report=report, values=values)
    PassManager([step for step in default_passes() if step.name in _FINDING]).run_in(ctx)
    return Tagged(ctx, str(target))
