"""Optimising a file to a target: stages that are tried, proved and measured, and the choice among what they made."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from onnx_tagger.errors import TaggerError, require
from onnx_tagger.files.external import contained, insist_on_no_data_file, same_file
from onnx_tagger.files.filecopy import permissions_of
from onnx_tagger.files.onnxfile import read_skeleton, write_spliced
from onnx_tagger.measures.optimising.choosing import choose
from onnx_tagger.measures.optimising.optimised import Optimized, Targets
from onnx_tagger.model.arguments import insist_on, names_of, path_of
from onnx_tagger.model.metadata import PAD
from onnx_tagger.version import version
from onnx_tagger.workflows.checking import Target
from onnx_tagger.workflows.optimising.pipeline import Metric, Pipeline, Progress
from onnx_tagger.workflows.optimising.saved import WorkFolder, key_of
from onnx_tagger.workflows.optimising.stages import STAGES, Stage, stages_of
from onnx_tagger.workflows.optimising.timing import Clock

# Beyond this the sessions of the last measurement differ too much for small gains to show.
_NOISY = 0.10


def optimize(
    model: Target,
    target: Target,
    *,
    stages: Sequence[str | Stage] = STAGES,
    speedup: float | None = None,
    max_drop: float | None = None,
    metric: str | Callable[[Path], float] | None = None,
    keep: Sequence[str] = (),
    inputs: Target | None = None,
    threads: int = 1,
    sessions: int = 5,
    runs: int = 30,
    seed: int = 0,
    workdir: Target | None = None,
    progress: Progress | None = None,
) -> Optimized:
    """Try stages of optimisation on a tagged file and write the best of what they make.

    Each try is tagged, compared with the original module by module, and measured in fresh sessions whose runs take
    turns with those of the original. A try that is slower for sure, or that computes something else, is dropped; one
    that gains nothing for sure stays only if a later stage gains on top of it. At the end those that are close are
    measured once more, side by side, and one is chosen.

    Parameters
    ----------
    model : path
        The file; without tags no module can be named.
    target : path
        The file to write.
    stages : sequence of str or Stage
        ``graph``, ``fusions``, ``transformers``, ``settings``, or stages of one's own.
    speedup : float, optional
        How many times as fast as the original the result has to be.
    max_drop : float, optional
        By how much the metric may fall.
    metric : "FILE.py:FN" or callable, optional
        A function ``fn(run, samples)`` of a file, which gives a number: `run` takes inputs and gives outputs, both
        dicts of name to array; there are no samples here. Or a callable that takes a file's path.
        The higher the better.
    keep : sequence of str
        Modules whose operators must stay as they are; see `onnx_tagger.hierarchy.globs`.
    inputs : path, optional
        An ``.npz`` file of arrays, or a ``.json`` file that describes them; random values if left out.
    threads : int
        Inside a kernel.
    sessions, runs : int
        Fresh sessions of each try, and runs in each that count.
    seed : int
        Of random inputs.
    workdir : path, optional
        A folder for what is tried, which stays: a run that was killed goes on there.
    progress : callable, optional
        Told what is tried, as it begins.

    Returns
    -------
    Optimized
        `ok` is whether the targets are met; the file is written in any case.

    Raises
    ------
    TaggerError
        If something that was given cannot be used, or the work folder is of another run.
    MissingExtraError
        If onnxruntime is not installed.
    """
    require("onnxruntime", "ort", "optimising")
    from onnx_tagger.runtime.profiles import Subject, feeds_of
    from onnx_tagger.runtime.settings import runtime_name, setups_of

    source, place = path_of(model, "the model"), path_of(target, "the target")
    targets = _targets(speedup, max_drop, metric)
    for name, value in (("sessions", sessions), ("runs", runs)):
        insist_on(value, int, f"the number of {name}", "a whole number")
        if value < 1:
            raise TaggerError(f"{value} {name} measure nothing; ask for one or more")
    chosen_stages = _stages(stages)
    skeleton = read_skeleton(source)
    if same_file(source, place):
        raise TaggerError(f"{place}: is the input file; choose another output")
    permissions_of(place)
    if not place.parent.is_dir() or place.is_dir():
        raise TaggerError(f"{place}: cannot be written; name a file in a folder that is there")
    insist_on_no_data_file(skeleton.external, source, place)
    (setup,) = setups_of(["all"], [], None, threads)
    given = path_of(inputs, "the inputs") if inputs is not None else None
    feeds, notes = feeds_of(Subject(source), setup, given, seed)
    scored = _metric(metric)
    patterns = names_of(keep, "the list of modules to keep")
    files = [source, *(contained(source.parent, name) for name in skeleton.external), *([given] if given else [])]
    options: dict[str, object] = {
        "stages": [(each.name, [trial.name for trial in each.trials]) for each in chosen_stages],
        "keep": patterns,
        "numbers": (threads, sessions, runs, seed),
        "metric": metric if isinstance(metric, str) else metric is not None,
        "versions": (version(), runtime_name()),
    }
    with _folder(workdir) as folder:
        work = WorkFolder(folder, key_of(files, options))
        pipeline = Pipeline(source, work, Clock(feeds, sessions, runs), setup, feeds, scored, patterns)
        pipeline.tell = progress or pipeline.tell
        pipeline.run(chosen_stages)
        pipeline.tell("measure the best once more")
        finals = work.finals(lambda: pipeline.finals(pipeline.finalists()))
        winner, ok, verdict = choose(pipeline.tries, finals, targets)
        write_spliced(read_skeleton(pipeline.file_of(winner)), place, pad_key=PAD)
    noisy = [name for name, each in finals.items() if each.low and each.high and each.high / each.low > 1 + 2 * _NOISY]
    if noisy:
        notes.append(
            "sessions of the last measurement differ by more than 10 %: the machine was busy, and gains may hide"
        )
    if sessions == 1:
        notes.append("one session says nothing of how far the next one may be off: no gain is sure")
    return Optimized(
        str(source),
        str(place),
        ok,
        winner.id,
        finals[winner.id],
        targets,
        verdict,
        pipeline.settled(winner),
        finals,
        runtime_name(),
        notes,
        created_by=f"onnx-tagger {version()}",
    )


def _targets(speedup: float | None, max_drop: float | None, metric: object) -> Targets:
    for name, value in (("speed-up", speedup), ("largest drop", max_drop)):
        insist_on(value, (int, float, type(None)), f"the {name}", "a number, or None")
    if speedup is not None and not speedup > 0:
        raise TaggerError(f"the speed-up asked for is {speedup}; give a number above 0, such as 1.5")
    if max_drop is not None and not max_drop >= 0:
        raise TaggerError(f"the largest drop is {max_drop}; give a number of 0 or more")
    if max_drop is not None and metric is None:
        raise TaggerError("a largest drop is asked for and no metric is given; give --metric FILE.py:FN")
    return Targets(speedup, max_drop)


def _stages(given: Sequence[str | Stage]) -> list[Stage]:
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TaggerError(f"the stages are {given!r}; give a list of them, such as ['graph', 'fusions']")
    found = [each if isinstance(each, Stage) else stages_of([each])[0] for each in given]
    names = [each.name for each in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None or not found:
        raise TaggerError(f"the stage {twice!r} is asked for twice; give each once" if twice else "no stage is named")
    return found


def _metric(given: str | Callable[[Path], float] | None) -> Metric | None:
    """The function that judges a file."""
    if given is None or callable(given):
        return given
    insist_on(given, str, "the metric", "FILE.py:FN, or a function of a path")
    from onnx_tagger.runtime.calibration import inputs_of
    from onnx_tagger.runtime.metrics import Metric as Named
    from onnx_tagger.runtime.quantising.noise import running
    from onnx_tagger.runtime.userfunctions import user_function

    user_function(given, "metric")  # what is wrong with it is said before anything is measured

    def scored(path: Path) -> float:
        # No samples are read here: the user's function brings its own.
        return Named(given)(running(path), inputs_of(read_skeleton(path).model.graph), ())

    return scored


@contextmanager
def _folder(workdir: Target | None) -> Iterator[Path]:
    if workdir is not None:
        yield path_of(workdir, "the work folder")
        return
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        yield Path(folder)
