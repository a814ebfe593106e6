"""A profile on the terminal: how long a run takes, a row for each module, and what the measurements point to."""

from __future__ import annotations

from collections.abc import Sequence

from onnx_tagger.measures.measure import Column
from onnx_tagger.measures.profiling.hints import Hint, hints_of
from onnx_tagger.measures.profiling.profile import BYTES, FLOPS, LIVE, OF_ROOF, SHARE, SPEED, SURE, TIME, Profile
from onnx_tagger.measures.rollup import Value
from onnx_tagger.measures.student import Estimate
from onnx_tagger.measures.table import ModuleTable, Row
from onnx_tagger.reporters.terminal import Screen, counted
from onnx_tagger.workflows.profiling.comparing import Way

# Rows of a smaller share are counted, not shown, unless their modules were asked for.
_LEAST_SHARE = 1.0
_MOST_HINTS = 8

_EXTRA = (FLOPS, BYTES, SPEED, OF_ROOF, LIVE)


def show_profile(
    screen: Screen, profile: Profile, table: ModuleTable, *, by: str = "module", whole: bool = False
) -> None:
    """Print a profile.

    Parameters
    ----------
    screen : Screen
    profile : Profile
    table : ModuleTable
        Its rows, chosen and sorted.
    by : str
        What a row is: ``module``, ``class``, ``operator`` or ``call``.
    whole : bool
        Show all rows of the table, those of small shares too.
    """
    screen.lines(_head(profile))
    screen.lines([""])
    _table(screen, table, by, whole)
    show_hints(screen, hints_of(profile))
    for note in profile.notes:
        screen.note(f"note: {note}")


def _head(profile: Profile) -> list[str]:
    settings = dict(profile.settings)
    threads, level = settings.pop("threads", ""), settings.pop("level", "")
    provider = settings.pop("provider", "").removesuffix("ExecutionProvider")
    of_threads = {"": "", "0": "as many threads as it takes"}.get(threads)
    of_threads = counted(int(threads), "thread") if of_threads is None else of_threads
    words = [profile.runtime, f"level {level}" if level else "", provider, of_threads]
    words += [f"{name}={value}" for name, value in settings.items()]
    lines = [f"{profile.model}: {', '.join(filter(None, words))}"]
    latency, whole = profile.latency, profile.whole
    if latency is not None:
        lines.append(f"a run takes {_measured(latency)} without profiling, {counted(profile.sessions, 'session')}")
    sums = f"{counted(len(profile.kernels), 'kernel')} take {_measured(whole)}"
    if latency is not None and latency.mean:
        sums += f", {100 * whole.mean / latency.mean:.0f} % of that"
    kernels, time = profile.attributed
    lines.append(f"{sums}; {_percent(kernels)} of them and {_percent(time)} of their time have a module")
    if profile.overhead is not None:
        cost = profile.overhead
        lines.append(
            f"profiling made a run longer by {cost.per_kernel:.1f} µs a kernel; "
            f"{cost.taken_out:.1f} µs of it lay in the kernel's own time and are taken out"
        )
    if profile.roof is not None:
        lines.append(
            f"this machine: {profile.roof.gflops:.0f} GFLOP/s in a matrix product, "
            f"{profile.roof.gbytes:.0f} GB/s in a copy"
        )
    return lines


def _percent(share: float) -> str:
    """A share that is only called 100 % if it is."""
    text = f"{100 * share:.1f}"
    return "100 %" if share >= 1 - 1e-9 else f"{min(float(text), 99.9)} %"


def _measured(value: Estimate) -> str:
    """A time with its interval.

    Examples
    --------
    >>> _measured(Estimate(1234.5, 12.3, 5))
    '1234.5 ± 12 µs'
    """
    half = "" if value.half is None else f" ± {value.half:.0f}" if value.half >= 10 else f" ± {value.half:.2g}"
    return f"{value.mean:.{_digits(value.mean)}f}{half} µs"


def _digits(value: float) -> int:
    return 1 if abs(value) >= 10 else 2


