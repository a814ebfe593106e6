"""What a check finds, as records: the rule that is broken, where, and what to do. How they look is for reporters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.report import WEAK_EVIDENCE, Report
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.model.verdict import Verdict, id_of


@dataclass(frozen=True, slots=True)
class Rule:
    """What a check insists on.

    Attributes
    ----------
    id : str
        ``OT`` and three digits; never given to another rule.
    name : str
        A few words with hyphens.
    says : str
        A sentence: what is wrong where the rule is broken.
    advice : str
        A sentence: what to do then.
    """

    id: str
    name: str
    says: str
    advice: str

    __repr__ = brief_fields


UNTAGGED = Rule(
    "OT001",
    "untagged-node",
    "A node has no tag.",
    "Re-tag the file from the map that was saved at its export: onnx-tagger retag M.onnx --map MAP -o OUT.onnx.",
)
ROOT = Rule(
    "OT002",
    "root-fallback",
    "A node got only the root of the model as its tag, since nothing closer was found.",
    "Re-tag from the map of the export; if the root's own code really made the node, raise --max-root.",
)
INHERITED = Rule(
    "OT003",
    "inherited-tag",
    "A node took its tag from its neighbours, and there are more of these than may be.",
    "Re-tag from the map of the export, which knows the node itself, or raise --max-inherited.",
)
NAMED = Rule(
    "OT009",
    "named-tag",
    "A node has its tag from the file's own names alone, and there are more of these than may be.",
    "Re-tag from the map of the export or of the model's configuration, or raise --max-named.",
)
INCONSISTENT = Rule(
    "OT004",
    "inconsistent-tag",
    "A node's keys contradict each other, those of other nodes, or the map.",
    "Re-tag the file from the map of its own model.",
)
FORCED = Rule(
    "OT005",
    "forced-map",
    "The tags rest on a map that was taken with --force.",
    "Re-tag from the map of the file's own model, or accept it with --allow-forced.",
)
UNREADABLE = Rule(
    "OT006",
    "unreadable-file",
    "The file cannot be read as an ONNX model.",
    "Write the file again, or leave it out.",
)
EVIDENCE = Rule(
    "OT007",
    "weak-evidence",
    "A tag rests on less than is asked for, or does not say on what.",
    "Re-tag from the map of the export with --evidence, or ask for less with --min-evidence.",
)
LIMIT = Rule(
    "OT008",
    "limit",
    "A limit that was set does not hold.",
    "Re-tag from the map of the export, or change the limit.",
)

LOOSE = Rule(
    "OT010",
    "loose-baseline",
    "The baseline records more than there is now, and --strict-baseline asks that it does not.",
    "Tighten it: onnx-tagger check ... --baseline B.json --update-baseline.",
)

RULES = (UNTAGGED, ROOT, INHERITED, INCONSISTENT, FORCED, UNREADABLE, EVIDENCE, LIMIT, NAMED, LOOSE)

_BY_WORD = {
    "min-coverage": UNTAGGED,
    "max-root": ROOT,
    "max-inherited": INHERITED,
    "max-named": NAMED,
    "min-evidence": EVIDENCE,
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that falls short.

    Attributes
    ----------
    rule : Rule
    file : str
        As the caller named it.
    says : str
        A sentence about this very node or file.
    node : str
        The node's id, such as ``main#4 Add``; empty if the finding is of the whole file.
    name : str
        The node's own name; empty if it has none.
    module : str or None
        Path of the module that the node is tagged with; None if there is none.
    """

    rule: Rule
    file: str
    says: str
    node: str = ""
    name: str = ""
    module: str | None = None

    __repr__ = brief_fields

    @property
    def graph(self) -> str:
        """The graph, body or function of the node; empty for a finding of the whole file."""
        return self.node.rpartition("#")[0]

    @property
    def operator(self) -> str:
        """The node's operator; empty for a finding of the whole file."""
        return self.node.rpartition("#")[2].partition(" ")[2]

    @property
    def fingerprint(self) -> str:
        """The same for the same finding after nodes were added or moved: nothing of a position is in it."""
        parts = (self.rule.id, self.file, self.graph, self.operator, self.name or self.module or "")
        return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:16]

    def as_dict(self) -> dict[str, object]:
        """The finding as plain values."""
        return {
            "rule": self.rule.id,
            "name": self.rule.name,
            "severity": "error",
            "file": self.file,
            "node": {"id": self.node, "name": self.name} if self.node else None,
            "module": self.module,
            "says": self.says,
            "advice": self.rule.advice,
        }


def rules_of(texts: Iterable[str]) -> set[str]:
    """The ids of rules that are named by id, by the beginning of one, or by name.

    Raises
    ------
    TaggerError
        If one names no rule.

    Examples
    --------
    >>> sorted(rules_of(["OT001", "root-fallback"])), len(rules_of(["OT"])) == len(RULES)
    (['OT001', 'OT002'], True)
    """
    chosen: set[str] = set()
    for text in texts:
        found = {rule.id for rule in RULES if text and (rule.id.startswith(text) or rule.name == text)}
        if not found:
            names = [word for rule in RULES for word in (rule.id, rule.name)]
            raise TaggerError(f"no rule is named {text!r}: {advice_on(text, names, 'see onnx-tagger rules')}")
        chosen |= found
    return chosen


def findings_of(verdict: Verdict) -> list[Finding]:
    """What a verdict blames, node by node; a limit on a number of nodes stands for the nodes that it counts."""
    report, file = verdict.report, verdict.file
    found = [_of_sentence(text, file, report) for text in verdict.problems]
    for limit, sentence in verdict.limits.items():
        if sentence:
            rule = _BY_WORD.get(limit.split()[0], LIMIT)
            found += _of_limit(rule, sentence, verdict)
    return found


def _of_limit(rule: Rule, sentence: str, verdict: Verdict) -> list[Finding]:
    report = verdict.report
    nodes, ending = _blamed(rule, verdict)
    if not nodes:
        return [Finding(rule, verdict.file, sentence)]
    return [
        Finding(
            rule,
            verdict.file,
            f"{shown(node, report.names)} {ending}",
            node,
            report.names.get(node, ""),
            report.modules.get(node),
        )
        for node in nodes
    ]


def _blamed(rule: Rule, verdict: Verdict) -> tuple[Sequence[str], str]:
    """The nodes that a limit counts, and what is wrong with each."""
    weak = verdict.report.weak
    if rule is UNTAGGED:
        return verdict.missing, "has no tag"
    if rule is ROOT:
        return weak.get("root", ()), "got only the root as fallback"
    if rule is INHERITED:
        return weak.get("inherited", ()), "inherited its tag"
    if rule is NAMED:
        return weak.get("named", ()), "has its tag from names alone"
    if rule is EVIDENCE:
        return weak.get(WEAK_EVIDENCE, ()), "has a tag that rests on too little"
    return (), ""


def _of_sentence(text: str, file: str, report: Report) -> Finding:
    graph, position = id_of(text, report.by_graph)
    if not graph:
        return Finding(FORCED if "--force" in text else LIMIT, file, text)
    label = f"{graph}{position}"
    node = label + text[len(label) :].split(" ", 1)[0]
    rest = text[len(node) :].lstrip()
    says = " ".join(filter(None, (shown(node, report.names), rest)))
    return Finding(INCONSISTENT, file, says, node, report.names.get(node, ""), report.modules.get(node))


def shown(node: str, names: dict[str, str]) -> str:
    """A node as sentences name it: its own name, if it has one, before its id."""
    name = names.get(node, "")
    return f"{name} ({node})" if name else node
