"""Both export strategies on modules that make tagging hard, and `auto`."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

import onnx_tagger as ot
from examples.blocks import Block, Hard, tags_of
from onnx_tagger.errors import ExportError
from onnx_tagger.exporters.select import first_that_works
from onnx_tagger.hierarchy.map import Merge

STRATEGIES = ("fx", "htp")


EXPECTED = [
    *(
        f"Gemm first.{name}.linear first@{k}.{mark}.linear"
        for k in range(2)
        for name, mark in (
            ("block", "block@0"),
            ("block", "block@1"),
            ("blocks.0", "blocks.0"),
            ("blocks.1", "blocks.1"),
        )
    ),
    "Gemm second.blocks.1.linear",
    "Gemm odd.a/b",
    "Gemm odd.50%",
    "Gemm row.0",
    "Gemm row.2.0",
    "Gemm second.block.linear",
]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_right_module_and_call_on_hard_modules(strategy: str, tmp_path: Path) -> None:
    exported = ot.export(Hard(), (torch.randn(2, 4),), tmp_path / "hard.onnx", strategy=strategy)
    assert exported.report.by_source["exported"] == exported.report.nodes
    found = [" ".join([kind, tag.module, *tag.call]) for kind, tag in tags_of(exported.path, "Gemm")]
    assert found == EXPECTED
    assert [(kind, tag.module) for kind, tag in tags_of(exported.path, "Mul", "Sigmoid")] == [
        ("Sigmoid", "row.1"),
        ("Mul", ""),
    ]


class Folded(nn.Module):
    """The exporters fold the normalisation into the convolution; the dropout is a no-op that they drop."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(2, 3, 3), nn.BatchNorm1d(3)
        self.drop, self.last = nn.Dropout(), nn.Conv1d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.drop(torch.relu(self.norm(self.conv(x)))))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(("merge", "module"), [("enclosing", ""), ("output", "norm")])
def test_a_folded_node_has_both_origins(strategy: str, merge: Merge, module: str, tmp_path: Path) -> None:
    model = Folded().eval()
    nn.init.normal_(model.norm.weight)
    exported = ot.export(model, (torch.randn(1, 2, 8),), tmp_path / "m.onnx", strategy=strategy, merge=merge)
    folded, last = (tag for _, tag in tags_of(exported.path, "Conv"))
    assert (folded.origins, folded.module, folded.source) == (("conv", "norm"), module, ot.Source.EXPORTED)
    assert (last.origins, last.module) == ((), "last")
    assert ot.check(exported.path, exported.map_path).ok


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_a_hook_computes_is_the_callers(strategy: str, tmp_path: Path) -> None:
    model = nn.Sequential(Block(), Block())
    model[0].register_forward_hook(lambda module, args, out: torch.sin(out))
    exported = ot.export(model, (torch.randn(2, 4),), tmp_path / "m.onnx", strategy=strategy)
    assert [tag.module for _, tag in tags_of(exported.path, "Sin", "Relu")] == ["0", "", "1"]
    assert list(dict(model.named_modules())) == ["", "0", "0.linear", "1", "1.linear"]
    assert "forward" not in model[0].__dict__


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_a_hook_of_the_root_calls_and_its_forward_are_two_calls(strategy: str, tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model.register_forward_pre_hook(lambda module, args: (module[0](args[0]),))
    exported = ot.export(model, (torch.randn(2, 4),), tmp_path / "m.onnx", strategy=strategy)
    assert [tag.call for _, tag in tags_of(exported.path, "Gemm")] == [("0@0",), ("0@1",), ()]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_what_the_root_only_hands_on_is_the_roots(strategy: str, tmp_path: Path) -> None:
    class Hands(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return self.block(x), x

    exported = ot.export(Hands(), (torch.randn(2, 4),), tmp_path / "m.onnx", strategy=strategy)
    assert exported.report.ok, exported.report.failures
    assert exported.report.by_source["exported"] == exported.report.nodes


def test_convnets_keep_their_tags_through_blocked_layouts(tmp_path: Path) -> None:
    """onnxruntime stores tensors in blocks, renames them and inserts nodes that convert between the layouts."""
    ort = pytest.importorskip("onnxruntime")
    model = nn.Sequential(*(nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)) for _ in range(2)))
    exported = ot.export(model, (torch.randn(1, 8, 16, 16),), tmp_path / "m.onnx", strategy="htp")
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "best.onnx")
    options.log_severity_level = 3
    ort.InferenceSession(str(exported.path), options, providers=["CPUExecutionProvider"])
    report = ot.retag(tmp_path / "best.onnx", exported.map_path, tmp_path / "tagged.onnx")
    assert report.ok, report.failures
    modules = {
        tag.module: tag.source for kind, tag in tags_of(tmp_path / "tagged.onnx") if kind in ("MaxPool", "Reorder")
    }
    assert all(source in (ot.Source.MATCHED, ot.Source.ALIGNED) for source in modules.values())
    for kind, tag in tags_of(tmp_path / "tagged.onnx"):
        assert len(tag.origins) <= 2, (kind, tag)


