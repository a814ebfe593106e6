"""Whose file is it? Wrong maps taken and own maps refused, over ordered pairs of a tool's file and a map.

Run it as ``python benchmarks/kinship.py [--only NAME ...] [--siblings NAME ...] [--strangers N | --all] [--keep DIR]``.
Models of the zoo are exported by both exporters, and ten tools put to each file; all metadata is taken from what they
make. Each file is judged with the maps of its own model, as ``.json``, ``.json.gz`` and tagged ``.onnx``, with those of
N other models in each form, and with those of its siblings: the same model of another seed, trained further, and with
one layer less. Models that a tool cannot take are left out. Every wrong verdict is listed on stderr.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from pathlib import Path

import onnx
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.files.onnxfile import Skeleton, read_skeleton
from onnx_tagger.files.tensors import read_blocks
from onnx_tagger.hierarchy.map import Parameter
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.checking import LoadedMap, MapSource, judge_of, open_map
from onnx_tagger.workflows.kinship import architecture
from onnx_tagger.workflows.kinship.judging import Judge
from onnx_tagger.workflows.kinship.verdict import ENOUGH, Evidence, Kinship
from onnx_tagger.workflows.kinship.weights import KnownWeights

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "fixtures" / "zoo"), str(ROOT / "benchmarks")]

from index import ZOO, build  # noqa: E402
from survival import ALL_TOOLS, STRATEGIES, Subject, Unable  # noqa: E402

TOOLS = (
    "ORT ALL",
    "onnxslim",
    "onnxsim",
    "float16 > ORT ALL",
    "quantize_dynamic",
    "QOperator",
    "QDQ > ORT ALL",
    "4-bit MatMulNBits",
    "names wiped",
    "names wiped > ORT ALL",
)


def seed_of(name: str) -> int:
    """A seed of its own for each model: with one seed for all, models of equal shapes would have equal weights."""
    return zlib.crc32(name.encode()) >> 1


def original(name: str) -> nn.Module:
    return build(name, perturb=True, seed=seed_of(name))[0]


def other_seed(name: str) -> nn.Module:
    return build(name, perturb=True, seed=seed_of(name) + 1)[0]


def fine_tuned(name: str) -> nn.Module:
    model = original(name)
    noise = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.is_floating_point():
                tensor.add_(0.01 * tensor.abs().mean() * torch.randn(tensor.shape, generator=noise, dtype=tensor.dtype))
    return model


def one_layer_less(name: str) -> nn.Module:
    model = original(name)
    stacks = [
        module
        for module in model.modules()
        if isinstance(module, nn.ModuleList) and len(module) > 1 and len({type(one) for one in module}) == 1
    ]
    if not stacks:
        raise LookupError("no list of layers")
    for stack in stacks:
        del stack[len(stack) - 1]
    return model


WITH_SIBLINGS = ("bert", "gpt2", "t5", "vit", "resnet", "mobilenet_v2", "unet", "nested_reuse")

VERSIONS: dict[str, Callable[[str], nn.Module]] = {
    "original": original,
    "other seed": other_seed,
    "fine-tuned": fine_tuned,
    "one layer less": one_layer_less,
}


class Seeded(Subject):
    def __init__(self, name: str, kind: str, folder: Path) -> None:
        super().__init__(name, False, folder / kind.replace(" ", "-"))
        self.model = VERSIONS[kind](name).eval()
        self.exported = {strategy: self.folder / strategy / "model.onnx" for strategy in STRATEGIES}


@dataclass(frozen=True)
class Case:
    """A tool's file, or a map: of which version of which model, by which exporter, after which tool."""

    version: str
    model: str
    strategy: str
    path: Path

    @property
    def tool(self) -> str:
        return self.path.name.removesuffix(".bare.onnx")


