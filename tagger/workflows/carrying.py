"""Tags across other tools: run a command or a function on a file and re-tag what it makes of it.

How the result's nodes find their modules is the passes' matter, how it is written `retagging.retag`'s.
"""

from __future__ import annotations

import inspect
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import contained, insist_on_no_data_file, link_data, same_file
from onnx_tagger.files.filecopy import permissions_of
from onnx_tagger.files.kept import keep_result
from onnx_tagger.files.onnxfile import Skeleton, read_skeleton
from onnx_tagger.files.scratch import scratch_folder, scratch_path
from onnx_tagger.files.whole import read_whole
from onnx_tagger.hierarchy.loading import MapSource, load_map
from onnx_tagger.hierarchy.map import Merge
from onnx_tagger.model import metadata
from onnx_tagger.model.arguments import described, names_of, path_of
from onnx_tagger.model.report import Phase, Report
from onnx_tagger.model.texts import brief
from onnx_tagger.workflows.checking import Target
from onnx_tagger.workflows.exporting import Progress
from onnx_tagger.workflows.retagging import retag

PathTool = Callable[[Path, Path], object]
ModelTool = Callable[[onnx.ModelProto], "onnx.ModelProto | None"]

# Enough to hold the last line that a tool prints, and all that a pipe holds.
_TAIL = 1 << 16

# Seconds between looks at whether a tool that prints nothing has ended.
_STEP = 0.05


def carry(
    source: Target,
    target: Target,
    fn: PathTool | ModelTool,
    *,
    hierarchy: MapSource | None = None,
    merge: Merge = "enclosing",
    also: Iterable[str] | None = None,
    evidence: bool = False,
    force: bool = False,
    values: bool = True,
    verify: bool = False,
    inputs: Target | None = None,
    progress: Progress | None = None,
) -> Report:
    """Run a tool on a tagged file and write its result with tags.

    Parameters
    ----------
    source : path
        The file that the tool reads.
    target : path
        The file to write; it appears whole or not at all.
    fn : callable
        The tool. With two positional parameters that have no default it is called with two paths, that of `source` and
        that of the file it has to write. With one it is called with the model, weights and all, and returns another
        one, or None if it changed the model itself.
    hierarchy : HierarchyMap, path or None
        The map that the result is tagged from; None for the tags of `source`.
    merge, evidence, values, inputs, progress
        See `retag`.
    force : bool
        No difference is made: the input is the parent of the result, so that its tags are right, and a map that is
        named is taken in any case; if it seems to be another model's, a note says so and the result is marked.
    verify : bool
        Compare the result with `source`, or with the file that the map was made from; see `retag`.
    also : iterable of str, optional
        Dialects to write besides our own keys; None for those of `source`.

    Returns
    -------
    Report
        Of the result; its first phase is the tool's.

    Raises
    ------
    MapError
        If `source` holds no tags and no map is given.
    TaggerError
        If the tool makes no model, or a file cannot be read or written. What `fn` raises comes through as it is. If it
        made a model that cannot be tagged, that is kept beside the target and the message says where.
    """
    before, place = path_of(source, "the source"), path_of(target, "the target")
    by_path = takes_paths(fn)
    skeleton = read_skeleton(before)
    permissions_of(place)
    if same_file(before, place):
        raise TaggerError(f"{place}: is the input file; choose another output")
    insist_on_no_data_file(skeleton.external, before, place)
    source_of_tags = before if hierarchy is None else hierarchy
    load_map(source_of_tags)  # so that what is no map is refused before the tool runs
    dialects = metadata.also_of(skeleton.model) if also is None else metadata.check_dialects(also)
    # Under the name that it will have, so that a data file that is called after it is, too.
    with scratch_folder(place) as folder:
        made = folder / place.name
        start = time.perf_counter()
        if by_path:
            cast(PathTool, fn)(before, made)
        else:
            _on_model(cast(ModelTool, fn), before, made, apart=bool(skeleton.external))
        seconds = time.perf_counter() - start
        try:
            _insist_on_result(made, fn)
            _bring_data(skeleton, made, beside=same_file(before.parent, place.parent))
            report = retag(
                made,
                source_of_tags,
                place,
                merge=merge,
                also=dialects,
                evidence=evidence,
                force=True,
                parent=hierarchy is None,
                values=values,
                verify=verify,
                inputs=inputs,
                link=_can_link(made),
                progress=progress,
            )
        except BaseException as error:
            # The tool may have run for hours; what it made is worth keeping, also if a user has had enough of waiting.
            kept = keep_result(made, place)
            note = f"; the tool's result is kept, without tags, as {kept}" if kept is not None else ""
            what = str(error).replace(str(made), f"the result of {_name_of(fn)}")
            if isinstance(error, (TaggerError, KeyboardInterrupt)):
                error.args = (f"{what}{note}".removeprefix("; "),)
                raise
            if note and isinstance(error, Exception):
                raise TaggerError(f"{place}: tagging failed ({type(error).__name__}: {what}){note}") from error
            raise
    report.phases.insert(0, Phase("tool", seconds))
    if force:
        report.notes.append("force makes no difference: carry refuses no map")
    return report


def takes_paths(fn: Callable[..., object]) -> bool:
    """Whether a tool takes two paths and not a model, by how many of its parameters have to be given."""
    if not callable(fn):
        raise TaggerError(
            f"the tool is {described(fn)}; give a function of two paths or of one ModelProto, or a Command"
        )
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        raise TaggerError(
            f"{fn!r}: does not say what it takes; give a function of two paths, or of one ModelProto"
        ) from None
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = sum(p.kind in kinds and p.default is p.empty for p in parameters)
    if needed not in (1, 2):
        raise TaggerError(
            f"{_name_of(fn)}: needs {needed} arguments, and a tool takes two paths or one ModelProto; "
            "wrap it in a function that does"
        )
    return needed == 2


