"""Whose forward each node was made in where torch's stack says less, and that a model finds nothing of ours in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn

pytest.importorskip("onnxruntime")

import onnx_tagger as ot
from onnx_tagger.exporters.truth.judging import feeds_of, judge, observe, tensors_of
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import own_tag, props_of

Row = tuple[str, str, str]


def _exported(model: nn.Module, x: torch.Tensor, path: Path) -> list[Row]:
    """Export by fx; the file must compute what the model does and truth agree with its tags: the tag of each node."""
    model.eval()
    with torch.no_grad():
        want = model(x)
    made = ot.export(model, (x,), path, strategy="fx")
    feeds = feeds_of(path, model, (x,), {})
    got = tensors_of(path, feeds)[onnx.load(path).graph.output[0].name]
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-4, atol=1e-5)
    judgement = judge(path, made.hierarchy, observe(model, (x,), {}), feeds)
    assert set(judgement.verdicts) == {"right"}, judgement.details
    assert made.report.by_source["exported"] == made.report.nodes
    assert b"onnx_tagger.exporters" not in path.read_bytes()
    return _rows(path)


def _rows(path: Path) -> list[Row]:
    """Operator, module and call of each node."""
    rows = []
    for op in walk(onnx.load(path)).ops:
        tag = own_tag(props_of(op.node))
        assert tag is not None, op.label
        rows.append((op.node.op_type, tag.module, " ".join(tag.call)))
    return rows


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.fc(x))


class Regions(nn.Module):
    """Calls a module in each kind of region that torch keeps as a graph of its own, one in another, one in a child."""

    def __init__(self) -> None:
        super().__init__()
        self.cast, self.still, self.both, self.plain = Block(), Block(), Block(), Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            x = self.cast(x) * 2
        with torch.enable_grad():
            x = self.still(x).sin()
            with torch.autocast("cpu", enabled=False):
                x = self.both(x)
        return self.plain(x)


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = Regions()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return self.inner(x)


@pytest.mark.parametrize("made", [Regions, Outer])
def test_what_runs_in_a_region_is_of_the_module_that_runs(made: Callable[[], nn.Module], tmp_path: Path) -> None:
    inner = "inner" if made is Outer else ""
    prefix = "inner." if inner else ""
    assert _exported(made(), torch.randn(2, 4), tmp_path / "m.onnx") == [
        ("Gemm", f"{prefix}cast.fc", ""),
        ("Tanh", f"{prefix}cast", ""),
        ("Mul", inner, ""),
        ("Gemm", f"{prefix}still.fc", ""),
        ("Tanh", f"{prefix}still", ""),
        ("Sin", inner, ""),
        ("Gemm", f"{prefix}both.fc", ""),
        ("Tanh", f"{prefix}both", ""),
        ("Gemm", f"{prefix}plain.fc", ""),
        ("Tanh", f"{prefix}plain", ""),
    ]


class Within(nn.Module):
    """Calls itself, in one way or another."""

    def __init__(self, call: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.call = call

    def forward(self, x: torch.Tensor, depth: int = 0) -> torch.Tensor:
        x = torch.tanh(self.fc(x))
        return self.call(self, x, depth + 1) if depth < 2 else x


class Calls(nn.Module):
    """A module that calls itself, one that is compiled, and one by itself, twice."""

    def __init__(self, call: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.within = Within(call)
        self.compiled = torch.compile(Block(), backend="eager")
        self.direct = Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.compiled(self.within(x))
        return self.direct.forward(self.direct.forward(x))


@pytest.mark.parametrize("call", [Within.__call__, Within.forward])
def test_calls_that_torch_passes_by_or_misnumbers_are_told_apart(
    call: Callable[..., torch.Tensor], tmp_path: Path
) -> None:
    # `Within.forward` is looked up when it is called, as code that calls `self.forward` does
    model = Calls(call if call is Within.__call__ else lambda self, *args: self.forward(*args))
    want: list[Row] = []
    for number in range(3):
        want += [("Gemm", "within.fc", f"within@{number}.fc"), ("Tanh", "within", f"within@{number}")]
    want += [("Gemm", "compiled._orig_mod.fc", ""), ("Tanh", "compiled._orig_mod", "")]
    for number in range(2):
        want += [("Gemm", "direct.fc", f"direct@{number}.fc"), ("Tanh", "direct", f"direct@{number}")]
    assert _exported(model, torch.randn(2, 4), tmp_path / "m.onnx") == want


class Looks(nn.Module):
    """Walks over what it holds: whatever an exporter adds to it, it computes with."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for child in self.children():
            x = child(x)
        held = (self._modules, self._parameters, self._buffers, self.__dict__)
        return x * float(sum(map(len, held))) + float(len(list(self.modules())))


