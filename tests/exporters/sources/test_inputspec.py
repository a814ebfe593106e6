"""Spec files: entries that are refused, and tensors that are described and made again."""

import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from onnx_tagger.errors import SourceError
from onnx_tagger.exporters.sources.inputspec import read_spec, spec_of, spec_tensors


def spec_file(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"dtype": "int64"}, "shape"),
        ({"dtype": "int", "shape": [2]}, "dtype"),
        ({"dtype": "int64", "shape": [2], "size": 3}, "size"),
        ({"dtype": "int64", "shape": [-1, 2]}, "shape.0"),
        ({"dtype": "int64", "shape": [0]}, "shape.0"),
        ({"dtype": "int64", "shape": ["batch"]}, "shape.0"),
        ({"dtype": "int64", "shape": [1] * 9}, "shape"),
        ({"dtype": "int64", "shape": [2**20, 2**20]}, "more than"),
        ({"dtype": "int64", "shape": [2], "range": [3, 3]}, "empty"),
        ({"dtype": "int64", "shape": [2], "range": [0, 1.5]}, "integers"),
        ({"dtype": "uint8", "shape": [2], "range": [0, 999]}, "does not fit"),
        ({"dtype": "int64", "shape": [2], "range": [0, 1], "values": 0}, "both"),
        ({"dtype": "int64", "shape": [2], "values": 0.5}, "does not fit"),
        ({"dtype": "int8", "shape": [2], "values": 1000}, "value"),
        ({"dtype": "bool", "shape": [2], "values": 2}, "does not fit"),
        ({"dtype": "float32", "shape": [2], "values": [1, "a"]}, "does not fit"),
        ({"dtype": "int64", "shape": [2, 2], "values": [[1, 2], [3]]}, "nested list"),
        ({"dtype": "int64", "shape": [2.0]}, "shape.0"),
        ({"dtype": "int64", "shape": [True]}, "shape.0"),
        ({"dtype": "int64", "shape": [10**30]}, "more than"),
        ({"dtype": "float32", "shape": [2], "range": [0, 1, 2]}, "range"),
        ({"dtype": "float32", "shape": [2], "range": [0, True]}, "range.1"),
        ({"dtype": "float32", "shape": [2], "values": "1"}, "values"),
        ([2, 8], "entry"),
    ],
)
def test_spec_entries_that_are_refused(tmp_path, entry, says):
    path = spec_file(tmp_path, {"input_ids": entry})
    with pytest.raises(SourceError, match="'input_ids'") as caught:
        spec_tensors(read_spec(path), 0, str(path))
    assert says in str(caught.value)
    assert "an input takes 'dtype' (bool, uint8" in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[]", '{"a": null, "a": null}', '{"a": NaN}', "[" * 100_000, "\x00"])
def test_spec_files_that_are_refused(tmp_path, content):
    with pytest.raises(SourceError, match="spec"):
        read_spec(spec_file(tmp_path, content))
    with pytest.raises(SourceError, match="spec"):
        read_spec(tmp_path / "absent.json")


@pytest.mark.parametrize(
    "content", [r'{"x": {"dtype": "\ud800", "shape": [2]}}', r'{"x": {"dtype": "bool", "shape": [2], "\udfff": 1}}']
)
def test_text_that_is_half_a_character_is_refused(tmp_path, content):
    with pytest.raises(SourceError, match="'x', entry: a text is not valid"):
        read_spec(spec_file(tmp_path, content))


@pytest.mark.parametrize("numbers", ['"range": [0, 1e999]', '"values": -1e999'])
def test_numbers_that_are_not_finite_are_refused(tmp_path, numbers):
    """Which JSON cannot spell, but which too large an exponent gives."""
    with pytest.raises(SourceError, match=r"'x', entry: .*not finite"):
        read_spec(spec_file(tmp_path, f'{{"x": {{"dtype": "float32", "shape": [2], {numbers}}}}}'))


@given(
    st.sampled_from(["bool", "uint8", "int16", "int64", "float16", "float32"]),
    st.lists(st.integers(1, 4), max_size=3),
    st.integers(0, 50),
)
def test_spec_of_describes_tensors_that_it_gives_back(tmp_path_factory, dtype, shape, seed):
    path = spec_file(tmp_path_factory.mktemp("spec"), {"x": {"dtype": dtype, "shape": shape}})
    first = spec_tensors(read_spec(path), seed, "test")
    again = spec_tensors(read_spec(spec_file(path.parent, spec_of(first))), seed, "test")
    assert first["x"].dtype is again["x"].dtype
    assert list(first["x"].shape) == list(again["x"].shape) == shape
    if not first["x"].is_floating_point():
        assert again["x"].min() >= first["x"].min()
        assert again["x"].max() <= first["x"].max()
