"""Models that cannot be exported, and what others say of it: one sentence, and nothing on the streams."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.exporters.sources.loading import load_source

X = torch.randn(1, 3)


def _model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU()).eval()


def _exported() -> nn.Module:
    return torch.export.export(_model(), (X,)).module()


SOURCES: dict[str, Callable[[], nn.Module]] = {
    "traced": lambda: torch.jit.trace(_model(), X),
    "scripted": lambda: torch.jit.script(_model()),
    "frozen": lambda: torch.jit.freeze(torch.jit.script(_model())),
    "exported": _exported,
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_model_without_its_own_modules_is_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    model = SOURCES[name]()
    for use in (lambda: ot.export(model, (X,), tmp_path / "m.onnx"), lambda: ot.capture(model, (X,))):
        with pytest.raises(ot.TaggerError, match=r"^the model \(\w+\) .*: export the module that it was made of$"):
            use()
    assert not list(tmp_path.iterdir())


FACTORY = """
import torch
def made():
    model = torch.nn.Sequential(torch.nn.Linear(3, 3))
    return torch.export.export(model, (torch.ones(1, 3),)).module(), (torch.ones(1, 3),)
"""


def test_a_factory_of_such_a_model_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "factory.py").write_text(FACTORY)
    with pytest.raises(ot.TaggerError, match=r"is what torch\.export made of one, a graph without modules"):
        load_source(f"{tmp_path / 'factory.py'}:made")


class Kept(nn.Module):
    """Its sizes hang on its values, which torch cannot trace, and prints what it has traced until then."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x[x > 0]
        return y if y.numel() == 0 else y * 2


def test_the_graph_of_a_failed_export_is_not_printed(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(ot.TaggerError, match="data-dependent"):
        ot.export(Kept(), (X,), tmp_path / "m.onnx", strategy="fx")
    streams = capfd.readouterr()
    assert "def forward" not in streams.out + streams.err


class Three(nn.Module):
    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, int]:
        return x * 2, 3


def test_a_reason_of_others_is_their_whole_first_sentence(tmp_path: Path) -> None:
    with pytest.raises(ot.TaggerError) as caught:
        ot.export(Three(), (X,), tmp_path / "m.onnx", strategy="htp")
    assert "did not have observable data dependence with trace inputs" in str(caught.value)
    assert "\n" not in str(caught.value)
