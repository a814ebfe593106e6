"""Modules as functions, on the zoo: fresh, and after onnxruntime at EXTENDED and ALL; what is equal, what stays.

python benchmarks/functions.py [--only bert,resnet] [--strategies fx,htp]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "fixtures" / "zoo"), str(ROOT / "benchmarks"), str(ROOT / "tests")]

from index import ZOO, build  # noqa: E402 - the zoo is a folder, no package
from measure import machine, table  # noqa: E402

import onnx_tagger as ot  # noqa: E402
from examples.folded import canonical, outputs_of  # noqa: E402
from onnx_tagger.errors import TaggerError  # noqa: E402
from onnx_tagger.workflows.functions import functions  # noqa: E402

LEVELS = {"EXTENDED": "ORT_ENABLE_EXTENDED", "ALL": "ORT_ENABLE_ALL"}


@dataclass
class Row:
    """What one kind of file came to, summed over models."""

    files: int = 0
    modules: int = 0
    left: int = 0
    nodes: int = 0
    nodes_after: int = 0
    functions: int = 0
    good: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def files_of(name: str, strategy: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of one model, tagged: fresh, and after onnxruntime."""
    model, args, kwargs = build(name, perturb=True)
    fresh = folder / f"{name}.onnx"
    ot.export(model, args, fresh, kwargs=kwargs, strategy=strategy, compare=False)
    yield "fresh", fresh
    for level, constant in LEVELS.items():
        raw, tagged = folder / f"{name}.{level}.raw.onnx", folder / f"{name}.{level}.onnx"
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(raw)
        options.log_severity_level = 4
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, constant)
        ort.InferenceSession(str(fresh), options, providers=["CPUExecutionProvider"])
        ot.retag(raw, fresh, tagged)
        yield level, tagged


def feeds_of(path: Path) -> dict[str, np.ndarray]:
    """Random values for the inputs of a file."""
    random = np.random.default_rng(0)
    found = {}
    for value in onnx.load(path, load_external_data=False).graph.input:
        kind = value.type.tensor_type
        shape = [dim.dim_value or 2 for dim in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        floats = random.standard_normal(shape) if dtype.kind == "f" else random.integers(0, 2, shape)
        found[value.name] = np.asarray(floats).astype(dtype)
    return found


def passes_checker(model: onnx.ModelProto) -> bool:
    """Whether onnx's checker takes a model; what onnxruntime writes of some bodies it does not."""
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError:
        return False
    return True


def judge(path: Path, row: Row) -> None:
    """Fold one file, run it, and make it flat again."""
    folded, flat = path.with_suffix(".folded.onnx"), path.with_suffix(".flat.onnx")
    made = functions(path, folded)
    row.files += 1
    row.modules += sum(made.calls.values()) + len(made.left)
    row.left += len(made.left)
    row.nodes += made.nodes_before
    row.nodes_after += made.nodes_after
    row.functions += len(made.calls)
    model = onnx.load(folded)
    row.good["checker"] += passes_checker(model) or not passes_checker(onnx.load(path))
    feeds = feeds_of(path)
    one, other = outputs_of(str(path), feeds), outputs_of(str(folded), feeds)
    row.good["equal"] += all(a.tobytes() == b.tobytes() for a, b in zip(one, other, strict=True))
    verdicts = [ot.check(file, min_coverage=0, max_root=10**6) for file in (path, folded)]
    row.good["check"] += verdicts[0].ok == verdicts[1].ok
    ours, theirs = ot.read(path), ot.read(folded)
    row.good["tree"] += {(m.path, m.tag) for m in ours.modules} == {(m.path, m.tag) for m in theirs.modules}
    if made.calls:
        functions(folded, flat, inline=True)
        row.good["flat"] += canonical(onnx.load(path)) == canonical(onnx.load(flat))
    else:
        row.good["flat"] += 1


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(ZOO))
    parser.add_argument("--strategies", default="fx,htp")
    args = parser.parse_args()
    print(machine())
    rows: dict[tuple[str, str], Row] = {}
    for strategy in args.strategies.split(","):
        for name in args.only.split(","):
            with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
                try:
                    for kind, path in files_of(name, strategy, Path(folder)):
                        row = rows.setdefault((strategy, kind), Row())
                        before = Counter(row.good)
                        try:
                            judge(path, row)
                        except Exception as error:  # noqa: BLE001 - a row of the table says which, and how many
                            row.faults.append(f"{name}: {type(error).__name__}: {str(error)[:300]}")
                            continue
                        missed = [
                            good
                            for good in ("checker", "equal", "check", "tree", "flat")
                            if row.good[good] == before[good]
                        ]
                        if missed:
                            row.faults.append(f"{name}: {', '.join(missed)}")
                except (TaggerError, Exception) as error:  # noqa: BLE001 - what cannot be exported or optimised is no case
                    print(f"left out: {name} {strategy}: {str(error)[:160]}", flush=True)
    head = (
        "strategy",
        "file",
        "files",
        "modules",
        "in line",
        "nodes",
        "after",
        "functions",
        "checker",
        "bit-equal",
        "check",
        "tree",
        "flat again",
    )
    lines = [
        [
            s,
            k,
            *map(str, (r.files, r.modules, r.left, r.nodes, r.nodes_after, r.functions)),
            *(str(r.good[g]) for g in ("checker", "equal", "check", "tree", "flat")),
        ]
        for (s, k), r in rows.items()
    ]
    table("Modules as functions", head, lines)
    for (strategy, kind), row in rows.items():
        for fault in row.faults:
            print(f"{strategy} {kind}: {fault}")


if __name__ == "__main__":
    main()
