"""Where external data may lie: nothing outside the model's folder is read or copied, by whatever link it is reached."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from examples.stored import floats, model_with
from onnx_tagger.errors import TaggerError
from onnx_tagger.files import external as external_data
from onnx_tagger.files.external import contained
from onnx_tagger.files.onnxfile import read_skeleton, write_spliced
from onnx_tagger.files.tensors import read_initializer
from onnx_tagger.model.limits import InputLimits, limited
from onnx_tagger.workflows.carrying import carry

VALUES = np.arange(1000, dtype=np.float32)


def save(folder: Path) -> Path:
    """A model with its weights in ``w.bin`` and our tag on its node."""
    folder.mkdir(parents=True, exist_ok=True)
    node = helper.make_node("Neg", ["w"], ["y"], name="n")
    for key, value in (("tag", "/Net"), ("module", ""), ("source", "exported")):
        node.metadata_props.add(key=f"pkg.onnx_tagger.{key}", value=value)
    graph = helper.make_graph([node], "g", [], [], [numpy_helper.from_array(VALUES, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    return folder / "m.onnx"


def insist_refused(model: Path, what: str) -> None:
    """Neither is a digest's data read nor is anything copied, and nothing is left in the target's folder."""
    skeleton = read_skeleton(model)
    with pytest.raises(TaggerError, match=what):
        read_initializer(skeleton, "w")
    target = model.parent.parent / "elsewhere"
    target.mkdir()
    for link in (False, True):
        with pytest.raises(TaggerError, match=what):
            write_spliced(skeleton, target / "m.onnx", link=link)
    assert list(target.iterdir()) == []
    with pytest.raises(onnx.checker.ValidationError):
        onnx.load(model)


def test_a_hard_link_out_of_the_folder_is_refused_as_onnx_does(tmp_path: Path) -> None:
    model = save(tmp_path / "model")
    os.link(tmp_path / "model" / "w.bin", tmp_path / "secret")
    insist_refused(model, "has 2 hard links")


def test_a_hub_s_cache_is_refused_as_onnx_does(tmp_path: Path) -> None:
    """There the model and its data are links to blobs, which lie outside the model's folder."""
    save(tmp_path / "cache" / "blobs")
    snapshot = tmp_path / "cache" / "snapshot"
    snapshot.mkdir()
    for name in ("m.onnx", "w.bin"):
        (snapshot / name).symlink_to(f"../blobs/{name}")
    insist_refused(snapshot / "m.onnx", "a link out of its folder")


def test_data_beside_what_a_model_s_link_leads_to_is_not_beside_the_model(tmp_path: Path) -> None:
    model = save(tmp_path / "real")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "m.onnx").symlink_to(model)
    with pytest.raises(TaggerError, match=r"links/w\.bin cannot be opened"):
        read_initializer(read_skeleton(tmp_path / "links" / "m.onnx"), "w")


def test_a_link_within_the_folder_is_followed(tmp_path: Path) -> None:
    model = save(tmp_path / "model")
    (tmp_path / "model" / "w.bin").rename(tmp_path / "model" / "real.bin")
    (tmp_path / "model" / "w.bin").symlink_to("real.bin")
    assert (read_initializer(read_skeleton(model), "w") == VALUES).all()


def test_our_own_links_lead_nowhere_else(tmp_path: Path) -> None:
    """Linking into a folder and doing so again works; reading what was linked does as long as this process lasts."""
    model = save(tmp_path / "model")
    out = tmp_path / "out"
    out.mkdir()
    for _ in range(2):
        write_spliced(read_skeleton(model), out / "m.onnx", link=True)
    assert (read_initializer(read_skeleton(out / "m.onnx"), "w") == VALUES).all()
    assert contained(out, "w.bin").stat().st_nlink == 2


@pytest.mark.parametrize("beside", [False, True])
def test_carrying_leaves_no_hard_links(beside: bool, tmp_path: Path) -> None:
    model = save(tmp_path / "model")
    place = model.with_name("o.onnx") if beside else tmp_path / "o.onnx"
    carry(model, place, lambda before, made: made.write_bytes(before.read_bytes()))
    assert (place.parent / "w.bin").stat().st_nlink == 1
    assert (read_initializer(read_skeleton(place), "w") == VALUES).all()


def test_a_tensor_too_large_to_be_read_is_refused_where_it_lies(tmp_path: Path) -> None:
    """A hole in a file costs its maker nothing; reading it would cost us memory."""
    model = save(tmp_path / "model")
    os.truncate(model.with_name("w.bin"), 1 << 40)
    proto = onnx.load(model, load_external_data=False)
    next(entry for entry in proto.graph.initializer[0].external_data if entry.key == "length").value = str(1 << 40)
    model.write_bytes(proto.SerializeToString())
    with pytest.raises(TaggerError, match=r"more than 4294967296 bytes.*raise --limit tensor-bytes"):
        read_initializer(read_skeleton(model), "w")
    embedded = save(tmp_path / "other")
    onnx.save(onnx.load(embedded), embedded.with_name("e.onnx"))
    skeleton = read_skeleton(embedded.with_name("e.onnx"))
    with limited(InputLimits(tensor_bytes=4000)), pytest.raises(TaggerError, match="exceeds what is allowed"):
        read_initializer(skeleton, "w")
    assert (read_initializer(skeleton, "w") == VALUES).all()


def test_a_function_is_not_handed_a_model_that_onnx_does_not_load(tmp_path: Path) -> None:
    model = save(tmp_path / "model")
    os.link(model.with_name("w.bin"), tmp_path / "other")
    with pytest.raises(TaggerError, match="onnx cannot load it with its weights"):
        carry(model, tmp_path / "model" / "o.onnx", lambda proto: proto)
    assert sorted(path.name for path in model.parent.iterdir()) == ["m.onnx", "w.bin"]


def test_marks_of_external_data_are_counted_over_any_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes.fromhex("7001 f00001 00 f080008100 7000 f001 7071 708180") * 9
    for size in (1, 2, 3, 7, 1 << 16):
        monkeypatch.setattr(external_data, "_COUNTED", size)
        assert external_data.most_external(data) == 4 * 9
    assert external_data.most_external(b"") == external_data.most_external(b"\x70") == 0


def test_only_the_initializers_are_looked_at_where_they_have_all_external_data(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_with(floats("w", 2))
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "w.bin")
    monkeypatch.delattr(external_data, "_other_tensors")
    assert read_skeleton(model.SerializeToString()).external == ("w.bin",)


def test_what_tensors_say_of_their_data_is_not_held() -> None:
    model = onnx.ModelProto()
    tensor = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.extend([onnx.StringStringEntryProto()] * 20)
    tensor.external_data.add(key="location", value="w.bin")
    model.graph.initializer.extend([tensor] * 1000)
    for most in (1000, 1001):
        tracemalloc.start()
        assert dict.fromkeys(external_data.locations(model, most)) == {"w.bin": None}
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50_000
