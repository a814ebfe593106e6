"""Tables of what quantising costs and of what was quantised."""

from __future__ import annotations

import pytest

from onnx_tagger.measures.quantising import ModuleNoise, ModulePrecision, Quantized, Sensitivity, Variant
from onnx_tagger.reporters.quantising.text import show_quantized, show_sensitivity
from onnx_tagger.reporters.terminal import Screen


def test_a_row_for_each_module(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        ModuleNoise(module=name, nodes=1, weights=10, noise=0.01, sqnr=20.0, share=share)
        for name, share in (("head\x1b[31m", 0.75), ("", 0.25))
    ]
    found = Sensitivity(
        model="m",
        data="d",
        how="inject",
        samples=1,
        modules=tuple(rows),
        all_sqnr=17.0,
        predicted_sqnr=17.5,
        notes=("random",),
    )
    show_sensitivity(Screen(), found)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert "75.0 %" in lines[1]
    assert "100.0 %" in lines[2]
    assert lines[2].startswith("(root)")
    assert lines[3] == "all 2 modules quantised: 17.0 dB found, 17.5 dB if noise adds up (inject, 1 sample of d)"
    assert "\x1b" not in out
    assert err == "note: random\n"


def test_what_was_tried_and_what_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    found = Quantized(
        model="m",
        output="q.onnx",
        data="d",
        modules=(ModulePrecision("a", "int8", 1), ModulePrecision("b", "fp32", 1)),
        variants=(
            Variant(way="static qdq entropy", error="too many bins"),
            Variant(way="static qdq minmax", kept=("b",), sqnr=20.0, predicted=19.0, bytes=10**6),
        ),
        coverage=99.98,
        mended=2,
        failures=("it is too loud",),
    )
    show_quantized(Screen(), found)
    out = capsys.readouterr().out
    assert "static qdq entropy failed: too many bins" in out
    assert "quantised: 1 module; kept in float: b" in out
    assert "2 inputs of kept modules read their tensors again" in out
    assert "missed: it is too loud" in out
    assert "99.9 % of its nodes" in out
