"""`each`: any optimiser or quantiser, applied module by module, with proof of what each module gained."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import insist_on_no_data_file, same_file
from onnx_tagger.files.filecopy import permissions_of
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.saving import save
from onnx_tagger.files.scratch import scratch_folder
from onnx_tagger.files.whole import read_whole
from onnx_tagger.hierarchy.globs import select
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.model.arguments import choice_of, insist_on, path_of
from onnx_tagger.model.graph import walk
from onnx_tagger.model.texts import brief, brief_fields, counted
from onnx_tagger.workflows.carrying import ModelTool, PathTool, carry, takes_paths
from onnx_tagger.workflows.cutting.cut import Choice, Cut, Opened
from onnx_tagger.workflows.cutting.extracting import Extracted, write_extracted
from onnx_tagger.workflows.cutting.layouts import channels_of
from onnx_tagger.workflows.cutting.records import record_json
from onnx_tagger.workflows.cutting.region import NotExtractedError
from onnx_tagger.workflows.cutting.splicing import put_back

if TYPE_CHECKING:
    from onnx_tagger.runtime.racing import Race

# What a module has to gain to be put back.
GAINS = ("either", "faster", "smaller", "both", "any")

LEAST_RUNS = 4

# Bytes by which one model may differ from itself, with other lengths in front of its parts.
_PREFIXES = 16

REFUSED, FAILED, DIFFERS, NO_GAIN, KEPT = "refused", "failed", "differs", "no gain", "put back"


@dataclass(frozen=True, slots=True)
class Gain:
    """What became of one module.

    Attributes
    ----------
    module : str
    verdict : str
        "put back", "no gain", "differs", "failed" (the tool, or what it made) or "refused" (cannot be a file).
    why : str
        Empty if it was put back.
    error : float or None
        How far the worst output of the whole model is from the original's with this module and those put back before,
        as a share of its size.
    tolerance : float or None
        How far it may be.
    nodes, bytes : tuple of two int, or None
        Of the module before and after; bytes are of the file and its data file, without metadata.
    micros : tuple of two float, or None
        Median time of a run of the module before and after, in microseconds.
    ratio : tuple of three float, or None
        Time after as a share of that before: median, between the bounds of its interval of 99 % confidence.
    """

    module: str
    verdict: str
    why: str = ""
    error: float | None = None
    tolerance: float | None = None
    nodes: tuple[int, int] | None = None
    bytes: tuple[int, int] | None = None
    micros: tuple[float, float] | None = None
    ratio: tuple[float, float, float] | None = None

    __repr__ = brief_fields


@dataclass(frozen=True)
class Improvement:
    """What a tool did for the modules of a file.

    Attributes
    ----------
    model, tool : str
    file : Path
    gains : tuple of Gain
    bytes : tuple of two int
        Of the file before and after, with data file and without metadata.
    """

    model: str
    tool: str
    file: Path
    gains: tuple[Gain, ...]
    bytes: tuple[int, int]

    def __repr__(self) -> str:
        return brief(self, self.tool, f"{self.put_back} of {counted(len(self.gains), 'module')} put back")

    @property
    def put_back(self) -> int:
        """How many modules are in the result as the tool made them."""
        return sum(gain.verdict == KEPT for gain in self.gains)

    def to_json(self) -> str:
        """All of it, for a machine."""
        return record_json(self)


def each(
    model: str | os.PathLike[str],
    modules: str,
    output: str | os.PathLike[str],
    tool: PathTool | ModelTool,
    *,
    gain: str = "either",
    tolerance: float | None = None,
    fused: str = "include",
    map: MapSource | None = None,  # noqa: A002 - the option's name everywhere
    inputs: str | os.PathLike[str] | None = None,
    runs: int = 20,
) -> Improvement:
    """Give each module that a pattern names to a tool, and put back what is equal and better.

    Parameters
    ----------
    model : path
        A file with tags.
    modules : str
        A pattern; of modules that lie in each other the outer one is taken.
    output : path
        The file to write: the model with the modules that gained, or as it was if none did.
    tool : callable
        As for `carry`: a function of two paths or of one model, or a `Command`.
    gain : "either", "faster", "smaller", "both" or "any"
        What a module has to be to be put back, besides equal; "any" asks for nothing more.
    tolerance : float, optional
        How far an output of the whole model may be from the original's, as a share of its size (Euclidean norms); by
        default what `retag --verify` allows for numbers of its kind.
    fused : "include" or "exclude"
        Whether nodes that do work of modules outside, too, belong to a module.
    map : HierarchyMap or path, optional
        The map, for a file whose own metadata does not say enough.
    inputs : path, optional
        An ``.npz`` file to run on; random values if left out.
    runs : int
        How often each module is timed before and after, in turn.

    Returns
    -------
    Improvement

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If a file cannot be read or written, or the tool fails on every module.
    """
    source, place = path_of(model, "the model"), path_of(output, "the output")
    insist_on(modules, str, "the modules", "a pattern such as 'encoder.layer.*'")
    insist_on(tolerance, (int, float, type(None)), "the tolerance", "a share such as 0.001, or None")
    insist_on(runs, int, "the number of runs", "a number from 4")
    if runs < LEAST_RUNS:
        raise TaggerError(f"the number of runs is {runs}; give a number from {LEAST_RUNS}")
    takes_paths(tool)  # raises if it is none
    choice_of(gain, GAINS, "the gain")
    permissions_of(place)
    opened = Opened.of(source, map)
    if same_file(place, source):
        raise TaggerError(f"{place}: is the input file; choose another output")
    insist_on_no_data_file(opened.skeleton.external, source, place)
    paths = _outermost([found.path for found in select(opened.tagged.modules, modules)])
    with scratch_folder(place) as folder:
        trial = _Trial(source, folder, tool, Choice(None, fused), gain, tolerance, map, runs)
        trial.inputs = None if inputs is None else path_of(inputs, "the inputs")
        gains = [trial.module(path) for path in paths]
        tried = [one for one in gains if one.verdict != REFUSED]
        if tried and all(one.verdict == FAILED for one in tried):
            raise TaggerError(f"{source}: {tool} fails on every module; on {tried[0].module!r}: {tried[0].why}")
        save(read_whole(trial.current), place)
    sizes = (_size(source), _size(place))
    return Improvement(str(source), str(tool), place, tuple(gains), sizes)


def _outermost(paths: Sequence[str]) -> list[str]:
    """Paths without those that lie in another one of them.

    Examples
    --------
    >>> _outermost(["a.b", "a", "ab"])
    ['a', 'ab']
    """
    known = set(paths)
    return [path for path in paths if not any(above in known for above in _above(path))]


def _above(path: str) -> Iterator[str]:
    while path:
        path = path.rpartition(".")[0]
        yield path


class _Trial:
    """A model to which module after module is put back."""

    def __init__(
        self,
        source: Path,
        folder: Path,
        tool: Callable[..., object],
        choice: Choice,
        gain: str,
        tolerance: float | None,
        map: MapSource | None,  # noqa: A002
        runs: int,
    ) -> None:
        self.source, self.folder, self.tool, self.choice = source, folder, tool, choice
        self.gain, self.tolerance, self.map, self.runs = gain, tolerance, map, runs
        self.current = source
        self.opened = Opened.of(source, map)
        self.inputs: Path | None = None
        self.count = 0

    def module(self, path: str) -> Gain:
        """Extract a module, have it improved, and put it back if that is worth it."""
        self.count += 1
        place = self.folder / f"part{self.count}.onnx"
        made = place.with_name(f"part{self.count}.made.onnx")
        try:
            cut = self.opened.cut(path, self.choice)
            self.opened.ask_types(cut.names)
            part = write_extracted(self.opened, cut, place)
        except NotExtractedError as error:
            return Gain(path, REFUSED, str(error))
        try:
            carry(place, made, self.tool, hierarchy=None)
            return self._judged(cut, part, place, made)
        except TaggerError as error:
            return Gain(path, FAILED, str(error).replace(f"{self.folder}{os.sep}", ""))

    def _judged(self, cut: Cut, part: Extracted, place: Path, made: Path) -> Gain:
        from onnx_tagger.runtime.parting import outputs_apart

        whole, piece = read_whole(self.current), read_whole(made)
        removed, added, takes, _ = put_back(self.opened, cut, whole, piece)
        candidate = save(whole, self.folder / f"whole{self.count}.onnx")
        apart = outputs_apart(self.source, candidate, self.inputs)
        allowed = apart.tolerance if self.tolerance is None else self.tolerance
        error = max(apart.errors.values(), default=0.0)
        sizes = (_size(place), _size(made))
        facts = {"error": error, "tolerance": allowed, "nodes": (removed, added), "bytes": sizes}
        if error > allowed:
            why = f"an output is {error:.2g} of its size apart, where {allowed:.2g} is allowed"
            return Gain(cut.module, DIFFERS, why, **facts)  # type: ignore[arg-type]
        raced = self._race(part, place, made, takes)
        facts |= {"micros": (raced.before, raced.after), "ratio": (raced.low, raced.ratio, raced.high)}
        smaller, faster = sizes[1] + _PREFIXES < sizes[0], raced.faster
        wanted = {
            "either": smaller or faster,
            "faster": faster,
            "smaller": smaller,
            "both": smaller and faster,
            "any": True,
        }
        if not wanted[self.gain]:
            return Gain(cut.module, NO_GAIN, _why_not(smaller, faster), **facts)  # type: ignore[arg-type]
        self.current = candidate
        self.opened = Opened.of(candidate, self.map)
        return Gain(cut.module, KEPT, "", **facts)  # type: ignore[arg-type]

    def _race(self, part: Extracted, place: Path, made: Path, takes: dict[str, str]) -> Race:
        from onnx_tagger.runtime.parting import Piece, Whole
        from onnx_tagger.runtime.racing import race

        names = {one.name: one.source for one in part.inputs}
        channels = {
            source: channels_of(self.opened.types[source]) for source in names.values() if source in self.opened.blocked
        }
        before, after = Piece(place, names, {}, channels), Piece(made, takes, {}, channels)
        whole = Whole(self.current, [before, after], self.inputs)
        return race(place, made, (whole.feeds_of(before), whole.feeds_of(after)), self.runs)


def _size(path: Path) -> int:
    """Bytes of a file and the data file beside it, without metadata: tools drop it, which gains nothing at run time."""
    data = path.with_name(f"{path.name}.data")
    model = read_skeleton(path).model
    before: int = model.ByteSize()
    for op in walk(model).ops:
        op.node.ClearField("doc_string")
        del op.node.metadata_props[:]
    for field in ("producer_name", "producer_version", "doc_string"):
        model.ClearField(field)
    model.graph.ClearField("name")
    del model.metadata_props[:], model.graph.value_info[:]
    told: int = before - model.ByteSize()
    return path.stat().st_size - told + (data.stat().st_size if data.exists() else 0)


def _why_not(smaller: bool, faster: bool) -> str:
    held = [word for word, true in (("smaller", smaller), ("faster", faster)) if true]
    return f"only {held[0]}" if held else "neither smaller nor faster"
