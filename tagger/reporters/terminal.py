"""How results look: trees and tables through rich on a terminal, plain lines when piped; notes and progress on stderr.

Every text that comes from a file is untrusted: it reaches the terminal through `printable`, and rich as `Text`, never
as markup. What is shown is found out elsewhere (`querying`, `report`); the other forms of `check` are in `formats`.
"""

from __future__ import annotations

import dataclasses
import inspect
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.tree import Tree

    from onnx_tagger.model.graph import Op
    from onnx_tagger.model.report import Report
    from onnx_tagger.passes.base import Context
    from onnx_tagger.passes.registry import Registered
    from onnx_tagger.workflows.benchmarking import Timing
    from onnx_tagger.workflows.diffing import Difference
    from onnx_tagger.workflows.querying import Branch, Neighbour
    from onnx_tagger.workflows.strategies import Comparison, Outcome

# Real modules are a dozen levels deep; guides of a tree without a limit would grow with the square of its depth.
MAX_DEPTH = 100


def printable(text: str) -> str:
    r"""Replace what steers a terminal or hides text: control characters, line breaks, direction marks, surrogates.

    Examples
    --------
    >>> printable("a\x1b[31mb\n")
    'a\\x1b[31mb\\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, most: int = 2000) -> str:
    """Leave out the middle of a text that nobody would read to its end, such as a sentence with a name of megabytes.

    Examples
    --------
    >>> shortened("a" * 50 + "z" * 50, most=20)
    'aaaaaaaaaa... (80 characters left out) ...zzzzzzzzzz'
    """
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}... ({len(text) - 2 * half} characters left out) ...{text[-half:]}"


@dataclass(frozen=True)
class Screen:
    """Where a command prints.

    Parameters
    ----------
    quiet : bool
        Leave out progress, notes and the summary of commands that write a file.
    """

    quiet: bool = False

    @property
    def terminal(self) -> bool:
        """Whether a person looks at stdout."""
        return sys.stdout.isatty()

    def lines(self, texts: Iterable[str]) -> None:
        """Print lines of data as they are, but for what steers a terminal."""
        for text in texts:
            sys.stdout.write(printable(text) + "\n")

    def raw(self, text: str) -> None:
        """Print text that a machine reads, unchanged."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def summary(self, text: str) -> None:
        """Print what a command has done, unless asked to be quiet."""
        if not self.quiet:
            self.lines([text])

    def note(self, text: str) -> None:
        """Print a remark on stderr, unless asked to be quiet."""
        if not self.quiet:
            sys.stdout.flush()
            sys.stderr.write(printable(shortened(text)) + "\n")

    def styled(self, text: str, style: str) -> None:
        """Print a line, in a style if stdout is a terminal."""
        if not self.terminal:
            self.lines([text])
            return
        from rich.console import Console
        from rich.text import Text

        Console(highlight=False, soft_wrap=True).print(Text(printable(text), style))

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> None:
        """Print a table; the columns `numbers` are aligned to the right."""
        cells = [[printable(cell) for cell in row] for row in rows]
        if self.terminal:
            _rich_table(headers, cells, numbers)
            return
        widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
        if len(widths) - 1 not in numbers:
            widths[-1] = 0  # nothing stands behind it, and one long name would cost its length in every row
        for row in [list(headers), *cells]:
            padded = [
                cell.rjust(width) if place in numbers else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.raw("  ".join(padded).rstrip())

    @contextmanager
    def progress(self, command: str) -> Iterator[Callable[[str], None]]:
        """Give a function that shows the name of a phase while it lasts, on stderr if that is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda _: None
            return
        from rich.console import Console
        from rich.text import Text

        with Console(stderr=True).status(Text(command)) as status:
            yield lambda phase: status.update(Text(f"{command}: {phase}"))


def _rich_table(headers: Sequence[str], cells: Iterable[Sequence[str]], numbers: Sequence[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    for place, header in enumerate(headers):
        right = place in numbers
        table.add_column(Text(header), justify="right" if right else "left", no_wrap=right, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


# --- tree -------------------------------------------------------------------------------------------------------------


def show_tree(screen: Screen, top: Branch, untagged: int, depth: int | None = None) -> None:
    """Print a module tree: class, module path, nodes of its own and with all below."""
    limit = MAX_DEPTH if depth is None else depth
    if screen.terminal:
        _rich_tree(top, limit)
    else:
        rows = ((level - 1, branch) for level, branch in top.below() if 0 < level <= limit + 1)
        screen.lines("  " * level + "  ".join(filter(None, branch_texts(branch))) for level, branch in rows)
    if depth is None and any(level > limit + 1 for level, _ in top.below()):
        screen.note(f"modules more than {limit} levels deep are left out; ask for more with --depth")
    if untagged:
        screen.styled(f"{counted(untagged, 'node')} without a tag", "yellow")


def branch_texts(branch: Branch) -> tuple[str, str, str]:
    """Class, module path and counts of one module of the tree; ``3 -> 2`` where there is an earlier model."""
    own, total = branch.before or (branch.own, branch.total)
    count = counted(branch.own, "node") if branch.before is None else f"{own} -> {counted(branch.own, 'node')}"
    if branch.total > branch.own or total > own:
        count += f", {branch.total if branch.before is None else f'{total} -> {branch.total}'} with all below"
    if branch.fused:
        count += f", {branch.fused} fused with others"
    return branch.segment, branch.path or "", count


def _rich_tree(top: Branch, limit: int) -> None:
    from rich.console import Console
    from rich.tree import Tree

    whole = Tree("", hide_root=True, guide_style="dim")
    trail: list[Tree] = [whole]
    for level, branch in top.below():
        if 0 < level <= limit + 1:
            del trail[level:]
            trail.append(_rich_branch(trail[-1], branch))
    # Tree renders without recursion, so a deep one is safe; a wide line is cut by the reader's terminal, not by us.
    Console(highlight=False).print(whole)


def _rich_branch(parent: Tree, branch: Branch) -> Tree:
    from rich.text import Text

    segment, path, count = map(printable, branch_texts(branch))
    style = "" if branch.total or branch.fused else "dim"
    label = Text(segment, style or "bold")
    label.append(f"  {path}" if path else "", style or "cyan")
    label.append(f"  {count}", style or "not bold")
    return parent.add(label)


def counted(number: int, noun: str) -> str:
    """A number with its noun, ``1 node`` or ``2 nodes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# --- show, nodes, diff ------------------------------------------------------------------------------------------------


def show_node(screen: Screen, ctx: Context, op: Op) -> None:
    """Print what is known of one node, and its neighbours with their modules."""
    from onnx_tagger.workflows.querying import code_line, inputs_of, module_of, name_of, outputs_of, own_problem

    tag = ctx.tags.get(op)
    rows = [("module", module_of(tag))]
    if tag is not None:
        rows += [("tag", tag.tag), ("source", tag.source.label)]
        rows += [("origin", path or "(root)") for path in tag.origins]
        rows += [("call", path) for path in tag.call]
    if problem := own_problem(op):
        rows.append(("note", f"its own keys do not hold: it {problem}"))
    if not op.scope.called:
        rows.append(("note", f"{op.scope.family} is never called"))
    if code := code_line(op):
        rows.append(("code", code))
    rows += [("input", _neighbour_text(neighbour, "from")) for neighbour in inputs_of(ctx, op)]
    rows += [("output", _neighbour_text(neighbour, "to")) for neighbour in outputs_of(ctx, op)]
    # Only now, so that nothing is printed of a model whose data flow turns out to be none.
    screen.styled(f"{name_of(op)}  {op.label}", "bold")
    screen.lines(f"  {label:<7} {value}" for label, value in rows)


def _neighbour_text(neighbour: Neighbour, direction: str) -> str:
    if not neighbour.module:
        return f"{neighbour.tensor}, {neighbour.what}"
    return f"{neighbour.tensor}, {direction} {neighbour.what} -> {neighbour.module}"


def node_line(ctx: Context, op: Op) -> str:
    """One node in a line: ``name op -> module``."""
    from onnx_tagger.model.graph import operator
    from onnx_tagger.workflows.querying import module_of, name_of

    return f"{name_of(op)} {operator(op.node)} -> {module_of(ctx.tags.get(op))}"


def show_difference(screen: Screen, found: Difference, before: Context, after: Context, names: tuple[str, str]) -> None:
    """Print the nodes that only one model has, and those that differ with both values."""
    from onnx_tagger.model.graph import operator
    from onnx_tagger.workflows.querying import name_of

    screen.lines(f"only in {names[0]}: {node_line(before, op)}" for op in found.only_before)
    screen.lines(f"only in {names[1]}: {node_line(after, op)}" for op in found.only_after)
    for change in found.changed:
        values = "; ".join(f"{name} {one} -> {other}" for name, one, other in change.fields)
        screen.lines([f"{name_of(change.before)} {operator(change.before.node)}: {values}"])
    if found:
        counts = (len(found.only_before), len(found.only_after), len(found.changed))
        screen.note(f"{counts[0]} only in {names[0]}, {counts[1]} only in {names[1]}, {counts[2]} differ")
    else:
        screen.note(f"no differences in {counted(found.paired, 'node')}")


# --- reports ----------------------------------------------------------------------------------------------------------


def show_stats(screen: Screen, report: Report) -> None:
    """Print coverage with its split by source, then the nodes by graph and by tag."""
    screen.styled(report.split(), "bold")
    if report.origins:
        screen.lines([f"{counted(report.origins, 'node')} with the work of several modules"])
    if len(report.by_graph) > 1:
        screen.table(("nodes", "graph"), [(str(n), name) for name, n in report.by_graph.items()], numbers=(0,))
    if report.tags:
        screen.table(("nodes", "tag"), [(str(n), name) for name, n in report.tags.items()], numbers=(0,))
    show_notes(screen, report)


def show_notes(screen: Screen, report: Report) -> None:
    """Print on stderr what was not done in the first way."""
    for text in report.fallbacks:
        screen.note(f"note: {text}")


# --- strategies -------------------------------------------------------------------------------------------------------


def show_comparison(screen: Screen, found: Comparison) -> None:
    """Print the strategies side by side, why one failed, and what auto takes; notes go to stderr."""
    outcomes = found.outcomes
    blocks = (_result_cells, _seconds_cells, _coverage_cells, _truth_cells)
    rows = [row for cells in blocks for row in _side_by_side([cells(outcome) for outcome in outcomes])]
    headers = ("strategy", *(outcome.strategy for outcome in outcomes))
    screen.table(headers, rows, numbers=range(1, len(headers)))
    screen.lines(f"{outcome.strategy} failed: {outcome.reason}" for outcome in outcomes if outcome.reason)
    screen.lines(f"{outcome.strategy} is not judged: {outcome.unjudged}" for outcome in outcomes if outcome.unjudged)
    why = f"since {' and '.join(found.since)} failed" if found.since else "the first that works"
    screen.styled(f"auto tries {', '.join(found.order)} in this order and takes {found.auto}, {why}", "bold")
    for outcome in outcomes:
        for text in outcome.report.fallbacks if outcome.report is not None else ():
            screen.note(f"note: {outcome.strategy}: {text.removeprefix(outcome.strategy + ': ')}")


def show_timings(screen: Screen, found: Sequence[Timing]) -> None:
    """Print the phases of each strategy side by side, with the ratio to the bare export, and why one failed."""
    headers = ("seconds", *(timing.strategy for timing in found))
    rows = _side_by_side([_timing_cells(timing) for timing in found])
    screen.table(headers, rows, numbers=range(1, len(headers)))
    screen.lines(f"{timing.strategy} failed: {timing.reason}" for timing in found if timing.reason)


def _timing_cells(timing: Timing) -> dict[str, str]:
    if timing.reason:
        return {}
    medians = timing.medians
    whole = sum(medians.values())
    cells = {f"  {name}": f"{value:.3f} {value / whole:6.1%}" for name, value in medians.items()}
    return {
        "tagged export": f"{whole:.3f} {1:6.1%}",
        **cells,
        "bare export": f"{statistics.median(timing.bare):.3f}",
        "tagged ÷ bare": _spread(timing.ratios()),
        "tagged without digests ÷ bare": _spread(timing.ratios(digests=False)),
        "nodes": str(timing.nodes),
    }


def _spread(values: Sequence[float]) -> str:
    """A median with the smallest and the largest value."""
    return f"{statistics.median(values):.3f} ({min(values):.3f}–{max(values):.3f})"


def _side_by_side(columns: Sequence[Mapping[str, str]]) -> list[tuple[str, ...]]:
    """Rows of the columns' cells, by name; a dash where a column has none of that name."""
    names = dict.fromkeys(name for column in columns for name in column)
    return [(name, *(column.get(name, "-") for column in columns)) for name in names]


def _result_cells(outcome: Outcome) -> dict[str, str]:
    if outcome.report is None:
        return {"result": "failed"}
    return {"result": "done", "file written by": outcome.file_by}


def _seconds_cells(outcome: Outcome) -> dict[str, str]:
    if outcome.report is None:
        return {}
    phases = outcome.report.phases
    whole = sum(phase.seconds for phase in phases)
    return {"seconds": f"{whole:.2f}"} | {f"  {phase.name}": f"{phase.seconds:.2f}" for phase in phases}


def _coverage_cells(outcome: Outcome) -> dict[str, str]:
    report = outcome.report
    if report is None:
        return {}
    split = {f"  {source}": str(count) for source, count in report.by_source.items()}
    return {"nodes": str(report.nodes), "tagged": _share(report.tagged, report.nodes)} | split


def _truth_cells(outcome: Outcome) -> dict[str, str]:
    found = outcome.judgement
    if found is None:
        return {}
    counts = {
        "  right": found.verdicts["right"],
        "  right alone": found.alone,
        "  ancestor": found.verdicts["ancestor"],
        "  wrong": found.verdicts["wrong"],
        "  untagged": found.verdicts["untagged"],
    }
    cells = {name: _share(count, found.testable) for name, count in counts.items()}
    return {"testable": _share(found.testable, found.nodes)} | cells


def _share(part: int, whole: int) -> str:
    """A count behind its share, so that the counts of a column stand below each other."""
    from onnx_tagger.model.report import shown_share

    return f"{shown_share(part, whole)} {part:>5}" if whole else "0"


# --- passes -----------------------------------------------------------------------------------------------------------


def pass_row(found: Registered) -> tuple[str, str, str, str, str]:
    """Name, owner, what it touches, its options with defaults, and what it does; what is wrong if it is broken."""
    from onnx_tagger.errors import TaggerError
    from onnx_tagger.passes.base import Touches

    try:
        step = found.load()
    except TaggerError as error:
        return found.name, found.owner, "", "", f"broken: {error}"
    touches = ", ".join(str(flag.name).lower() for flag in Touches if flag and flag in step.touches)
    options = ", ".join(map(_option_text, dataclasses.fields(step)))
    purpose = (inspect.getdoc(step) or "").partition("\n")[0]
    return found.name, found.owner, touches or "nothing", options, purpose


def _option_text(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"{field.name}={field.default!r}"
    if field.default_factory is not dataclasses.MISSING:
        return f"{field.name}={field.default_factory()!r}"
    return field.name
