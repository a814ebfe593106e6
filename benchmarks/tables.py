"""What it costs to add measures up over the module tree: nodes and modules of several sizes, both ways for fused nodes.

python benchmarks/tables.py [--big]
"""

from __future__ import annotations

import argparse
import random
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from measure import interleaved, machine, table

from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import Fused, ModuleTable
from onnx_tagger.model.metadata import Source, Tag

# Nodes to modules.
SIZES = {10_000: 1_000, 100_000: 10_000}
BIG = {1_000_000: 100_000}

# One node of so many does the work of two modules.
_FUSED = 20


def modules_of(count: int) -> HierarchyMap:
    """Blocks of a hundred modules each."""
    modules = [Module("", "Net", "/Net", None)]
    for number in range(count - 1):
        block, part = divmod(number, 100)
        parent = f"blocks{block}" if part else ""
        path = f"{parent}.part{part}" if part else f"blocks{block}"
        above = f"/Net/Block.blocks{block}" if part else "/Net"
        modules.append(Module(path, "Block", f"{above}/Block.{path.rpartition('.')[2]}", parent))
    return HierarchyMap(tuple(modules))


def tags_of(tree: HierarchyMap, count: int) -> list[Tag | None]:
    """A tag for each node, as they are read from a file: an object of its own."""
    rng = random.Random(0)
    paths = [module.path for module in tree.modules if module.path]
    tags: list[Tag | None] = []
    for number in range(count):
        path = rng.choice(paths)
        origins = (path, rng.choice(paths)) if number % _FUSED == 0 else ()
        tags.append(tree.tag(tree.enclosing(origins) if origins else path, Source.ALIGNED, origins))
    return tags


def _add_up(tree: ModuleTree, tags: list[Tag | None], measure: Measure, fused: Fused) -> ModuleTable:
    return ModuleTable.of(tree, tags, [measure], fused=fused)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--big", action="store_true", help="a million nodes, too")
    sizes = SIZES | (BIG if parser.parse_args().big else {})
    print(machine())
    rows = []
    for nodes, modules in sizes.items():
        hierarchy = modules_of(modules)
        tree, tags = ModuleTree(hierarchy), tags_of(hierarchy, nodes)
        measure = Measure(Column("time", "µs"), np.random.default_rng(0).random(nodes))

        def added(
            fused: Fused, tree: ModuleTree = tree, tags: list[Tag | None] = tags, of: Measure = measure
        ) -> object:
            return ModuleTable.of(tree, tags, [of], fused=fused)

        with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
            file, made = Path(folder) / "t.json", ModuleTable.of(tree, tags, [measure])
            made.save(file)
            times = interleaved(
                {
                    "enclosing": partial(_add_up, tree, tags, measure, "enclosing"),
                    "shared": partial(_add_up, tree, tags, measure, "shared"),
                    "tree": partial(ModuleTree, hierarchy),
                    "save": partial(made.save, file),
                    "load": partial(ModuleTable.load, file),
                },
                rounds=5,
            )
        rows.append(
            (
                f"{nodes:,}",
                f"{modules:,}",
                *(f"{times[name].shown('.3f')}; {times[name].busy.median:.3f}" for name in times),
            )
        )
    head = ("nodes", "modules", "add up", "fused nodes shared out", "link the tree", "save", "load")
    table("Adding a measure up: seconds, and those of the processor", head, rows)


if __name__ == "__main__":
    main()
