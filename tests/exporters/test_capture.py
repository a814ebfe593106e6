"""The module-usage map: what ran, how often, in which order, and that nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import onnx_tagger as ot
from examples.reused import Reused, X
from onnx_tagger.exporters.capture import capture
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.sketch import agreements, channel_numbers, ranks_in


def test_records_path_class_parent_order_calls_and_aliases() -> None:
    found = capture(Reused().train(), (X,)).hierarchy.by_path
    assert found[""].class_name == "Reused"
    assert (found[""].order, found[""].calls, found[""].parent) == (0, 1, None)
    assert (found["twice"].calls, found["twice"].aliases) == (2, ("alias",))
    assert found["twice.linear"].parent == "twice"
    assert (found["idle"].calls, found["idle"].order) == (0, None)
    assert found["blocks"].tag is None
    assert found["blocks.0"].tag == "/Reused/Block.0"
    assert "alias" not in found
    ran = [module.path for module in sorted(found.values(), key=lambda m: (m.order is None, m.order)) if module.calls]
    assert ran == ["", "twice", "twice.linear", "direct.linear", "blocks.0", "blocks.0.linear"]


class Held(nn.Module):
    """Holds one tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("tensor", tensor)

    def forward(self) -> torch.Tensor:
        return self.tensor + 0


def tensor_digests(tensor: torch.Tensor) -> tuple[str, str]:
    """The digests that a map holds of a tensor."""
    return capture(Held(tensor)).hierarchy.parameters[0].digests


def test_parameters_have_owner_shape_dtype_and_digests() -> None:
    model = Reused()
    model.register_buffer("steps", torch.arange(3))
    model.idle.linear.weight = model.twice.linear.weight
    parameters = {p.name: p for p in capture(model, (X,)).hierarchy.parameters}
    weight = parameters["twice.linear.weight"]
    assert (weight.owner, weight.shape, weight.dtype) == ("twice.linear", (4, 4), "float32")
    assert weight.digests == tensor_digests(model.twice.linear.weight)
    assert parameters["steps"].dtype == "int64"
    assert parameters["steps"].owner == ""
    tied = parameters["idle.linear.weight"]
    assert (tied.owner, tied.digests) == ("idle.linear", weight.digests), "a tied weight is each holder's"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool])
def test_digests_know_a_transposed_copy(dtype: torch.dtype) -> None:
    tensor = (torch.randn(5, 7) * 3).to(dtype)
    assert tensor_digests(tensor) == tensor_digests(tensor.T.contiguous())
    assert tensor_digests(tensor)[0] != tensor_digests(torch.zeros_like(tensor))[0]


def test_digests_know_a_copy_cast_to_half() -> None:
    tensor = torch.randn(5, 7)
    assert tensor_digests(tensor)[1] == tensor_digests(tensor.half())[1]
    assert tensor_digests(tensor.bfloat16())[1] == tensor_digests(tensor.bfloat16().half())[1]


def test_sees_inside_multihead_attention_and_transformer_encoder() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    found = capture(nn.TransformerEncoder(layer, 2), (torch.randn(2, 3, 8),)).hierarchy.by_path
    assert found["layers.1.self_attn"].calls == 1
    assert found["layers.1.linear2"].calls == 1


def test_inputs_that_a_model_fills_stay_as_they_were() -> None:
    class Fills(nn.Module):
        def forward(self, x: torch.Tensor, cache: dict[str, torch.Tensor]) -> torch.Tensor:
            cache["x"] = x
            return x.add_(1)

    x, cache = torch.zeros(2), {}
    capture(Fills(), (x, cache))
    assert cache == {}
    assert torch.equal(x, torch.zeros(2))


def test_a_map_is_read_back_as_it_was(tmp_path: Path) -> None:
    hierarchy = capture(Reused(), (X,)).hierarchy
    hierarchy.save(tmp_path / "m.hierarchy.json.gz")
    assert hierarchy.trace
    assert HierarchyMap.load(tmp_path / "m.hierarchy.json.gz") == hierarchy


def test_equal_models_give_equal_maps() -> None:
    torch.manual_seed(1)
    model = Reused()
    assert capture(model, (X,)).hierarchy == capture(model, (X,)).hierarchy


def test_a_report_takes_the_phases() -> None:
    report = ot.Report()
    hierarchy = ot.capture(nn.Linear(2, 3), (torch.zeros(1, 2),), report=report)
    assert [parameter.name for parameter in hierarchy.parameters] == ["weight", "bias"]
    assert [phase.name for phase in report.phases] == ["capture", "digests"]
    assert report.peak_rss_mb is None or report.peak_rss_mb > 10


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_parameters_have_sketches_that_rounding_leaves(dtype: torch.dtype) -> None:
    weight = torch.randn(16, 64, generator=torch.Generator().manual_seed(0))
    (rounded,) = capture(Held(weight.to(dtype))).hierarchy.parameters
    assert rounded.sketch
    agreed = agreements([ranks_in(rounded.sketch)], channel_numbers(weight.numpy()))
    assert agreed[0] > 30
