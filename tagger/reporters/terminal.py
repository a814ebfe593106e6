"""The terminal: lines, tables and progress, through rich where a person looks on, plain where output is piped.

Every text that comes from a file is untrusted: it reaches the terminal through `printable`, and rich as `Text`, never
as markup. What is shown of which value is said by the other reporters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from onnx_tagger.model.texts import brief_fields
from onnx_tagger.model.texts import counted as counted
from onnx_tagger.model.texts import printable as printable
from onnx_tagger.model.texts import shortened as shortened


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
