"""How large the page of a model is, and how soon it is drawn, in headless Chromium; Chromium must be installed.

python benchmarks/pages.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import random
import shutil
import tempfile
import time
from pathlib import Path
from statistics import median

from measure import machine, table

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.metadata import Source
from onnx_tagger.reporters.views import page

# Nodes to blocks of twelve modules each.
SIZES = {10_000: 83, 100_000: 833}

_SOURCES = [Source.EXPORTED] * 3 + [Source.MATCHED] * 2 + [Source.ALIGNED]


def modules_of(blocks: int) -> HierarchyMap:
    """A transformer's modules: attention with four layers, a feed-forward part with three, and two norms a block."""
    rows = [ModuleRow("", "Net"), ModuleRow("encoder", "Encoder")]
    for number in range(blocks):
        block = f"encoder.layers{number}"
        rows += [ModuleRow(block, "Block"), ModuleRow(f"{block}.attention", "Attention")]
        rows += [ModuleRow(f"{block}.attention.{name}", "Linear") for name in ("query", "key", "value", "out")]
        rows += [ModuleRow(f"{block}.mlp", "Mlp")]
        rows += [
            ModuleRow(f"{block}.mlp.{name}", cls)
            for name, cls in (("fc1", "Linear"), ("act", "GELU"), ("fc2", "Linear"))
        ]
        rows += [ModuleRow(f"{block}.{name}", "LayerNorm") for name in ("ln1", "ln2")]
    return HierarchyMap.from_rows(rows)


def write_page(count: int, blocks: int, target: Path) -> int:
    """Write a page of so many nodes, each with a shape and a time of its own, and return how many modules."""
    rng = random.Random(0)
    hierarchy = modules_of(blocks)
    paths = [module.path for module in hierarchy.modules]
    where = [paths[2 + node * (len(paths) - 2) // count] for node in range(count)]
    tags = [hierarchy.tag(path, rng.choice(_SOURCES)) for path in where]
    measures = [
        Measure(Column("nodes"), [1.0] * count),
        Measure(Column("time", "µs"), [rng.random() * 50 for _ in where]),
    ]
    nodes = page.NodeColumns(
        [f"/{path.replace('.', '/')}/MatMul_{node}" for node, path in enumerate(where)],
        [f"Op{rng.randrange(30)}" for _ in where],
        list(where),
        [tag.source.label for tag in tags],
        [f"1×{rng.choice((128, 256))}×{rng.choice((64, 768, 3072))} float" for _ in where],
        {node: (where[node - 1], where[node]) for node in range(20, count, 20)},
    )
    with target.open("w", encoding="utf-8") as out:
        page.render(
            ModuleTable.of(ModuleTree(hierarchy), tags, measures), out, title=f"{count} nodes", size="time", nodes=nodes
        )
    return len(paths)


def drawn(target: Path, rounds: int) -> tuple[float, float]:
    """Milliseconds to decode the data and draw the page, and to its first paint since it was asked for: medians."""
    from playwright.sync_api import sync_playwright

    scripts, paints = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for _ in range(rounds):
            shown = browser.new_page(viewport={"width": 1400, "height": 900})
            shown.goto(target.as_uri())
            shown.wait_for_selector("html[data-drawn]")
            scripts.append(float(shown.evaluate("document.documentElement.dataset.drawn")))
            shown.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
            paints.append(float(shown.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")))
            shown.close()
        browser.close()
    return median(scripts), median(paints)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print(machine())
    rows = []
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        for count, blocks in SIZES.items():
            target = Path(folder) / f"{count}.html"
            begun = time.perf_counter()
            modules = write_page(count, blocks, target)
            seconds = time.perf_counter() - begun
            script, paint = drawn(target, rounds)
            size = f"{target.stat().st_size / 1e3:.0f} kB"
            rows.append([str(count), str(modules), size, f"{seconds:.2f} s", f"{script:.0f} ms", f"{paint:.0f} ms"])
    head = ("nodes", "modules", "page", "written in", "decoded and drawn in", "first paint after")
    table("Pages, on the machine above", head, rows)


if __name__ == "__main__":
    main()
