"""A placement beside what onnxruntime did."""

from pathlib import Path

import onnx
import pytest

import onnx_tagger as ot
from examples.placed import chain
from onnx_tagger.errors import TaggerError
from onnx_tagger.runtime import assignment
from onnx_tagger.workflows.placing.verifying import provider_of, verify


def test_nodes_that_went_elsewhere_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    onnx.save(chain(), tmp_path / "m.onnx")
    placement = ot.place(tmp_path / "m.onnx", "cpu(layers)")
    real = assignment.Assignment(dict.fromkeys(placement.names.values(), "Other"), ("CPUExecutionProvider",))
    monkeypatch.setattr(assignment, "assigned", lambda *_: real)
    found = verify(placement)
    assert not found.ok
    assert found.agreed == 0
    assert len(found.elsewhere) == 6
    assert "went to Other" in found.failures[0]
    assert found.failures[-1] == "and 1 more node"


def test_without_annotations_nothing_can_be_verified(tmp_path: Path) -> None:
    onnx.save(chain(also=False), tmp_path / "m.onnx")
    with pytest.raises(TaggerError, match="retag --also layer_ann"):
        verify(ot.place(tmp_path / "m.onnx", "cpu(layers)"))


def test_a_designator_that_may_mean_several_providers_means_none() -> None:
    assert provider_of("cpu", ["CPUExecutionProvider", "cpu_ep"]) is None
    assert provider_of("cpu_ep", ["CPUExecutionProvider", "cpu_ep"]) == "cpu_ep"
