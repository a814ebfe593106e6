"""What may be a reference, and what each kind has."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import onnx_tagger as ot
from examples.trials import X, chain
from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.comparison.references import (
    FileReference,
    ModelReference,
    Reference,
    recorded,
    reference_of,
)


def of(reference: object, inputs: object = ()) -> Reference:
    return reference_of(reference, inputs, None, lambda _: None)


def test_a_file(tmp_path: Path) -> None:
    onnx.save(chain(), tmp_path / "m.onnx")
    found = of(tmp_path / "m.onnx", {"x": X})
    assert isinstance(found, FileReference)
    recording, feeds = found.sample(0)
    np.testing.assert_array_equal(feeds["x"], X)
    assert set(recording.tensors) == {"xa", "xt", "xb", "out"}
    assert found.has_operations
    assert found.hierarchy() == tmp_path / "m.onnx"
    other, again = found.sample(1)
    assert not np.array_equal(again["x"], X)
    assert other.tensors.keys() == recording.tensors.keys()


def test_a_file_without_inputs_runs_on_random_values(tmp_path: Path) -> None:
    onnx.save(chain(), tmp_path / "m.onnx")
    _, feeds = of(tmp_path / "m.onnx").sample(0)
    assert feeds["x"].shape == (2, 4)


def test_a_model() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU()).eval()
    found = of(model, torch.from_numpy(X))
    assert isinstance(found, ModelReference)
    assert found.name == "Sequential"
    recording, _ = found.sample(0)
    found.insist_on_repeatable(recording)
    assert {port.call for port in recording.ports} == {"", "0", "1"}


class Drawn(nn.Module):
    """Gives another value each time, by numbers that no seed of torch reaches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + float(np.random.default_rng().standard_normal())


def test_a_model_that_gives_other_values_each_time() -> None:
    found = of(Drawn().eval(), torch.from_numpy(X))
    recording, _ = found.sample(0)
    with pytest.raises(TaggerError, match="Drawn: gives other values in each run"):
        found.insist_on_repeatable(recording)


def test_a_recording_and_its_file(tmp_path: Path) -> None:
    made = ot.record(nn.Linear(4, 3).eval(), torch.from_numpy(X))
    made.save(tmp_path / "r.npz")
    for reference in (made, tmp_path / "r.npz"):
        found = of(reference)
        assert (found.has_operations, found.hierarchy()) == (False, None)
        assert found.sample(0)[0].ports == made.ports
        with pytest.raises(TaggerError, match="holds one sample"):
            found.sample(1)


def test_what_is_none() -> None:
    with pytest.raises(
        TaggerError, match=r"the reference is the int 7; give a torch\.nn\.Module, a Recording, or the path"
    ):
        of(7)
    with pytest.raises(TaggerError, match="the model is"):
        recorded(nn.Linear, (), None)


def test_inputs_of_another_kind(tmp_path: Path) -> None:
    onnx.save(chain(), tmp_path / "m.onnx")
    with pytest.raises(TaggerError, match="a file takes a mapping of names to arrays"):
        of(tmp_path / "m.onnx", 7)
