"""A verdict as JUnit XML: one suite with a case for each graph and for each limit."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import TextIO

from onnx_tagger.model.verdict import Verdict, id_of
from onnx_tagger.reporters.terminal import counted, printable, shortened

_SHOWN = 1000

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(verdict: Verdict, out: TextIO) -> None:
    """Write one suite with a case for each graph and for each limit."""
    by_graph: dict[str, list[str]] = {graph: [] for graph in verdict.report.by_graph or ["main"]}
    other: list[str] = []
    for text in verdict.single:
        by_graph.get(id_of(text, by_graph)[0], other).append(text)
    if other:
        by_graph[""] = other
    suite = ET.Element("testsuite", name=xml_text(f"onnx-tagger check {verdict.file}"), errors="0", skipped="0")
    for graph, texts in by_graph.items():
        _case(suite, graph or "whole model", f"{counted(len(texts), 'node')} of it fall short", texts)
    for name, sentence in verdict.limits.items():
        _case(suite, name, sentence, [sentence] if sentence else [])
    cases = list(suite)
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(len(case) for case in cases)))
    ET.indent(suite)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n")


def _case(suite: ET.Element, name: str, message: str, texts: Sequence[str]) -> None:
    case = ET.SubElement(suite, "testcase", classname="onnx-tagger.check", name=xml_text(shortened(name)), time="0")
    if texts:
        shown = list(texts[:_SHOWN])
        if len(texts) > len(shown):
            shown.append(f"and {len(texts) - len(shown)} more")
        failure = ET.SubElement(case, "failure", message=xml_text(shortened(message)), type="onnx-tagger.coverage")
        failure.text = "\n".join(xml_text(shortened(line)) for line in shown)


def xml_text(text: str) -> str:
    """Make a text fit for XML 1.0, which cannot hold every character, and for the page that shows it to people.

    ElementTree escapes what means something in XML.
    """
    return _NOT_XML.sub("", printable(text))