def made(keep: Path) -> tuple[list[Case], list[Case]]:
    """The files and the maps of a folder."""
    files, maps = [], []
    for version in VERSIONS:
        for folder in sorted((keep / version.replace(" ", "-")).glob("*-static/*")):
            name, strategy = folder.parent.name.removesuffix("-static"), folder.name
            if (folder / "model.hierarchy.json").exists() and (folder / "model.onnx").exists():
                maps.append(Case(version, name, strategy, folder / "model.hierarchy.json"))
                files += [Case(version, name, strategy, path) for path in sorted(folder.glob("*.bare.onnx"))]
    return files, maps


def form_of(case: Case, form: str, packed: Path) -> MapSource:
    """A map in one of its forms."""
    if form == "onnx":
        return case.path.with_name("model.onnx")
    if form == "json":
        return loaded(case.path)
    target = packed / f"{case.version}-{case.model}-{case.strategy}.hierarchy.json.gz".replace(" ", "-")
    if not target.exists():
        loaded(case.path).save(target)
    return loaded(target)


@cache
def loaded(path: Path) -> ot.HierarchyMap:
    return ot.HierarchyMap.load(path)


def pairs(
    files: Sequence[Case], maps: Sequence[Case], strangers: int | None, share: float
) -> Iterator[tuple[str, Case, Case, str]]:
    """What is judged: the kind of pair, the file, the map and its form."""
    chance = random.Random(0)
    originals = [case for case in maps if case.version == "original"]
    # In any order, so that a run that is broken off has seen all models.
    for file in chance.sample(files, round(share * len(files))):
        own = [case for case in maps if case.model == file.model]
        for case in own:
            if file.version == case.version == "original":
                for form in FORMS if case.strategy == file.strategy else FORMS[:1]:
                    yield "own", file, case, form
            elif (file.version == "original") != (case.version == "original") and case.strategy == file.strategy:
                yield sibling(file, case), file, case, chance.choice(FORMS)
        others = [case for case in originals if case.model != file.model] if file.version == "original" else []
        for form in FORMS:
            for case in others if strangers is None else chance.sample(others, min(strangers, len(others))):
                yield "stranger", file, case, form


def sibling(file: Case, case: Case) -> str:
    if "one layer less" in (file.version, case.version):
        return "one layer less than the map" if case.version == "original" else "one layer more than the map"
    return next(version for version in (file.version, case.version) if version != "original")


@dataclass
class Tally:
    """Verdicts by kind of pair and by whatever a table has rows of, and how often each kind of evidence errs."""

    verdicts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    relations: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    evidence: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    asked: int = 0
    seconds: float = 0.0

    def samples(self) -> bool:
        """Whether all kinds of evidence are asked for: of one pair in eight, since it takes longer than a verdict."""
        self.asked += 1
        return self.asked % 8 == 1

    def add(self, kind: str, file: Case, case: Case, form: str, found: Kinship, judge: Judge) -> None:
        for row in ("all", file.tool, f"as .{form}"):
            self.verdicts[kind, row, found.verdict] += 1
        if kind not in ("own", "stranger"):
            relation = found.relation.partition(":")[0]
            self.relations[kind, found.verdict, relation] += 1
        elif form == "json" and self.samples():
            for evidence in all_evidence(judge):
                outcome = "for" if evidence.bits >= ENOUGH else "against" if evidence.bits < 0 else "says little"
                self.evidence[kind, evidence.kind, outcome] += 1
            for fit in {each.fit for each in judge.found.values()}:
                self.evidence[kind, f"a weight: {fit.value}", "for"] += 1
        wrong = {"own": found.verdict != "kin", "stranger": found.verdict == "kin"}
        if wrong.get(kind):
            told = f"{kind}: {file.model} {file.strategy} {file.tool} <- {case.model} {case.strategy} .{form}: "
            print(f"{told}{found.verdict}: {found.relation}: {found.grounds}", file=sys.stderr, flush=True)


