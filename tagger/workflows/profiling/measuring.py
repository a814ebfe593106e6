"""One profile, or several ways to run a model side by side: sessions with and without the profiler, by turns.

Times of a session scatter less than those of two, so each way is run in sessions of its own, and all ways take turns:
what a busy machine does to one of them it does to the others.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnx_tagger.errors import TaggerError, require
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.measures.profiling.kernel import Kernel, Overhead, Roof
from onnx_tagger.measures.profiling.liveness import Step, live_at_peak
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.measures.work import bytes_of, flops_of, size_of
from onnx_tagger.model.arguments import insist_on, names_of, path_of
from onnx_tagger.model.graph import bodies, operator, walk
from onnx_tagger.model.texts import counted
from onnx_tagger.workflows.profiling.planning import Plan
from onnx_tagger.workflows.profiling.tagging import UNTAGGED, Known, Optimised, map_of
from onnx_tagger.workflows.profiling.turns import Measured, by_turns, turned

if TYPE_CHECKING:
    from onnx_tagger.runtime.events import Recording
    from onnx_tagger.runtime.feeds import Array
    from onnx_tagger.runtime.profiles import Subject
    from onnx_tagger.runtime.settings import Setup

Progress = Callable[[str], None]

# A run that scatters more than this says little of single modules.
_NOISY = 0.10


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder for what sessions leave behind."""
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        yield Path(folder)


def profile(
    model: str | Path,
    hierarchy: MapSource | None = None,
    *,
    inputs: str | Path | None = None,
    level: str = "all",
    settings: Sequence[str] = (),
    provider: str | None = None,
    threads: int = 1,
    sessions: int | None = None,
    runs: int = 30,
    roofline: bool = False,
    memory: bool = False,
    seed: int = 0,
    force: bool = False,
    progress: Progress | None = None,
) -> Profile:
    """Run a file in onnxruntime and find out where its time goes, module by module.

    Parameters
    ----------
    model : path
        Any file that onnxruntime runs; nothing is written to it.
    hierarchy : HierarchyMap or path, optional
        A map of the model; None for what the file says itself.
    inputs : path, optional
        An ``.npz`` file of arrays, or a ``.json`` file that describes them; random values if left out.
    level : str
        Optimisation level: ``all``, ``extended``, ``basic``, ``disable`` or ``layout``.
    settings : sequence of str
        Settings of the session, each ``NAME=VALUE``.
    provider : str, optional
        Execution provider; the CPU if left out.
    threads : int
        Inside a kernel; 0 for onnxruntime's own choice. With more than one, times scatter on a busy machine.
    sessions : int, optional
        How many sessions; if left out, as many as take a few seconds, 5 at least and 20 at most.
    runs : int
        How many runs in each count.
    roofline : bool
        Count operations and bytes of each kernel, and measure what the machine can do.
    memory : bool
        Find out which results are held when most are.
    seed : int
        Of random inputs.
    force : bool
        Take a map that is or may be another model's.
    progress : callable, optional
        Told what is done, as it begins.

    Returns
    -------
    Profile

    Raises
    ------
    TaggerError
        If the file, the map, the inputs or a setting cannot be used.
    MissingExtraError
        If onnxruntime is not installed.
    """
    require("onnxruntime", "ort", "profiling")
    from onnx_tagger.runtime.settings import Setup, setting_of, setups_of

    insist_on(threads, int, "the number of threads", "a whole number")
    insist_on(seed, int, "the seed", "a whole number")
    if seed < 0:
        raise TaggerError(f"the seed is {seed}; give a whole number of 0 or more")
    insist_on(provider, (str, type(None)), "the provider", "its name, or None for the CPU")
    insist_on(level, str, "the level", "its name, such as 'all'")
    (plain,) = setups_of([level], [], provider, threads)
    chosen = dict(setting_of(text) for text in names_of(settings, "the list of settings"))
    setup = Setup(plain.level, plain.provider, plain.threads, chosen)
    plan = Plan(sessions, runs, roofline, memory, seed)
    given = path_of(inputs, "the inputs") if inputs is not None else None
    return profiles(model, hierarchy, [setup], plan, inputs=given, force=force, progress=progress)[0][1]


