"""How many tags are right, judged by execution over the zoo: one table a strategy, and every node that is not right.

Run it as ``python benchmarks/accuracy.py [--only NAME ...] [--part PART] [--strategies fx htp usage wiped] [--quick]``.
A model runs with static and dynamic shapes, with equal parameters (zeros, ones) and with perturbed ones; ``--quick``
takes static shapes and perturbed weights alone. The zoo has two parts: the models that the project was built with, and
others of kinds that these lack (``--part held-out``). `usage` is a captured map and a file that another exporter made,
its metadata stripped; `wiped` is the same with all names of nodes, weights and inner tensors replaced.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import onnx
import torch

import onnx_tagger as ot
from onnx_tagger.exporters.truth.judging import Judgement, feeds_of, judge, observe
from onnx_tagger.exporters.truth.verdicts import IDLE
from onnx_tagger.model.graph import walk

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "fixtures" / "zoo"))

sys.path.insert(0, str(ROOT / "benchmarks"))

from index import ZOO, build  # noqa: E402 - the zoo is a folder, no package
from toolbox import wipe_names  # noqa: E402

STRATEGIES = ("fx", "htp", "usage", "wiped")
PARTS = {"all": (False, True), "first": (False,), "held-out": (True,)}
_FITS = ("consistent", "partial", "inconsistent")
_CALLS = ("right", "wrong", "missing")


@dataclass
class Row:
    """One model by one strategy, or many of them added up."""

    judgement: Judgement = field(default_factory=Judgement)
    nodes: int = 0
    tagged: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    failed: list[str] = field(default_factory=list)

    def add(self, other: Row) -> None:
        """Add another row's counts."""
        self.judgement.add(other.judgement)
        self.nodes += other.nodes
        self.tagged += other.tagged
        self.sources.update(other.sources)
        self.seconds += other.seconds
        self.failed += other.failed

    def line(self, name: str) -> str:
        """The row of the table."""
        found = self.judgement
        testable, calls = found.testable, found.calls
        cells = [
            name,
            str(self.nodes),
            _percent(self.tagged, self.nodes),
            f"{testable} ({_percent(testable, found.nodes, 0)})",
            _percent(testable, found.computing, 0),
            _percent(found.verdicts["right"], testable),
            _percent(found.alone, testable),
            _percent(found.enclosed, testable),
            str(found.verdicts["ancestor"]),
            str(found.verdicts["wrong"]),
            _percent(found.agreed, found.said),
            _percent(found.agreed, found.true),
            "/".join(str(calls[kind]) for kind in _CALLS) if calls else "-",
            "/".join(str(found.auxiliary[kind]) for kind in _FITS) if found.auxiliary else "-",
            _percent(self.sources["inherited"], self.nodes),
            str(self.sources["root"]),
            f"{self.seconds:.1f}",
        ]
        return "| " + " | ".join(cells) + " |"


def _percent(count: int, whole: int, digits: int = 2) -> str:
    return f"{100 * count / whole:.{digits}f}" if whole else "-"


HEADS = (
    "model",
    "nodes",
    "tagged %",
    "testable (% of all)",
    "% of computing",
    "right %",
    "right alone %",
    "alone or enclosing %",
    "ancestor",
    "wrong",
    "precision %",
    "recall %",
    "calls right/wrong/missing",
    "auxiliary fits/in part/not",
    "inherited %",
    "root",
    "s",
)
HEAD = f"| {' | '.join(HEADS)} |\n|{'-|' * len(HEADS)}"


def strip_all(source: Path, target: Path) -> None:
    """Copy a file without any metadata on its nodes, as if another program had written it."""
    model = onnx.load(source)
    for op in walk(model).ops:
        del op.node.metadata_props[:]
        op.node.doc_string = ""
    onnx.save(model, target)


