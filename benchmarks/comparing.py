"""Whether `compare` names the module at fault: errors put into exported files of the zoo, and files without any.

Run it as ``python benchmarks/comparing.py [--only NAME ...] [--parts seeds tools rounding pairs ops cost]``. An error
is put into each leaf module in turn: a weight that it alone reads, or else its last result, is off by 5 % or 0.1 %.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import onnx_tagger as ot
from onnx_tagger.measures.comparison.comparison import Comparison
from onnx_tagger.measures.comparison.recorded import Recording
from onnx_tagger.workflows.comparing import compare, record

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "fixtures" / "zoo"), str(ROOT / "benchmarks")]

from index import ZOO, build  # noqa: E402 - the zoo is a folder, no package
from seeding import seeds_of, spoiled  # noqa: E402
from subjects import EXPORTED  # noqa: E402
from toolbox import ALL, CHAINS, OPTIMISERS, ROUNDERS, TOOLS, Tool  # noqa: E402

SAMPLE = ("bert", "llama", "t5", "mixtral", "resnet", "convnext", "vit", "swin", "whisper", "reused_module", "unet")
STRATEGIES = ("fx", "htp")
FACTORS = (1.05, 1.001)


@dataclass
class Score:
    """How often what happened."""

    counts: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    def line(self, name: str, *keys: str) -> str:
        cells = [name, *(str(self.counts[key]) for key in keys)]
        return f"| {' | '.join(cells)} |"


@dataclass
class Subject:
    """A model of the zoo with its recording and its exported files."""

    name: str
    folder: Path
    recording: Recording
    leaves: frozenset[str]
    model: Any
    args: tuple[object, ...]
    kwargs: dict[str, object]
    files: dict[str, Path] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, folder: Path) -> Subject:
        model, args, kwargs = build(name, perturb=True)
        leaves = frozenset(path for path, module in model.named_modules() if not list(module.children()))
        return cls(name, folder, record(model, args, kwargs=kwargs), leaves, model, args, kwargs)

    def export(self, strategy: str) -> Path:
        if strategy not in self.files:
            path = self.folder / f"{self.name}.{strategy}.onnx"
            ot.export(self.model, self.args, path, kwargs=self.kwargs, strategy=strategy, compare=False)
            self.files[strategy] = path
        return self.files[strategy]

    def after(self, strategy: str, tool: Callable[[Path, Path, Any], None], label: str) -> Path:
        source = self.export(strategy)
        bare, target = (self.folder / f"{self.name}.{strategy}.{label}.{end}.onnx" for end in ("bare", "tagged"))
        tool(source, bare, self.feeds(source))
        ot.retag(bare, source.with_suffix(".hierarchy.json"), target, force=True)
        return target

    def feeds(self, path: Path) -> dict[str, Any]:
        from onnx_tagger.exporters.interface import feeds_of

        return feeds_of(path, self.model, self.args, self.kwargs)


def verdict(found: Comparison, modules: frozenset[str]) -> str:
    """What a comparison said of an error in a module."""
    bad = found.bad
    if not bad:
        return "missed"
    if found.first_bad in modules:
        return "exact" if set(bad) <= modules else "others too"
    if any(modules & {*error.fused} for error in bad.values()):
        return "fused with"
    return "wrong"


def seeded(subject: Subject, path: Path, label: str, score: Score) -> None:
    """Put an error into each leaf in turn."""
    model = onnx.load(path)
    trial = subject.folder / "seeded.onnx"
    for seed in seeds_of(model, subject.leaves):
        for factor in FACTORS:
            onnx.save(seed.put(model, factor), trial)
            try:
                found = compare(subject.recording, trial)
            except ot.TaggerError as error:
                score.details.append(f"unable: {subject.name} {label} {sorted(seed.modules)}: {str(error)[:160]}")
                continue
            said = verdict(found, seed.modules)
            if said == "missed" and not _shows(path, trial, subject.feeds(path)):
                said = "without effect"
            score.counts[said] += 1
            score.counts["seeds"] += 1
            if said not in ("exact", "without effect"):
                where = f"{subject.name} {label} x{factor} {sorted(seed.modules)} {seed.weight or 'result'}"
                score.details.append(
                    f"{said}: {where}: {list(found.bad)[:4]} {found.hidden.get(min(seed.modules), '')}"
                )


def _shows(one: Path, other: Path, feeds: dict[str, Any]) -> bool:
    """Whether any output of two files differs by more than float32's noise."""
    from onnx_tagger.runtime.sessions import tensors_of
    from onnx_tagger.runtime.verify import error_of

    a, b = tensors_of(one, feeds), tensors_of(other, feeds)
    outputs = [value.name for value in onnx.load(one, load_external_data=False).graph.output]
    return any((error_of(a[name], b[name]) or 0.0) > 1e-5 for name in outputs if name in a)


