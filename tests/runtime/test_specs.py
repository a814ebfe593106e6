"""Input specs without torch: the same files as exporting takes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime.specs import spec_feeds


def written(folder: Path, **specs: object) -> Path:
    path = folder / "spec.json"
    path.write_text(json.dumps(specs))
    return path


def test_values_of_each_kind(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        ids={"dtype": "int64", "shape": [2, 8], "range": [5, 9]},
        mask={"dtype": "bool", "shape": [2, 8], "values": True},
        pixels={"dtype": "float16", "shape": [1, 3, 4, 4]},
        scale={"dtype": "float32", "shape": [2], "values": [1, 2.5]},
        spread={"dtype": "float64", "shape": [100], "range": [2, 3]},
        left_out=None,
    )
    found = spec_feeds(path, 3)
    assert {name: (value.dtype.name, value.shape) for name, value in found.items()} == {
        "ids": ("int64", (2, 8)),
        "mask": ("bool", (2, 8)),
        "pixels": ("float16", (1, 3, 4, 4)),
        "scale": ("float32", (2,)),
        "spread": ("float64", (100,)),
    }
    assert set(found["ids"].ravel()) <= {5, 6, 7, 8}
    assert found["mask"].all()
    assert found["scale"].tolist() == [1.0, 2.5]
    assert 2 <= found["spread"].min() < found["spread"].max() <= 3
    assert np.array_equal(spec_feeds(path, 3)["pixels"], found["pixels"])
    assert not np.array_equal(spec_feeds(path, 4)["pixels"], found["pixels"])


def test_exporting_reads_the_same_files(tmp_path: Path) -> None:
    from onnx_tagger.exporters.sources.inputspec import read_spec, spec_tensors

    path = written(
        tmp_path,
        ids={"dtype": "int64", "shape": [2, 8], "range": [5, 9]},
        scale={"dtype": "float32", "shape": [2], "values": [1, 2.5]},
        none=None,
    )
    theirs, ours = spec_tensors(read_spec(path), 0, "spec"), spec_feeds(path)
    assert {name: (t.numpy().dtype, tuple(t.shape)) for name, t in theirs.items()} == {
        name: (value.dtype, value.shape) for name, value in ours.items()
    }
    assert np.array_equal(theirs["scale"].numpy(), ours["scale"])


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"dtype": "int3", "shape": [1]}, "input 'x', dtype: Invalid enum value 'int3'"),
        ({"dtype": "int8", "shape": [0]}, "input 'x', shape.0: Expected `int` >= 1"),
        ({"dtype": "int8", "shape": [1], "range": [0, 300]}, "input 'x': range [0, 300) does not fit int8"),
        ({"dtype": "int8", "shape": [1], "range": [3, 3]}, "range [3, 3) is empty"),
        ({"dtype": "int8", "shape": [1], "range": [0, 1.5]}, "does not fit int8"),
        ({"dtype": "int8", "shape": [2], "values": [1]}, "does not have the shape"),
        ({"dtype": "int8", "shape": [1], "values": 1.5}, "'values' do not fit int8"),
        ({"dtype": "uint8", "shape": [1], "values": -1}, "'values' do not fit uint8"),
        ({"dtype": "int8", "shape": [1], "values": 1, "range": [0, 1]}, "'range' and 'values' are both given"),
        ({"dtype": "int8", "shape": [1 << 20, 1 << 20]}, "elements"),
        ({"dtype": "int8", "shape": [1], "value": 1}, "unknown field `value`"),
    ],
)
def test_what_contradicts_itself_is_said(tmp_path: Path, spec: object, sentence: str) -> None:
    with pytest.raises(TaggerError) as caught:
        spec_feeds(written(tmp_path, x=spec))
    assert sentence in str(caught.value)


def test_what_is_no_spec(tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match="cannot be read"):
        spec_feeds(tmp_path / "spec.json")
    (tmp_path / "spec.json").write_text("[]")
    with pytest.raises(TaggerError, match="Expected `object`, got `array`"):
        spec_feeds(tmp_path / "spec.json")


def test_torch_is_not_needed() -> None:
    code = "import sys, onnx_tagger.runtime.specs, onnx_tagger.runtime.profiles; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
