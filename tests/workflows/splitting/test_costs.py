"""What nodes cost."""

from pathlib import Path

import onnx
import pytest

import onnx_tagger as ot
from examples.staged import net
from onnx_tagger.workflows.splitting.costs import costs_of
from onnx_tagger.workflows.splitting.maingraph import main_graph


def costs(path: Path, by: str) -> dict[str, float]:
    tagged = ot.read(path)
    graph = main_graph(tagged.context)
    return dict(zip((made[0] for made in graph.makes), costs_of(tagged, graph, by, path, None), strict=True))


def test_bytes_are_those_of_weights_and_tied_ones_count_once(tmp_path: Path) -> None:
    onnx.save(net(), tmp_path / "m.onnx")
    found = costs(tmp_path / "m.onnx", "bytes")
    assert found["embed"] == found["y"] == 32
    assert found["scale"] == 4
    assert sum(found.values()) == 68


@pytest.mark.parametrize("open_size", [False, True])
def test_operations_come_from_shapes_or_where_they_are_open_from_a_run(open_size: bool, tmp_path: Path) -> None:
    model = net()
    if open_size:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
        model.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.save(model, tmp_path / "m.onnx")
    found = costs(tmp_path / "m.onnx", "flops")
    rows = 2 if open_size else 4  # the least that is tried
    assert found["embed"] == found["y"] == 2 * rows * 4 * 4
    assert sum(found.values()) == 2 * found["y"]