def alarms(subject: Subject, tools: Sequence[Tool], score: Score) -> None:
    """Compare files in which there is no error."""
    for strategy in STRATEGIES:
        for tool in tools:
            if tool.only and subject.name not in tool.only:
                continue
            try:
                path = subject.after(strategy, tool.run, "tool")
                found = compare(subject.recording, path)
            except Exception as error:  # noqa: BLE001 - what a tool cannot do, and what cannot be compared
                score.counts["unable"] += 1
                score.details.append(f"unable: {subject.name} {strategy} {tool.name}: {str(error)[:160]}")
                continue
            score.counts["files"] += 1
            score.counts["modules"] += sum(bool(row.own.get("tensors")) for row in found.modules.rows)
            by_tool = {module for module, error in found.bad.items() if error.coarse}
            score.counts["broken by the tool"] += len(by_tool)
            score.counts["called broken"] += len(set(found.bad) - by_tool)
            score.counts["files with alarms"] += bool(found.bad)
            if found.failures:
                score.details.append(f"alarm: {subject.name} {strategy} {tool.name}: {found.failures[:3]}")


def rounded(subject: Subject, tools: Sequence[Tool], score: Score) -> None:
    """Files of coarser numbers with one weight or scale off by 20 %: is its module the worst by local error?"""
    for strategy in STRATEGIES:
        for tool in tools:
            try:
                path = subject.after(strategy, tool.run, "tool")
                model = onnx.load(path)
                # What the tool itself has broken stays the worst, whatever else is off.
                known = set(compare(subject.recording, path).bad)
                bad = [(modules, made) for modules, made in spoiled(model, subject.leaves) if not modules & known]
            except Exception as error:  # noqa: BLE001 - what a tool cannot do
                score.details.append(f"unable: {subject.name} {strategy} {tool.name}: {str(error)[:100]}")
                continue
            for modules, made in bad:
                trial = subject.folder / "seeded.onnx"
                onnx.save(made, trial)
                try:
                    found = compare(subject.recording, trial)
                except ot.TaggerError as error:
                    score.details.append(f"unable: {subject.name} {tool.name}: {str(error)[:100]}")
                    continue
                worst = max(
                    (error for error in found.tensors if error.module not in known), key=lambda error: error.excess
                )
                score.counts["spoiled"] += 1
                hit = worst.module in modules
                near = bool(modules & {worst.module, *worst.fused})
                score.counts["worst"] += hit
                score.counts["worst or fused"] += near
                score.counts["called broken"] += bool(set(found.bad) & modules)
                if not hit:
                    score.details.append(
                        f"not worst: {subject.name} {strategy} {tool.name} {sorted(modules)}: {worst.module} "
                        f"{worst.excess:.2f} {worst.fused[:3]}"
                    )


def pairs(subject: Subject, count: int, score: Score) -> None:
    """Two errors at once."""
    for strategy in STRATEGIES:
        model = onnx.load(subject.export(strategy))
        found = [seed for seed in seeds_of(model, subject.leaves) if seed.weight]
        choice = random.Random(0)
        for _ in range(count if len(found) > 1 else 0):
            one, other = choice.sample(found, 2)
            if one.weight == other.weight or one.modules & other.modules:
                continue
            path = subject.folder / "seeded.onnx"
            onnx.save(other.put(one.put(model, 1.01), 1.01), path)
            bad = compare(subject.recording, path).bad
            both = bool(one.modules & set(bad)) and bool(other.modules & set(bad))
            only = set(bad) <= one.modules | other.modules
            score.counts["pairs"] += 1
            score.counts["both"] += both
            score.counts["both and nothing else"] += both and only
            if not (both and only):
                wanted = sorted(one.modules | other.modules)
                score.details.append(f"pair: {subject.name} {strategy} {wanted}: {sorted(bad)[:5]}")


def operations(subject: Subject, score: Score) -> None:
    """Whether the node that is off is named, or one that is near."""
    for strategy in STRATEGIES:
        model = onnx.load(subject.export(strategy))
        for seed in seeds_of(model, subject.leaves):
            path = subject.folder / "seeded.onnx"
            onnx.save(seed.put(model, 1.05), path)
            found = compare(subject.model, path, subject.args, kwargs=subject.kwargs, ops=True)
            if not (set(found.bad) & seed.modules):
                continue
            wanted = seed.node if seed.weight else seed.node + 1
            places = [int(each.node.partition("#")[2].split()[0]) for each in found.operations]
            exact = {wanted, seed.node}
            score.counts["errors"] += 1
            score.counts["exact"] += places[:1] != [] and places[0] in exact
            near = bool(places) and min(abs(places[0] - place) for place in exact) <= 2
            score.counts["within two"] += near
            if not near:
                score.details.append(
                    f"ops: {subject.name} {strategy} {sorted(seed.modules)} node {wanted} "
                    f"{model.graph.node[seed.node].op_type}: {[each.node for each in found.operations][:4]}"
                )


