"""Modules of real models as functions: equal in onnxruntime, equal again when they are made flat."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from functions import LEVELS, Row, files_of, judge

GOOD = ("checker", "equal", "check", "tree", "flat")


def judged(name: str, strategy: str, folder: Path) -> dict[str, Row]:
    rows = {}
    for kind, path in files_of(name, strategy, folder):
        rows[kind] = Row()
        judge(path, rows[kind])
    return rows


def test_a_model_of_every_kind_of_call(tmp_path: Path) -> None:
    rows = judged("nested_reuse", "htp", tmp_path)
    assert set(rows) == {"fresh", *LEVELS}
    for row in rows.values():
        assert {good: row.good[good] for good in GOOD} == dict.fromkeys(GOOD, 1)
        assert row.functions


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fx", "htp"])
@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "t5", "whisper", "resnet", "swin", "albert", "unet", "lstm"])
def test_real_models(name: str, strategy: str, tmp_path: Path) -> None:
    for kind, row in judged(name, strategy, tmp_path).items():
        assert {good: row.good[good] for good in GOOD} == dict.fromkeys(GOOD, 1), kind
        assert row.nodes_after < row.nodes
