"""What checking many files costs: one process for all, beside a process each on a sample; and a baseline's bytes.

python benchmarks/gate.py [--files 1000] [--nodes 30] [--sample 10]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from measure import machine, table
from subjects import made

import onnx_tagger as ot


def processor_seconds(lines: Sequence[Sequence[str | Path]]) -> float:
    """What some command lines take of the processor, those that end with 1 among them."""
    before = os.times()
    for line in lines:
        subprocess.run([sys.executable, "-m", "onnx_tagger", *line], stdout=subprocess.DEVNULL, check=False)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def rows(folder: Path, count: int, nodes: int, sample: int) -> Iterator[tuple[str, ...]]:
    """One row for each way."""
    subject = made(nodes, folder)
    ot.retag(subject.path, subject.map_path, folder / "tagged.onnx")
    many = folder / "many"
    many.mkdir()
    files = [many / f"{number:04}.onnx" for number in range(count)]
    for file in files:
        shutil.copyfile(folder / "tagged.onnx", file)
    for name, line in {
        f"`check` of {count} files": ["check", many],
        f"`check` of {count} files, SARIF": ["check", many, "--format", "sarif"],
        f"`stats` of {count} files": ["stats", many],
        f"`retag` of {count} files": ["retag", many, "-o", folder / "out"],
    }.items():
        yield name, f"{processor_seconds([line]):.2f}"
    each = processor_seconds([["check", file] for file in files[:sample]]) / sample
    yield f"a process each, {sample} of them × {count / sample:g}", f"{each * count:.1f}"
    baseline = folder / "tags.json"
    processor_seconds([["check", *files[:74], "--baseline", baseline, "--update-baseline"]])
    recorded = len(json.loads(baseline.read_text())["files"])
    yield f"bytes of a baseline of 74 files that hold ({recorded} recorded)", str(baseline.stat().st_size)
    processor_seconds([["check", subject.path, "--baseline", baseline, "--update-baseline"]])
    yield "the same with one file of which no node is tagged", str(baseline.stat().st_size)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=30)
    parser.add_argument("--sample", type=int, default=10)
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as name:
        found = list(rows(Path(name), given.files, given.nodes, given.sample))
    table("many files", (f"files of {given.nodes} nodes", "processor seconds, or bytes"), found)


if __name__ == "__main__":
    main()
