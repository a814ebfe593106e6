"""Many files that were checked together: what was found in each, and whether all hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property

from onnx_tagger.model.findings import UNREADABLE, Finding
from onnx_tagger.model.report import Report, shown_share
from onnx_tagger.model.texts import brief, brief_fields, counted


@dataclass(frozen=True, slots=True)
class Judged:
    """One file of those that were checked.

    Attributes
    ----------
    file : str
        As the caller named it.
    report : Report or None
        None if the file cannot be read.
    findings : tuple of Finding
        Those of the rules that were asked for.
    """

    file: str
    report: Report | None
    findings: tuple[Finding, ...] = ()

    __repr__ = brief_fields

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    @property
    def headline(self) -> str:
        """A line that says whether the file holds, and what was counted."""
        if self.report is None:
            read = all(each.rule is not UNREADABLE for each in self.findings)
            return f"{self.file}: {counted(len(self.findings), 'finding') if read else 'cannot be read'}"
        found = "ok" if self.ok else f"failed ({counted(len(self.findings), 'finding')})"
        return f"{self.file}: {found}, {self.report.split()}"

    def without(self, ids: Collection[str]) -> Judged:
        """The same without the findings of some rules."""
        return Judged(self.file, self.report, tuple(each for each in self.findings if each.rule.id not in ids))

    def as_dict(self) -> dict[str, object]:
        """The file as plain values: its name, and the report's, of which nothing is known where it cannot be read."""
        known = self.report.as_dict() if self.report is not None else {}
        return {"file": self.file, **known, "ok": self.ok, "findings": [each.as_dict() for each in self.findings]}


@dataclass(frozen=True)
class Gated:
    """All files of a check.

    Parameters
    ----------
    files : tuple of Judged
    notes : tuple of str
        Sentences about all of them that fail nothing.
    """

    files: tuple[Judged, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return brief(self, counted(len(self.files), "file"), counted(len(self.findings), "finding"))

    @property
    def ok(self) -> bool:
        """Whether nothing was found in any file."""
        return all(file.ok for file in self.files)

    @cached_property
    def findings(self) -> list[Finding]:
        """Those of all files, in their order."""
        return [each for file in self.files for each in file.findings]

    def by_rule(self) -> Mapping[str, int]:
        """Rule id to number of findings, in order of the id."""
        return dict(sorted(Counter(each.rule.id for each in self.findings).items()))

    @property
    def headline(self) -> str:
        """A line over all files."""
        reports = [file.report for file in self.files if file.report is not None]
        nodes, tagged = sum(each.nodes for each in reports), sum(each.tagged for each in reports)
        failed = sum(not file.ok for file in self.files)
        end = f"{failed} failed ({counted(len(self.findings), 'finding')})" if failed else "all ok"
        return f"{counted(len(self.files), 'file')}: {end}, {shown_share(tagged, nodes)} of {nodes} nodes tagged"

    def to_json(self) -> str:
        """All files as JSON text."""
        files = [file.as_dict() for file in self.files]
        shape = {"ok": self.ok, "by_rule": self.by_rule(), "notes": self.notes, "files": files}
        return json.dumps(shape, ensure_ascii=False, indent=1)