def _name_of(fn: Callable[..., object]) -> str:
    return str(fn) if isinstance(fn, Command) else str(getattr(fn, "__name__", None) or repr(fn))


def _on_model(fn: ModelTool, source: Path, made: Path, *, apart: bool) -> None:
    """Call a function on a loaded model and save what it made, with the weights apart if they were before."""
    model = read_whole(source)
    result = fn(model)
    if result is not None and not isinstance(result, onnx.ModelProto):
        raise TaggerError(
            f"{_name_of(fn)}: returned {type(result).__name__} where a ModelProto, or None, was expected; "
            "wrap it in a function that returns the model"
        )
    location = f"{made.name}.data" if apart else None
    onnx.save(model if result is None else result, made, save_as_external_data=apart, location=location)


def _insist_on_result(made: Path, fn: Callable[..., object]) -> None:
    if not made.is_file():
        raise TaggerError(f"{_name_of(fn)}: wrote no file to the path that it was given for its result; see its manual")


def _bring_data(source: Skeleton, made: Path, *, beside: bool) -> None:
    """Put data files of the input, which a result may name without having copied them, beside the result.

    They are linked if the target lies beside the input, where they are already, and copied otherwise: a file that two
    models share through a link would change with the other.
    """
    assert source.path is not None
    for location in read_skeleton(made).external:
        place = contained(made.parent, location)
        if location not in source.external or place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        data = contained(source.path.parent, location)
        if not data.is_file():
            raise TaggerError(f"{data}: the external data of {source.path} is not there; copy it beside the model")
        if beside and _can_link(made):
            link_data(data, place)
        else:
            shutil.copyfile(data, place)


def _can_link(file: Path) -> bool:
    """Whether the file system of a temporary folder has hard links."""
    probe = scratch_path(file)
    try:
        os.link(file, probe)
    except OSError:
        return False
    probe.unlink()
    return True


# --- commands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """A program as a tool for `carry`: no shell is involved, and all it prints goes to stderr.

    Parameters
    ----------
    args : sequence of str
        Program and arguments; ``{in}`` and ``{out}`` stand for the paths of the input and of the result, also within
        an argument (``--output={out}``).

    Raises
    ------
    TaggerError
        If there is no program, or either of the two is missing.

    Examples
    --------
    >>> print(Command(["onnxslim", "{in}", "{out}"]))
    onnxslim {in} {out}
    """

    args: Sequence[str]

    def __repr__(self) -> str:
        return brief(self, str(self))

    def __post_init__(self) -> None:
        object.__setattr__(self, "args", names_of(self.args, "the list of a command's words"))
        if not self.args:
            raise TaggerError("no tool is named; give its command line behind --, such as -- onnxslim {in} {out}")
        missing = [mark for mark in ("{in}", "{out}") if not any(mark in arg for arg in self.args)]
        if missing:
            raise TaggerError(
                f"{self}: does not say where {' and '.join(missing)} go; "
                "write {in} for the input's path and {out} for the result's"
            )

    def __str__(self) -> str:
        # Braces are quoted for the shell's sake, which nobody who reads a message needs.
        return shlex.join(self.args).replace("'{in}'", "{in}").replace("'{out}'", "{out}")

    def __call__(self, source: Path, made: Path) -> None:
        """Run the program and wait for it.

        Raises
        ------
        TaggerError
            If it cannot be started or fails; the message has its exit code and the last line of its stderr.
        """
        # Split first: a path that holds the other mark stays as it is.
        paths = {"in": os.fspath(source), "out": os.fspath(made)}
        line = [_filled(arg, paths) for arg in self.args]
        sys.stderr.flush()
        try:
            with subprocess.Popen(line, stdout=_stderr(), stderr=subprocess.PIPE, close_fds=False) as running:
                assert running.stderr is not None
                last = _relayed(running, running.stderr.fileno())
        except OSError as error:
            raise TaggerError(f"{line[0]}: cannot be run: {error.strerror}; check the command behind --") from error
        except ValueError as error:
            raise TaggerError(f"{self}: cannot be run: {error}; check the command behind --") from error
        if running.returncode:
            said = f": {last}" if last else " and said nothing"
            raise TaggerError(f"{self}: {_ending(running.returncode)}{said}")


def _filled(arg: str, paths: dict[str, str]) -> str:
    parts = arg.split("{in}")
    return paths["in"].join(part.replace("{out}", paths["out"]) for part in parts)


def _stderr() -> int | None:
    """The descriptor that a tool's own stdout goes to; ours is for data."""
    try:
        return sys.stderr.fileno()
    except (OSError, ValueError):
        return 2


def _relayed(running: subprocess.Popen[bytes], stream: int) -> str:
    """Pass on to stderr what a tool prints there, as it comes, and return its last line.

    Once the tool has ended, what is in the pipe is read and no more waited for: a process that it has left behind may
    hold the other end for ever.
    """
    tail = b""
    ended = False
    while not ended:
        ended = running.poll() is not None
        if not _readable(stream, 0.0 if ended else _STEP):
            continue
        chunk = os.read(stream, _TAIL)
        if not chunk:
            break
        sys.stderr.write(chunk.decode("utf-8", "replace"))
        sys.stderr.flush()
        tail = (tail + chunk)[-_TAIL:]
    lines = [line.strip() for line in tail.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""


def _readable(stream: int, seconds: float) -> bool:
    """Wait for something to read, or the end; Windows cannot tell of a pipe, so there the reading itself waits."""
    return os.name == "nt" or bool(select.select([stream], [], [], seconds)[0])


def _ending(code: int) -> str:
    if code > 0:
        return f"failed with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
