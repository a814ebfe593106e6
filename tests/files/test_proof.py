"""The proof that weights did not change: it sees every change of every byte of every tensor, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from onnx import helper, numpy_helper

from onnx_tagger.cli import main
from onnx_tagger.errors import TaggerError
from onnx_tagger.files import filecopy
from onnx_tagger.files.onnxfile import read_skeleton, write_spliced
from onnx_tagger.files.proof import weights_of, weights_of_model
from onnx_tagger.files.wire import MemoryReader
from onnx_tagger.workflows import exporting, retagging


def tensor(name: str, count: int = 3) -> onnx.TensorProto:
    return numpy_helper.from_array(np.arange(count, dtype=np.float32), name)


def make_model() -> onnx.ModelProto:
    """Seven tensors: an initializer, a sparse one's two, one each in an attribute, a list, a body and a function."""
    body = helper.make_graph([helper.make_node("Neg", ["b"], ["z"])], "body", [], [], [tensor("b", 2000)])
    nodes = [
        helper.make_node("Constant", [], ["c"], value=tensor("c")),
        helper.make_node("If", ["k"], ["i"], then_branch=body),
        helper.make_node("Neg", ["w"], ["y"], name="n"),
    ]
    nodes[2].attribute.append(helper.make_attribute("many", [tensor("l")]))
    model = helper.make_model(helper.make_graph(nodes, "g", [], [], [tensor("w", 2000)]), ir_version=10)
    sparse = model.graph.sparse_initializer.add(dims=[9])
    sparse.values.CopyFrom(tensor("s"))
    sparse.indices.CopyFrom(helper.make_tensor("", onnx.TensorProto.INT64, [3], [1, 2, 3]))
    inner = [helper.make_node("Constant", [], ["q"], value=tensor("f"))]
    model.functions.append(helper.make_function("d", "F", [], ["q"], inner, []))
    for key, value in (("tag", "/Net"), ("module", ""), ("source", "exported")):
        model.graph.node[2].metadata_props.add(key=f"pkg.onnx_tagger.{key}", value=value)
    return model


def digest(data: bytes) -> tuple[str, int]:
    found = weights_of(MemoryReader(memoryview(data)))
    return found.sha256, found.tensors


def test_every_tensor_is_seen_wherever_it_is() -> None:
    model = make_model()
    assert digest(model.SerializeToString())[1] == 7
    places = [
        model.graph.initializer[0],
        model.graph.sparse_initializer[0].values,
        model.graph.sparse_initializer[0].indices,
        model.graph.node[0].attribute[0].t,
        model.graph.node[1].attribute[0].g.initializer[0],
        model.graph.node[2].attribute[0].tensors[0],
        model.functions[0].node[0].attribute[0].t,
    ]
    seen = {digest(model.SerializeToString()), weights_of_model(model)}
    for place in places:
        data = bytearray(place.raw_data) if place.raw_data else bytearray(b"\x01")
        data[-1] ^= 1
        place.raw_data = bytes(data)
        seen |= {digest(model.SerializeToString()), weights_of_model(model)}
    assert len(seen) == 2 * (len(places) + 1)


def test_what_is_no_tensor_is_not_seen() -> None:
    model = make_model()
    before = digest(model.SerializeToString())
    model.graph.node[2].metadata_props.add(key="k", value="v")
    model.graph.node[2].name = "other"
    model.metadata_props.add(key="k", value="v")
    model.doc_string = "text"
    assert digest(model.SerializeToString()) == before


@pytest.mark.parametrize("options", [{}, {"ir_version": 11}, {"also": ["doc_string", "winml"]}])
def test_retag_and_strip_prove_what_they_store(options: dict[str, object], tmp_path: Path) -> None:
    source, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    source.write_bytes(make_model().SerializeToString())
    report = retagging.retag(source, None, out, verify_bytes=True, **options)  # type: ignore[arg-type]
    assert report.weights is not None
    assert report.weights["tensors"] == 7 if not options.get("ir_version") else True
    assert retagging.retag(source, None, out).weights is None
    retagging.strip(out, out, in_place=True, verify_bytes=True)
    assert "pkg.onnx_tagger" not in out.read_text("latin-1")


def test_a_byte_that_flips_on_its_way_is_found_and_the_old_file_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    data = make_model().SerializeToString()
    source.write_bytes(data)
    out.write_bytes(b"old")
    flush = filecopy.Output.flush

    def flip(self: filecopy.Output) -> None:
        at = bytes(self._buffer).find(tensor("w", 2000).raw_data[4000:4020])
        if at >= 0:
            self._buffer[at + 3] ^= 1
        flush(self)

    monkeypatch.setattr(filecopy.Output, "flush", flip)
    with pytest.raises(TaggerError, match="would hold other weights than its source"):
        retagging.strip(source, out, verify_bytes=True)
    assert out.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "out.onnx"]
    retagging.strip(source, out)
    assert out.read_bytes() != data


def test_data_files_are_proved_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    source, out = tmp_path / "in" / "m.onnx", tmp_path / "out" / "m.onnx"
    onnx.save(make_model(), source, save_as_external_data=True, location="w.bin", size_threshold=0)
    proved = write_spliced(read_skeleton(source), out, verify_bytes=True)
    assert proved is not None
    assert proved.size > (source.parent / "w.bin").stat().st_size > 8000
    data = bytearray((out.parent / "w.bin").read_bytes())
    data[5000] ^= 1
    (out.parent / "w.bin").write_bytes(data)
    changed = weights_of(MemoryReader(memoryview(out.read_bytes())), [out.parent / "w.bin"])
    assert changed.sha256 != proved.sha256
    assert changed.size == proved.size


def test_the_command_says_what_it_proved(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "m.onnx"
    source.write_bytes(make_model().SerializeToString())
    report = tmp_path / "r.json"
    arguments = ["retag", source, "-o", tmp_path / "out.onnx", "--verify-bytes", "--report", report]
    assert main.run([str(argument) for argument in arguments]) == 0
    said = capsys.readouterr().err
    found = json.loads(report.read_text())["weights"]
    assert f"weights unchanged: 7 tensors, {found['bytes']} bytes, sha256 {found['sha256']}" in said
    assert main.run(["strip", str(source), "--in-place", "--verify-bytes"]) == 0


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_an_export_is_proved(strategy: str, tmp_path: Path) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
    made = exporting.export(model, (torch.randn(1, 4),), tmp_path / "m.onnx", strategy=strategy, verify_bytes=True)
    assert made.report.weights is not None
    assert made.report.weights["tensors"] == 4
    assert made.report.tagged == made.report.nodes


def test_an_export_whose_weights_change_on_their_way_is_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = ir.load

    def other(path: Path) -> ir.Model:
        found = load(path)
        value = next(iter(found.graph.initializers.values()))
        value.const_value = ir.tensor(value.const_value.numpy() + 1)  # type: ignore[union-attr]
        return found

    monkeypatch.setattr(ir, "load", other)
    with pytest.raises(TaggerError, match="would hold other weights than its source"):
        exporting.export(
            torch.nn.Linear(4, 2), torch.randn(1, 4), tmp_path / "m.onnx", strategy="fx", verify_bytes=True
        )
    assert list(tmp_path.iterdir()) == []
