"""The forms in which `check` gives its verdict: text for people, json, junit and github for machines.

Texts from the model are escaped as each form asks for it. What is checked is decided in `checking` and `report`.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from onnx_tagger.model.report import Limits, Report
from onnx_tagger.reporters.terminal import counted, printable, shortened

# What a person reads; the machine-readable forms hold more.
_SHOWN_IN_TEXT = 20
_SHOWN_IN_JUNIT = 1000
_SHOWN_IN_GITHUB = 50

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_POSITION = re.compile(r"#\d+ ")


@dataclass(frozen=True, slots=True)
class Verdict:
    """A report, taken apart by what was asked for.

    Attributes
    ----------
    report : Report
    limits : dict
        Each limit as a phrase, to the sentence that says why it does not hold, or an empty string.
    problems : list of str
        Sentences about single nodes whose tags do not hold; each begins with the node's id.
    missing : list of str
        Ids of the other nodes without a tag, if there may not be as many.
    """

    report: Report
    limits: dict[str, str]
    problems: list[str]
    missing: list[str]

    @classmethod
    def of(cls, report: Report, limits: Limits) -> Verdict:
        """Take a report apart; `limits` are those that it was judged by."""
        free = Limits(min_coverage=0.0, max_root=report.nodes)
        coverage = f"min-coverage {limits.min_coverage:g}"
        single = {
            coverage: replace(free, min_coverage=limits.min_coverage),
            f"max-root {limits.max_root}": replace(free, max_root=limits.max_root),
        }
        if limits.max_inherited is not None:
            single[f"max-inherited {limits.max_inherited}"] = replace(free, max_inherited=limits.max_inherited)
        found = {name: _sentence(report, limit) for name, limit in single.items()}
        judged = set(found.values())
        problems = [text for text in report.failures if text not in judged]
        missing: list[str] = []
        if found[coverage]:
            told = {_id_of(text, report.by_graph) for text in problems}
            missing = [label for label in report.untagged if _id_of(label, report.by_graph) not in told]
        return cls(report, found, problems, missing)

    @property
    def broken(self) -> list[str]:
        """The sentences of the limits that do not hold."""
        return [sentence for sentence in self.limits.values() if sentence]


def _sentence(report: Report, limits: Limits) -> str:
    probe = replace(report, failures=[])
    probe.judge(limits)
    return "; ".join(probe.failures)


def _id_of(text: str, graphs: Collection[str]) -> tuple[str, str]:
    """Graph and position that a sentence begins with; a graph's name may hold anything, so the known ones decide."""
    for found in _POSITION.finditer(text):
        if text[: found.start()] in graphs:
            return text[: found.start()], found.group()
    return "", text


def as_text(file: str, report: Report, limits: Limits) -> str:
    """A line that says whether the check holds, then the first nodes and limits that fall short."""
    verdict = Verdict.of(report, limits)
    lines = [_headline(file, report)]
    lines += [f"  {sentence}" for sentence in verdict.broken]
    single = [*verdict.problems, *(f"{label} has no tag" for label in verdict.missing)]
    lines += [f"  {text}" for text in single[:_SHOWN_IN_TEXT]]
    if len(single) > _SHOWN_IN_TEXT:
        lines.append(f"  and {len(single) - _SHOWN_IN_TEXT} more nodes; --format json lists all")
    return "\n".join(printable(shortened(line)) for line in lines)


def _headline(file: str, report: Report) -> str:
    verdict = "ok" if report.ok else f"failed ({counted(len(report.failures), 'failure')})"
    return f"{file}: {verdict}, {report.split()}"


def json_text(report: Report) -> str:
    """The report in the shape that `--report`, `stats --json` and `check --format json` share, safe to print."""
    # JSON itself asks for escapes below U+0020 alone; those above steer a terminal as well.
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in report.to_json())


def as_json(file: str, report: Report, limits: Limits) -> str:
    """The report as it is."""
    return json_text(report)


def as_junit(file: str, report: Report, limits: Limits) -> str:
    """One suite with a case for each graph and for each limit."""
    verdict = Verdict.of(report, limits)
    by_graph: dict[str, list[str]] = {graph: [] for graph in report.by_graph or ["main"]}
    other: list[str] = []
    for text in [*verdict.problems, *(f"{label} has no tag" for label in verdict.missing)]:
        by_graph.get(_id_of(text, by_graph)[0], other).append(text)
    if other:
        by_graph[""] = other
    suite = ET.Element("testsuite", name=_xml(f"onnx-tagger check {file}"), errors="0", skipped="0")
    for graph, texts in by_graph.items():
        _case(suite, graph or "whole model", f"{counted(len(texts), 'node')} of it fall short", texts)
    for name, sentence in verdict.limits.items():
        _case(suite, name, sentence, [sentence] if sentence else [])
    cases = list(suite)
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(len(case) for case in cases)))
    ET.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode")


def _case(suite: ET.Element, name: str, message: str, texts: Sequence[str]) -> None:
    case = ET.SubElement(suite, "testcase", classname="onnx-tagger.check", name=_xml(shortened(name)), time="0")
    if texts:
        shown = list(texts[:_SHOWN_IN_JUNIT])
        if len(texts) > len(shown):
            shown.append(f"and {len(texts) - len(shown)} more")
        failure = ET.SubElement(case, "failure", message=_xml(shortened(message)), type="onnx-tagger.coverage")
        failure.text = "\n".join(_xml(shortened(line)) for line in shown)


def _xml(text: str) -> str:
    """Make a text fit for XML 1.0, which cannot hold every character, and for the page that shows it to people.

    ElementTree escapes what means something in XML.
    """
    return _NOT_XML.sub("", printable(text))


def as_github(file: str, report: Report, limits: Limits) -> str:
    """Workflow commands: an error for each limit and node that falls short, up to 50, and a summary."""
    if report.ok:
        return _annotation("notice", file, "onnx-tagger check", _headline(file, report))
    verdict = Verdict.of(report, limits)
    texts = [*verdict.broken, *verdict.problems, *(f"{label} has no tag" for label in verdict.missing)]
    lines = [_annotation("error", file, "onnx-tagger check", text) for text in texts[:_SHOWN_IN_GITHUB]]
    more = f"; {len(texts) - _SHOWN_IN_GITHUB} more are not shown" if len(texts) > _SHOWN_IN_GITHUB else ""
    lines.append(_annotation("error", file, "onnx-tagger check: summary", _headline(file, report) + more))
    return "\n".join(lines)


def _annotation(level: str, file: str, title: str, message: str) -> str:
    return f"::{level} file={_property(file)},title={_property(title)}::{_data(shortened(message))}"


def _data(text: str) -> str:
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return printable(escaped)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


FORMATS: dict[str, Callable[[str, Report, Limits], str]] = {
    "text": as_text,
    "json": as_json,
    "junit": as_junit,
    "github": as_github,
}
