"""Running a file under onnxruntime's profiler: names that join, inputs, sessions, and the time of each kernel.

What a kernel is tagged with, and what is concluded from times, is the workflows' matter.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.files.external import contained
from onnx_tagger.files.onnxfile import Skeleton, read_skeleton
from onnx_tagger.files.whole import parse_whole
from onnx_tagger.measures.profiling.kernel import Overhead
from onnx_tagger.model.graph import walk
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.runtime.events import Recording, Times, percentile_of_ticks, read_events
from onnx_tagger.runtime.feeds import Array, given_feeds, numpy_type, random_feeds, widths_of
from onnx_tagger.runtime.settings import Setup
from onnx_tagger.runtime.specs import spec_feeds

if TYPE_CHECKING:
    import onnxruntime as ort

# Runs at the beginning of a session that do not count: the first is up to twenty times slower.
WARM_UP = 5

# onnxruntime drops what lies behind a million events; a few of each run are no kernels.
_MOST_EVENTS = 900_000

# Sizes that open dimensions are tried with.
_SIZES = (8, 32, 64, 224, 2, 1)

# Which part of the runs a kernel's time lies below: the busy moments of a machine are in the rest.
PERCENTILE = 10

# Beyond this the weights of the optimised model go into a file of their own, since protobuf ends at two gigabytes.
_LARGE = 1 << 30


class Subject:
    """A file that is profiled, under names by which its kernels are known.

    Attributes
    ----------
    path : Path
    skeleton : Skeleton
        With the names under which the file is run.
    data : bytes or None
        What is run in place of the file, where nodes had to be named.
    renamed : int
        How many nodes that are.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.skeleton: Skeleton = read_skeleton(path)
        for location in self.skeleton.external:
            contained(path.parent, location)
        self.renamed = name_nodes(self.skeleton.model)
        self.data: bytes | None = None
        if self.renamed:
            whole = parse_whole(path.read_bytes(), path)
            name_nodes(whole)
            self.data = whole.SerializeToString()
        graph = self.skeleton.model.graph
        stored = {tensor.name for tensor in graph.initializer}
        self.inputs = {value.name: value.type.tensor_type for value in graph.input if value.name not in stored}
        self.widths = widths_of(graph)

    def __repr__(self) -> str:
        return brief(self, str(self.path), counted(self.renamed, "renamed node"))

    def session(self, setup: Setup, options: ort.SessionOptions | None = None) -> ort.InferenceSession:
        """A session of the file."""
        return setup.session(self.path, options, self.data)


def name_nodes(model: onnx.ModelProto) -> int:
    """Give each node of a model a name of its own, and return how many nodes had none.

    A node without a name is profiled under one that the saved optimised model does not have, names repeat across bodies
    and functions, and a quote or a backslash makes the profile invalid JSON.
    """
    ops = walk(model).ops
    taken = {op.node.name for op in ops}
    seen: set[str] = set()
    changed = 0
    for op in ops:
        name = op.node.name
        if not name or name in seen or not name.isprintable() or '"' in name or "\\" in name:
            name = f"{op.node.op_type}_{op.id}"
            while name in taken:
                name += "_"
            op.node.name = name
            taken.add(name)
            changed += 1
        seen.add(name)
    return changed


def feeds_of(subject: Subject, setup: Setup, inputs: Path | None, seed: int) -> tuple[dict[str, Array], list[str]]:
    """What the file is run on, and sentences about what was made up.

    Parameters
    ----------
    subject : Subject
    setup : Setup
        How it is run for a try.
    inputs : Path, optional
        An ``.npz`` file, or a ``.json`` file that describes inputs; random values if left out.
    seed : int

    Raises
    ------
    TaggerError
        If the file of inputs cannot be used, or the model does not run on them.
    """
    session = subject.session(setup)
    if inputs is not None:
        feeds = _given(subject, inputs, seed)
        _run(subject, session, feeds, f"does not run on the inputs of {inputs}")
        return feeds, []
    failure: TaggerError | None = None
    for feeds in random_feeds(subject, subject, sizes=_SIZES, seed=seed):
        try:
            _run(subject, session, feeds, "does not run on random inputs")
        except TaggerError as error:
            failure = failure or error
            continue
        return feeds, _made_up(subject, feeds, seed)
    assert failure is not None
    raise failure


def _given(subject: Subject, path: Path, seed: int) -> dict[str, Array]:
    if path.suffix == ".json":
        found = spec_feeds(path, seed)
        missing = sorted(subject.inputs.keys() - found.keys())
        if missing:
            raise TaggerError(f"{path}: describes no input {missing[0]!r}, which {subject.path} has; add it")
    else:
        found = given_feeds(path, subject.inputs)
    return {
        name: found[name].astype(numpy_type(subject.path, name, kind), copy=False)
        for name, kind in subject.inputs.items()
    }


