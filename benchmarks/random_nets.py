"""Random nets, judged by execution: exporters, truth and tools held against each other; every wrong node is listed.

Run it as ``python benchmarks/random_nets.py [--nets N] [--first SEED] [--tools NAME ...] [--per-net K] [--usage]
[--minutes M]``. A net is exported by both strategies and judged; what is not right is listed on stderr. K of the tools,
drawn by its seed, are put to each file, whose metadata is taken away and which `retag` tags from the map. ``--usage``
tags each file from a captured map, as it is and with its names wiped. ``--source SEED`` prints a net's code.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import onnx

import onnx_tagger as ot
from onnx_tagger.exporters.truth.judging import Judgement, Observation, feeds_of, judge, observe
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import own_tag, props_of

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]

from by_names import judge_by_names  # noqa: E402 - folders, no packages
from survival import quiet  # noqa: E402
from toolbox import TOOLS, Feeds, Tool, wipe_names, without_metadata  # noqa: E402

from examples.random_nets import made, source_of  # noqa: E402

STRATEGIES = ("fx", "htp")
BY_NAME: dict[str, Tool] = {tool.name: tool for tool in TOOLS if not tool.only}


@dataclass
class Row:
    """What was found over nets: the judgement, counts of nodes, and sentences on what is not as it must be.

    Attributes
    ----------
    wrong : list of str
        Faults of ours: a wrong node or call, one without a tag, an error that is no sentence.
    differing : list of str
        Files that do not compute what the model does, as a bare export does not either.
    unable : Counter
        What torch or a tool could not do, by reason.
    """

    judgement: Judgement = field(default_factory=Judgement)
    files: int = 0
    nodes: int = 0
    tagged: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    unable: Counter[str] = field(default_factory=Counter)

    def add(self, other: Row) -> None:
        """Add another row."""
        self.judgement.add(other.judgement)
        self.files += other.files
        self.nodes += other.nodes
        self.tagged += other.tagged
        self.sources.update(other.sources)
        self.wrong += other.wrong
        self.differing += other.differing
        self.unable.update(other.unable)

    def judged(self, found: Judgement, model: onnx.ModelProto, label: str) -> None:
        """Add a file's judgement, and sentences on its nodes that are wrong."""
        self.files += 1
        found.details = [f"{label}: {detail}" for detail in found.details]
        self.judgement.add(found)
        tags = [own_tag(props_of(op.node)) for op in walk(model).ops]
        self.nodes += len(tags)
        self.tagged += sum(tag is not None for tag in tags)
        self.sources.update(tag.source.label for tag in tags if tag is not None)
        bad = {**_some(found.verdicts, ("wrong", "untagged")), **_some(found.calls, ("wrong",))}
        if bad or None in tags:
            self.wrong.append(f"{label}: {dict(found.verdicts)}, calls {dict(found.calls)}")

    def line(self, name: str) -> str:
        """The row of the table."""
        found = self.judgement
        cells = [
            name,
            str(self.files),
            str(self.nodes),
            _percent(self.tagged, self.nodes),
            str(found.testable),
            _percent(found.verdicts["right"], found.testable),
            str(found.verdicts["ancestor"]),
            str(found.verdicts["wrong"]),
            "/".join(str(found.calls[kind]) for kind in ("right", "wrong", "missing")),
            _percent(self.sources["inherited"], self.nodes),
            str(self.sources["root"]),
            str(len(self.differing)),
            str(self.unable.total()),
        ]
        return "| " + " | ".join(cells) + " |"


HEADS = (
    "",
    "files",
    "nodes",
    "tagged %",
    "testable",
    "right %",
    "ancestor",
    "wrong",
    "calls right/wrong/missing",
    "inherited %",
    "root",
    "differ from torch",
    "unable",
)
HEAD = f"| {' | '.join(HEADS)} |\n|{'-|' * len(HEADS)}"


def _some(counts: Mapping[str, int], kinds: Sequence[str]) -> dict[str, int]:
    return {kind: counts[kind] for kind in kinds if counts[kind]}


def _percent(count: int, whole: int) -> str:
    return f"{100 * count / whole:.2f}" if whole else "-"


