"""The rows and tables of `survival.py`: what became of the files that a tool made, counted and printed."""

from __future__ import annotations

import statistics
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from toolbox import CHAINS, CROSSED, OPTIMISERS, ROUNDERS, WIPED

from onnx_tagger.errors import ExportError
from onnx_tagger.exporters.truth.verdicts import Judgement


@dataclass(frozen=True)
class Bar:
    """What is asked of a tool's files, as shares; all of their nodes must be tagged.

    Attributes
    ----------
    right : float
        Least share of the testable nodes whose module, or one of whose origins, is right.
    alone : float
        Least share of them whose tag is right without the origins, or is the module around all that they do.
    wrong : float
        Largest share of them that is wrong.
    weak : float
        Largest share of all nodes whose tag is inherited, or the root as a fallback.
    origins : float
        Least precision and recall of the origins, where execution judges.
    """

    right: float
    alone: float
    wrong: float
    weak: float = 1.0
    origins: float = 0.97


# What the project promises for each group of tools; of one tool by its name where it differs.
BARS = {
    OPTIMISERS: Bar(0.998, 0.97, 0.0, 0.01),
    ROUNDERS: Bar(0.998, 0.97, 0.0, 0.01),
    CHAINS: Bar(0.99, 0.95, 0.002, 0.02),
    WIPED: Bar(0.97, 0.95, 0.005),
    CROSSED: Bar(0.97, 0.95, 0.005),
    "names wiped > ORT ALL": Bar(0.93, 0.90, 0.005),
}


def bar_of(name: str, group: str) -> Bar:
    """What is asked of a tool."""
    return BARS.get(name, BARS[group])


@dataclass
class Row:
    """What became of the files that one tool made.

    Attributes
    ----------
    judgement : Judgement
        By execution, or by names for a tool that rounds; the map alone, all metadata taken away.
    named : Judgement
        By names, for nodes of a tool that keeps values that execution cannot judge.
    left : Judgement
        As `judgement`, with the metadata that the tool left.
    nodes, tagged, sources
        Counts of the nodes, as `Report` has them.
    shares : dict
        The share that is right for each file.
    unable : dict
        The files that the tool cannot take, and why.
    refused : dict
        The files that `retag` does not take, and why; they count as untagged.
    """

    judgement: Judgement = field(default_factory=Judgement)
    named: Judgement = field(default_factory=Judgement)
    left: Judgement = field(default_factory=Judgement)
    nodes: int = 0
    tagged: int = 0
    sources: Counter[str] = field(default_factory=Counter)
    shares: dict[str, float] = field(default_factory=dict)
    unable: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    def add(self, other: Row) -> None:
        """Add another row's counts."""
        self.judgement.add(other.judgement)
        self.named.add(other.named)
        self.left.add(other.left)
        self.nodes += other.nodes
        self.tagged += other.tagged
        self.sources.update(other.sources)
        self.shares |= other.shares
        self.unable |= other.unable
        self.refused |= other.refused

    @property
    def weak(self) -> int:
        """Nodes whose tag is inherited or the root as a fallback."""
        return self.sources["inherited"] + self.sources["root"]

    def misses(self, bar: Bar) -> list[str]:
        """What falls short of a bar, with the counts."""
        found = self.judgement
        testable, right, wrong = found.testable, found.verdicts["right"], found.verdicts["wrong"]
        checks = {
            f"tagged {self.tagged} of {self.nodes}": self.tagged == self.nodes,
            f"right {right} of {testable}": right >= bar.right * testable,
            f"alone {found.enclosed} of {testable}": found.enclosed >= bar.alone * testable,
            f"wrong {wrong} of {testable}": wrong <= bar.wrong * testable,
            f"weak {self.weak} of {self.nodes}": self.weak <= bar.weak * self.nodes,
            f"precision {found.precision:.4f}": found.precision >= bar.origins,
            f"recall {found.recall:.4f}": found.recall >= bar.origins,
        }
        return [what for what, holds in checks.items() if not holds]

    def line(self, name: str, bar: Bar) -> str:
        """The row of the table."""
        found = self.judgement
        testable, calls, beside = found.testable, found.calls, found.auxiliary
        cells = [
            name,
            str(len(self.shares)),
            str(self.nodes),
            _percent(self.tagged, self.nodes),
            f"{testable} ({_percent(testable, found.nodes, 0)})",
            _percent(found.verdicts["right"], testable),
            f"{_percent(found.alone, testable)} / {_percent(found.enclosed, testable)}",
            str(found.verdicts["ancestor"]),
            str(found.verdicts["wrong"]),
            f"{_percent(found.agreed, found.said)} / {_percent(found.agreed, found.true)}" if found.said else "-",
            "/".join(str(calls[kind]) for kind in ("right", "wrong", "missing")) if calls else "-",
            "/".join(str(beside[kind]) for kind in ("consistent", "partial", "inconsistent")) if beside else "-",
            "/".join(_percent(self.sources[kind], self.nodes, 1) for kind in ("matched", "aligned")),
            _percent(self.weak, self.nodes),
            self._spread(),
            _brief(self.named),
            _brief(self.left),
            ", ".join(miss.split()[0] for miss in self.misses(bar)) or "-",
        ]
        return "| " + " | ".join(cells) + " |"

    def _spread(self) -> str:
        if not self.shares:
            return "-"
        worst = min(self.shares, key=lambda label: self.shares[label])
        median = f"{100 * statistics.median(self.shares.values()):.1f}"
        return f"{median}, {100 * self.shares[worst]:.1f} ({worst})" if self.shares[worst] < 1 else median


