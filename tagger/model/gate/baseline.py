"""A baseline: how much may fall short, by file and module, and how what was found compares with it.

Nothing of a position is in it, so that nodes may be added and moved. Its file is
`onnx_tagger.workflows.gate.baselines`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from onnx_tagger.model.findings import INCONSISTENT, INHERITED, LOOSE, NAMED, ROOT, UNTAGGED, Finding, Rule
from onnx_tagger.model.texts import brief, brief_fields, counted

KINDS: Mapping[str, Rule] = {
    "untagged": UNTAGGED,
    "inherited": INHERITED,
    "named": NAMED,
    "root": ROOT,
    "wrong": INCONSISTENT,
}
"""What a baseline counts, with the rule that is broken where there is more of it."""

_KIND_OF = {rule.id: kind for kind, rule in KINDS.items()}

# The key of nodes that name no module.
NOWHERE = "-"

# Nodes that the sentence about a module names.
_NAMED = 5

Counts = Mapping[str, Mapping[str, int]]
"""Kind to module path to number of nodes."""


@dataclass(frozen=True)
class Baseline:
    """What may be as bad as it is.

    Parameters
    ----------
    files : mapping
        File to its `Counts`; files of which nothing falls short are not in it.
    """

    files: Mapping[str, Counts] = field(default_factory=dict)

    def __repr__(self) -> str:
        return brief(self, counted(len(self.files), "file"))

    @classmethod
    def of(cls, counts: Mapping[str, Counts]) -> Baseline:
        """A baseline in the order of its files, without those of which nothing falls short."""
        return cls({name: found for name, found in sorted(counts.items()) if any(found.values())})


@dataclass(frozen=True, slots=True)
class Compared:
    """What was found in a file, beside what the baseline records of it.

    Attributes
    ----------
    worse : tuple of Finding
        Of the modules with more than is recorded.
    looser : tuple of Finding
        Of the modules with less, where the baseline could be tightened.
    """

    worse: tuple[Finding, ...]
    looser: tuple[Finding, ...]

    __repr__ = brief_fields


def counts_of(findings: Sequence[Finding]) -> Counts:
    """How much falls short, in the order of `KINDS` and of the modules."""
    found = Counter((_KIND_OF[each.rule.id], key_of(each)) for each in findings if is_of_a_kind(each) and each.node)
    return {
        kind: {module: count for (of, module), count in sorted(found.items()) if of == kind}
        for kind in KINDS
        if any(of == kind for of, _ in found)
    }


def key_of(finding: Finding) -> str:
    """The key that a baseline counts a node under: the path of its module; ``-`` if it names none."""
    return NOWHERE if finding.module is None else finding.module


def is_of_a_kind(finding: Finding) -> bool:
    """Whether a finding breaks a rule that a baseline counts, node by node, instead of a limit."""
    return finding.rule.id in _KIND_OF


def compare(file: str, findings: Sequence[Finding], recorded: Counts) -> Compared:
    """Compare what was found in a file with what is recorded of it.

    Parameters
    ----------
    file : str
        As findings name it.
    findings : sequence of Finding
        Node by node.
    recorded : Counts
        Empty for a file that the baseline does not have.
    """
    nodes: dict[tuple[str, str], list[Finding]] = {}
    for each in findings:
        if is_of_a_kind(each) and each.node:
            nodes.setdefault((_KIND_OF[each.rule.id], key_of(each)), []).append(each)
    worse: list[Finding] = []
    for (kind, module), found in nodes.items():
        before = recorded.get(kind, {}).get(module, 0)
        if len(found) > before:
            worse += found if not before else [_more(kind, module, found, before)]
    return Compared(tuple(worse), tuple(_less(file, nodes, recorded)))


def _more(kind: str, module: str, found: Sequence[Finding], before: int) -> Finding:
    """One finding for a module: which of its nodes are the new ones cannot be told without positions."""
    names = ", ".join(each.name or each.node for each in found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
    says = f"{_shown(module)} has {counted(len(found), f'{kind} node')}, the baseline records {before}: {names}"
    first = found[0]
    return Finding(KINDS[kind], first.file, says, module=first.module)


def _less(file: str, nodes: Mapping[tuple[str, str], list[Finding]], recorded: Counts) -> Iterator[Finding]:
    for kind, modules in recorded.items():
        for module, before in modules.items():
            now = len(nodes.get((kind, module), ()))
            if now < before:
                says = f"{_shown(module)} has {counted(now, f'{kind} node')}, the baseline records {before}"
                yield Finding(LOOSE, file, says, module=None if module == NOWHERE else module)


def _shown(module: str) -> str:
    return {"": "the root", NOWHERE: "what names no module"}.get(module, module)