class Net:
    """A net, what it was seen to compute, and its exports in a folder."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.folder = seed, folder
        self.model, self.args, self.kwargs = made(seed)
        self.observations: Sequence[Observation] = observe(self.model, self.args, self.kwargs)

    def feeds(self, path: Path) -> Feeds:
        return feeds_of(path, self.model, self.args, self.kwargs)

    def export(self, strategy: str, row: Row) -> ot.Export | None:
        """Export and judge; None if torch cannot, or makes a file that computes something else."""
        path, label = self.folder / f"{strategy}.onnx", f"net {self.seed} {strategy}"
        try:
            exported = ot.export(self.model, self.args, path, kwargs=self.kwargs, strategy=strategy)
        except ot.ExportError as error:
            row.unable[f"{strategy}: {str(error)[:120]}"] += 1
            return None
        if not exported.report.ok:
            row.differing.append(f"{label}: {'; '.join(exported.report.failures)}")
            return None
        found = judge(path, exported.hierarchy, self.observations, self.feeds(path))
        row.judged(found, onnx.load(path), label)
        return exported

    def retag(self, path: Path, tree: ot.HierarchyMap, label: str, row: Row, exported: Path | None = None) -> None:
        """Tag a file without metadata from a map and judge it: by execution, or by the names of the exported file."""
        target = self.folder / "tagged.onnx"
        # The map is this net's by construction; that few weights show it is another matter.
        ot.retag(path, tree, target, force=True)
        model = onnx.load(target)
        if exported is None:
            row.judged(judge(target, tree, self.observations, self.feeds(target)), model, label)
        else:
            row.judged(judge_by_names(onnx.load(exported), model, tree), model, label)

    def put_to(self, tool: Tool, exported: ot.Export, row: Row) -> None:
        """Put a tool to a file, take the metadata away, and tag what it made from the map."""
        raw, bare = self.folder / "raw.onnx", self.folder / "bare.onnx"
        try:
            with quiet():
                tool.run(exported.path, raw, self.feeds(exported.path))
                without_metadata(raw, bare)
        except Exception as error:  # noqa: BLE001 - other people's tools raise whatever they like
            row.unable[f"{tool.name}: {type(error).__name__}: {str(error)[:80]}"] += 1
            return
        label = f"net {self.seed} {exported.path.stem} {tool.name}"
        self.retag(bare, exported.hierarchy, label, row, None if tool.keeps_values else exported.path)


def measure(seed: int, tools: Sequence[str], per_net: int, usage: bool = False) -> dict[str, Row]:
    """One net: a row for each strategy, each tool that was drawn, and usage."""
    rows: dict[str, Row] = {}

    def guarded(name: str, act: Callable[[Row], object]) -> None:
        row = rows.setdefault(name, Row())
        try:
            act(row)
        except Exception:  # noqa: BLE001 - whatever it is, it is a finding with its net
            row.wrong.append(f"net {seed} {name}: {' | '.join(traceback.format_exc().splitlines()[-5:])}")

    chosen = random.Random(seed).sample(tools, min(per_net, len(tools)))
    with tempfile.TemporaryDirectory() as folder:
        net = Net(seed, Path(folder))
        for strategy in STRATEGIES:
            found: list[ot.Export | None] = []
            guarded(strategy, lambda row, s=strategy, to=found: to.append(net.export(s, row)))  # type: ignore[misc]
            exported = found[0] if found else None
            if exported is None:
                continue
            for name in chosen:
                guarded(name, lambda row, n=name, e=exported: net.put_to(BY_NAME[n], e, row))  # type: ignore[misc]
            if usage:
                guarded("usage", lambda row, e=exported: _used(net, e, False, row))  # type: ignore[misc]
                guarded("usage, names wiped", lambda row, e=exported: _used(net, e, True, row))  # type: ignore[misc]
    return rows


def _used(net: Net, exported: ot.Export, wiped: bool, row: Row) -> None:
    """A captured map, and the file as another exporter's."""
    bare = net.folder / "other.onnx"
    if wiped:
        wipe_names(exported.path, net.folder / "wiped.onnx", {})
    without_metadata(net.folder / "wiped.onnx" if wiped else exported.path, bare)
    label = f"net {net.seed} {exported.path.stem} usage{', names wiped' if wiped else ''}"
    net.retag(bare, ot.capture(net.model, net.args, kwargs=net.kwargs), label, row)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--tools", nargs="*", default=list(BY_NAME), choices=list(BY_NAME), metavar="NAME")
    parser.add_argument("--per-net", type=int, default=2, metavar="K")
    parser.add_argument("--usage", action="store_true")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="stop after so long")
    parser.add_argument("--source", type=int, metavar="SEED")
    options = parser.parse_args()
    if options.source is not None:
        print(source_of(options.source))
        return
    whole: dict[str, Row] = {}
    end, done = time.monotonic() + 60 * options.minutes, 0
    for seed in range(options.first, options.first + options.nets):
        if time.monotonic() > end:
            break
        done += 1
        with contextlib.redirect_stdout(sys.stderr):
            found = measure(seed, options.tools, options.per_net, options.usage)
        for name, row in found.items():
            whole.setdefault(name, Row()).add(row)
            for sentence in (*row.wrong, *row.differing, *dict.fromkeys(row.judgement.details)):
                print(sentence, file=sys.stderr, flush=True)
    print(f"{done} nets, from seed {options.first} on\n\n{HEAD}")
    for name, row in whole.items():
        print(row.line(name))
    reasons = Counter[str]()
    for row in whole.values():
        reasons.update(row.unable)
    for reason, count in reasons.most_common():
        print(f"- {count} × {reason}")
    print(f"- faults: {sum(len(row.wrong) for row in whole.values())}")


if __name__ == "__main__":
    main()
