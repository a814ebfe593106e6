"""The verdict of a check: a report, taken apart by the limits that it was judged by. How it looks is for reporters."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

from onnx_tagger.model.report import Limits, Report
from onnx_tagger.model.texts import brief_fields

_POSITION = re.compile(r"#\d+ ")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A report, taken apart by what was asked for.

    Attributes
    ----------
    file : str
        Name of the file, as the caller gave it.
    report : Report
    limits : dict
        Each limit as a phrase, to the sentence that says why it does not hold, or an empty string.
    problems : list of str
        Sentences about single nodes whose tags do not hold; each begins with the node's id.
    missing : list of str
        Ids of the other nodes without a tag, if there may not be as many.
    """

    file: str
    report: Report
    limits: dict[str, str]
    problems: list[str]
    missing: list[str]

    __repr__ = brief_fields

    @classmethod
    def of(cls, file: str, report: Report, limits: Limits) -> Verdict:
        """Take a report apart; `limits` are those that it was judged by."""
        free = Limits(min_coverage=0.0, max_root=report.nodes)
        coverage = f"min-coverage {limits.min_coverage:g}"
        single = {
            coverage: replace(free, min_coverage=limits.min_coverage),
            f"max-root {limits.max_root}": replace(free, max_root=limits.max_root),
        }
        if limits.max_inherited is not None:
            single[f"max-inherited {limits.max_inherited}"] = replace(free, max_inherited=limits.max_inherited)
        if limits.max_named is not None:
            single[f"max-named {limits.max_named}"] = replace(free, max_named=limits.max_named)
        if limits.min_evidence is not None:
            single[f"min-evidence {limits.min_evidence.label}"] = replace(free, min_evidence=limits.min_evidence)
        found = {name: _sentence(report, limit) for name, limit in single.items()}
        judged = set(found.values())
        problems = [text for text in report.failures if text not in judged]
        missing: list[str] = []
        if found[coverage]:
            told = {id_of(text, report.by_graph) for text in problems}
            missing = [label for label in report.untagged if id_of(label, report.by_graph) not in told]
        return cls(file, report, found, problems, missing)

    def to_json(self) -> str:
        """The report as JSON text."""
        return self.report.to_json()

    @property
    def single(self) -> list[str]:
        """A sentence for each single node that falls short."""
        return [*self.problems, *(f"{label} has no tag" for label in self.missing)]

    @property
    def headline(self) -> str:
        """A line that says whether the check holds, and what was counted."""
        count = len(self.report.failures)
        found = "ok" if self.report.ok else f"failed ({count} failure{'' if count == 1 else 's'})"
        return f"{self.file}: {found}, {self.report.split()}"

    @property
    def broken(self) -> list[str]:
        """The sentences of the limits that do not hold."""
        return [sentence for sentence in self.limits.values() if sentence]


def _sentence(report: Report, limits: Limits) -> str:
    probe = replace(report, failures=[])
    probe.judge(limits)
    return "; ".join(probe.failures)


def id_of(text: str, graphs: Collection[str]) -> tuple[str, str]:
    """Graph and position that a sentence begins with; a graph's name may hold anything, so the known ones decide."""
    for found in _POSITION.finditer(text):
        if text[: found.start()] in graphs:
            return text[: found.start()], found.group()
    return "", text