def made(
    name: str, strategy: str, perturb: bool, dynamic: bool, folder: Path
) -> Iterator[tuple[Path, ot.HierarchyMap]]:
    """The tagged files of one model by one strategy."""
    model, args, kwargs = build(name, perturb=perturb)
    path = folder / "model.onnx"
    if strategy in ("fx", "htp"):
        exported = ot.export(model, args, path, kwargs=kwargs, strategy=strategy, dynamic=dynamic)
        yield path, exported.hierarchy
        return
    hierarchy = ot.capture(model, args, kwargs=kwargs)
    failures = []
    for other in ("fx", "htp"):
        try:
            ot.export(model, args, path, kwargs=kwargs, strategy=other, dynamic=dynamic, tag=False)
        except ot.TaggerError as error:
            failures.append(error)
            continue
        strip_all(path, folder / "stripped.onnx")
        if strategy == "wiped":
            wipe_names(folder / "stripped.onnx", folder / "stripped.onnx", {})
        ot.retag(folder / "stripped.onnx", hierarchy, path)
        yield path, hierarchy
    if len(failures) == 2:
        raise failures[0]


def measure(name: str, strategy: str, perturb: bool, dynamic: bool) -> Row:
    """Judge one model."""
    row = Row()
    start = time.perf_counter()
    torch.manual_seed(0)
    model, args, kwargs = build(name, perturb=perturb)
    observations = observe(model, args, kwargs)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for path, hierarchy in made(name, strategy, perturb, dynamic, Path(folder)):
                report = ot.check(path, hierarchy)
                row.nodes += report.nodes
                row.tagged += report.tagged
                row.sources.update(report.by_source)
                feeds = feeds_of(path, model, args, kwargs)
                row.judgement.add(judge(path, hierarchy, observations, feeds))
        except Exception as error:  # noqa: BLE001 - onnxruntime's errors, where torch made a file that does not run, have no class
            row.failed.append(
                f"{name} {strategy} {'dynamic' if dynamic else 'static'}: {' '.join(str(error).split())[:200]}"
            )
    row.seconds = time.perf_counter() - start
    return row


def table(names: list[str], strategy: str, quick: bool) -> Row:
    """Print a strategy's table and return its sum."""
    print(f"\n## {strategy}\n\n{HEAD}", flush=True)
    whole = Row()
    variants = [(True, False)] if quick else [(p, d) for p in (True, False) for d in (False, True)]
    for name in names:
        row = Row()
        for perturb, dynamic in variants:
            row.add(measure(name, strategy, perturb, dynamic))
        print(row.line(name), flush=True)
        for detail in dict.fromkeys(row.judgement.details):
            print(f"    {name}: {detail}", file=sys.stderr, flush=True)
        whole.add(row)
    print(whole.line("**all**"))
    for failure in whole.failed:
        print(f"\n- {failure}")
    _reasons(whole.judgement)
    return whole


def _reasons(found: Judgement) -> None:
    """Print why nodes are not testable, and how many of them compute nothing."""
    if not found.nodes:
        return
    print("\n| not testable | nodes | computing |\n|-|-|-|")
    for reason, count in sorted(found.untestable.items(), key=lambda item: (item[0] in IDLE, -item[1])):
        print(f"| {reason} | {count} | {'no' if reason in IDLE else 'yes'} |")
    judged = found.testable + sum(found.auxiliary.values())
    print(
        f"\nTestable: {_percent(found.testable, found.nodes)} % of all {found.nodes} nodes, "
        f"{_percent(found.testable, found.computing)} % of the {found.computing} that compute data "
        f"({found.inner} of them by the operation that they serve; "
        f"for {found.vague} nodes more than one module counts as right); "
        f"with the auxiliary nodes judged by their readers, {_percent(judged, found.nodes)} % of all."
    )


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(ZOO), metavar="NAME")
    parser.add_argument("--part", default="all", choices=PARTS)
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    names = options.only or [name for name, entry in ZOO.items() if entry.held_out in PARTS[options.part]]
    for strategy in options.strategies:
        table(names, strategy, options.quick)


if __name__ == "__main__":
    main()
