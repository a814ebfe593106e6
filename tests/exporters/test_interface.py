"""Names of inputs and outputs, dimensions left open, and which of a call's tensors goes to which input of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.export import Dim

import onnx_tagger as ot
from onnx_tagger.exporters.interface import array_of, feeds_of

STRATEGIES = ("fx", "htp")


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        z = self.linear(x) - y
        return torch.relu(z), z.sin()


ARGS = (torch.randn(3, 4), torch.randn(3, 4))


def ends(path: Path) -> tuple[list[str], list[str]]:
    graph = onnx.load(path).graph
    return [value.name for value in graph.input], [value.name for value in graph.output]


def dims(path: Path) -> list[list[str | int]]:
    graph = onnx.load(path).graph
    return [[d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim] for value in graph.input]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_names_stand_in_the_file_and_all_else_holds(strategy: str, tmp_path: Path) -> None:
    names: dict[str, Any] = {"input_names": ["y", "linear"], "output_names": ["relu", "sub"]}
    model = Two()
    made = ot.export(model, ARGS, tmp_path / "m.onnx", strategy=strategy, **names)
    assert ends(made.path) == (["y", "linear"], ["relu", "sub"])
    onnx.checker.check_model(onnx.load(made.path), full_check=True)
    assert made.report.ok
    assert made.report.compared is not None
    assert made.report.by_source["exported"] == made.report.nodes
    assert ot.check(made.path, made.map_path).ok
    bare = ot.export(model, ARGS, tmp_path / "bare.onnx", strategy=strategy, tag=False, **names)
    report = ot.retag(bare.path, made.map_path, tmp_path / "again.onnx", verify=made.path)
    assert report.by_source["matched"] == report.nodes


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_feeds_go_where_the_names_were_put(strategy: str, tmp_path: Path) -> None:
    made = ot.export(Two(), ARGS, tmp_path / "m.onnx", strategy=strategy, input_names=["y", "x"])
    feeds = feeds_of(made.path, Two(), ARGS, {}, ["y", "x"])
    assert np.array_equal(feeds["y"], ARGS[0].numpy())
    assert np.array_equal(feeds["x"], ARGS[1].numpy())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_some_names_leave_the_others(strategy: str, tmp_path: Path) -> None:
    made = ot.export(Two(), ARGS, tmp_path / "m.onnx", strategy=strategy, input_names=["a"], output_names=["c"])
    inputs, outputs = ends(made.path)
    assert (inputs, outputs[0], len(outputs)) == (["a", "y"], "c", 2)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"input_names": ["a", "b", "c"]}, "3 input names were given, but the file has 2 inputs"),
        ({"output_names": ["a", "b", "c"]}, r"3 output names were given, but|number of output names"),
        ({"input_names": ["a", "a"]}, "'a' is given twice"),
        ({"input_names": "ab"}, r"'ab': names of inputs and outputs are a list; give \['ab'\]"),
        ({"output_names": [""]}, "'' is no name"),
        ({"dynamic": True, "dynamic_shapes": {"x": {0: "n"}}}, "give one of them"),
    ],
)
def test_names_that_cannot_be(strategy: str, options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ot.TaggerError, match=words):
        ot.export(Two(), ARGS, tmp_path / "m.onnx", strategy=strategy, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"output_names": ["linear.weight"]}, "'linear.weight' is that of a weight"),
        ({"input_names": ["a"], "output_names": ["a"]}, "'a' would be that of two inputs or outputs"),
    ],
)
def test_names_that_are_taken(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ot.TaggerError, match=words):
        ot.export(Two(), ARGS, tmp_path / "m.onnx", strategy="fx", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_node_converted_to_an_older_opset_is_known_by_its_own_name(tmp_path: Path) -> None:
    made = ot.export(Two(), ARGS, tmp_path / "m.onnx", strategy="fx", opset=17, output_names=["a", "b"])
    assert onnx.load(made.path).opset_import[0].version == 17
    assert made.report.by_source["exported"] == made.report.nodes


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "shapes",
    [
        {"x": {0: "rows"}, "y": {0: "rows"}},
        ({0: "rows"}, {0: "rows"}),
        {"x": ["rows", None], "y": ("rows", None)},
        {"x": {0: Dim("rows")}, "y": {0: Dim("rows")}},
    ],
)
def test_dynamic_shapes(strategy: str, shapes: Mapping[str, Any] | Sequence[Any], tmp_path: Path) -> None:
    if strategy == "fx" and isinstance(shapes, dict) and isinstance(shapes["x"], dict) and shapes["x"][0] != "rows":
        shared = Dim("rows")
        shapes = {"x": {0: shared}, "y": {0: shared}}
    made = ot.export(
        Two(), ARGS, tmp_path / "m.onnx", strategy=strategy, dynamic_shapes=shapes, input_names=["left", "right"]
    )
    assert dims(made.path) == [["rows", 4], ["rows", 4]]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_dimensions_without_a_name_are_open(strategy: str, tmp_path: Path) -> None:
    shapes = {"x": {0: Dim.AUTO}, "y": {0: Dim.AUTO, 1: None}}
    made = ot.export(Two(), ARGS, tmp_path / "m.onnx", strategy=strategy, dynamic_shapes=shapes)
    assert all(isinstance(first, str) and second == 4 for first, second in dims(made.path))


class Nested(nn.Module):
    def forward(self, pair: tuple[torch.Tensor, torch.Tensor], *, more: dict[str, torch.Tensor]) -> torch.Tensor:
        return pair[0] + pair[1] * more["a"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_shapes_of_nested_inputs(strategy: str, tmp_path: Path) -> None:
    one = torch.randn(3, 4)
    shapes = {"pair": ({0: "n"}, {0: "n"}), "more": {"a": {0: "n"}}}
    kwargs = {"more": {"a": one}}
    made = ot.export(
        Nested(), ((one, one + 1),), tmp_path / "m.onnx", kwargs=kwargs, strategy=strategy, dynamic_shapes=shapes
    )
    assert dims(made.path) == [["n", 4]] * 3


@dataclass
class Batch:
    one: torch.Tensor
    two: torch.Tensor


class Takes(nn.Module):
    def forward(self, batch: Batch) -> torch.Tensor:
        return batch.one + batch.two


class Rest(nn.Module):
    def forward(self, x: torch.Tensor, *rest: torch.Tensor, **named: torch.Tensor) -> torch.Tensor:
        return x + sum(rest) + sum(named.values())


ONE, OPEN = torch.randn(3, 4), {0: "n"}
LOOSE = ((ONE, ONE + 1), {"a": ONE + 2, "b": ONE + 3})


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    ("model", "call", "shapes"),
    [
        (Takes(), ((Batch(ONE, ONE + 1),), {}), {"batch": [OPEN, OPEN]}),
        (Takes(), ((), {"batch": Batch(ONE, ONE + 1)}), {"batch": [OPEN, OPEN]}),
        (Rest(), LOOSE, {"x": OPEN, "rest": (OPEN,), "a": OPEN, "b": OPEN}),
        (Rest(), LOOSE, {"x": OPEN, "rest": (OPEN,), "named": {"a": OPEN, "b": OPEN}}),
    ],
    ids=["dataclass", "dataclass by name", "keywords", "keywords as one"],
)
def test_shapes_of_what_a_signature_does_not_name(
    strategy: str, model: nn.Module, call: Any, shapes: Mapping[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    made = ot.export(model, call[0], path, kwargs=call[1], strategy=strategy, dynamic_shapes=shapes)
    assert dims(path) == [["n", 4]] * len(dims(path))
    assert made.report.compared is not None
    assert made.report.compared["agrees"]


def test_shapes_that_fit_no_input(tmp_path: Path) -> None:
    for shapes, words in (
        ({"z": OPEN}, r"name 'z', which is none of the inputs \(batch\)"),
        ({"batch": [OPEN]}, "of 'batch' have another structure"),
        ({"batch": {"one": OPEN, "two": OPEN}}, "of 'batch' have another structure"),
    ):
        with pytest.raises(ot.TaggerError, match=words):
            ot.export(Takes(), (Batch(ONE, ONE),), tmp_path / "m.onnx", strategy="htp", dynamic_shapes=shapes)


def test_a_dimension_that_depends_on_another_is_not_for_htp(tmp_path: Path) -> None:
    n = Dim("n")
    shapes = {"x": {0: n}, "y": {0: 2 * n}}
    with pytest.raises(ot.TaggerError, match=r"dimension 0 of 'y' depends on another one \(2\*n\)"):
        ot.export(Two(), ARGS, tmp_path / "m.onnx", strategy="htp", dynamic_shapes=shapes)
    with pytest.raises(ot.TaggerError, match="the dynamic shapes of 'pair' have another structure"):
        ot.export(
            Nested(),
            ((ARGS[0], ARGS[1]),),
            tmp_path / "m.onnx",
            kwargs={"more": {"a": ARGS[0]}},
            strategy="htp",
            dynamic_shapes={"pair": [{0: "n"}]},
        )
    assert list(tmp_path.iterdir()) == []


class Control(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda v: v + 1, lambda v: v - 1, (x,))


def test_named_dimensions_in_strict_mode(tmp_path: Path) -> None:
    made = ot.export(Control(), ARGS[:1], tmp_path / "m.onnx", dynamic_shapes={"x": {0: "rows"}}, input_names=["in"])
    assert any("strict mode" in note for note in made.report.fallbacks)
    assert (ends(made.path)[0], dims(made.path)) == (["in"], [["rows", 4]])


def test_array_of_a_type_that_numpy_lacks() -> None:
    tensor = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)
    assert array_of(tensor).astype(np.float32).tolist() == [1.5, -2.0]
