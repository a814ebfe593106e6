"""Saving torch's program: byte for byte what onnx-ir saves, whatever type an initializer has and wherever it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.onnx._internal.exporter import _onnx_program

from onnx_tagger.exporters.dynamo import saving
from onnx_tagger.exporters.dynamo.saving import save_program, without_values


class Typed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Parameter(torch.randn(4, 300).t())
        self.register_buffer("short", torch.randn(300, 4).half())
        self.register_buffer("brain", torch.randn(300, 4).bfloat16())
        self.register_buffer("flags", torch.rand(300, 4) > 0.5)
        self.register_buffer("steps", torch.arange(1200).reshape(300, 4))
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.where(self.flags, self.wide, self.steps.float())
        return self.linear(x) @ (y + self.short + self.brain).t()


def program() -> Any:
    made = torch.onnx.export(Typed().eval(), (torch.randn(2, 4),), dynamo=True, verbose=False)
    assert made is not None
    return made


def hand_made(folder: Path) -> ir.Model:
    """Initializers of kinds that torch makes rarely: packed, of text, kept as they were read, in a file, described."""
    (folder / "data").write_bytes(bytes(4000))
    values = np.arange(1200, dtype=np.float32).reshape(3, 400)
    read = onnx.TensorProto(name="read", data_type=1, dims=[400], float_data=list(map(float, range(400))))
    tensors: list[Any] = [
        ir.Tensor(np.ones((50, 61), ml_dtypes.int4), name="packed"),
        ir.Tensor(values.astype(ml_dtypes.float8_e4m3fn), name="eight"),
        ir.Tensor(values.T, name="turned"),
        ir.Tensor(values, name="described", doc_string="of a test", metadata_props={"b": "1", "a": "2"}),
        ir.Tensor(np.zeros((0, 7), np.float32), name="empty"),
        ir.StringTensor([b"text" * 500, b"more"], shape=ir.Shape([2]), name="text"),
        ir.ExternalTensor("data", 0, 4000, ir.DataType.FLOAT, shape=ir.Shape([1000]), name="far", base_dir=str(folder)),
        ir.serde.TensorProtoTensor(read),
        ir.LazyTensor(lambda: ir.Tensor(values), dtype=ir.DataType.FLOAT, shape=ir.Shape([3, 400]), name="lazy"),
    ]
    held = [ir.Value(name=t.name, type=ir.TensorType(t.dtype), shape=t.shape, const_value=t) for t in tensors]
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([1]))
    node = ir.node("Relu", [x], name="n", metadata_props={"z": "1", "a": "2"})
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=held, opset_imports={"": 20}, name="g")
    return ir.Model(graph, ir_version=10)


class Program:
    """As much of torch's program as saving it within one file takes."""

    def __init__(self, model: ir.Model) -> None:
        self.model = model


def test_a_program_is_saved_as_onnx_ir_saves_it(tmp_path: Path) -> None:
    made = program()
    assert save_program(made, tmp_path / "m.onnx", verify_bytes=True) is not None
    ir.save(made.model, tmp_path / "other.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()
    onnx.checker.check_model(tmp_path / "m.onnx")


@pytest.mark.parametrize("spare", [-1, 0])
def test_a_program_is_saved_in_as_many_files_as_torch_saves_it(
    spare: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert saving._EMBED_BYTES == _onnx_program._LARGE_MODEL_THRESHOLD
    made = program()
    size = sum(value.const_value.nbytes for value in made.model.graph.initializers.values())
    for module, limit in ((saving, "_EMBED_BYTES"), (_onnx_program, "_LARGE_MODEL_THRESHOLD")):
        monkeypatch.setattr(module, limit, size + spare)
    (ours := tmp_path / "ours").mkdir()
    (torchs := tmp_path / "torchs").mkdir()
    save_program(made, ours / "m.onnx", verify_bytes=True)
    made.save(torchs / "m.onnx", external_data=False)
    files = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (ours, torchs)]
    assert files[0] == files[1]
    assert sorted(files[0]) == (["m.onnx", "m.onnx.data"] if spare < 0 else ["m.onnx"])


def test_every_kind_of_tensor_is_saved_as_onnx_ir_saves_it(tmp_path: Path) -> None:
    model = hand_made(tmp_path)
    before = {name: value.const_value for name, value in model.graph.initializers.items()}
    save_program(Program(model), tmp_path / "m.onnx", verify_bytes=False)
    assert {name: value.const_value for name, value in model.graph.initializers.items()} == before
    ir.save(model, tmp_path / "other.onnx")
    assert (tmp_path / "m.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()


def test_without_values_is_the_program_with_its_large_tensors_elsewhere(tmp_path: Path) -> None:
    model = hand_made(tmp_path)
    bare, whole = without_values(model), ir.to_proto(model)
    assert sum(tensor.ByteSize() for tensor in bare.graph.initializer) < 6000
    assert [tensor.name for tensor in bare.graph.initializer] == [tensor.name for tensor in whole.graph.initializer]
    assert list(bare.graph.node) == list(whole.graph.node)


def test_a_program_that_cannot_be_written_leaves_the_target_as_it_was(tmp_path: Path) -> None:
    def lost() -> ir.Tensor:
        raise RuntimeError("the values are gone")

    model = hand_made(tmp_path)
    model.graph.initializers["lazy"].const_value = ir.LazyTensor(
        lost, dtype=ir.DataType.FLOAT, shape=ir.Shape([3, 400]), name="lazy"
    )
    (tmp_path / "m.onnx").write_bytes(b"before")
    names = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(RuntimeError, match="the values are gone"):
        save_program(Program(model), tmp_path / "m.onnx", verify_bytes=False)
    assert (tmp_path / "m.onnx").read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == names