def all_evidence(judge: Judge) -> Iterator[Evidence]:
    """Each kind of evidence by itself, also where a verdict needs it no more."""
    ctx, tree = judge.ctx, judge.tree
    like = architecture.Likeness.of(ctx, tree, judge.stored, judge.known.parameters)
    none = (Evidence("weights", "", 0.0), Evidence("names", "", 0.0), Evidence("metadata", "", 0.0))
    told = (judge.weights(), architecture.names(ctx, tree), architecture.metadata(ctx, tree))
    yield from (found or missing for found, missing in zip(told, none, strict=True))
    yield like.evidence


@lru_cache(2)
def skeleton_of(path: Path) -> Skeleton:
    """A file without its weights; the pairs of one file follow each other."""
    return read_skeleton(path)


@lru_cache(256)
def tagged(path: Path, renamed: bool) -> LoadedMap:
    """A tagged file as a map, with its weights if the other file has some of other names, as `retag` reads it."""
    known = tagged(path, False).tree.graph if renamed else None
    beside = onnx.ModelProto() if renamed else None
    if beside is not None and known is not None:
        beside.graph.initializer.add(name="/".join(("", *known.initializers)))
    return open_map(path, beside=beside)


def opened(source: MapSource, model: onnx.ModelProto) -> LoadedMap:
    """The same as `open_map`, of a tagged file that was asked for before without reading it again."""
    if not isinstance(source, Path):
        return open_map(source, beside=model)
    graph = tagged(source, False).tree.graph
    stored = graph.initializers if graph is not None else {}
    return tagged(source, any(tensor.name not in stored for tensor in model.graph.initializer))


def judged(file: Case, source: MapSource) -> tuple[Kinship, Judge]:
    skeleton = skeleton_of(file.path)
    found = opened(source, skeleton.model)
    ctx = Context(skeleton.model, found.tree, blocks=partial(read_blocks, skeleton))
    judge = judge_of(ctx, found)
    if isinstance(source, Path):
        judge = Judge(ctx, found.tree, lambda names: parameters_of(source, names), lambda: listed_of(source))
    else:
        judge.known = KNOWN.setdefault(id(source), judge.known)
    return judge.verdict(), judge


# What is looked up in a map is put together when it is first asked for, and then kept: maps are, too.
KNOWN: dict[int, KnownWeights] = {}


@lru_cache(512)
def all_parameters(path: Path) -> list[Parameter]:
    return tagged(path, False).parameters()


def parameters_of(path: Path, names: Collection[str] | None) -> list[Parameter]:
    """The same as `LoadedMap.parameters`, which reads those of some names alone, without reading them again."""
    return [each for each in all_parameters(path) if names is None or each.name in names]


@lru_cache(512)
def listed_of(path: Path) -> list[Parameter]:
    return tagged(path, False).listed()


def show(tally: Tally, files: Sequence[Case], maps: Sequence[Case]) -> None:
    """Print the tables of docs/kinship.md."""
    models = {case.model for case in maps if case.version == "original"}
    judgements = sum(count for (_, row, _), count in tally.verdicts.items() if row == "all")
    each = 1e3 * tally.seconds / max(1, judgements)
    print(f"{len(models)} models, {len(files)} files, {len(maps)} maps, {judgements} pairs, {each:.0f} ms CPU each\n")
    print("| pairs of | own maps | refused | in doubt | others' maps | taken | in doubt |\n|-|-|-|-|-|-|-|")
    for row in dict.fromkeys(row for _, row, _ in tally.verdicts):
        own, other = ({verdict: tally.verdicts[kind, row, verdict] for verdict in VERDICTS} for kind in KINDS)
        cells = [sum(own.values()), own["stranger"], own["doubt"], sum(other.values()), other["kin"], other["doubt"]]
        print(f"| {row} | {' | '.join(map(str, cells))} |")
    for kind, wrong in (("own", ("doubt", "stranger")), ("stranger", ("kin",))):
        count = sum(tally.verdicts[kind, "all", verdict] for verdict in VERDICTS)
        errors = sum(tally.verdicts[kind, "all", verdict] for verdict in wrong)
        print(f"\n{kind}: {errors} of {count} wrong, at most {bound(errors, count):.2f} % with a confidence of 95 %")
    print("\n| sibling | verdict | said of it | pairs |\n|-|-|-|-|")
    for (kind, verdict, relation), count in sorted(tally.relations.items()):
        print(f"| {kind} | {verdict} | {relation} | {count} |")
    print(
        "\n| evidence, by itself | own: for | own: against | others: for (false yes) | others: against |\n|-|-|-|-|-|"
    )
    whole = {kind: sum(tally.evidence[kind, "weights", outcome] for outcome in OUTCOMES) for kind in KINDS}
    for name in dict.fromkeys(name for _, name, _ in tally.evidence):
        cells = [_share(tally.evidence[kind, name, outcome], whole[kind]) for kind in KINDS for outcome in OUTCOMES[:2]]
        print(f"| {name} | {' | '.join(cells)} |")


