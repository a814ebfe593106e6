"""Siblings of a map's model are called what they are; and what onnxruntime does to a convolutional network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.map import Parameter
from onnx_tagger.workflows.kinship.architecture import is_specific

WIDTH = 24


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(x)))


class Net(nn.Module):
    def __init__(self, layers: int = 4, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.layers = nn.ModuleList(Block() for _ in range(layers))
        self.head = nn.Linear(WIDTH, 16)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def trained() -> Net:
    model = Net()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * parameter.abs().mean() * torch.randn_like(parameter))
    return model


def deeper(layers: int) -> Net:
    model = Net(5)
    model.load_state_dict(Net(5).state_dict())
    del model.layers[layers:]
    return model


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("siblings")
    models = {
        "original": Net,
        "seed": lambda: Net(seed=1),
        "trained": trained,
        "five": lambda: deeper(5),
        "four": lambda: deeper(4),
    }

    def path(name: str) -> Path:
        target = folder / f"{name}.onnx"
        if not target.exists():
            ot.export(models[name]().eval(), (torch.randn(2, WIDTH),), target, strategy="htp")
        return target

    return path


@pytest.mark.slow
@pytest.mark.parametrize("form", [".onnx", ".hierarchy.json"])
def test_siblings_are_called_what_they_are(exported: Callable[[str], Path], form: str, tmp_path: Path) -> None:
    def report(file: str, source: str) -> ot.Report:
        ot.strip(exported(file), tmp_path / "file.onnx")
        return ot.retag(tmp_path / "file.onnx", exported(source).with_suffix(form), tmp_path / "t.onnx")

    def relation(file: str, source: str) -> str:
        found = report(file, source).kinship
        assert found is not None
        assert found["verdict"] == "kin"
        return str(found["relation"])

    assert relation("original", "original") == "the file is of the map's model"
    with pytest.raises(MapError, match="but the weights of another seed or training"):
        report("seed", "original")
    assert relation("trained", "original") == "the file is of the map's model, trained further"
    fewer = "the file has weights of the map's model and another number of layers: 4 layers in 'layers', not 5"
    assert relation("four", "five") == fewer
    with pytest.raises(MapError, match="another number of layers: 5 layers in 'layers', not 4"):
        report("five", "four")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_a_convolutional_network_is_known_after_onnxruntime(strategy: str, tmp_path: Path) -> None:
    """Weights are folded and blocked there; a network of another seed has none of them."""

    def stage(into: int, out: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(into, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU())

    def network(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        model = nn.Sequential(stage(3, 16), stage(16, 16), stage(16, 24), nn.Conv2d(24, 2, 1)).eval()
        with torch.no_grad():
            for parameter in (*model.parameters(), *model.buffers()):
                if parameter.is_floating_point():
                    parameter.add_(0.3 * torch.rand_like(parameter))
        return model

    x = (torch.randn(1, 3, 16, 16),)
    for seed, name in enumerate(("own", "other")):
        ot.export(network(seed), x, tmp_path / f"{name}.onnx", strategy=strategy)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "file.onnx"), 4
    onnxruntime.InferenceSession(str(tmp_path / "own.onnx"), options)
    for form in (".hierarchy.json", ".onnx"):
        own, other = (tmp_path / f"{name}{form}" for name in ("own", "other"))
        assert ot.retag(tmp_path / "file.onnx", own, tmp_path / "t.onnx").coverage == 100
        with pytest.raises(MapError, match=r"the map knows 0 of \d weights that were compared"):
            ot.retag(tmp_path / "file.onnx", other, tmp_path / "t.onnx")


@pytest.mark.parametrize(
    ("name", "specific"),
    [
        ("linear_3", False),
        ("add_1", False),
        ("val_12", False),
        ("node_MatMul_46", False),
        ("onnx::MatMul_307", False),
        ("/Relu_1_output_0", False),
        ("0.weight", False),
        ("1f3a9c", False),
        ("encoder.layer.0.query.weight", True),
        ("/encoder/layer.0/query/MatMul_output_0", True),
    ],
)
def test_names_that_any_export_has_are_not_specific(name: str, specific: bool) -> None:
    assert is_specific(name) == specific


def test_parameters_need_no_sketch() -> None:
    assert Parameter("w", "", (2,), "float32", ("0" * 16, "0" * 16)).sketch == ""