def test_shared_constants_are_of_all_that_read_them(tmp_path: Path) -> None:
    class Sums(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum(1, keepdim=True)

    exported = ot.export(nn.Sequential(Sums(), Sums()), (torch.randn(2, 4),), tmp_path / "m.onnx", strategy="htp")
    constants = [tag for _, tag in tags_of(exported.path, "Constant")]
    assert [(tag.module, tag.origins, tag.source) for tag in constants] == [("", ("0", "1"), ot.Source.EXPORTED)]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_dynamic_shapes_stay_open(strategy: str, tmp_path: Path) -> None:
    exported = ot.export(Block(), (torch.randn(3, 4),), tmp_path / "m.onnx", strategy=strategy, dynamic=True)
    first = onnx.load(exported.path).graph.input[0].type.tensor_type.shape.dim[0]
    assert first.dim_param


class Wide(nn.Module):
    """Its second input has size 1 where the first is as wide as a weight, which torch cannot leave open."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + x * y


def test_a_dynamic_export_leaves_no_marks_on_the_inputs(tmp_path: Path) -> None:
    inputs = (torch.randn(2, 4), torch.randn(1))
    try:
        ot.export(Wide(), inputs, tmp_path / "m.onnx", strategy="fx", dynamic=True)
    except ot.TaggerError:
        assert list(tmp_path.iterdir()) == []
    assert [vars(tensor) for tensor in inputs] == [{}, {}]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_opset_is_taken(strategy: str, tmp_path: Path) -> None:
    exported = ot.export(Block(), (torch.randn(3, 4),), tmp_path / "m.onnx", strategy=strategy, opset=18)
    assert onnx.load(exported.path).opset_import[0].version == 18
    assert exported.report.coverage == 100


def test_an_opset_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ot.TaggerError, match=r"cannot write this model in opset 99|opset") as caught:
        ot.export(Block(), (torch.randn(3, 4),), tmp_path / "m.onnx", opset=99)
    assert "fx: " in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_auto_takes_the_strategy_that_can_write_the_opset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise RuntimeError("no adapter")

    monkeypatch.setattr(onnx.version_converter, "convert_version", fails)
    inputs = (torch.randn(3, 4),)
    exported = ot.export(Block(), inputs, tmp_path / "m.onnx", opset=17)
    assert exported.report.strategy == "htp"
    assert onnx.load(exported.path).opset_import[0].version == 17
    assert exported.report.fallbacks[0] == (
        "auto took htp, since fx: torch cannot write this model in opset 17, only in 18; ask for opset 18 or newer, or "
        "for the strategy htp"
    )
    with pytest.raises(ot.TaggerError, match="only in 18; ask for opset 18 or newer, or for the strategy htp"):
        ot.export(Block(), inputs, tmp_path / "fx.onnx", opset=17, strategy="fx")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.hierarchy.json", "m.onnx"]


def test_auto_takes_fx_and_says_so(tmp_path: Path) -> None:
    report = ot.export(Block(), (torch.randn(2, 4),), tmp_path / "m.onnx").report
    assert report.strategy == "fx"
    assert report.fallbacks == []


class OnlyTraceable(nn.Module):
    """Asks for a number that torch.export cannot know."""

    def __init__(self) -> None:
        super().__init__()
        self.block = Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.block(x) if x.sum().item() > -1e9 else x


def test_auto_falls_back_to_htp_and_says_why(tmp_path: Path) -> None:
    exported = ot.export(OnlyTraceable(), (torch.randn(2, 4),), tmp_path / "m.onnx")
    assert exported.report.strategy == "htp"
    assert exported.report.fallbacks[0].startswith("auto took htp, since fx: torch.export cannot do it")
    assert ot.check(exported.path, exported.map_path).ok


def test_a_model_that_no_strategy_exports_is_one_sentence(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    class Never(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.aten._linalg_eigvals(x).abs() if x.sum().item() > -1e9 else x

    with pytest.raises(ot.TaggerError, match=r"fx: .*; htp: ") as caught:
        ot.export(Never(), (torch.randn(3, 3),), tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr().out == "", "torch prints the graph that it could not export"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_keyword_and_nested_inputs_keep_their_names(strategy: str, tmp_path: Path) -> None:
    class Takes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def forward(
            self, x: torch.Tensor, *, pair: tuple[torch.Tensor, torch.Tensor], scale: float = 1.0
        ) -> torch.Tensor:
            return self.block(x) * scale + pair[0] - pair[1]

    one = torch.randn(2, 4)
    kwargs = {"pair": (torch.randn(2, 4), torch.randn(2, 4)), "scale": 2.0}
    exported = ot.export(Takes(), (one,), tmp_path / "m.onnx", kwargs=kwargs, strategy=strategy)
    names = [value.name for value in onnx.load(exported.path).graph.input]
    assert len(names) == 3
    assert names[0] == "x"
    assert all("pair" in name for name in names[1:])


def test_strategies_are_tried_in_order_until_one_works() -> None:
    def attempt(name: str) -> str:
        if name == "fx":
            raise ExportError("not this one")
        return name.upper()

    assert first_that_works("auto", attempt) == ("htp", "HTP", {"fx": "not this one"})
    assert first_that_works("torchscript", attempt) == ("htp", "HTP", {})
    with pytest.raises(ExportError, match=r"fx: not this one: try --strategy auto") as caught:
        first_that_works("fx", attempt)
    assert str(caught.value.__cause__) == "not this one"
