"""How well context inheritance finds tags again that were hidden: exact, ancestor and wrong, by kind of operator.

Run it as ``python benchmarks/inherit.py [--only NAME ...] [--seed N]``. Each model of the zoo is exported by each
strategy; 10, 30 and 50 % of its tags are hidden at random, and `Inherit` is run on the graph without metadata and on
the map without its graph, so that nothing but the tags left, the weights and the captured run can help. A hidden tag is
found exactly if its module is, as an ancestor if the module found encloses it, in part if it does the work of several
modules and only some of those are found, else wrongly.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx

import onnx_tagger as ot
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.tensors import read_initializer
from onnx_tagger.model.graph import Op
from onnx_tagger.model.metadata import clear_model, clear_node
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.manager import PassManager

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "fixtures" / "zoo"))

from index import ZOO, build  # noqa: E402 - the zoo is a folder, no package

SHARES = (10, 30, 50)

# Each step on its own switched off, and all of them.
CHAINS: Mapping[str, Inherit] = {
    "all steps": Inherit(),
    "without the run": Inherit(replay=False),
    "without repetition": Inherit(repetition=False),
    "without weights": Inherit(weights=False),
    "the rule alone": Inherit(replay=False, repetition=False, weights=False),
}

KINDS: Mapping[str, frozenset[str]] = {
    "constants": frozenset({"Constant", "ConstantOfShape"}),
    "shape arithmetic": frozenset(
        {"Shape", "Size", "Range", "Gather", "Concat", "Unsqueeze", "Squeeze", "Slice", "Expand"}
    ),
    "casts and moves": frozenset({"Cast", "CastLike", "Identity", "Reshape", "Transpose", "Flatten", "Split", "Pad"}),
    "weighted": frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose", "LSTM", "GRU", "RNN", "LayerNormalization"}),
}


@dataclass
class Found:
    """What came of hidden tags."""

    verdicts: Counter[str] = field(default_factory=Counter)
    by_kind: Counter[tuple[str, str]] = field(default_factory=Counter)
    details: Counter[str] = field(default_factory=Counter)

    def add(self, other: Found) -> None:
        """Add another graph's counts."""
        self.verdicts.update(other.verdicts)
        self.by_kind.update(other.by_kind)
        self.details.update(other.details)

    def line(self, name: str, kind: str = "") -> str:
        """A row of a table: counts of all nodes or of those of a kind, as shares."""
        counts = {verdict: self.by_kind[kind, verdict] if kind else self.verdicts[verdict] for verdict in VERDICTS}
        whole = sum(counts.values())
        shares = [f"{100 * count / whole:.2f}" if whole else "-" for count in counts.values()]
        return "| " + " | ".join([name, str(whole), *shares]) + " |"


VERDICTS = ("exact", "in part", "ancestor", "wrong")
HEAD = "| | hidden | exact % | in part % | ancestor % | wrong % |\n|-|-|-|-|-|-|"


@dataclass(frozen=True)
class Graph:
    """An exported graph without metadata, and the tags of its nodes by their ids."""

    name: str
    path: Path
    tree: ot.HierarchyMap
    tags: Mapping[int, ot.Tag]


def graphs(name: str, folder: Path) -> Iterator[Graph]:
    """The graphs of one model."""
    for strategy in ("fx", "htp"):
        model, args, kwargs = build(name, perturb=True)
        path = folder / f"{strategy}.onnx"
        try:
            exported = ot.export(model, args, path, kwargs=kwargs, strategy=strategy)
        except ot.TaggerError:
            continue
        saved = exported.hierarchy.graph
        assert saved is not None
        tags = {i: node.tag for i, node in enumerate(saved.nodes) if node.tag is not None}
        yield Graph(f"{name} {strategy}", path, replace(exported.hierarchy, graph=None), tags)


def hidden(graph: Graph, share: int, inherit: Inherit, seed: int) -> Found:
    """Hide a share of a graph's tags, inherit, and compare."""
    skeleton = read_skeleton(graph.path)
    ctx = Context(skeleton.model, graph.tree, values=lambda name: read_initializer(skeleton, name))
    _without_metadata(skeleton.model, ctx.ops)
    chosen = random.Random(f"{seed} {share} {graph.name}")
    away = [op for op in ctx.ops if op.id in graph.tags and chosen.random() < share / 100]
    gone = set(away)
    ctx.tags.update({op: graph.tags[op.id] for op in ctx.ops if op.id in graph.tags and op not in gone})
    PassManager([inherit]).run_in(ctx)
    found = Found()
    for op in away:
        verdict = _verdict(graph.tags[op.id], ctx.tags.get(op), graph.tree)
        kind = next((name for name, operators in KINDS.items() if op.node.op_type in operators), "arithmetic")
        found.verdicts[verdict] += 1
        found.by_kind[kind, verdict] += 1
        if verdict != "exact":
            said = ctx.tags.get(op)
            text = f"{graph.name}: {op.label}: {said.module if said else None!r}, not {graph.tags[op.id].module!r}"
            found.details[f"{verdict} {text}"] += 1
    return found


def _without_metadata(model: onnx.ModelProto, ops: list[Op]) -> None:
    for op in ops:
        clear_node(op.node, ())
        del op.node.metadata_props[:]
        op.node.doc_string = ""
    clear_model(model)


def _verdict(truth: ot.Tag, said: ot.Tag | None, tree: ot.HierarchyMap) -> str:
    if said is None:
        return "ancestor"
    if said.module == truth.module:
        return "exact"
    if tree.encloses(said.module, truth.module):
        return "ancestor"
    return "in part" if set(said.modules) <= set(truth.modules) else "wrong"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=list(ZOO), choices=list(ZOO), metavar="NAME")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found: dict[tuple[str, int], Found] = {}
    warnings.simplefilter("ignore")
    for name in options.only:
        with tempfile.TemporaryDirectory() as folder:
            for graph in graphs(name, Path(folder)):
                for chain, inherit in CHAINS.items():
                    for share in SHARES if chain in ("all steps", "the rule alone") else (30,):
                        result = hidden(graph, share, inherit, options.seed)
                        found.setdefault((chain, share), Found()).add(result)
    _print(found)


def _print(found: Mapping[tuple[str, int], Found]) -> None:
    print(f"\n## All steps\n\n{HEAD}")
    for share in SHARES:
        print(found["all steps", share].line(f"{share} % hidden"))
    print(f"\n## By kind of operator, 30 % hidden\n\n{HEAD}")
    for kind in (*KINDS, "arithmetic"):
        print(found["all steps", 30].line(kind, kind))
    print(f"\n## By step, 30 % hidden\n\n{HEAD}")
    for (chain, share), result in found.items():
        if share == 30:
            print(result.line(chain))
    for detail, count in found["all steps", 30].details.items():
        print(f"    {detail}" + (f" ({count} times)" if count > 1 else ""), file=sys.stderr)


if __name__ == "__main__":
    main()