def _run(subject: Subject, session: ort.InferenceSession, feeds: Mapping[str, Array], what: str) -> None:
    try:
        session.run(None, feeds)
    except Exception as error:
        raise TaggerError(
            f"{subject.path}: {what}: {first_sentence(error)}; give others with --inputs VALUES.npz or SPEC.json"
        ) from error


def _made_up(subject: Subject, feeds: Mapping[str, Array], seed: int) -> list[str]:
    """What was made up, for people who would not have chosen it."""
    shapes = ", ".join(f"{name} {'x'.join(map(str, value.shape)) or 'scalar'}" for name, value in feeds.items())
    open_ones = sorted(
        {
            dim.dim_param or "?"
            for name, kind in subject.inputs.items()
            for dim in kind.shape.dim
            if not dim.HasField("dim_value")
        }
    )
    notes = [f"inputs are random (seed {seed}): {shapes}"] if feeds else []
    if open_ones:
        notes.append(
            f"the file leaves the sizes {', '.join(open_ones)} open, and where its time goes depends on them: give the "
            "sizes that matter to you with --inputs"
        )
    return notes


@dataclass(frozen=True, eq=False, repr=False)
class Session:
    """One session under the profiler.

    Attributes
    ----------
    recording : Recording
    creation : float
        Seconds that making it took.
    """

    recording: Recording
    creation: float

    def __repr__(self) -> str:
        return brief(self, counted(len(self.recording.names), "kernel"), f"{self.creation:.3g} s to make")


def runs_that_fit(nodes: int, runs: int) -> int:
    """How many runs of a model of so many nodes the profiler holds; at least one."""
    return max(1, min(runs, _MOST_EVENTS // max(1, nodes) - WARM_UP))


def profiled(
    subject: Subject,
    setup: Setup,
    feeds: Mapping[str, Array],
    runs: int,
    folder: Path,
    *,
    saved: Path | None = None,
    facts: bool = False,
) -> Session:
    """Run a file under the profiler in a session of its own.

    Parameters
    ----------
    subject : Subject
    setup : Setup
    feeds : mapping
    runs : int
        How many count; a few more come before.
    folder : Path
        Takes the profile, which is removed.
    saved : Path, optional
        Takes the optimised model.
    facts : bool
        Read shapes and memory, too.

    Raises
    ------
    TaggerError
        If onnxruntime does not load or run it.
    """
    options = setup.options()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    if saved is not None:
        options.optimized_model_filepath = str(saved)
        held = subject.path.stat().st_size + sum(
            contained(subject.path.parent, name).stat().st_size for name in set(subject.skeleton.external)
        )
        if held > _LARGE:
            options.add_session_config_entry("session.optimized_model_external_initializers_file_name", saved.stem)
    start = time.perf_counter()
    session = subject.session(setup, options)
    creation = time.perf_counter() - start
    for _ in range(WARM_UP + runs):
        _run(subject, session, feeds, "does not run under the profiler")
    path = Path(session.end_profiling())
    try:
        return Session(read_events(path, facts=facts), creation)
    finally:
        path.unlink(missing_ok=True)


def bounded(cost: Overhead, recordings: Sequence[Recording]) -> Overhead:
    """The cost of profiling, in a kernel's own time no more than the fastest kernel takes with it.

    So what was measured while the machine was busy cannot eat up the kernels of a model that was run when it was not.
    """
    fastest = [
        float(percentile_of_ticks(recording.us[:, WARM_UP:], PERCENTILE).min())
        for recording in recordings
        if len(recording.names) and recording.us.shape[1] > WARM_UP
    ]
    return Overhead(cost.per_kernel, min([cost.taken_out, *fastest]))


def owners_of(model: onnx.ModelProto) -> dict[str, str]:
    """Name of a node in a body to that of the node which holds the body."""
    return {op.node.name: op.scope.owner.node.name for op in walk(model).ops if op.scope.owner is not None}


def own_times(recording: Recording, owners: Mapping[str, str], cost: Overhead) -> Times:
    """Microseconds of each kernel itself in one run: without its bodies, and without what profiling costs.

    Parameters
    ----------
    recording : Recording
    owners : mapping
        As `owners_of` returns it.
    cost : Overhead

    Returns
    -------
    array of float64
        For each kernel the 10th percentile of the runs that count.
    """
    own = recording.us.copy()
    places = {name: place for place, name in enumerate(recording.names)}
    for name, owner in owners.items():
        if name in places and owner in places:
            inside, outside = places[name], places[owner]
            own[outside] -= recording.us[inside] + (cost.per_kernel - cost.taken_out) * recording.counts[inside]
    own -= cost.taken_out * recording.counts
    counted_runs = own[:, WARM_UP:] if own.shape[1] > WARM_UP else own[:, -1:]
    return np.maximum(percentile_of_ticks(counted_runs, PERCENTILE), 0.0)
