"""Every signature that torch exports: dictionaries, dataclasses, named tuples, ``*args``, ``**kwargs``; and objects."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.utils import _pytree as pytree

pytest.importorskip("onnxruntime")

import onnx_tagger as ot
from onnx_tagger.exporters.torchscript.flatcall import flatten_call
from onnx_tagger.exporters.truth.judging import feeds_of, tensors_of

Call = tuple[tuple[Any, ...], Mapping[str, Any]]


class Pair(NamedTuple):
    one: torch.Tensor
    two: torch.Tensor


@dataclasses.dataclass(frozen=True)
class Inner:
    two: torch.Tensor
    scale: float = 2.0


@dataclasses.dataclass
class Batch:
    one: torch.Tensor
    inner: Inner
    mask: torch.Tensor | None = None


class Takes(nn.Module):
    """Takes two tensors in one way or another."""

    def __init__(self, apart: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> None:
        super().__init__()
        self.a, self.b, self.apart = nn.Linear(4, 3), nn.Linear(4, 3), apart

    def both(self, *given: Any, **named: Any) -> torch.Tensor:
        one, two = self.apart(*given, **named)
        return self.a(one) + self.b(two)


class Sole(Takes):
    def forward(self, batch: Any) -> torch.Tensor:
        return self.both(batch)


class Passes(Takes):
    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        return self.both(*args, **kwargs)


@dataclasses.dataclass
class Result:
    sum: torch.Tensor


class Returns(Sole):
    def forward(self, batch: Any) -> Result:  # type: ignore[override]
        return Result(self.both(batch))


def _two() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(2, 4), torch.randn(2, 4)


def _dictionary() -> tuple[nn.Module, Call]:
    return Sole(lambda d: (d["one"], d["two"])), (({"one": _two()[0], "two": _two()[1]},), {})


def _named_tuple() -> tuple[nn.Module, Call]:
    return Sole(lambda p: (p.one, p.two)), ((Pair(*_two()),), {})


def _batch() -> Batch:
    one, two = _two()
    return Batch(one, Inner(two))


def _dataclass() -> tuple[nn.Module, Call]:
    return Sole(lambda b: (b.one, b.inner.two * b.inner.scale)), ((_batch(),), {})


def _dataclass_by_name() -> tuple[nn.Module, Call]:
    return Sole(lambda b: (b.one, b.inner.two)), ((), {"batch": _batch()})


def _dataclass_out() -> tuple[nn.Module, Call]:
    return Returns(lambda b: (b.one, b.inner.two)), ((_batch(),), {})


def _positions() -> tuple[nn.Module, Call]:
    return Passes(lambda one, two: (one, two)), (_two(), {})


def _keywords() -> tuple[nn.Module, Call]:
    one, two = _two()
    return Passes(lambda *, one, two: (one, two)), ((), {"one": one, "two": two})


CALLS = [_dictionary, _named_tuple, _dataclass, _dataclass_by_name, _dataclass_out, _positions, _keywords]


def _longer(model: nn.Module, call: Call) -> Call:
    """The same call with other values and a larger batch."""
    flat = flatten_call(model, *call)
    return flat.rebuild([torch.randn(5, *tensor.shape[1:]) for tensor in flat.tensors])


@pytest.mark.parametrize("strategy", ["fx", "htp"])
@pytest.mark.parametrize("made", CALLS)
def test_the_tensors_of_a_call_are_the_file_s_inputs(
    made: Callable[[], tuple[nn.Module, Call]], strategy: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model, call = made()
    path = tmp_path / "m.onnx"
    exported = ot.export(model.eval(), call[0], path, kwargs=call[1], strategy=strategy, dynamic=True)
    assert {Batch, Inner, Result}.isdisjoint(pytree.SUPPORTED_NODES)
    assert exported.report.by_source["exported"] == exported.report.nodes
    assert exported.report.fallbacks == []
    graph = onnx.load(path).graph
    assert len(graph.input) == 2
    for args, kwargs in (call, _longer(model, call)):
        with torch.no_grad():
            want = model(*args, **kwargs)
        want = want.sum if isinstance(want, Result) else want
        got = tensors_of(path, feeds_of(path, model, args, kwargs))[graph.output[0].name]
        np.testing.assert_allclose(got, want.numpy(), rtol=1e-4, atol=1e-5)


class Opaque:
    def __init__(self, one: torch.Tensor, two: torch.Tensor) -> None:
        self.held = [one, two]


@pytest.mark.parametrize("strategy", ["fx", "htp", "auto"])
def test_tensors_in_an_object_are_refused_and_not_stored_as_constants(strategy: str, tmp_path: Path) -> None:
    model = Sole(lambda batch: tuple(batch.held))
    with pytest.raises(ot.TaggerError, match="Opaque") as caught:
        ot.export(model.eval(), (Opaque(*_two()),), tmp_path / "m.onnx", strategy=strategy)
    if strategy != "fx":
        assert "the tensors of an input would become constants: 'batch' is a Opaque" in str(caught.value)
    assert not list(tmp_path.iterdir())
