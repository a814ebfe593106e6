"""The terminal: lines, tables and progress, through rich where a person looks on, plain where output is piped.

Every text that comes from a file is untrusted: it reaches the terminal through `printable`, and rich as `Text`, never
as markup. What is shown of which value is said by the other reporters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from onnx_tagger.model.texts import brief_fields, counted as counted, printable as printable, shortened as shortened
from onnx_tagger.reporters.colour import console_of, painted
from onnx_tagger.reporters.columns import widths_of, wrapped

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

# What a table takes beside its columns: a blank at both ends, and between two columns.
_EDGES, _GAP = 2, 3


@dataclass(frozen=True)
class Screen:
    """Where a command prints.

    Parameters
    ----------
    quiet : bool
        Leave out progress, notes and the summary of commands that write a file.
    """

    quiet: bool = False

    __repr__ = brief_fields

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
        """Print a line, in a style if stdout gets colours."""
        self.raw(painted(printable(text), style, sys.stdout))

    def show(self, renderable: RenderableType) -> None:
        """Print something of rich's, in colours if stdout gets any."""
        console_of(sys.stdout).print(renderable)

    def table(self, headers: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> None:
        """Print a table; the columns `numbers` are aligned to the right."""
        cells = [[printable(cell) for cell in row] for row in rows]
        if self.terminal:
            self.show(_rich_table(headers, cells, numbers, console_of(sys.stdout).width))
            return
        widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
        if len(widths) - 1 not in numbers:
            widths[-1] = 0  # nothing stands behind it, and one long name would cost its length in every row
        for index, row in enumerate([list(headers), *cells]):
            padded = [
                cell.rjust(width) if place in numbers else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            line = "  ".join(padded).rstrip()
            self.raw(line if index else painted(line, "bold", sys.stdout))

    @contextmanager
    def progress(self, command: str) -> Iterator[Callable[[str], None]]:
        """Give a function that shows the name of a phase while it lasts, on stderr if that is a terminal."""
        if self.quiet or not sys.stderr.isatty():
            yield lambda _: None
            return
        from rich.text import Text

        with console_of(sys.stderr).status(Text(command)) as status:
            yield lambda phase: status.update(Text(f"{command}: {phase}"))


def _rich_table(headers: Sequence[str], cells: Sequence[Sequence[str]], numbers: Sequence[int], width: int) -> Table:
    """A table that fits: rich would cut words where it has to wrap them, so every cell is wrapped before."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, pad_edge=False)
    room = width - _EDGES - _GAP * (len(headers) - 1)
    widths = widths_of([list(column) for column in zip(headers, *cells, strict=True)], room, numbers)
    for place, header in enumerate(headers):
        table.add_column(
            Text(header), justify="right" if place in numbers else "left", no_wrap=True, min_width=widths[place]
        )
    for row in cells:
        table.add_row(*(Text("\n".join(wrapped(cell, width))) for cell, width in zip(row, widths, strict=True)))
    return table
