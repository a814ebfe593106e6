"""Reading onnxruntime's profile: which kernel took how long in which run, and the shapes that it saw.

A file of thousands of kernels and dozens of runs has tens of megabytes, of which the arguments are most: they are
decoded for one run alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from onnx_tagger.errors import TaggerError, one_line
from onnx_tagger.model.texts import brief, brief_fields, counted

_SUFFIX = "_kernel_time"
Times = npt.NDArray[np.float64]
Shapes = tuple[tuple[str, tuple[int, ...]], ...]


# Hundreds of thousands of them, which hold nothing that could hold them: the garbage collector need not look at any.
class _Event(msgspec.Struct, gc=False):
    cat: str
    name: str
    dur: int
    ts: int


class _FullEvent(_Event, gc=False):
    args: msgspec.Raw = msgspec.Raw(b"{}")


class _Arguments(msgspec.Struct):
    op_name: str = ""
    provider: str = ""
    node_index: str = ""
    mem_in_use_peak: str = ""
    input_type_shape: list[dict[str, list[int]]] = []
    output_type_shape: list[dict[str, list[int]]] = []


@dataclass(frozen=True, slots=True)
class Facts:
    """What the runtime says of a kernel beside its time.

    Attributes
    ----------
    op, provider : str
    inputs, outputs : tuple of (str, tuple of int)
        Type and shape of the tensors that it read and made, in one of its executions.
    """

    op: str
    provider: str
    inputs: Shapes
    outputs: Shapes

    __repr__ = brief_fields


@dataclass(frozen=True, eq=False, repr=False)
class Recording:
    """What was recorded of some runs.

    Attributes
    ----------
    names : list of str
        Of the kernels, in the order in which they began to run.
    us, counts : arrays of float64 of the shape (kernels, runs)
        Microseconds of all executions in a run, and how many they were.
    facts : mapping
        Kernel to what else is known of it; empty if it was not asked for.
    run_us : array of float64
        Microseconds of each run.
    peak : float or None
        Bytes that the allocator held at most; None where it does not say.
    """

    names: list[str]
    us: Times
    counts: Times
    facts: Mapping[str, Facts]
    run_us: Times
    peak: float | None

    def __repr__(self) -> str:
        return brief(self, counted(len(self.names), "kernel"), counted(len(self.run_us), "run"))


def read_events(path: Path, *, facts: bool = False) -> Recording:
    """Read a profile of onnxruntime.

    Parameters
    ----------
    path : Path
    facts : bool
        Read shapes, too, and how much memory was held.

    Raises
    ------
    TaggerError
        If it is no profile, or holds no complete run.
    """
    events: Sequence[_Event]
    try:
        events = msgspec.json.decode(path.read_bytes(), type=list[_FullEvent] if facts else list[_Event])
    except OSError as error:
        raise TaggerError(f"{path}: cannot be read ({error.strerror}); give a profile of onnxruntime") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise TaggerError(
            f"{path}: is no profile of onnxruntime ({one_line(error)}); profile the model again"
        ) from None
    runs = sorted((e.ts, e.dur) for e in events if e.cat == "Session" and e.name == "model_run")
    if not runs:
        raise TaggerError(f"{path}: holds no complete run; run the model while it is profiled")
    kernels = [e for e in events if e.cat == "Node" and e.name.endswith(_SUFFIX)]
    starts = np.array([start for start, _ in runs])
    ends = starts + np.array([dur for _, dur in runs])
    began = np.fromiter((e.ts for e in kernels), np.int64, len(kernels))
    run = np.searchsorted(starts, began, side="right") - 1
    inside = (run >= 0) & (began <= ends[run])
    if not inside.all():
        kernels = [kernels[at] for at in np.flatnonzero(inside).tolist()]
        began, run = began[inside], run[inside]
    called = [e.name for e in kernels]
    order = np.argsort(began, kind="stable").tolist()
    places = {name: place for place, name in enumerate(dict.fromkeys(map(called.__getitem__, order)))}
    where = np.fromiter(map(places.__getitem__, called), np.int64, len(called))
    shape = (len(places), len(runs))
    cells = where * len(runs) + run
    durations = np.fromiter((e.dur for e in kernels), np.float64, len(kernels))
    names = [name.removesuffix(_SUFFIX) for name in places]
    known, peak = _facts([e for e in kernels if isinstance(e, _FullEvent)], len(names))
    return Recording(
        names,
        np.bincount(cells, durations, shape[0] * shape[1]).astype(np.float64).reshape(shape),
        np.bincount(cells, minlength=shape[0] * shape[1]).astype(np.float64).reshape(shape),
        known,
        np.array([dur for _, dur in runs], dtype=np.float64),
        peak,
    )


def _facts(events: list[_FullEvent], kernels: int) -> tuple[dict[str, Facts], float | None]:
    """What is known of each kernel from its last execution, and the most memory that was held."""
    found: dict[str, Facts] = {}
    peak = None
    for event in reversed(events):
        if len(found) == kernels:
            break
        name = event.name.removesuffix(_SUFFIX)
        if name in found:
            continue
        arguments = msgspec.json.decode(event.args, type=_Arguments)
        found[name] = Facts(
            arguments.op_name,
            arguments.provider,
            _shapes(arguments.input_type_shape),
            _shapes(arguments.output_type_shape),
        )
        if arguments.mem_in_use_peak:
            peak = max(peak or 0.0, float(arguments.mem_in_use_peak))
    return found, peak


def _shapes(entries: list[dict[str, list[int]]]) -> Shapes:
    return tuple((kind, tuple(shape)) for entry in entries for kind, shape in entry.items())


def percentile_of_ticks(ticks: Times, share: float) -> Times:
    """A percentile of each row of whole numbers of ticks, to parts of a tick.

    The clock says 3 for all that lies between 3 and 4. So equal numbers are spread evenly over their tick, as is done
    with grouped data, and what takes 3 half of the time and 2 otherwise is told from what always takes 3.

    Examples
    --------
    >>> percentile_of_ticks(np.array([[3.0, 3.0, 3.0, 3.0], [2.0, 3.0, 2.0, 3.0]]), 50)
    array([3.5, 3. ])
    """
    rows = np.sort(ticks, axis=1)
    count = rows.shape[1]
    place = np.broadcast_to(np.arange(count), rows.shape)
    new = np.diff(rows, axis=1, prepend=np.nan) != 0
    last = np.diff(rows, axis=1, append=np.nan) != 0
    start = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    end = np.minimum.accumulate(np.where(last, place, count)[:, ::-1], axis=1)[:, ::-1]
    spread = rows + (place - start + 0.5) / (end - start + 1)
    found: Times = np.percentile(spread, share, axis=1)
    return found
