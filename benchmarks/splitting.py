"""Stages of the zoo, fresh and after onnxruntime at EXTENDED and ALL: chained, are they the whole, bit for bit?

Each file is cut by the modules below the root, into two, three and four stages, and by each measure into three.

python benchmarks/splitting.py [--only bert,resnet] [--strategies fx,htp]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "fixtures" / "zoo"), str(ROOT / "benchmarks")]

from functions import files_of  # noqa: E402 - benchmarks and the zoo are folders, no packages
from index import ZOO  # noqa: E402
from measure import machine, table  # noqa: E402

import onnx_tagger as ot  # noqa: E402
from onnx_tagger.errors import TaggerError  # noqa: E402

STAGES = (2, 3, 4)
BY = ("bytes", "flops")


@dataclass
class Row:
    """What one kind of file came to."""

    files: int = 0
    ways: int = 0
    equal: int = 0
    skips: int = 0
    hoisted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def ways_of(path: Path) -> Iterator[dict[str, object]]:
    """By modules: those that hold nodes and lie deepest below single children, in runs of about equal number."""
    tagged = ot.read(path)
    at = tagged.modules.root
    table = tagged.table(("nodes",))
    while True:
        with_nodes = [module for module in at.children if table[module.path].total["nodes"]]
        if len(with_nodes) != 1:
            break
        at = with_nodes[0]
    for count in STAGES:
        if len(with_nodes) >= count:
            size = -(-len(with_nodes) // count)
            runs = [with_nodes[k : k + size] for k in range(0, len(with_nodes), size)]
            if len(runs) > 1:
                yield {"at": " | ".join([*(", ".join(m.path for m in run) for run in runs[:-1]), "**"])}
    for by in BY:
        yield {"balance": 3, "by": by}


def measure(name: str, strategy: str, rows: dict[str, Row]) -> None:
    """Split one model in every way."""
    with tempfile.TemporaryDirectory() as folder:
        for kind, path in files_of(name, strategy, Path(folder)):
            row = rows.setdefault(f"{strategy} {kind}", Row())
            row.files += 1
            for number, way in enumerate(ways_of(path)):
                row.ways += 1
                try:
                    made = ot.split(path, Path(folder, f"{kind}{number}"), verify=True, **way)  # type: ignore[arg-type]
                except TaggerError as error:
                    row.refused[_kind(str(error))] += 1
                    print(f"{name} {strategy} {kind} {way}: {error}", file=sys.stderr)
                    continue
                row.equal += made.verified is True
                row.skips += len(made.skips)
                row.hoisted += sum(stage.hoisted for stage in made.stages)
                if not made.verified:
                    row.faults.append(f"{name} {strategy} {kind} {way}: {made.different}")


def _kind(error: str) -> str:
    return next(
        (word for word in ("would be empty", "not known", "costs anything", "too few") if word in error), "other"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(ZOO))
    parser.add_argument("--strategies", default="fx,htp")
    given = parser.parse_args()
    rows: dict[str, Row] = {}
    for name in given.only.split(","):
        for strategy in given.strategies.split(","):
            try:
                measure(name, strategy, rows)
            except Exception as error:  # noqa: BLE001 - what cannot be exported is no case
                print(f"{name} {strategy}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
    print(machine())
    headers = ("file", "models", "ways", "bit-equal", "refused", "skip connections", "hoisted nodes")
    table(
        "Stages, chained",
        headers,
        [
            (
                kind,
                str(row.files),
                str(row.ways),
                str(row.equal),
                ", ".join(f"{why} {count}" for why, count in row.refused.items()) or "0",
                str(row.skips),
                str(row.hoisted),
            )
            for kind, row in rows.items()
        ],
    )
    for row in rows.values():
        print(*row.faults, sep="\n")


if __name__ == "__main__":
    main()
