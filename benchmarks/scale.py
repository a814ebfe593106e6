"""How the cost of re-tagging grows with the graph: microseconds and memory per node, and what align costs beside match.

    python benchmarks/scale.py             1k, 10k and 100k nodes
    python benchmarks/scale.py --big       1M nodes, too (a few minutes, 4 GB of memory)

Seconds are of the processor, so that what else the machine does counts less; every run has a process of its own.
"""

from __future__ import annotations

import argparse
import gzip
import math
import statistics
import tempfile
from pathlib import Path

import numpy as np
import onnx
from measure import ROUNDS, Series, in_process, machine, table
from onnx import helper, numpy_helper
from subjects import graph, made

_RETAG = """
import onnx_tagger as ot
ot.retag(sys.argv[4], sys.argv[5], sys.argv[3])
start = time.process_time()
report = ot.retag(sys.argv[1], sys.argv[2], sys.argv[3])
told["seconds"] = time.process_time() - start
told["nodes"] = report.nodes
told["tagged"] = report.tagged
for phase in report.phases:
    told["phase " + phase.name] = phase.seconds
for step in report.passes:
    told["pass " + step.name] = step.ms / 1e3
"""

# Each pass with the look-ups that it asks for, which others share in `retag`.
_PASSES = """
import onnx
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

def seconds(step, ctx):
    start = time.process_time()
    PassManager([step]).run_in(ctx)
    return time.process_time() - start

with collector_paused():
    for plain, other, tree in (sys.argv[4:7], sys.argv[1:4]):
        tree = HierarchyMap.load(tree)
        told["match"] = seconds(Match(), Context(onnx.load(plain), tree))
        ctx = Context(onnx.load(other), tree)
        told["match of the changed"] = seconds(Match(), ctx)
        told["align"] = seconds(Align(), ctx)
"""


def changed(model: onnx.ModelProto) -> onnx.ModelProto:
    """What an optimiser makes of a model: linear layers fused, shape arithmetic folded away, new names."""
    nodes = list(model.graph.node)
    kept = []
    for start in range(0, len(nodes), 10):
        up, up_add, _, _, _, reshape, relu, down, down_add, last = nodes[start : start + 10]
        for product, total in ((up, up_add), (down, down_add)):
            fused = helper.make_node("Gemm", [*product.input, "b"], total.output, f"{product.name}/MatMulAddFusion")
            kept.append(fused)
            if product is up:
                reshape.input[1] = "shape"
                reshape.name, reshape.output[0] = f"{reshape.name}_new", f"{reshape.output[0]}_new"
                relu.input[0] = reshape.output[0]
                kept += [reshape, relu]
        kept.append(last)
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 4]), "shape"))
    return model


def run(path: Path, map_path: Path, folder: Path, rounds: int) -> dict[str, Series]:
    """Re-tag a file, each time in a fresh process that has re-tagged a small one before."""
    small = folder / "graph-100.onnx"
    arguments = (path, map_path, folder / "out.onnx", small, folder / "graph-100.hierarchy.json")
    told = [in_process(_RETAG, *arguments) for _ in range(rounds)]
    return {key: Series(tuple(one[key] for one in told)) for key in told[0]}


def sizes(counts: list[int], folder: Path, rounds: int) -> dict[str, dict[int, dict[str, Series]]]:
    """Both series: a file as it was exported, and one that a tool has changed."""
    found: dict[str, dict[int, dict[str, Series]]] = {"as exported": {}, "changed by a tool": {}}
    for count in counts:
        subject = made(count, folder)
        packed = len(gzip.compress(subject.map_path.read_bytes()))
        size = subject.map_path.stat().st_size
        print(f"{count} nodes: the map takes {size / count:.0f} bytes a node, gzipped {packed / count:.0f}", flush=True)
        few = rounds if count < 1_000_000 else 3
        found["as exported"][count] = run(subject.path, subject.map_path, folder, few)
        other = folder / "changed.onnx"
        onnx.save(changed(graph(count)), other)
        found["changed by a tool"][count] = run(other, subject.map_path, folder, few)
        subject.path.unlink()
        subject.map_path.unlink()
    return found


def exponent(by_count: dict[int, dict[str, Series]], least: int = 10_000) -> float:
    """The slope of seconds over nodes, both as logarithms, by least squares."""
    points = [(math.log(n), math.log(series["seconds"].median)) for n, series in by_count.items() if n >= least]
    slope: float = statistics.linear_regression(*zip(*points, strict=True)).slope
    return slope


def shown(found: dict[str, dict[int, dict[str, Series]]]) -> None:
    rows = []
    for kind, by_count in found.items():
        for count, told in by_count.items():
            nodes = told["nodes"].median
            each = Series(tuple(1e6 * value / nodes for value in told["seconds"].values))
            passes = ", ".join(
                f"{key.removeprefix('pass ')} {1e6 * series.median / nodes:.1f}"
                for key, series in told.items()
                if key.startswith(("pass ", "phase "))
            )
            memory = f"{told['mb'].median:.0f}"
            rows.append((f"{kind}, {count:,} nodes", f"{nodes:,.0f}", each.shown(".1f"), memory, passes))
    head = ("file", "nodes in it", "µs per node", "peak MB", "of that (wall time): phases and passes")
    table("re-tag from a map, whole pipeline", head, rows)
    for kind, by_count in found.items():
        if len(by_count) > 1:
            print(f"\n{kind}: seconds grow with the nodes to the power of {exponent(by_count):.3f}")


def aligned(count: int, folder: Path, rounds: int) -> None:
    """The row of align: on the changed file, beside match on the file as it was, in one process after a small pair."""
    arguments = []
    for nodes in (count, 100):
        subject = made(nodes, folder)
        other = folder / f"changed-{nodes}.onnx"
        onnx.save(changed(graph(nodes)), other)
        arguments += [subject.path, other, subject.map_path]
    told = [in_process(_PASSES, *arguments) for _ in range(rounds)]
    rows = [
        (name, Series(tuple(1e6 * one[name] / count for one in told)).shown(".1f"))
        for name in ("match", "match of the changed", "align")
    ]
    table(f"passes at {count:,} saved nodes", ("pass", "µs of the processor per saved node"), rows)
    ratio = Series(tuple(one["align"] / one["match"] for one in told))
    print(f"\nalign of the changed graph ÷ match of the plain one: {ratio.shown()}")


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--big", action="store_true", help="a million nodes, too")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    print(f"{machine()}\n")
    counts = [1000, 10_000, 100_000, *([1_000_000] if chosen.big else [])]
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as name:
        folder = Path(name)
        made(100, folder)
        found = sizes(counts, folder, chosen.rounds)
        shown(found)
        aligned(100_000, folder, chosen.rounds)


if __name__ == "__main__":
    main()
