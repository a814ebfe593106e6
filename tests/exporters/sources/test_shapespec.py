"""The file of `--dynamic-shapes`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from onnx_tagger.errors import SourceError
from onnx_tagger.exporters.sources.shapespec import read_shapes


class Takes(nn.Module):
    def forward(self, x: torch.Tensor, pair: list[torch.Tensor], more: dict[str, torch.Tensor]) -> torch.Tensor:
        return x


def read(tmp_path: Path, content: object) -> dict[str, object]:
    path = tmp_path / "shapes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    one = torch.zeros(2, 2)
    return read_shapes(path, Takes(), (one, [one, one]), {"more": {"a": one}})


def test_axes_are_integers_and_every_input_has_an_entry(tmp_path: Path) -> None:
    assert read(tmp_path, {"x": {"0": "n", "1": "m"}}) == {"x": {0: "n", 1: "m"}, "pair": None, "more": None}
    nested = {"pair": [{"0": "n"}, None], "more": {"a": {"1": "m"}}}
    assert read(tmp_path, nested) == {"x": None, "pair": [{0: "n"}, None], "more": {"a": {1: "m"}}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "cannot be read as JSON"),
        ([], "does not hold dynamic shapes; it is a JSON object of input name"),
        ({"z": {}}, "not given the input 'z'; it is given x, pair, more"),
        ({"x": 3}, "input 'x' has 3 where axes belong"),
        ({"x": {"0": 3}}, "has a dimension named 3; a name is a text"),
    ],
)
def test_what_is_wrong_is_said(content: object, words: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=words):
        read(tmp_path, content)
