"""What files are run on: arrays that were given, and random values of the sizes that weights ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper

import onnx_tagger as ot
from examples.running import exported, saved
from onnx_tagger.runtime.verify import verify

pytest.importorskip("onnxruntime")


def test_inputs_may_be_given(files: Path) -> None:
    # With these, the Relu does nothing and its name says nothing.
    weight = numpy_helper.to_array(exported().graph.initializer[0])
    x = np.linalg.inv(weight)[:3].astype(np.float32)
    np.savez("values.npz", x=x, m=np.ones((3, 4), np.int64))
    made = exported()
    made.graph.node[1].op_type = "Abs"
    other = saved(made, "abs.onnx")
    assert verify(Path("net.onnx"), other).differing == ("r", "p", "out")
    found = verify(Path("net.onnx"), other, inputs=Path("values.npz"))
    assert (found.differing, found.inputs) == ((), "values.npz")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": np.zeros((3, 4), np.float32)}, "has no array for the input 'm'"),
        ({"x": np.zeros((3, 5), np.float32), "m": np.zeros((3, 5), int)}, "does not run on these inputs"),
        (None, "cannot be read as an .npz file"),
    ],
)
def test_inputs_that_do_not_fit(files: Path, arrays: dict[str, np.ndarray] | None, sentence: str) -> None:
    Path("values.npz").write_bytes(b"rubbish")
    if arrays is not None:
        np.savez("values.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(ot.TaggerError, match=sentence):
        verify(Path("net.onnx"), Path("renamed.onnx"), inputs=Path("values.npz"))


def test_widths_that_weights_ask_for_are_found(files: Path) -> None:
    made = exported()
    for value in (*made.graph.input, *made.graph.output):
        for place, dim in enumerate(value.type.tensor_type.shape.dim):
            dim.dim_param = f"{value.name}{place}"
    # The mask is read by no weight, so it has to follow what is tried.
    made.graph.input[1].type.tensor_type.shape.dim[1].dim_value = 4
    path = saved(made, "open.onnx")
    assert len(verify(path, path).agreed) == 5
