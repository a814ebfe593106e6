"""Types of inner tensors by onnxruntime."""

from pathlib import Path

import onnx

from examples.staged import net
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.runtime.bordertypes import types_of


def test_type_and_shape_as_onnxruntime_infers_them(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "m.onnx")
    found = types_of(tmp_path / "m.onnx", read_skeleton(tmp_path / "m.onnx"), ["embed", "b1"])
    assert set(found) == {"embed", "b1"}
    kind = found["b1"].type.tensor_type
    assert kind.elem_type == onnx.TensorProto.FLOAT
    assert [dim.dim_value for dim in kind.shape.dim] == [4, 4]
