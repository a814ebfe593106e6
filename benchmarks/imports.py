"""What imports cost, by Python's own `-X importtime`: of the package, and of a command on a small file.

python benchmarks/imports.py [--against DIR] [--rounds 15]

DIR holds another version, as `pip install --no-deps --target DIR` puts it there; both then take turns.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from measure import Series, interleaved, machine, table
from subjects import made

import onnx_tagger as ot

_LINE = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)")


def imports_of(report: str) -> dict[str, float]:
    """Milliseconds that each module took by itself, from what `-X importtime` writes to stderr."""
    return {name: int(microseconds) / 1e3 for microseconds, name in _LINE.findall(report)}


class Counted:
    """A Python process that writes its import times; what is timed is their sum, and the rest is kept beside it."""

    def __init__(self, folder: Path, arguments: tuple[str | Path, ...]) -> None:
        self.line = [sys.executable, "-X", "importtime", *map(str, arguments)]
        self.environment = os.environ | {"PYTHONPATH": str(folder)}
        self.own: list[float] = []
        self.modules: list[int] = []

    def __call__(self) -> float:
        done = subprocess.run(self.line, env=self.environment, check=True, capture_output=True, text=True)
        found = imports_of(done.stderr)
        self.modules.append(len(found))
        self.own.append(sum(time for name, time in found.items() if name.partition(".")[0] == ot.__name__))
        return sum(found.values())


def compared(trees: dict[str, Path], arguments: tuple[str | Path, ...], rounds: int) -> None:
    """Print a table with a row for each tree: all imports, those of our own modules, and how many modules there are."""
    ways = {name: Counted(folder, arguments) for name, folder in trees.items()}
    timed: dict[str, Callable[[], object]] = dict(ways)
    times = interleaved(timed, rounds)
    base = next(iter(times.values()))
    rows = [
        (
            name,
            times[name].shown(".1f"),
            Series(tuple(way.own[-rounds:])).shown(".1f"),
            f"{statistics.median(way.modules):.0f}",
            times[name].over(base).shown(".3f"),
        )
        for name, way in ways.items()
    ]
    shown = " ".join(text.name if isinstance(text, Path) else text for text in arguments)
    head = ("tree", "all imports, ms", "our own modules, ms", "modules", f"÷ {next(iter(times))}")
    table(f"`python {shown}`", head, rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--against", type=Path, metavar="DIR", help="another version, installed into this folder")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    assert ot.__file__ is not None
    trees = {"this": Path(ot.__file__).parents[1]}
    if options.against is not None:
        trees = {"other": options.against.resolve()} | trees
    print(machine())
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as name:
        subject = made(100, Path(name))
        tagged = Path(name) / "tagged.onnx"
        ot.retag(subject.path, subject.map_path, tagged)
        for arguments in (("-c", "import onnx_tagger"), ("-m", "onnx_tagger", "check", tagged)):
            compared(trees, arguments, options.rounds)


if __name__ == "__main__":
    main()
