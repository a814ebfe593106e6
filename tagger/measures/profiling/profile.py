"""A profile: where the time of a run goes, kernel by kernel and module by module, whatever runtime it was.

It is a value: saved, loaded, compared. Who runs and reads a runtime's own profile makes it (`workflows/profiling`); its
file is `file`'s, how two are compared `change`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.profiling.kernel import Kernel, Overhead, Roof
from onnx_tagger.measures.rollup import RolledUp, Value
from onnx_tagger.measures.student import Estimate, estimate
from onnx_tagger.measures.table import Fused, ModuleTable, Row
from onnx_tagger.model.arguments import insist_on
from onnx_tagger.model.texts import brief, counted

if TYPE_CHECKING:
    from onnx_tagger.measures.profiling.change import ProfileChange

TIME = Column("time", "µs", worse="higher")
SHARE = Column("share", "%", worse="higher")
SURE = Column("± 95 %", "µs", "none", worse="higher")
FLOPS = Column("MFLOP")
BYTES = Column("MB moved", worse="higher")
SPEED = Column("GFLOP/s", "", "none", worse="lower")
OF_ROOF = Column("of the roof", "%", "none", worse="lower")
LIVE = Column("live at peak", "B", worse="higher")


@dataclass(frozen=True, eq=False, repr=False)
class Profile:
    """Where the time of a run goes.

    Parameters
    ----------
    model : str
        Name of the profiled file.
    runtime : str
        What ran it, with its version.
    tree : ModuleTree
        The modules; only a root for a file that names none.
    kernels : tuple of Kernel
        In the order in which they ran; all with the same number of sessions.
    settings : mapping
        How it was run: optimisation level, threads, provider and so on, as texts.
    latencies : tuple of float
        Microseconds of one run without profiling, a number for each session.
    creations : tuple of float
        Seconds that making a session took.
    overhead : Overhead, optional
    roof : Roof, optional
        What the machine can do; None if it was not asked for.
    peak : float, optional
        Bytes that the runtime's allocator held at most.
    yardsticks : tuple of float
        Microseconds of one and the same matrix product, measured beside each session: how fast the machine was.
    notes : tuple of str
        Sentences on how far to trust it.

    Examples
    --------
    >>> from onnx_tagger.hierarchy.map import HierarchyMap
    >>> from onnx_tagger.hierarchy.naming import ModuleRow
    >>> from onnx_tagger.model.metadata import Source
    >>> modules = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "Blk")])
    >>> kernel = Kernel("a/MatMul", "MatMul", "CPU", (9.0, 11.0), modules.tag("a", Source.MATCHED))
    >>> profile = Profile("net.onnx", "some runtime 1.0", ModuleTree(modules), (kernel,))
    >>> profile.modules["a"].total["time"], profile.whole.mean
    (10.0, 10.0)
    """

    model: str
    runtime: str
    tree: ModuleTree
    kernels: tuple[Kernel, ...]
    settings: Mapping[str, str] = field(default_factory=dict)
    latencies: tuple[float, ...] = ()
    creations: tuple[float, ...] = ()
    overhead: Overhead | None = None
    roof: Roof | None = None
    peak: float | None = None
    yardsticks: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len({len(kernel.us) for kernel in self.kernels}) > 1 or not all(kernel.us for kernel in self.kernels):
            raise TaggerError(f"the kernels of {self.model} have times of unequally many sessions; profile it again")

    def __repr__(self) -> str:
        return brief(self, self.model, counted(len(self.kernels), "kernel"), f"{self.whole.mean:.4g} µs")

    def _repr_html_(self) -> str:
        return self.modules._repr_html_()

    @property
    def sessions(self) -> int:
        """How many sessions the times are of."""
        return len(self.kernels[0].us) if self.kernels else 0

    @property
    def whole(self) -> Estimate:
        """Microseconds of all kernels of a run."""
        sums = np.sum([kernel.us for kernel in self.kernels], axis=0) if self.kernels else np.zeros(1)
        return estimate(sums.tolist())

    @property
    def latency(self) -> Estimate | None:
        """Microseconds of a run without profiling; None if that was not measured."""
        return estimate(self.latencies) if self.latencies else None

    @property
    def attributed(self) -> tuple[float, float]:
        """Which part of the kernels and of their time has a module, from 0 to 1."""
        if not self.kernels:
            return 1.0, 1.0
        known = [kernel for kernel in self.kernels if kernel.tag is not None]
        whole = self.whole.mean
        return len(known) / len(self.kernels), sum(kernel.mean for kernel in known) / whole if whole else 1.0

    @cached_property
    def modules(self) -> ModuleTable:
        """The table by module: kernels, time, interval, share, and what else was measured."""
        return self.table()

    def table(self, *, fused: Fused = "enclosing") -> ModuleTable:
        """The numbers of the kernels, added up over the modules.

        Parameters
        ----------
        fused : "enclosing" or "shared"
            Where a kernel stands that does the work of several modules.
        """
        tags = [kernel.tag for kernel in self.kernels]
        whole = self.whole.mean
        times = [kernel.mean for kernel in self.kernels]
        measures = [
            Measure(Column("kernels"), [1.0] * len(tags)),
            Measure(TIME, times),
            Measure(SURE, [None] * len(tags)),
            Measure(SHARE, [100 * time / whole if whole else 0.0 for time in times]),
        ]
        for column, values, unit in (
            (FLOPS, [kernel.flops for kernel in self.kernels], 1e6),
            (BYTES, [kernel.bytes for kernel in self.kernels], 1e6),
            (LIVE, [kernel.live for kernel in self.kernels], 1.0),
        ):
            if any(value is not None for value in values):
                measures.append(Measure(column, [None if value is None else value / unit for value in values]))
        table = ModuleTable.of(self.tree, tags, measures, fused=fused)
        cells = {**table.cells, SURE.name: self._intervals(fused)}
        if FLOPS.name not in cells or BYTES.name not in cells or self.roof is None:
            return replace(table, cells=cells)
        cells |= {SPEED.name: _by_row(cells, _speed), OF_ROOF.name: _by_row(cells, self._of_roof)}
        at = table.columns.index(BYTES) + 1
        return replace(table, columns=(*table.columns[:at], SPEED, OF_ROOF, *table.columns[at:]), cells=cells)

    def _of_roof(self, time: Value, mflop: Value, moved: Value) -> Value:
        """Percent of what the machine can do with work of this intensity."""
        speed = _speed(time, mflop, moved)
        if self.roof is None or speed is None or mflop is None or moved is None:
            return None
        return 100 * speed / self.roof.reach(mflop, moved)

    def session_table(self, name: str = "session", *, fused: Fused = "enclosing") -> ModuleTable:
        """Microseconds by module, a column for each session: ``session 0`` and so on."""
        tags = [kernel.tag for kernel in self.kernels]
        columns = [replace(TIME, name=f"{name} {session}") for session in range(self.sessions)]
        measures = [Measure(c, [kernel.us[at] for kernel in self.kernels]) for at, c in enumerate(columns)]
        return ModuleTable.of(self.tree, tags, measures, fused=fused)

    def _intervals(self, fused: Fused) -> RolledUp:
        """Half the width of each row's 95 % interval."""
        table = self.session_table(fused=fused)
        names = [column.name for column in table.columns]
        rows = [table.row(place) for place in range(len(table))]
        own, total = (
            [_half([cells[n] for n in names]) for cells in part] for part in zip(*map(_cells, rows), strict=True)
        )
        untagged, whole = (_half([cells[name] for name in names]) for cells in (table.untagged, table.whole))
        return RolledUp(own, total, untagged, whole)

    def compare(self, after: Profile, *, floor: float = 0.05) -> ProfileChange:
        """Compare with a later profile: which modules became slower or faster for sure.

        Parameters
        ----------
        after : Profile
        floor : float
            A change below this share is none that matters, however sure it is.

        Raises
        ------
        TaggerError
            If one of them has fewer than two sessions, so that nothing can be sure.
        """
        from onnx_tagger.measures.profiling.change import change_of

        insist_on(after, Profile, "the other profile", "a Profile, such as Profile.load returns")
        return change_of(self, after, floor)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it as JSON, whole or not at all; see `onnx_tagger.measures.profiling.file`.

        Raises
        ------
        TaggerError
            If the file cannot be written.
        """
        from onnx_tagger.measures.profiling.file import write_profile

        write_profile(self, Path(path))

    def to_json(self) -> str:
        """The profile as JSON text, in the shape of its file."""
        from onnx_tagger.measures.profiling.file import to_json

        return to_json(self)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Profile:
        """Read a profile that was saved.

        Raises
        ------
        TaggerError
            If the file cannot be read as one.
        """
        from onnx_tagger.measures.profiling.file import read_profile

        return cls(**read_profile(path))


def _speed(time: Value, mflop: Value, moved: Value) -> Value:
    """GFLOP/s; none of work that is no product."""
    return 1e3 * mflop / time if time and mflop else None


def _by_row(cells: Mapping[str, RolledUp], rule: Callable[[Value, Value, Value], Value]) -> RolledUp:
    """A column made from time, operations and bytes of each row."""
    parts = [cells[column.name] for column in (TIME, FLOPS, BYTES)]
    return RolledUp(
        [rule(*values) for values in zip(*(part.own for part in parts), strict=True)],
        [rule(*values) for values in zip(*(part.total for part in parts), strict=True)],
        rule(*(part.untagged for part in parts)),
        rule(*(part.whole for part in parts)),
    )


def _cells(row: Row) -> tuple[dict[str, Value], dict[str, Value]]:
    return row.own, row.total


def _half(values: list[Value]) -> Value:
    """Half the width of the 95 % interval of one row's numbers, one a session."""
    known = [value for value in values if value is not None]
    return estimate(known).half if known else None