def bound(errors: int, count: int) -> float:
    """Upper end of the share of errors in percent: Clopper and Pearson, Biometrika 26, 1934, one-sided, 95 %."""
    if errors >= count:
        return 100.0
    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2
        fewer = sum(math.comb(count, k) * share**k * (1 - share) ** (count - k) for k in range(errors + 1))
        low, high = (share, high) if fewer > 0.05 else (low, share)
    return 100 * high


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "-"


FORMS = ("json", "json.gz", "onnx")
KINDS = ("own", "stranger")
VERDICTS = ("kin", "doubt", "stranger")
OUTCOMES = ("for", "against", "says little")


def make(subject: Subject, tools: tuple[str, ...]) -> None:
    for strategy in STRATEGIES:
        for step in [lambda s=strategy: subject.export(s)] + [
            (lambda s=strategy, t=tool: subject.made(s, ALL_TOOLS[t])) for tool in tools
        ]:
            try:
                step()
            except Unable as error:
                print(f"{subject.folder} {strategy}: {error}", file=sys.stderr, flush=True)


def build_all(models: Sequence[str], siblings: Collection[str], keep: Path) -> None:
    for name in models:
        print(name, file=sys.stderr, flush=True)
        for version in VERSIONS if name in siblings else ("original",):
            try:
                make(Seeded(name, version, keep), TOOLS)
            except LookupError as error:
                print(f"{name}, {version}: {error}", file=sys.stderr, flush=True)


def main() -> None:
    """Make what is missing, judge, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(ZOO), default=list(ZOO), metavar="MODEL")
    parser.add_argument("--siblings", nargs="*", choices=list(ZOO), default=list(WITH_SIBLINGS), metavar="MODEL")
    parser.add_argument("--strangers", type=int, default=2, help="maps of other models in each form for each file")
    parser.add_argument("--share", type=float, default=1.0, help="of the files that are judged, chosen at random")
    parser.add_argument("--all", action="store_true", help="every ordered pair")
    parser.add_argument("--keep", type=Path, help="a folder for exports and tools' files, to be used again")
    parser.add_argument("--made", action="store_true", help="judge what the folder holds, and make nothing")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        keep = options.keep or Path(folder)
        if not options.made:
            build_all(options.only, options.siblings, keep)
        files, maps = made(keep)
        tally = Tally()
        try:
            for kind, file, case, form in pairs(files, maps, None if options.all else options.strangers, options.share):
                begin = time.process_time()
                found = judged(file, form_of(case, form, Path(folder)))
                tally.seconds += time.process_time() - begin
                tally.add(kind, file, case, form, *found)
        except KeyboardInterrupt:
            print("broken off: the tables are of the pairs that were judged", file=sys.stderr)
    show(tally, files, maps)


if __name__ == "__main__":
    main()
