"""What holds for every form of a verdict: machines can read it, and no text in a model breaks it."""

import json
import xml.etree.ElementTree as ET

from hypothesis import given, strategies as st

from examples.verdicts import rendered, report_of
from onnx_tagger.model.report import Limits
from onnx_tagger.reporters import VERDICT_FORMS


@given(st.text(), st.text(st.characters(exclude_categories=[])))
def test_no_text_breaks_a_form(file: str, name: str) -> None:
    report = report_of(untagged=(f"main#0 {name}", name), problems=(f"main#1 {name} has a problem",))
    limits = Limits()
    texts = {form: rendered(form, file, report, limits) for form in VERDICT_FORMS}
    assert json.loads(texts["json"])["untagged"] == report.untagged
    assert ET.fromstring(texts["junit"].encode()).get("failures") == "3"
    assert len(texts["github"].splitlines()) == 3 + 1
    (run,) = json.loads(texts["sarif"])["runs"]
    assert sum(each["properties"]["nodes"] for each in run["results"]) == 3
    for line in (*texts["text"].splitlines()[1:], *texts["github"].splitlines()):
        assert line.isprintable()
