"""How often tags are right by what they rest on: one row for each class of evidence, judged by execution.

Run it as ``python benchmarks/evidence.py [--only NAME ...] [--tools NAME ...] [--keep DIR]``. Models of the zoo are
exported by both exporters, tools that keep values are put to each file, all metadata is taken from what they make, and
that is re-tagged twice: from the map of the export, and from a captured one, which holds no graph. The exports
themselves are judged as well. `--keep` shares its folder with ``benchmarks/kinship.py``. Nodes that are not right are
listed on stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import onnx
import torch

import onnx_tagger as ot
from onnx_tagger.exporters.truth.judging import Judgement, judged_by
from onnx_tagger.model.evidence import BY_SOURCE, Evidence, written_evidence
from onnx_tagger.model.metadata import own_tag, props_of

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "fixtures" / "zoo"), str(ROOT / "benchmarks")]

from index import ZOO  # noqa: E402 - folders, no packages
from kinship import Seeded  # noqa: E402
from survival import ALL_TOOLS, STRATEGIES, Unable  # noqa: E402

TOOLS = ("ORT ALL", "onnxslim", "onnxsim", "names wiped", "names wiped > ORT ALL")

# Of several kinds, small enough for minutes.
MODELS = (
    "bert",
    "gpt2",
    "t5",
    "vit",
    "resnet",
    "mobilenet_v2",
    "unet",
    "llama",
    "mamba",
    "nested_reuse",
)

Groups = Mapping[Evidence, Judgement]


def class_of(node: onnx.NodeProto) -> Evidence:
    """What the tag of a node rests on; none without a tag."""
    tag = own_tag(props_of(node))
    return Evidence.NONE if tag is None else written_evidence(node) or BY_SOURCE[tag.source]


def files_of(subject: Seeded, strategy: str, tools: Sequence[str], folder: Path) -> Iterator[tuple[Path, Path, str]]:
    """Tagged files with the untagged ones that they were made of, and where they come from."""
    exported = subject.exported[strategy]
    subject.export(strategy)
    yield exported, exported, "export"
    saved = ot.HierarchyMap.load(exported.with_name("model.hierarchy.json"))
    captured = replace(ot.capture(subject.model, subject.args, kwargs=subject.kwargs), graph=None)
    for name in tools:
        try:
            bare = subject.made(strategy, ALL_TOOLS[name])
        except Unable as error:
            print(f"{subject.name} {strategy}: {error}", file=sys.stderr, flush=True)
            continue
        for label, tree in (("map", saved), ("run", captured)):
            ot.retag(bare, tree, folder / "tagged.onnx", evidence=True, force=True)
            yield folder / "tagged.onnx", bare, f"{name}, {label}"


def measure(name: str, tools: Sequence[str], keep: Path, folder: Path) -> dict[Evidence, Judgement]:
    """Judge all files of one model."""
    subject = Seeded(name, "original", keep)
    found: dict[Evidence, Judgement] = {}
    for strategy in STRATEGIES:
        try:
            for tagged, plain, label in files_of(subject, strategy, tools, folder):
                findings = subject.findings(plain)
                if findings is not None:
                    tree = ot.HierarchyMap.load(subject.exported[strategy].with_name("model.hierarchy.json"))
                    groups = judged_by(onnx.load(tagged), findings, tree, class_of)
                    _add(found, groups, f"{name} {strategy} {label}")
        except Unable as error:
            print(f"{name} {strategy}: {error}", file=sys.stderr, flush=True)
    return found


def _add(whole: dict[Evidence, Judgement], groups: Groups, label: str) -> None:
    for evidence, judgement in groups.items():
        judgement.details = [f"{label}: {evidence.label}: {line}" for line in judgement.details]
        whole.setdefault(evidence, Judgement()).add(judgement)


def show(found: Groups) -> None:
    """Print the table of docs/accuracy.md."""
    print("| evidence | nodes | testable | right % | alone or enclosing % | ancestor % | wrong % |\n|-|-|-|-|-|-|-|")
    for evidence in Evidence:
        judgement = found.get(evidence, Judgement())
        verdicts: Counter[str] = Counter(judgement.verdicts)
        kinds = [verdicts["right"], judgement.enclosed, verdicts["ancestor"], verdicts["wrong"] + verdicts["untagged"]]
        cells = [_share(kind, judgement.testable) for kind in kinds]
        print(f"| {evidence.label} | {judgement.nodes} | {judgement.testable} | {' | '.join(cells)} |")


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f}" if whole else "-"


def survey(models: Sequence[str], tools: Sequence[str], keep: Path) -> dict[Evidence, Judgement]:
    """Judge all files of some models."""
    whole: dict[Evidence, Judgement] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in models:
            found = measure(name, tools, keep, Path(folder))
            for judgement in found.values():
                for line in dict.fromkeys(judgement.details):
                    print(line, file=sys.stderr, flush=True)
            for evidence, judgement in found.items():
                whole.setdefault(evidence, Judgement()).add(judgement)
    return whole


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(ZOO), default=list(MODELS), metavar="MODEL")
    parser.add_argument("--tools", nargs="*", choices=TOOLS, default=list(TOOLS), metavar="TOOL")
    parser.add_argument("--keep", type=Path, help="a folder for exports and tools' files, to be used again")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        show(survey(options.only, options.tools, options.keep or Path(folder)))


if __name__ == "__main__":
    main()
