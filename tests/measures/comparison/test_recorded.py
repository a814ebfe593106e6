"""Recordings: what they hold, their files, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.comparison.recorded import Port, Recording, Shelf, is_recording


def recording() -> Recording:
    shelf = Shelf()
    taken, given = shelf.add(np.arange(6.0).reshape(2, 3)), shelf.add(np.ones((2, 3), dtype=np.float32))
    ports = [Port("a@1.b", "in", taken), Port("a@1.b", "out", given), Port("", "out", given)]
    return Recording(shelf, ports, {"a@1.b": (0, 4)}, {"x": np.arange(3)}, {"y": given}, "a test")


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    before = recording()
    before.save(tmp_path / "r.npz")
    after = Recording.load(tmp_path / "r.npz")
    assert is_recording(tmp_path / "r.npz")
    assert (after.ports, after.spans, after.tensors, after.created_by) == (
        before.ports,
        before.spans,
        before.tensors,
        "a test",
    )
    assert after.calls == ["a@1.b", ""]
    for one, other in zip(before.values, after.values, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(after.inputs["x"], np.arange(3))


def test_what_memory_should_not_hold_lies_in_files() -> None:
    shelf = Shelf(in_memory=100)
    arrays = [np.full(10, float(value)) for value in range(5)]
    assert [shelf.add(array) for array in arrays] == [0, 1, 2, 3, 4]
    assert shelf[4] is not shelf[4]
    assert shelf[0] is shelf[0]
    assert all(np.array_equal(shelf[place], array) for place, array in enumerate(arrays))


def test_what_is_kept_does_not_change_with_its_original() -> None:
    shelf, array = Shelf(), np.zeros(3)
    shelf.add(array)
    array += 1
    assert not shelf[0].any()


@pytest.mark.parametrize("name", ["missing.npz", "text.npz", "other.npz", "folder"])
def test_a_file_that_is_no_recording(name: str, tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("no archive")
    (tmp_path / "folder").mkdir()
    np.savez(tmp_path / "other.npz", x=np.ones(3))
    assert not is_recording(tmp_path / name)
    with pytest.raises(TaggerError, match="cannot be read as a recording"):
        Recording.load(tmp_path / name)


def test_a_recording_without_its_values_is_damaged(tmp_path: Path) -> None:
    recording().save(tmp_path / "r.npz")
    with np.load(tmp_path / "r.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "value_1"}
    np.savez(tmp_path / "r.npz", **arrays)
    with pytest.raises(TaggerError, match="cannot be read as a recording"):
        Recording.load(tmp_path / "r.npz")
