"""Many files that were counted or re-tagged together: a report for each, or why there is none."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass

from onnx_tagger.model.metadata import Source
from onnx_tagger.model.report import Report, shown_share
from onnx_tagger.model.texts import brief, brief_fields, counted


@dataclass(frozen=True, slots=True)
class FileCount:
    """One file.

    Attributes
    ----------
    file : str
        As the caller named it.
    report : Report or None
        None if the file cannot be read.
    error : str
        A sentence that says why not; else empty.
    target : str or None
        The file that was written, if one was.
    """

    file: str
    report: Report | None
    error: str = ""
    target: str | None = None

    __repr__ = brief_fields

    @property
    def headline(self) -> str:
        """A line with what was counted, or what is wrong."""
        if self.report is None:
            return self.error if self.error.startswith(self.file) else f"{self.file}: {self.error}"
        return f"{self.target or self.file}: {self.report.split()}"

    def as_dict(self) -> dict[str, object]:
        """The file as plain values: its name, what was written, what is wrong, and the report's."""
        known = self.report.as_dict() if self.report is not None else {}
        return {"file": self.file, "target": self.target, "error": self.error or None, **known}


@dataclass(frozen=True)
class FileCounts:
    """All files of a run.

    Parameters
    ----------
    files : tuple of FileCount
    """

    files: tuple[FileCount, ...]

    def __repr__(self) -> str:
        return brief(self, counted(len(self.files), "file"))

    @property
    def ok(self) -> bool:
        """Whether there is a report for each file."""
        return all(each.report is not None for each in self.files)

    @property
    def headline(self) -> str:
        """A line over all files."""
        reports = [each.report for each in self.files if each.report is not None]
        lost = len(self.files) - len(reports)
        nodes, tagged = sum(each.nodes for each in reports), sum(each.tagged for each in reports)
        sources: Counter[str] = Counter()
        for each in reports:
            sources.update(each.by_source)
        split = ", ".join(f"{source.label} {sources[source.label]}" for source in Source if sources[source.label])
        failed = f", of which {lost} cannot be read" if lost else ""
        shown = f"{shown_share(tagged, nodes)} of {nodes} nodes tagged" + (f" ({split})" if split else "")
        return f"{counted(len(self.files), 'file')}{failed}: {shown}"

    def to_json(self) -> str:
        """All files as JSON text."""
        return json.dumps(
            {"ok": self.ok, "files": [each.as_dict() for each in self.files]}, ensure_ascii=False, indent=1
        )
