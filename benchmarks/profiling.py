"""What a profile of onnxruntime is worth: kernels and time attributed, shares, alarms, operations, and what it costs.

    python benchmarks/profiling.py [--models N] [--part NAME]...

Everything is measured on models of the zoo, exported here; ratios are taken within one run. The parts:

attributed  kernels and their time with a module after ORT ALL, by how each was found, of both strategies
foreign     the same for a file that torch exported, names wiped, with a captured map; shares beside our own export's
shares      how far the shares of modules differ between two processes
alarms      profile-diff on sessions drawn from one set (false alarms), and with one module made slower (power)
flops       operations of the whole model and by module, beside torch's FlopCounterMode
overhead    what a profile takes beyond what onnxruntime itself does for it, on a graph of 10 000 nodes
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx

import onnx_tagger as ot
from onnx_tagger.measures.profiling.profile import Profile

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "fixtures"))

DEFAULT = 12


def models(count: int) -> list[str]:
    """Models of the zoo, spread evenly over its list, which goes by kind."""
    from zoo.index import ZOO

    names = list(ZOO)
    return names if count >= len(names) else [names[at * len(names) // count] for at in range(count)]


def built(name: str) -> tuple[Any, tuple[object, ...], dict[str, object]]:
    from zoo.index import build

    return build(name, perturb=True)


def exported(name: str, strategy: str, folder: Path) -> tuple[Path, Path]:
    """An export of a model of the zoo, and the values that it was traced with."""
    model, args, kwargs = built(name)
    path = folder / f"{name}.{strategy}.onnx"
    ot.export(model, args, path, kwargs=kwargs, strategy=strategy, compare=False)
    return path, values_of(path, model, args, kwargs)


def values_of(path: Path, model: Any, args: tuple[object, ...], kwargs: dict[str, object]) -> Path:
    """Inputs of a file as an .npz: the tensors that the model was traced with, in order, where names do not say."""
    import inspect

    from torch.utils import _pytree

    graph = onnx.load(path, load_external_data=False).graph
    stored = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in stored]
    bound = inspect.signature(model.forward).bind(*args, **kwargs).arguments
    leaves = [leaf for leaf in _pytree.tree_leaves(bound) if hasattr(leaf, "detach")]
    by_name = {key: value for key, value in bound.items() if hasattr(value, "detach")}
    found = {}
    for at, value in enumerate(inputs):
        tensor = by_name.get(value.name, leaves[at] if at < len(leaves) else None)
        if tensor is None:
            raise ValueError(f"no value for the input {value.name}")
        found[value.name] = tensor.detach().numpy()
    target = path.with_suffix(".npz")
    np.savez(target, **found)
    return target


def line(*cells: object) -> None:
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def each(names: list[str], do: Callable[[str, Path], None]) -> None:
    for name in names:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                do(name, Path(folder))
            except Exception as error:  # noqa: BLE001 - one model that cannot be exported is a row, not the end
                line(name, f"{type(error).__name__}: {str(error)[:100]}")


# --- attributed -------------------------------------------------------------------------------------------------------


def attributed(names: list[str]) -> None:
    line("model", "strategy", "kernels", "with a module", "of the time", "by match or alignment", "of the time")
    line(*"-------")
    totals: Counter[str] = Counter()

    def do(name: str, folder: Path) -> None:
        for strategy in ("fx", "htp"):
            try:
                path, values = exported(name, strategy, folder)
            except ot.ExportError as error:
                line(name, strategy, "not exported: " + str(error)[:60])
                continue
            found = ot.profile(path, path.with_suffix(".hierarchy.json"), inputs=values, sessions=1, runs=5)
            direct = [k for k in found.kernels if k.tag is not None and k.tag.source <= ot.Source.ALIGNED]
            kernels, share = found.attributed
            whole = found.whole.mean
            exact = sum(k.mean for k in direct) / whole if whole else 1.0
            totals.update(kernels=len(found.kernels), tagged=round(kernels * len(found.kernels)), direct=len(direct))
            count = len(found.kernels) or 1
            cells = (kernels, share, len(direct) / count, exact)
            line(name, strategy, len(found.kernels), *(f"{100 * cell:.2f} %" for cell in cells))

    each(names, do)
    all_of = totals["kernels"] or 1
    tagged, direct = (100 * totals[key] / all_of for key in ("tagged", "direct"))
    print(f"all: {tagged:.3f} % of {all_of} kernels, {direct:.2f} % direct")


# --- foreign ----------------------------------------------------------------------------------------------------------


def foreign(names: list[str]) -> None:
    import torch

    line("model", "kernels", "with a module", "of the time", "largest difference of a share, points")
    line(*"-----")

    def do(name: str, folder: Path) -> None:
        own_path, values = exported(name, "fx", folder)
        model, args, kwargs = built(name)
        theirs = folder / "theirs.onnx"
        torch.onnx.export(model, args, theirs, kwargs=kwargs, dynamo=True, verbose=False)
        wiped(theirs)
        captured = ot.capture(model, args, kwargs=kwargs)
        renamed = folder / "renamed.npz"
        renamed_inputs(theirs, values, renamed)
        found = ot.profile(theirs, captured, inputs=renamed, sessions=3, runs=15, force=True)
        own = ot.profile(own_path, own_path.with_suffix(".hierarchy.json"), inputs=values, sessions=3, runs=15)
        off = largest_difference(shares(own), shares(found))
        line(name, len(found.kernels), *(f"{100 * part:.2f} %" for part in found.attributed), f"{off:.2f}")

    each(names, do)


def wiped(path: Path) -> None:
    """Take all names and metadata from the nodes and tensors of a file, but those of its inputs and outputs."""
    model = onnx.load(path)
    kept = {value.name for value in (*model.graph.input, *model.graph.output)}
    new: dict[str, str] = {}

    def renamed(name: str) -> str:
        return name if not name or name in kept else new.setdefault(name, f"t{len(new)}")

    del model.metadata_props[:]
    for node in model.graph.node:
        node.name, node.doc_string = "", ""
        del node.metadata_props[:]
        node.input[:], node.output[:] = map(renamed, node.input), map(renamed, node.output)
    for tensor in model.graph.initializer:
        tensor.name = renamed(tensor.name)
    del model.graph.value_info[:]
    if any(attribute.HasField("g") for node in model.graph.node for attribute in node.attribute) or model.functions:
        raise ValueError("bodies and functions are left out here")
    onnx.save(model, path)


def renamed_inputs(path: Path, values: Path, target: Path) -> None:
    """The same values under the names of another export, in the same order."""
    graph = onnx.load(path).graph
    with np.load(values) as held:
        arrays = [held[name] for name in held.files]
    np.savez(target, **{value.name: array for value, array in zip(graph.input, arrays, strict=True)})


def shares(profile: Profile) -> dict[str, float]:
    return {row.path or "": row.total["share"] or 0.0 for row in profile.modules.rows[:-1]}


def largest_difference(one: dict[str, float], other: dict[str, float]) -> float:
    return max(abs(one.get(path, 0.0) - other.get(path, 0.0)) for path in {*one, *other})


# --- shares -----------------------------------------------------------------------------------------------------------


def in_two_processes(names: list[str]) -> None:
    line("model", "µs of a run", "largest difference of a share between two processes, points")
    line(*"---")

    def do(name: str, folder: Path) -> None:
        path, values = exported(name, "fx", folder)
        found = []
        for at in range(2):
            target = folder / f"{at}.json"
            command = [
                sys.executable,
                "-m",
                "onnx_tagger",
                "profile",
                str(path),
                "--inputs",
                str(values),
                "-o",
                str(target),
            ]
            subprocess.run(command, check=True, capture_output=True)
            found.append(Profile.load(target))
        whole = " and ".join(f"{profile.whole.mean:.0f}" for profile in found)
        line(name, whole, f"{largest_difference(*map(shares, found)):.2f}")

    each(names, do)


# --- alarms -----------------------------------------------------------------------------------------------------------


def alarms(names: list[str], sessions: int = 5, draws: int = 100) -> None:
    pool = max(12, 2 * sessions + 2)
    line("model", "modules judged", "false alarms", "10 % slower found", "20 % slower found", "50 % slower found")
    line(*"------")
    sums: Counter[str] = Counter()

    def do(name: str, folder: Path) -> None:
        path, values = exported(name, "fx", folder)
        whole = ot.profile(path, path.with_suffix(".hierarchy.json"), inputs=values, sessions=pool)
        random = np.random.default_rng(0)
        counts: Counter[str] = Counter()
        first, second = (drawn(whole, range(at, at + sessions)) for at in (0, sessions))
        judged = [row.module for row in first.compare(second).rows if row.module]
        for _ in range(draws):
            order = random.permutation(pool)
            before, after = (drawn(whole, order[at : at + sessions]) for at in (0, sessions))
            counts["false"] += bool(before.compare(after).slower)
            path_of = judged[int(random.integers(len(judged)))]
            for percent in (10, 20, 50):
                slower = before.compare(slowed(after, path_of, 1 + percent / 100)).slower
                counts[str(percent)] += any(row.module == path_of for row in slower)
        sums.update(counts)
        sums["draws"] += draws
        line(name, len(judged), *(f"{100 * counts[key] / draws:.1f} %" for key in ("false", "10", "20", "50")))

    each(names, do)
    if sums["draws"]:
        line("all", "", *(f"{100 * sums[key] / sums['draws']:.1f} %" for key in ("false", "10", "20", "50")))


def drawn(profile: Profile, sessions: Any) -> Profile:
    """The same profile with some of its sessions."""
    chosen = [int(at) for at in sessions]
    kernels = tuple(replace(kernel, us=tuple(kernel.us[at] for at in chosen)) for kernel in profile.kernels)
    return replace(profile, kernels=kernels, yardsticks=tuple(profile.yardsticks[at] for at in chosen))


def slowed(profile: Profile, path: str, factor: float) -> Profile:
    """The same profile with the kernels of a module, and of all in it, slower."""
    below = {module.path for module in profile.tree[path].below()}
    kernels = (
        replace(k, us=tuple(factor * time for time in k.us)) if k.tag is not None and k.tag.module in below else k
        for k in profile.kernels
    )
    return replace(profile, kernels=tuple(kernels))


# --- flops ------------------------------------------------------------------------------------------------------------


def flops(names: list[str]) -> None:
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    line(
        "model",
        "GFLOP, torch",
        "of the file, unoptimised",
        "after ORT ALL",
        "modules equal, unoptimised",
        "operators unknown",
    )
    line(*"------")

    def do(name: str, folder: Path) -> None:
        model, args, kwargs = built(name)
        # The counter knows no formula for the product by which torch computes chosen experts.
        unknown_to_torch = {torch.ops.aten._grouped_mm: grouped_product}
        counting = FlopCounterMode(display=False, custom_mapping=unknown_to_torch)
        with counting as counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            model(*args, **kwargs)
        root = type(model).__name__
        theirs = {
            key.removeprefix(root).lstrip("."): float(sum(value.values()))
            for key, value in counter.get_flop_counts().items()
            if key != "Global"
        }
        whole = float(counter.get_total_flops())
        path, values = exported(name, "fx", folder)
        found = {}
        for level in ("disable", "all"):
            found[level] = ot.profile(
                path, path.with_suffix(".hierarchy.json"), inputs=values, level=level, sessions=1, runs=1, roofline=True
            )
        ours = {level: sum(k.flops or 0.0 for k in profile.kernels) for level, profile in found.items()}
        table = found["disable"].modules
        known = {row.path: 1e6 * (row.total.get("MFLOP") or 0.0) for row in table.rows[:-1]}
        compared = [(path, value) for path, value in theirs.items() if path in known]
        equal = sum(abs(known[path] - value) <= 1e-6 * max(value, 1) for path, value in compared)
        unknown = sorted({k.op for profile in found.values() for k in profile.kernels if k.flops is None})
        marks = [
            "equal" if abs(value - whole) <= 1e-6 * max(whole, 1) else f"x{value / whole:.4f}" if whole else value
            for value in ours.values()
        ]
        line(name, f"{whole / 1e9:.4f}", *marks, f"{equal} of {len(compared)}", ", ".join(unknown) or "none")

    each(names, do)


def grouped_product(rows: Any, weights: Any, *_: object, **__: object) -> int:
    """Operations of rows of a matrix, each with the weights of its group, of which there are three dimensions."""
    count, width = rows
    return 2 * int(count) * int(width) * int(weights[-1])


# --- overhead ---------------------------------------------------------------------------------------------------------


def overhead() -> None:
    """Seconds of the processor, which another program that runs beside cannot add to."""
    import onnxruntime as ort

    sys.path.insert(0, str(ROOT / "benchmarks"))
    import subjects

    spent = 0.0

    def timed(name: str) -> None:
        whole = getattr(ort.InferenceSession, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal spent
            start = time.process_time()
            try:
                return whole(*args, **kwargs)
            finally:
                spent += time.process_time() - start

        setattr(ort.InferenceSession, name, call)

    def closed(session: Any) -> None:
        # Its parts hold the session itself, which is taken down with the last of them.
        nonlocal spent
        start = time.process_time()
        session.__dict__.clear()
        spent += time.process_time() - start

    for name in ("__init__", "run", "end_profiling"):
        timed(name)
    ort.InferenceSession.__del__ = closed
    line("sessions", "kernels", "s of the processor", "of those in onnxruntime", "on top")
    line(*"-----")
    with tempfile.TemporaryDirectory() as folder:
        subject = subjects.made(10_000, Path(folder))
        # Everything is imported once before it is timed.
        ot.profile(subject.path, subject.map_path, sessions=1, runs=1)
        for sessions in (1, 5, 1, 5, 1, 5):
            start, spent = time.process_time(), 0.0
            found = ot.profile(subject.path, subject.map_path, sessions=sessions)
            whole = time.process_time() - start
            more = f"{100 * (whole - spent) / spent:.1f} %"
            line(sessions, len(found.kernels), f"{whole:.1f}", f"{spent:.1f}", more)


PARTS: dict[str, Callable[[list[str]], None]] = {
    "attributed": attributed,
    "foreign": foreign,
    "shares": in_two_processes,
    "alarms": alarms,
    "flops": flops,
    "overhead": lambda _: overhead(),
}


def main() -> Iterator[str]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", type=int, default=DEFAULT, help="how many models of the zoo; a large number for all"
    )
    parser.add_argument("--sessions", type=int, default=5, help="of each profile that is drawn for alarms")
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this; repeatable")
    given = parser.parse_args()
    for part in given.part or PARTS:
        yield part
        if part == "alarms":
            alarms(models(given.models), given.sessions)
        else:
            PARTS[part](models(given.models))


if __name__ == "__main__":
    for heading in main():
        print(f"\n## {heading}\n", flush=True)