def profiles(
    model: str | Path,
    hierarchy: MapSource | None,
    setups: Sequence[Setup],
    plan: Plan,
    *,
    inputs: Path | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> list[tuple[Measured, Profile]]:
    """Profile a file in several ways at once, by turns; see `profile`.

    Raises
    ------
    TaggerError
        If something that was given cannot be used.
    """
    from onnx_tagger.runtime.machine import Probe, Yardstick, roof
    from onnx_tagger.runtime.profiles import Subject, feeds_of, runs_that_fit

    tell = progress or (lambda _: None)
    with scratch() as folder:
        tell("read the file")
        subject = Subject(path_of(model, "the model"))
        tree = map_of(subject.skeleton, hierarchy, str(model), force=force)
        feeds, notes = feeds_of(subject, setups[0], inputs, plan.seed)
        if subject.renamed:
            notes.append(f"{counted(subject.renamed, 'node')} had no name of their own and ran under one that was made")
        if tree is None:
            notes.append(UNTAGGED)
        nodes = len(walk(subject.skeleton.model).ops)
        runs = runs_that_fit(nodes, plan.runs)
        if runs < plan.runs:
            notes.append(f"{runs} runs a session in place of {plan.runs}: the profiler holds a million events")
        tell("measure the machine")
        probe, stick = Probe(folder, setups[0].threads), Yardstick(folder)
        top = roof(folder, setups[0].threads) if plan.roofline else None
        found = [Measured(setup) for setup in setups]
        yards = []
        for turn in plan.turns():
            tell(f"session {turn + 1}" if plan.sessions is None else f"session {turn + 1} of {plan.sessions}")
            by_turns([(way, subject) for way in found], feeds, runs, turn)
            yards.append(stick.measure())
            probe.measure()
            for way in turned(found, turn):
                _with_profiler(subject, way, feeds, runs, folder, tree)
        for way in found if plan.memory else ():
            tell("look at memory")
            way.peak = _peak(subject, way.setup, feeds, folder)
        common = _Common(subject.path.name, tree, probe.cost, top, tuple(yards), tuple(notes))
        return [(way, _profile_of(way, common, plan)) for way in found]


def _with_profiler(
    subject: Subject,
    way: Measured,
    feeds: Mapping[str, Array],
    runs: int,
    folder: Path,
    tree: HierarchyMap | None,
) -> None:
    """One session of a way with the profiler; the first one saves the optimised model, which is tagged."""
    from onnx_tagger.runtime.profiles import profiled

    first = way.optimised is None
    saved = folder / "optimised.onnx" if first else None
    made = profiled(subject, way.setup, feeds, runs, folder, saved=saved, facts=first)
    way.recordings.append(made.recording)
    if saved is not None:
        way.optimised = Optimised(saved, tree)


def _peak(subject: Subject, setup: Setup, feeds: Mapping[str, Array], folder: Path) -> float | None:
    """Bytes that were held at most in one run of a session without the memory pattern.

    With it one block is taken for all results before the first kernel runs, and no kernel's event says what it holds.
    """
    from onnx_tagger.runtime.profiles import profiled

    plain = replace(setup, settings={**setup.settings, "enable_mem_pattern": "0"})
    return profiled(subject, plain, feeds, 1, folder, facts=True).recording.peak


@dataclass(frozen=True)
class _Common:
    """What all profiles of a call share."""

    model: str
    tree: HierarchyMap | None
    cost: Overhead
    roof: Roof | None
    yardsticks: tuple[float, ...]
    notes: tuple[str, ...]


def _profile_of(way: Measured, common: _Common, plan: Plan) -> Profile:
    """The profile that the sessions of one way add up to."""
    from onnx_tagger.runtime.profiles import bounded
    from onnx_tagger.runtime.settings import runtime_name

    assert way.optimised is not None
    first = way.recordings[0]
    known = way.optimised.known({name: first.facts[name].op for name in first.names})
    taken = bounded(common.cost, way.recordings)
    kernels = _kernels(way, known, taken, plan)
    if plan.memory:
        kernels = _with_live(way.optimised, known, first, kernels)
    cost = _overhead(way, taken, len(kernels))
    made = Profile(
        common.model,
        runtime_name(),
        way.optimised.tree,
        tuple(kernels),
        way.setup.as_dict(),
        tuple(way.latencies),
        tuple(way.creations),
        cost,
        common.roof,
        first.peak if way.peak is None else way.peak,
        common.yardsticks,
        common.notes,
    )
    return replace(made, notes=(*common.notes, *_notes_on(made, way, plan)))


def _kernels(way: Measured, known: Mapping[str, Known], cost: Overhead, plan: Plan) -> list[Kernel]:
    from onnx_tagger.runtime.profiles import own_times, owners_of

    assert way.optimised is not None
    first = way.recordings[0]
    owners = owners_of(way.optimised.model)
    times = []
    for recording in way.recordings:
        own = own_times(recording, owners, cost).tolist()
        times.append(dict(zip(recording.names, own, strict=True)))
    kernels = []
    for place, name in enumerate(first.names):
        facts, node = first.facts[name], known.get(name)
        count = float(first.counts[place].mean())
        flops = moved = None
        if plan.roofline and node is not None and not any(True for _ in bodies(node.op.node)):
            each = flops_of(node.op.node, facts.inputs, facts.outputs)
            flops = None if each is None else each * count
            moved = bytes_of(facts.inputs, facts.outputs) * count
        kernels.append(
            Kernel(
                name,
                facts.op if node is None else operator(node.op.node),
                facts.provider,
                tuple(session.get(name, 0.0) for session in times),
                None if node is None else node.tag,
                "" if node is None else node.node,
                "none" if node is None else node.joined,
                count,
                flops,
                moved,
            )
        )
    return kernels


def _with_live(
    optimised: Optimised, known: Mapping[str, Known], recording: Recording, kernels: list[Kernel]
) -> list[Kernel]:
    """The kernels with the bytes of theirs that are held at the peak; those in bodies have none."""
    steps, places = [], []
    for place, kernel in enumerate(kernels):
        node = known.get(kernel.name)
        if node is not None and node.op.scope.owner is None:
            names = [name for name in node.op.node.output if name]
            sizes = [size_of(kind, shape) for kind, shape in recording.facts[kernel.name].outputs]
            steps.append(Step(node.op.node, dict(zip(names, sizes, strict=False))))
            places.append(place)
    _, live = live_at_peak(steps, [value.name for value in optimised.model.graph.output])
    found = list(kernels)
    for place, held in zip(places, live, strict=True):
        found[place] = replace(kernels[place], live=held)
    return found


def _overhead(way: Measured, cost: Overhead, kernels: int) -> Overhead:
    """What the profiler cost a kernel of this very model, beside what was taken out of each."""
    from onnx_tagger.runtime.profiles import PERCENTILE, WARM_UP

    runs = [float(np.percentile(recording.run_us[WARM_UP:], PERCENTILE)) for recording in way.recordings]
    more = float(np.median(runs)) - float(np.median(way.latencies))
    return Overhead(max(0.0, more / max(1, kernels)), cost.taken_out)


def _notes_on(made: Profile, way: Measured, plan: Plan) -> Iterator[str]:
    """What a reader should know before trusting the numbers."""
    from onnx_tagger.runtime.profiles import WARM_UP

    lost = [kernel for kernel in made.kernels if kernel.joined == "none"]
    if lost:
        yield f"{counted(len(lost), 'kernel')} could not be found in the optimised model, such as {lost[0].name!r}"
    held = min(len(recording.run_us) for recording in way.recordings) - WARM_UP
    if held < plan.runs and not any("million events" in note for note in made.notes):
        yield f"the profiler held {max(held, 1)} runs a session in place of {plan.runs}: it holds a million events"
    if way.setup.threads != 1:
        yield "more than one thread: on a busy machine times scatter too much to be compared; --threads 1 is steady"
    whole = made.whole
    if whole.half is not None and whole.half > _NOISY * whole.mean:
        share = 100 * whole.half / whole.mean
        yield f"sessions differ by ± {share:.0f} %: the machine was busy; profile it again, or with more --sessions"