def _percent(count: int, whole: int, digits: int = 2) -> str:
    return f"{100 * count / whole:.{digits}f}" if whole else "-"


def _brief(found: Judgement) -> str:
    verdicts = found.verdicts
    counts = f"{verdicts['ancestor']} / {verdicts['wrong']}"
    return f"{_percent(verdicts['right'], found.testable)} / {counts}" if found.testable else "-"


HEADS = (
    "tool",
    "files",
    "nodes",
    "tagged %",
    "testable (% of all)",
    "right %",
    "alone / or enclosing %",
    "ancestor",
    "wrong",
    "precision / recall %",
    "calls right/wrong/missing",
    "auxiliary fits/in part/not",
    "matched/aligned %",
    "inherited + root %",
    "right %: median, worst file",
    "rest by names: right % / ancestor / wrong",
    "metadata left: right % / ancestor / wrong",
    "short of the bar",
)
HEAD = f"| {' | '.join(HEADS)} |\n|{'-|' * len(HEADS)}"


def show(rows: Mapping[str, Row], groups: Mapping[str, str]) -> None:
    """Print a table for each group of tools, what could not be done, and on stderr the nodes that are not right."""
    for group in dict.fromkeys(groups[name] for name in rows):
        print(f"\n### {group}\n\n{HEAD}")
        whole = Row()
        for name, row in rows.items():
            if groups[name] == group:
                print(row.line(name, bar_of(name, group)))
                whole.add(row)
        print(whole.line("**all**", BARS[group]))
    _list(rows, "cannot take", lambda row: row.unable)
    if any(row.refused for row in rows.values()):
        _list(rows, "retag refuses", lambda row: row.refused)
    for name, row in rows.items():
        for line in dict.fromkeys((*row.judgement.details, *row.named.details)):
            print(f"{name}: {line}", file=sys.stderr)


def _list(rows: Mapping[str, Row], head: str, of: Callable[[Row], dict[str, str]]) -> None:
    """Print what cannot be done, and why; what an exporter cannot do once, and not for each tool."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, row in rows.items():
        for label, reason in of(row).items():
            who = "(export)" if reason.startswith(ExportError.__name__) else name
            labels = found.setdefault((who, reason), [])
            if label not in labels:
                labels.append(label)
    print(f"\n| tool | {head} | reason |\n|-|-|-|")
    for (name, reason), labels in found.items():
        print(f"| {name} | {', '.join(labels)} | {reason.replace('|', ' ')} |")
