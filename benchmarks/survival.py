"""What is left of the tags after other tools: one row a tool, over models of the zoo, both strategies, both shapes.

Run it as ``python benchmarks/survival.py [--only NAME ...] [--tools NAME ...] [--quick] [--keep DIR] [--jobs N]``. Each
tool is put to each exported file; all metadata is taken from what it makes, and `retag` is given the map saved at
export. Tools that keep values are judged by execution, those that round by names (`by_names`). Nodes that are not right
are listed on stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
import pickle
import re
import shutil
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cached_property
from pathlib import Path

import onnx
from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

import onnx_tagger as ot
from onnx_tagger.exporters.truth.judging import Findings, Observation, compare, feeds_of, judged, observe
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import own_tag, props_of

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "fixtures" / "zoo"), str(ROOT / "benchmarks")]

from by_names import judge_by_names  # noqa: E402 - folders, no packages
from index import ZOO, build  # noqa: E402
from rows import Row, show  # noqa: E402
from toolbox import CHAINS, CROSSED, OPTIMISERS, TOOLS, Feeds, Tool, without_metadata  # noqa: E402

MODELS = (
    "bert",
    "gpt2",
    "llama",
    "t5",
    "vit",
    "swin",
    "convnext",
    "resnet",
    "mobilenet_v2",
    "albert",
    "whisper",
    "wav2vec2",
    "mixtral",
    "mamba",
    "unet",
    "conv_batchnorm",
    "transformer_encoder",
    "nested_reuse",
)
QUICK = ("bert", "gpt2", "t5", "resnet", "mobilenet_v2", "nested_reuse")
STRATEGIES = ("fx", "htp")

# Groups whose files have names of the exported file.
NAMED = (OPTIMISERS, CHAINS)


def _no_tool(source: Path, target: Path, feeds: Feeds) -> None:
    raise TypeError("the other exporter's file is made at export, not by a tool")


CROSS = Tool("other exporter", CROSSED, _no_tool)
ALL_TOOLS = {tool.name: tool for tool in (*TOOLS, CROSS)}


class Subject:
    """One model with one kind of shapes, its exports, and what tools made of them.

    What is slow and does not depend on how tags are found is kept in the folder: the exports, the tools' files, and
    whose work each of their nodes does.
    """

    def __init__(self, name: str, dynamic: bool, folder: Path) -> None:
        self.name, self.dynamic = name, dynamic
        self.folder = folder / f"{name}-{'dynamic' if dynamic else 'static'}"
        self.folder.mkdir(parents=True, exist_ok=True)
        with quiet():
            self.model, self.args, self.kwargs = build(name, perturb=True)
        self.exported = {strategy: self.folder / strategy / "model.onnx" for strategy in STRATEGIES}

    @cached_property
    def observations(self) -> list[Observation]:
        """The eager run, only if something has still to be judged by it."""
        return observe(self.model, self.args, self.kwargs)

    def feeds(self, path: Path) -> Feeds:
        """The model's inputs under a file's names."""
        return feeds_of(path, self.model, self.args, self.kwargs)

    def export(self, strategy: str) -> None:
        """Export once; a failure is kept as well."""
        path = self.exported[strategy]

        def run(made: Path) -> None:
            ot.export(self.model, self.args, made, kwargs=self.kwargs, strategy=strategy, dynamic=self.dynamic)

        _once(path, run)

    def made(self, strategy: str, tool: Tool) -> Path:
        """The file that a tool makes, without metadata; that with what it left of it stands beside it."""
        source = self.exported[strategy]
        raw = source.parent / f"{re.sub(r'[^A-Za-z0-9]+', '-', tool.name)}.raw.onnx"
        other = self.exported[next(one for one in STRATEGIES if one != strategy)]
        if tool is CROSS:
            _insist(other)

        def run(made: Path) -> None:
            if tool is CROSS:
                shutil.copy(other, made)
            else:
                tool.run(source, made, self.feeds(source))
            _insist_on_single_makers(onnx.load(made))

        _once(raw, run)
        bare = raw.with_suffix("").with_suffix(".bare.onnx")
        _once(bare, lambda made: without_metadata(raw, made))
        return bare

    def findings(self, bare: Path) -> Findings | None:
        """Whose work the nodes of a file do; None if this machine has no kernel for one of them."""
        path = bare.with_suffix(".pickle")
        _once(path, lambda made: made.write_bytes(pickle.dumps(self._compare(bare))), "its file does not run: ")
        found: Findings | None = pickle.loads(path.read_bytes())
        return found

    def _compare(self, bare: Path) -> Findings | None:
        try:
            return compare(bare, self.observations, self.feeds(bare))
        except NoKernel:
            return None


class Unable(Exception):  # noqa: N818 - a result to be listed, not an error of ours
    """A tool or an exporter that cannot take a model, and why."""


def _once(path: Path, run: Callable[[Path], object], trouble: str = "") -> None:
    """Have a file made unless it is there, or unless it failed before."""
    failed = path.with_suffix(".failed")
    if path.exists() or failed.exists():
        return _insist(path)
    path.parent.mkdir(exist_ok=True)
    try:
        with quiet():
            run(path)
    except Exception as error:  # noqa: BLE001 - other people's tools raise whatever they like; the reason is listed
        path.unlink(missing_ok=True)
        failed.write_text(f"{trouble}{type(error).__name__}: {' '.join(str(error).split())[:160]}")
    return _insist(path)


def _insist_on_single_makers(model: onnx.ModelProto) -> None:
    """Raise if two nodes make one tensor: no runtime loads such a file, and nobody could say what its readers read."""
    made = Counter(name for node in model.graph.node for name in node.output if name)
    several = [name for name, count in made.items() if count > 1]
    if several:
        raise ValueError(f"its file is invalid: several nodes make the tensor {several[0]}")


def _insist(path: Path) -> None:
    failed = path.with_suffix(".failed")
    if failed.exists():
        raise Unable(failed.read_text())


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what tools print and warn of out of the table."""
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def measure(subject: Subject, strategy: str, tool: Tool) -> Row:
    """Put one tool to one exported file, re-tag what it makes from the map, and judge."""
    label = f"{subject.name} {strategy} {'dynamic' if subject.dynamic else 'static'}"
    row = Row()
    try:
        subject.export(strategy)
        bare = subject.made(strategy, tool)
        findings = subject.findings(bare) if tool.keeps_values else None
    except Unable as error:
        row.unable[label] = str(error)
        return row
    source = subject.exported[strategy]
    tree = ot.HierarchyMap.load(source.parent / "model.hierarchy.json")
    raw = bare.with_suffix("").with_suffix(".raw.onnx")
    with tempfile.TemporaryDirectory() as folder:
        plain, left = (_retagged(path, tree, Path(folder) / path.name, label, row) for path in (bare, raw))
    exported = onnx.load(source)
    if findings is None:
        row.judgement, row.left = (judge_by_names(exported, model, tree) for model in (plain, left))
    else:
        row.judgement, row.left = (judged(model, findings, tree) for model in (plain, left))
        if tool.group in NAMED:
            executed = frozenset(node for node, truth in findings.truths.items() if truth.candidates)
            row.named = judge_by_names(exported, plain, tree, executed)
    row.judgement.details = [f"{label}: {line}" for line in row.judgement.details]
    row.named.details = [f"{label}: by names: {line}" for line in row.named.details]
    row.left.details.clear()
    _count(row, plain)
    testable = row.judgement.testable
    row.shares[label] = row.judgement.verdicts["right"] / testable if testable else 1.0
    return row


