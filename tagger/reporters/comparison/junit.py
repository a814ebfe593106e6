"""A comparison as JUnit XML: a case for each module, skipped where no tensor shows it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TextIO

from onnx_tagger.measures.comparison.comparison import Comparison
from onnx_tagger.reporters.comparison.text import headline, shown_rows
from onnx_tagger.reporters.junit import xml_text


def render(comparison: Comparison, out: TextIO) -> None:
    """Write one suite with a case for each module that ran, and one for the file's outputs."""
    suite = ET.Element("testsuite", name=xml_text(f"onnx-tagger compare {comparison.file}"), errors="0")
    bad = comparison.bad
    sentences = {text.partition(": ")[0]: text for text in comparison.failures}
    for row, _, status in shown_rows(comparison):
        assert row.module is not None
        case = _case(suite, row.module.shown)
        if status == "differs":
            _failure(case, sentences.get(row.module.path or "(root)", "a module in it differs"))
    for module, why in comparison.hidden.items():
        ET.SubElement(_case(suite, module or "(root)"), "skipped", message=xml_text(why))
    whole = _case(suite, "the file as a whole")
    if not comparison.ok and not bad:
        _failure(whole, "; ".join(comparison.failures))
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(comparison.hidden)))
    ET.SubElement(suite, "system-out").text = xml_text(headline(comparison))
    ET.indent(suite)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n")


def _case(suite: ET.Element, name: str) -> ET.Element:
    return ET.SubElement(suite, "testcase", classname="onnx-tagger.compare", name=xml_text(name), time="0")


def _failure(case: ET.Element, sentence: str) -> None:
    ET.SubElement(case, "failure", message=xml_text(sentence), type="onnx-tagger.difference")
