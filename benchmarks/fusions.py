"""Fusions over the zoo and over random graphs: equal by execution, and tags and origins judged by what ran.

Run it as ``python benchmarks/fusions.py [--only NAME ...] [--random N] [--strategies fx,htp]``. Each model is exported,
fused by `retag` with all fusions (those of com.microsoft, too), run without optimisation beside the exported file, and
judged by execution. Random graphs are chains of formulas and near misses: what should be fused in them is known.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import sys
import tempfile
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "fixtures" / "zoo"), str(ROOT / "benchmarks"), str(ROOT / "tests")]

from index import ZOO, build  # noqa: E402

import onnx_tagger as ot  # noqa: E402
from examples import fusible  # noqa: E402 - folders, no packages
from examples.fusing_nets import random_net  # noqa: E402
from onnx_tagger.exporters.truth.judging import Judgement, feeds_of, judge, observe  # noqa: E402
from onnx_tagger.passes.registry import make_pass  # noqa: E402
from onnx_tagger.runtime.sessions import tensors_of  # noqa: E402
from onnx_tagger.workflows.optimising.stages import FUSIONS  # noqa: E402

MODELS = ("bert", "gpt2", "llama", "vit", "whisper", "resnet", "unet", "conv_batchnorm", "convnext", "mobilenet_v2")
_OPTION = ("fuse-gelu", "fuse-silu", "fuse-rms-norm")
# How far outputs may be off, as a share of the largest number.
_OFF = 1e-4


@dataclass
class Row:
    """What came of one file."""

    name: str
    before: int = 0
    after: int = 0
    fused: Counter[str] = field(default_factory=Counter)
    off: float = 0.0
    judgement: Judgement = field(default_factory=Judgement)


def passes() -> list[ot.Pass]:
    return [make_pass(f"{name}:microsoft=true" if name in _OPTION else name) for name in FUSIONS]


def zoo_row(name: str, strategy: str, folder: Path) -> Row:
    """Export, fuse, run both and judge the result."""
    model, args, kwargs = build(name, perturb=True)
    observations = observe(model, args, kwargs)
    source, target = folder / "m.onnx", folder / "f.onnx"
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        made = ot.export(model, args, source, kwargs=kwargs, strategy=strategy)
    report = ot.retag(source, made.hierarchy, target, passes=passes())
    feeds = feeds_of(target, model, args, kwargs)
    one, other = tensors_of(source, feeds), tensors_of(target, feeds)
    row = Row(f"{name} {strategy}", made.report.nodes, report.nodes, Counter(each.by for each in report.fused))
    for value in onnx.load(source).graph.output:
        a, b = one.get(value.name), other.get(value.name)
        if a is None or b is None or a.size == 0 or a.dtype.kind != "f":
            continue
        row.off = max(row.off, float(np.abs(a - b).max() / max(1.0, np.abs(a).max())))
    row.judgement = judge(target, made.hierarchy, observations, feeds)
    return row


def random_rows(count: int) -> tuple[int, int, int, int]:
    """How many random graphs compute the same, how many are fused as they should be, and how many nodes that made."""
    same = right = nodes = tags = 0
    for seed in range(count):
        net = random_net(seed)
        ctx = fusible.fused(net.model, *net.passes, modules=net.modules)
        same += fusible.agree(net.model, ctx.model, _OFF)
        found = {(each.by, each.output) for each in ctx.report.fused}
        right += found == net.expected
        nodes += len(found)
        nodes_of = zip(net.model.graph.node, net.modules, strict=True)
        by_output = {name: module for node, module in nodes_of for name in node.output}
        tags += sum(each.module == by_output[each.output] for each in ctx.report.fused)
    return same, right, nodes, tags


def main() -> None:
    """Print a table, and every node whose tag is not right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=MODELS, choices=list(ZOO))
    parser.add_argument("--random", type=int, default=500)
    parser.add_argument("--strategies", default="fx,htp")
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    print("| model | nodes | after | fused | largest difference | judged | right |\n|-|-:|-:|-|-:|-:|-:|")
    for name in chosen.only:
        for strategy in chosen.strategies.split(","):
            with tempfile.TemporaryDirectory() as folder:
                try:
                    row = zoo_row(name, strategy, Path(folder))
                except ot.TaggerError as error:
                    print(f"| {name} {strategy} | {str(error)[:100]} | | | | | |", flush=True)
                    continue
            fused = ", ".join(f"{key.removeprefix('fuse-')} {number}" for key, number in sorted(row.fused.items()))
            found = row.judgement
            print(
                f"| {row.name} | {row.before} | {row.after} | {fused} | {row.off:.1e} | {found.testable} | "
                f"{found.verdicts['right']} |",
                flush=True,
            )
            for detail in found.details:
                print(f"{row.name}: {detail}", file=sys.stderr)
    if chosen.random:
        same, right, nodes, tags = random_rows(chosen.random)
        print(
            f"\n{chosen.random} random graphs: {same} compute the same, {right} are fused just where they should be; "
            f"{nodes} fused nodes, {tags} with the module of their parts."
        )


if __name__ == "__main__":
    main()
