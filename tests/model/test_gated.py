"""Many files: what is said over all of them."""

from __future__ import annotations

import json

from examples.verdicts import report_of
from onnx_tagger.model.findings import UNREADABLE, UNTAGGED, Finding
from onnx_tagger.model.gated import Gated, Judged

GOOD = Judged("a.onnx", report_of(exported=4))
BAD = Judged("b.onnx", report_of(untagged=("main#1 Add",)), (Finding(UNTAGGED, "b.onnx", "x", "main#1 Add"),))
LOST = Judged("c.onnx", None, (Finding(UNREADABLE, "c.onnx", "c.onnx: no such file"),))


def test_headlines() -> None:
    assert GOOD.headline == "a.onnx: ok, 100 % of 4 nodes tagged (exported 4)"
    assert LOST.headline == "c.onnx: cannot be read"
    assert Gated((GOOD,)).headline == "1 file: all ok, 100 % of 4 nodes tagged"
    gated = Gated((GOOD, BAD, LOST))
    assert gated.headline == "3 files: 2 failed (2 findings), 87.5 % of 8 nodes tagged"
    assert (gated.ok, gated.by_rule()) == (False, {"OT001": 1, "OT006": 1})


def test_a_rule_that_is_left_out_does_not_fail() -> None:
    assert BAD.without({"OT001"}).ok
    assert not BAD.without({"OT002"}).ok


def test_json_has_each_report_and_a_finding_for_a_file_without() -> None:
    shape = json.loads(Gated((GOOD, LOST)).to_json())
    good, lost = shape["files"]
    assert (good["file"], good["ok"], good["nodes"], good["findings"]) == ("a.onnx", True, 4, [])
    assert lost["findings"][0]["rule"] == "OT006"
    assert "nodes" not in lost