def cost(name: str, folder: Path) -> str:
    """Seconds and memory of a comparison beside one run of torch and one of onnxruntime, session included."""
    import onnxruntime as ort
    import torch

    model, kwargs = EXPORTED[name]()
    path = folder / f"{name}.onnx"
    ot.export(model, (), path, kwargs=kwargs, strategy="fx", compare=False)
    feeds = {key: value.numpy() for key, value in kwargs.items()}

    def by_torch() -> None:
        with torch.no_grad():
            model(**kwargs)

    def by_file() -> None:
        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = ort.InferenceSession(str(path), options)
        session.run(None, {value.name: feeds[value.name] for value in session.get_inputs()})

    by_torch()
    ratios, seconds = [], []
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(3):
        times = []
        for way in (by_torch, by_file, lambda: compare(model, path, (), kwargs=kwargs)):
            start = time.process_time()
            way()
            times.append(time.process_time() - start)
        seconds.append(times)
        ratios.append(times[2] / (times[0] + times[1]))
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    parts = " | ".join(f"{np.median([row[i] for row in seconds]):.2f}" for i in range(3))
    size = path.stat().st_size
    size += sum(file.stat().st_size for file in path.parent.glob(f"{path.name}.data"))
    return f"| {name} | {parts} | {np.median(ratios):.1f} | {size / 1e6:.0f} | {(after - before) / 1e3:.0f} |"


PARTS = ("seeds", "tools", "rounding", "pairs", "ops", "cost")
_VALUES = [tool for tool in TOOLS if tool.keeps_values and tool.group in (OPTIMISERS, CHAINS)]
_ROUNDING = [tool for tool in TOOLS if tool.group == ROUNDERS]
_SPOILED = [tool for tool in _ROUNDING if tool.name in ("float16", "quantize_dynamic", "QDQ")]


def measure(subject: Subject, parts: Sequence[str], scores: dict[str, Score], every: int) -> None:
    """Everything that is asked for, on one model."""
    for strategy in STRATEGIES if "seeds" in parts else ():
        seeded(subject, subject.export(strategy), strategy, scores.setdefault(f"seeds, {strategy}", Score()))
        label = f"seeds, {strategy} > ORT ALL"
        seeded(subject, subject.after(strategy, ALL, "all"), label, scores.setdefault(label, Score()))
    if "tools" in parts:
        fresh = Tool("no tool", OPTIMISERS, _copied)
        alarms(subject, [fresh, *_VALUES[::every]], scores.setdefault("tools that keep values", Score()))
    if "rounding" in parts:
        for tool in _ROUNDING:
            alarms(subject, [tool], scores.setdefault(f"alarms, {tool.name}", Score()))
        rounded(subject, _SPOILED, scores.setdefault("spoiled", Score()))
    if "pairs" in parts:
        pairs(subject, 6, scores.setdefault("pairs", Score()))
    if "ops" in parts:
        operations(subject, scores.setdefault("operations", Score()))


def _copied(source: Path, target: Path, _: object) -> None:
    target.write_bytes(source.read_bytes())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=SAMPLE)
    parser.add_argument("--parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--every", type=int, default=1, help="take only every N-th tool")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    scores: dict[str, Score] = {}
    for name in [each for each in (asked.only or ZOO) if set(asked.parts) != {"cost"}]:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            try:
                measure(Subject.of(name, Path(folder)), asked.parts, scores, asked.every)
            except Exception as error:  # noqa: BLE001 - a model that cannot be exported
                print(f"{name}: {type(error).__name__}: {str(error)[:300]}", flush=True)
            print(f"{name}: {time.perf_counter() - start:.0f} s", flush=True)
    for label, score in scores.items():
        print(f"\n{label}: {dict(score.counts)}")
        print("\n".join(f"  {line}" for line in score.details))
    if "cost" in asked.parts:
        print("\n| model | torch s | file s | compare s | ratio | file MB | more memory MB |\n|-|-|-|-|-|-|-|")
        with tempfile.TemporaryDirectory() as folder:
            for name in ("ResNet-50", "BERT-base"):
                print(cost(name, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
