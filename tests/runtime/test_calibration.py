"""Calibration data of each form, and what is wrong with it."""

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime import calibration
from onnx_tagger.runtime.calibration import Calibration

INPUTS = {
    "x": helper.make_tensor_type_proto(TensorProto.FLOAT, ["batch", 3]).tensor_type,
    "ids": helper.make_tensor_type_proto(TensorProto.INT64, ["batch"]).tensor_type,
}


def saved(path: Path, **changed: object) -> Path:
    arrays = {"x": np.ones((2, 3), np.float32), "ids": np.arange(2), "label": np.array([1, 0])} | changed
    np.savez(path, **{name: np.asarray(value) for name, value in arrays.items() if value is not None})
    return path


def test_one_file_is_one_sample_and_labels_stay_for_the_metric(tmp_path: Path) -> None:
    data = Calibration(str(saved(tmp_path / "a.npz", ids=np.arange(2, dtype=np.int32))), INPUTS)
    (sample,), (feeds,) = data, data.feeds()
    assert sorted(sample) == ["ids", "label", "x"]
    assert sorted(feeds) == ["ids", "x"]
    assert feeds["ids"].dtype == np.int64
    assert "one sample" in data.notes(1)[0]
    assert data.notes(2) == []


def test_a_folder_is_read_one_file_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        saved(tmp_path / f"{number}.npz", ids=[number, 0])
    opened, read = list[Path](), calibration.given_feeds
    monkeypatch.setattr(calibration, "given_feeds", lambda path, names: opened.append(path) or read(path, names))
    samples = iter(Calibration(str(tmp_path), INPUTS))
    assert next(samples)["ids"][0] == 0
    assert len(opened) == 1
    assert [int(sample["ids"][0]) for sample in samples] == [1, 2]
    assert len(list(Calibration(str(tmp_path), INPUTS, limit=2))) == 2


def test_a_factory_is_called_anew_for_each_iteration(tmp_path: Path) -> None:
    path = tmp_path / "samples.py"
    path.write_text(
        "import numpy as np\ndef made():\n    for n in range(2):\n"
        "        yield {'x': np.full((1, 3), n, np.float32), 'ids': np.array([n])}\n"
    )
    data = Calibration(f"{path}:made", INPUTS)
    for _ in range(2):
        assert [int(sample["ids"][0]) for sample in data] == [0, 1]


def test_random_values_differ_and_are_named(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text('{"x": {"dtype": "float32", "shape": [2, 3]}, "ids": {"dtype": "int64", "shape": [2]}}')
    data = Calibration(f"random:{spec}", INPUTS)
    first, second, *_ = data
    assert not np.array_equal(first["x"], second["x"])
    assert "random values" in data.notes(16)[0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"x": [[1.0, np.nan, 0.0]]}, "'x' holds NaN"),
        ({"x": None, "xs": np.ones((2, 3))}, "no array for the input 'x' .* did you mean 'xs'"),
        ({"x": np.ones((2, 4))}, r"the shape \[2, 4\], but .* takes \[any, 3\]"),
        ({"x": np.ones(3)}, r"the shape \[3\]"),
        ({"x": np.ones((0, 3))}, "no values"),
        ({"ids": [0.5, 1.0]}, "'ids' is float64, but .* takes int64"),
        ({"ids": np.array([2**63, 0], np.uint64)}, "do not fit int64"),
        ({"x": np.full((1, 3), 1e300)}, "do not fit float32"),
    ],
)
def test_a_sample_that_does_not_fit_is_a_sentence(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    path = saved(tmp_path / "a.npz", **changed)
    with pytest.raises(TaggerError, match=said):
        list(Calibration(str(path), INPUTS))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def made(): return []", "holds no sample"),
        ("def made(): return {'x': 1}", "returned dict"),
        ("def made(): return [3]", "sample 0 is int"),
        ("def made(): return 1 / 0", "the factory failed: ZeroDivisionError"),
    ],
)
def test_a_factory_that_gives_no_samples_is_a_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "samples.py"
    path.write_text(text)
    with pytest.raises(TaggerError, match=said):
        list(Calibration(f"{path}:made", INPUTS))


def test_no_data_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match="holds no sample"):
        list(Calibration(str(tmp_path), INPUTS))
    with pytest.raises(TaggerError, match="is no calibration data"):
        list(Calibration(str(tmp_path / "none.txt"), INPUTS))
    (tmp_path / "broken.npz").write_bytes(b"PK")
    with pytest.raises(TaggerError, match=r"cannot be read as an \.npz"):
        list(Calibration(str(tmp_path), INPUTS))