def _retagged(path: Path, tree: ot.HierarchyMap, target: Path, label: str, row: Row) -> onnx.ModelProto:
    """A file as `retag` leaves it, or as it is, and so untagged, if it is refused."""
    try:
        ot.retag(path, tree, target)
    except ot.TaggerError as error:
        row.refused[label] = " ".join(str(error).split())
        return onnx.load(path)
    return onnx.load(target)


def _count(row: Row, model: onnx.ModelProto) -> None:
    for op in walk(model).ops:
        tag = own_tag(props_of(op.node))
        row.nodes += 1
        if tag is not None:
            row.tagged += 1
            row.sources[tag.source.label] += 1


def measure_model(task: tuple[str, bool, Sequence[str], Path]) -> dict[str, Row]:
    """All tools on one model with one kind of shapes; a file of the run's folder is made by one task alone."""
    name, dynamic, names, folder = task
    subject = Subject(name, dynamic, folder)
    rows = {tool: Row() for tool in names}
    for strategy in STRATEGIES:
        with contextlib.suppress(Unable):
            subject.export(strategy)
    for strategy in STRATEGIES:
        for tool in (ALL_TOOLS[name] for name in names):
            if not tool.only or subject.name in tool.only:
                rows[tool.name].add(measure(subject, strategy, tool))
    return rows


def survey(
    models: Iterable[str], shapes: Iterable[bool], tools: Sequence[str], folder: Path, jobs: int = 1
) -> dict[str, Row]:
    """Measure tools over models."""
    names = list(models)
    rows = {tool: Row() for tool in tools if not ALL_TOOLS[tool].only.isdisjoint(names) or not ALL_TOOLS[tool].only}
    kinds = tuple(shapes)
    tasks = [(name, dynamic, tuple(rows), folder) for name in names for dynamic in kinds]
    with ProcessPoolExecutor(jobs) if jobs > 1 else contextlib.nullcontext() as pool:
        results = pool.map(measure_model, tasks) if pool is not None else map(measure_model, tasks)
        for task, found in zip(tasks, results, strict=True):
            print(f"{task[0]} {'dynamic' if task[1] else 'static'} done", file=sys.stderr, flush=True)
            for name, row in found.items():
                rows[name].add(row)
    return rows


def main() -> None:
    """Print the tables that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(ZOO), metavar="MODEL")
    parser.add_argument("--tools", nargs="*", default=list(ALL_TOOLS), choices=list(ALL_TOOLS), metavar="TOOL")
    parser.add_argument("--quick", action="store_true", help="static shapes and six models only")
    parser.add_argument("--keep", type=Path, help="a folder for exports and tools' files, to be used again")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    models = options.only or (QUICK if options.quick else MODELS)
    shapes = (False,) if options.quick else (False, True)
    with tempfile.TemporaryDirectory() as folder:
        rows = survey(models, shapes, options.tools, options.keep or Path(folder), options.jobs)
    show(rows, {name: tool.group for name, tool in ALL_TOOLS.items()})


if __name__ == "__main__":
    main()
