"""The rows of a fleet added up: by producer, by architecture, and what falls short. How that looks is for reporters."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from onnx_tagger.model.fleet import Row
from onnx_tagger.model.texts import brief, counted

# Files that are named for each rule, and errors that are spelled out.
_EXAMPLES, _ERRORS = 3, 20


@dataclass
class Group:
    """Files that have something in common.

    Attributes
    ----------
    files, short, unreadable : int
        Of all, those that fall short in something, and those of these that cannot be read.
    nodes, tagged : int
    by_source : dict
        Tagged nodes by source.
    seconds : float
        Of all files together.
    """

    files: int = 0
    short: int = 0
    unreadable: int = 0
    nodes: int = 0
    tagged: int = 0
    by_source: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def __repr__(self) -> str:
        return brief(self, counted(self.files, "file"), f"{self.short} fall short")

    def add(self, row: Row) -> None:
        """Count one more file."""
        self.files += 1
        self.short += not row.ok
        self.unreadable += row.error is not None
        self.nodes += row.nodes or 0
        self.tagged += row.tagged or 0
        self.seconds += row.seconds
        for source, number in row.by_source.items():
            self.by_source[source] = self.by_source.get(source, 0) + number

    @property
    def coverage(self) -> float:
        """Share of nodes with a tag, 0 to 100; 100 where there are none."""
        return 100.0 * self.tagged / self.nodes if self.nodes else 100.0

    def as_dict(self) -> dict[str, object]:
        """The counts as plain values."""
        return {
            "files": self.files,
            "short": self.short,
            "unreadable": self.unreadable,
            "nodes": self.nodes,
            "tagged": self.tagged,
            "coverage": self.coverage,
            "by_source": self.by_source,
            "seconds": round(self.seconds, 3),
        }


@dataclass
class Summary:
    """A fleet in a few numbers.

    Attributes
    ----------
    whole : Group
        All files.
    producers, architectures : dict
        Name to its files; an empty name for those that do not say.
    rules : dict
        Id of a rule to the number of its findings, of the files that have any, and the first of these.
    errors : list of (str, str)
        The first files that cannot be read, and why.
    """

    whole: Group = field(default_factory=Group)
    producers: dict[str, Group] = field(default_factory=dict)
    architectures: dict[str, Group] = field(default_factory=dict)
    rules: dict[str, tuple[int, int, list[str]]] = field(default_factory=dict)
    errors: list[tuple[str, str]] = field(default_factory=list)

    def __repr__(self) -> str:
        return brief(self, counted(self.whole.files, "file"), f"{self.whole.short} fall short")

    @classmethod
    def of(cls, rows: Iterable[Row]) -> Summary:
        """Add up rows, one of which is held at a time."""
        made = cls()
        for row in rows:
            made._add(row)
        for groups in (made.producers, made.architectures):
            ordered = sorted(groups.items(), key=lambda item: (-item[1].files, item[0]))
            groups.clear()
            groups.update(ordered)
        made.rules = dict(sorted(made.rules.items()))
        return made

    @property
    def ok(self) -> bool:
        """Whether no file falls short."""
        return not self.whole.short

    def _add(self, row: Row) -> None:
        self.whole.add(row)
        # Versions make too many groups to look at.
        self.producers.setdefault((row.producer or "").split(" ")[0], Group()).add(row)
        self.architectures.setdefault(row.architecture or "", Group()).add(row)
        for rule, number in row.by_rule.items():
            findings, files, first = self.rules.get(rule, (0, 0, []))
            self.rules[rule] = (findings + number, files + 1, [*first, row.url][:_EXAMPLES])
        if row.error is not None and len(self.errors) < _ERRORS:
            self.errors.append((row.url, row.error))

    def to_json(self) -> str:
        """All of it as JSON text."""
        return json.dumps(
            {
                "ok": self.ok,
                **self.whole.as_dict(),
                "by_producer": {name: group.as_dict() for name, group in self.producers.items()},
                "by_architecture": {name: group.as_dict() for name, group in self.architectures.items()},
                "by_rule": {
                    rule: {"findings": findings, "files": files, "first": first}
                    for rule, (findings, files, first) in self.rules.items()
                },
                "errors": [{"url": url, "error": error} for url, error in self.errors],
            },
            ensure_ascii=False,
            indent=1,
        )