def _table(screen: Screen, table: ModuleTable, by: str, whole: bool) -> None:
    """A row for each module, with class, kernels, own time, time with all below, share and interval."""
    extra = [column for column in _EXTRA if column in table.columns]
    names = ("module", "class") if by == "module" else (by,)
    headers = (*names, "kernels", "self µs", "µs", "± 95 %", "share", *(map(_title, extra)))
    rows, left = [], 0
    for row in table.rows:
        if not row.total["kernels"] and row.path != "":
            continue
        if not whole and (row.total[SHARE.name] or 0) < _LEAST_SHARE:
            left += 1
            continue
        rows.append(_cells(row, extra, len(names)))
    screen.table(headers, rows, numbers=range(len(names), len(headers)))
    if left:
        screen.note(f"{counted(left, 'row')} of less than {_LEAST_SHARE:g} % left out")


def _title(column: Column) -> str:
    return f"{column.unit} {column.name}" if column is OF_ROOF else f"{column.name} {column.unit}".strip()


def _cells(row: Row, extra: Sequence[Column], names: int) -> list[str]:
    module = row.module
    name = "(no module)" if module is None else module.shown
    texts = [name, (module.cls or "") if module is not None else ""][:names]
    numbers = [
        str(int(row.total["kernels"] or 0)),
        _number(row.own[TIME.name]),
        _number(row.total[TIME.name]),
        _number(row.total[SURE.name], "± "),
        f"{row.total[SHARE.name] or 0.0:.1f} %",
    ]
    return [*texts, *numbers, *(_number(row.total[column.name]) for column in extra)]


def _number(value: Value, sign: str = "") -> str:
    if value is None:
        return "-"
    return f"{sign}{value:.{_digits(value)}f}" if abs(value) < 1e4 else f"{sign}{value:.0f}"


def show_hints(screen: Screen, hints: Sequence[Hint]) -> None:
    """Print what the measurements point to, a line each."""
    if not hints:
        return
    screen.lines(["", "what the measurements point to:"])
    screen.lines(f"  {hint.module or '(root)'}: {hint.text}" for hint in hints[:_MOST_HINTS])
    if len(hints) > _MOST_HINTS:
        screen.note(f"{len(hints) - _MOST_HINTS} more about less time")


def show_ways(screen: Screen, ways: Sequence[Way]) -> None:
    """Print ways to run a model side by side, and which modules each of them changed."""
    first = ways[0]
    sessions = counted(first.profile.sessions, "session")
    screen.lines([f"{first.profile.model}: {first.profile.runtime}, {sessions} of each, by turns"])
    screen.lines([""])
    headers = ("way", "create ms", "run µs", "± 95 %", f"to {first.name}", "95 %", "peak MB", "nodes")
    screen.table(headers, [_way_cells(way) for way in ways], numbers=range(1, len(headers)))
    for way in ways[1:]:
        _changes(screen, way)
    for note in first.profile.notes:
        screen.note(f"note: {note}")


def _way_cells(way: Way) -> list[str]:
    latency, peak = way.profile.latency, way.profile.peak
    interval = "-" if way.low is None else f"{way.low:.3f} to {way.high:.3f}"
    return [
        way.name,
        f"{1e3 * min(way.profile.creations):.1f}" if way.profile.creations else "-",
        _number(latency.mean) if latency is not None else "-",
        _number(latency.half, "± ") if latency is not None else "-",
        f"x{way.ratio:.3f}",
        interval if way.change is not None else "-",
        "-" if peak is None else f"{peak / 1e6:.2f}",
        str(way.nodes),
    ]


def _changes(screen: Screen, way: Way) -> None:
    if way.change is None:
        return
    sure = [*way.change.slower, *way.change.faster]
    screen.lines(["", f"{way.name}: {'the same for all that can be said' if not way.differs else _verdict(way)}"])
    if not sure:
        screen.lines(["  no module differs for sure"])
        return
    headers = ("module", "µs before", "µs after", "ratio", "95 %")
    rows = [
        [
            "(no module)" if row.module is None else row.module or "(root)",
            _number(row.before),
            _number(row.after),
            f"x{row.ratio or 0:.2f}",
            f"{row.low or 0:.2f} to {row.high or 0:.2f}",
        ]
        for row in sure
    ]
    screen.table(headers, rows, numbers=range(1, len(headers)))


def _verdict(way: Way) -> str:
    if way.ratio > 1:
        return f"slower by {100 * (way.ratio - 1):.1f} %"
    return f"faster by {100 * (1 - way.ratio):.1f} %"