class Hooked(nn.Module):
    """Hooks on modules that look at themselves, in containers and called by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.looks, self.again = Looks(), Looks()
        self.row = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.named = nn.ModuleDict({"x": nn.Sequential(nn.Linear(4, 4))})
        self.seen: dict[str, torch.Tensor] = {}
        for module in (self.looks, self.row, self.named["x"]):
            module.register_forward_hook(lambda _, given, out: torch.cumsum(out, -1))
        self.row.register_forward_hook(lambda _, given, out: self.seen.__setitem__("row", out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.again.forward(self.looks(x))
        self.row(x)
        return self.named["x"](self.row.forward(x) + self.seen.pop("row"))


def test_a_model_finds_in_itself_what_it_always_does_and_hooks_are_the_callers(tmp_path: Path) -> None:
    rows = _exported(Hooked(), torch.randn(2, 4), tmp_path / "m.onnx")
    assert [row[:2] for row in rows if row[0] in ("Gemm", "Relu", "CumSum")] == [
        ("Gemm", "looks.one"),
        ("Gemm", "looks.two"),
        ("CumSum", ""),
        ("Gemm", "again.one"),
        ("Gemm", "again.two"),
        ("Gemm", "row.0"),
        ("Relu", "row.1"),
        ("CumSum", ""),
        ("Gemm", "named.x.0"),
        ("CumSum", ""),
    ]


class Branch(nn.Module):
    """Control flow, which torch reads instead of running it: hooks and direct calls in it and behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.yes, self.no, self.behind = Block(), Looks(), Block()
        for module in (self.yes, self.no, self.behind):
            module.register_forward_hook(lambda _, given, out: out.sin())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.cond(x.sum() > 0, lambda v: self.yes(v), lambda v: self.no.forward(v), (x,))
        return self.behind(y)


def test_branches_hold_hooks_and_direct_calls_apart_too(tmp_path: Path) -> None:
    made = ot.export(Branch().eval(), (torch.ones(2, 4),), tmp_path / "m.onnx", strategy="fx")
    assert made.report.fallbacks == ["fx: exported in strict mode, which alone tells the modules inside control flow"]
    rows = [row[:2] for row in _rows(tmp_path / "m.onnx") if row[0] in ("Gemm", "Tanh", "Sin")]
    assert sorted(rows) == sorted(
        [
            ("Gemm", "yes.fc"),
            ("Tanh", "yes"),
            ("Sin", ""),
            ("Gemm", "no.one"),
            ("Gemm", "no.two"),
            ("Gemm", "behind.fc"),
            ("Tanh", "behind"),
            ("Sin", ""),
        ]
    )
    assert b"onnx_tagger.exporters" not in made.path.read_bytes()


def test_torch_is_left_as_it_was(tmp_path: Path) -> None:
    from torch._higher_order_ops.wrap import WrapWithAutocast, WrapWithSetGradEnabled
    from torch.fx.proxy import TracerBase

    class Never(Block):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if torch.compiler.is_exporting():
                raise ValueError("not this one")
            return super().forward(x)

    def held() -> list[Any]:
        regions = [region.__call__ for region in (WrapWithAutocast, WrapWithSetGradEnabled)]
        return [*regions, TracerBase.create_node, Never.forward, Block.forward, nn.Linear.forward]

    before = held()
    with pytest.raises(ot.TaggerError, match="not this one"):
        ot.export(Never(), (torch.randn(2, 4),), tmp_path / "m.onnx", strategy="fx")
    assert held() == before


class Holds(nn.Module):
    def __init__(self, child: nn.Module) -> None:
        super().__init__()
        self.child = child

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.child(x).sin()


WRAPPERS: dict[str, Callable[[nn.Module], nn.Module]] = {
    "module": nn.DataParallel,
    "_orig_mod": lambda model: torch.compile(model, backend="eager"),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_what_a_wrapper_holds_is_named_as_the_model_names_it(name: str, tmp_path: Path) -> None:
    # a wrapper around the root, and one around a child
    model = WRAPPERS[name](Holds(WRAPPERS[name](Block())))
    assert _exported(model, torch.randn(2, 4), tmp_path / "m.onnx") == [
        ("Gemm", f"{name}.child.{name}.fc", ""),
        ("Tanh", f"{name}.child.{name}", ""),
        ("Sin", name, ""),
    ]
