"""How much a file tells by itself: tags by its names alone, judged by execution over models of the zoo.

Run it as ``python benchmarks/inferred.py [--only NAME ...] [--keep DIR]``. Each model is exported by both strategies
with static shapes, the TorchScript file is put through onnxruntime at ALL, onnxslim and a static QDQ quantiser, all
metadata is taken away, and `retag` is given no map. What the quantiser made is judged by names (`by_names`). A path
that does not exist counts as wrong. Nodes that are not right are listed on stderr.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import onnx

import onnx_tagger as ot
from onnx_tagger.exporters.truth.judging import Judgement, judged
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import own_tag, props_of

sys.path.insert(0, str(Path(__file__).resolve().parent))

from by_names import judge_by_names
from survival import ALL_TOOLS, MODELS, Subject, Unable
from toolbox import OPTIMISERS, Feeds, Tool


def _copy(source: Path, target: Path, _: Feeds) -> None:
    shutil.copy(source, target)


FRESH = Tool("fresh", OPTIMISERS, _copy)
TOOLS = (FRESH, *(ALL_TOOLS[name] for name in ("ORT ALL", "onnxslim", "QDQ")))
CASES = [*(("htp", tool) for tool in TOOLS), ("fx", FRESH)]
HEADS = (
    "file",
    "files",
    "nodes",
    "tagged %",
    "named/inherited/root %",
    "paths that do not exist %",
    "testable",
    "right %",
    "right or enclosing %",
    "wrong %",
)


@dataclass
class Row:
    """What became of the files of one kind."""

    judgement: Judgement = field(default_factory=Judgement)
    files: int = 0
    nodes: int = 0
    tagged: int = 0
    absent: int = 0
    sources: Counter[str] = field(default_factory=Counter)

    def line(self, name: str) -> str:
        """The row of the table."""
        found, verdicts = self.judgement, self.judgement.verdicts
        cells = [
            name,
            str(self.files),
            str(self.nodes),
            _percent(self.tagged, self.nodes),
            " / ".join(_percent(self.sources[source], self.nodes) for source in ("named", "inherited", "root")),
            _percent(self.absent, self.tagged),
            str(found.testable),
            _percent(verdicts["right"], found.testable),
            _percent(verdicts["right"] + verdicts["ancestor"], found.testable),
            _percent(verdicts["wrong"], found.testable),
        ]
        return f"| {' | '.join(cells)} |"


def _percent(count: int, whole: int) -> str:
    return f"{100 * count / whole:.2f}" if whole else "-"


def measure(subject: Subject, strategy: str, tool: Tool, row: Row) -> None:
    """Tag one file without a map, and add what that is worth."""
    subject.export(strategy)
    bare = subject.made(strategy, tool)
    findings = subject.findings(bare) if tool.keeps_values else None
    source = subject.exported[strategy]
    tree = ot.HierarchyMap.load(source.parent / "model.hierarchy.json")
    with tempfile.TemporaryDirectory() as folder:
        try:
            ot.retag(bare, None, Path(folder) / "tagged.onnx")
            model = onnx.load(Path(folder) / "tagged.onnx")
        except ot.TaggerError as error:
            print(f"{subject.name} {strategy} {tool.name}: {error}", file=sys.stderr)
            model = onnx.load(bare)
    by_names = findings is None
    found = judge_by_names(onnx.load(source), model, tree) if by_names else judged(model, findings, tree)
    found.details = [f"{subject.name} {strategy} {tool.name}: {line}" for line in found.details]
    row.judgement.add(found)
    row.files += 1
    for op in walk(model).ops:
        tag = own_tag(props_of(op.node))
        row.nodes += 1
        if tag is not None:
            row.tagged += 1
            row.sources[tag.source.label] += 1
            row.absent += tree.resolve(tag.module) is None


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(MODELS), metavar="MODEL")
    parser.add_argument("--keep", type=Path, help="a folder for exports and tools' files, to be used again")
    options = parser.parse_args()
    rows = {(strategy, tool.name): Row() for strategy, tool in CASES}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.only:
            subject = Subject(name, False, options.keep or Path(folder))
            for strategy, tool in CASES:
                try:
                    measure(subject, strategy, tool, rows[strategy, tool.name])
                except Unable as error:
                    print(f"{name} {strategy} {tool.name}: {error}", file=sys.stderr)
    print(f"| {' | '.join(HEADS)} |\n|{'-|' * len(HEADS)}")
    for (strategy, tool), row in rows.items():
        print(row.line(f"{strategy}, {tool}"))
        for line in dict.fromkeys(row.judgement.details):
            print(line, file=sys.stderr)


if __name__ == "__main__":
    main()
