"""Plans of a splice: padding that keeps weights where pages begin."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from examples.stored import floats, tag, untag
from onnx_tagger.files.onnxfile import read_skeleton, write_spliced

PAD = "pkg.onnx_tagger.pad"


def offset_of_weights(path: Path) -> int:
    return path.read_bytes().index(numpy_helper.to_array(floats("w", 400_000)).tobytes())


@pytest.mark.parametrize("length", [1, 90, 500, 1300])
def test_padding_keeps_weights_in_step_and_leaves_no_trace(length: int, source: Path, tmp_path: Path) -> None:
    skeleton = read_skeleton(source)
    tag(skeleton, "x" * length)
    write_spliced(skeleton, tmp_path / "1.onnx", pad_key=PAD)
    assert (offset_of_weights(tmp_path / "1.onnx") - offset_of_weights(source)) % 4096 == 0
    onnx.checker.check_model(str(tmp_path / "1.onnx"))

    skeleton = read_skeleton(tmp_path / "1.onnx")
    write_spliced(skeleton, tmp_path / "2.onnx", pad_key=PAD)
    assert (tmp_path / "2.onnx").read_bytes() == (tmp_path / "1.onnx").read_bytes()

    tag(skeleton, "y" * 70)
    write_spliced(skeleton, tmp_path / "3.onnx", pad_key=PAD)
    assert (offset_of_weights(tmp_path / "3.onnx") - offset_of_weights(tmp_path / "1.onnx")) % 4096 == 0
    skeleton = read_skeleton(tmp_path / "3.onnx")
    assert [entry.key for entry in skeleton.model.metadata_props].count(PAD) == 1
    untag(skeleton)
    write_spliced(skeleton, tmp_path / "4.onnx")
    assert (tmp_path / "4.onnx").read_bytes() == source.read_bytes()
