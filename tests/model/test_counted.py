"""Many files that were counted."""

import json

from onnx_tagger.model.counted import FileCount, FileCounts
from onnx_tagger.model.report import Report

REPORT = Report(nodes=4, tagged=3)
REPORT.by_source["matched"] = 3


def test_headlines() -> None:
    good, bad = FileCount("a.onnx", REPORT, target="out/a.onnx"), FileCount("b.onnx", None, "b.onnx is empty")
    assert good.headline == "out/a.onnx: 75 % of 4 nodes tagged (matched 3)".replace("75 %", "75.0 %")
    assert bad.headline == "b.onnx is empty"
    counts = FileCounts((good, bad))
    assert counts.headline == "2 files, of which 1 cannot be read: 75.0 % of 4 nodes tagged (matched 3)"
    assert (counts.ok, FileCounts((good,)).ok) == (False, True)
    files = json.loads(counts.to_json())["files"]
    assert [(each["file"], each["target"], each["error"]) for each in files] == [
        ("a.onnx", "out/a.onnx", None),
        ("b.onnx", None, "b.onnx is empty"),
    ]
    assert repr(counts) == "<FileCounts 2 files>"
