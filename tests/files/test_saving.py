"""Saving a model that is in memory: whole or not at all, with its weights or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onnx_tagger as ot
from onnx_tagger.files import saving
from onnx_tagger.files.onnxfile import read_skeleton


def model(size: int = 1000) -> onnx.ModelProto:
    node = helper.make_node("Add", ["w", "v"], ["y"], name="add")
    values = np.arange(size, dtype=np.float32)
    stored = [numpy_helper.from_array(values, "w"), numpy_helper.from_array(values[:1], "v")]
    graph = helper.make_graph([node], "net", [], [helper.make_tensor_value_info("y", 1, [size])], stored)
    return helper.make_model(graph, doc_string="told")


def values(path: Path) -> list[float]:
    return [float(numpy_helper.to_array(tensor).sum()) for tensor in onnx.load(path).graph.initializer]


def test_a_model_is_saved_and_its_path_returned(tmp_path: Path) -> None:
    assert ot.save(model(), str(tmp_path / "m.onnx")) == tmp_path / "m.onnx"
    assert onnx.load(tmp_path / "m.onnx") == model()
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("external", [False, True])
def test_a_file_that_is_there_is_replaced_or_stays(
    tmp_path: Path, external: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "m.onnx"
    ot.save(model(), target)
    before = target.read_bytes()

    def refuse(source: object, destination: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        with pytest.raises(ot.TaggerError, match="No space left on device"):
            ot.save(model(2000), target, external_data=external)
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]
    ot.save(model(2000), target, external_data=external)
    assert values(target)[0] == 1999000


def test_weights_go_beside_a_model_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "MAX_MESSAGE", saving._ROOM + 2000)
    held = model()
    ot.save(held, tmp_path / "m.onnx")
    assert held == model(), "the model itself stays as it is"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "m.onnx.data"]
    assert read_skeleton(tmp_path / "m.onnx").external == ("m.onnx.data",)
    assert values(tmp_path / "m.onnx") == values_of(model())
    reloaded = onnx.load(tmp_path / "m.onnx")
    onnx.checker.check_model(reloaded)
    assert reloaded.doc_string == "told"


def values_of(made: onnx.ModelProto) -> list[float]:
    return [float(numpy_helper.to_array(tensor).sum()) for tensor in made.graph.initializer]


def test_an_earlier_data_file_stays_since_other_models_may_use_it(tmp_path: Path) -> None:
    ot.save(model(), tmp_path / "m.onnx", external_data=True)
    onnx.save(onnx.load(tmp_path / "m.onnx", load_external_data=False), tmp_path / "other.onnx")
    ot.save(model(2000), tmp_path / "m.onnx", external_data=True)
    assert values(tmp_path / "m.onnx")[0] == 1999000
    assert values(tmp_path / "other.onnx")[0] == 499500
    assert (tmp_path / "m.onnx.1.data").is_file()


def test_a_model_that_was_read_without_its_weights_is_refused(tmp_path: Path) -> None:
    ot.save(model(), tmp_path / "m.onnx")
    with pytest.raises(ot.TaggerError, match=r"the values of 'w' were left out .* load it with onnx\.load"):
        ot.save(read_skeleton(tmp_path / "m.onnx").model, tmp_path / "n.onnx")
    assert not (tmp_path / "n.onnx").exists()


def test_references_to_data_files_are_kept_where_they_lead_to_one(tmp_path: Path) -> None:
    ot.save(model(), tmp_path / "m.onnx", external_data=True)
    bare = onnx.load(tmp_path / "m.onnx", load_external_data=False)
    assert values(ot.save(bare, tmp_path / "n.onnx")) == values_of(model())
    (tmp_path / "sub").mkdir()
    with pytest.raises(ot.TaggerError, match=r"weights in 'm\.onnx\.data', which does not lie beside it"):
        ot.save(bare, tmp_path / "sub" / "n.onnx")
    with pytest.raises(ot.TaggerError, match="holds the weights of"):
        ot.save(bare, tmp_path / "m.onnx.data")


def test_a_model_that_no_data_file_makes_small_enough_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ot.TaggerError, match="protobuf cannot write the model as one message"):
        saving._serialized(_Failing(), tmp_path / "m.onnx")  # type: ignore[arg-type]


class _Failing:
    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        raise ValueError("too large")


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    (tmp_path / "m.onnx").symlink_to(tmp_path / "place" / "real.onnx")
    ot.save(model(), tmp_path / "m.onnx", external_data=True)
    assert values(tmp_path / "place" / "real.onnx") == values_of(model())
