"""The fuzzer's seeds and findings, run once each without the fuzzer, and random changes of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, strategies as st

ROOT = Path(__file__).resolve().parent.parent
SEEDS = sorted(path for path in (ROOT / "fixtures" / "fuzz").glob("*/*"))


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fuzzing", ROOT / "tests" / "fuzzing.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FUZZING = load()


def test_each_target_has_seeds() -> None:
    assert {path.parent.name for path in SEEDS} == set(FUZZING.TARGETS)
    assert sum(path.stat().st_size for path in SEEDS) < 100_000


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_seeds_and_findings(seed: Path) -> None:
    FUZZING.TARGETS[seed.parent.name](seed.read_bytes())


@given(seed=st.sampled_from(SEEDS), data=st.data())
def test_changed_seeds(seed: Path, data: st.DataObject) -> None:
    content = seed.read_bytes()
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, min(len(content), start + 20)))
    put = data.draw(
        st.binary(max_size=12) | st.sampled_from([b"\xff" * 10, b"\x80" * 5, b"[", b'"', b"\\", b"9" * 400])
    )
    FUZZING.TARGETS[seed.parent.name](content[:start] + put + content[stop:])
