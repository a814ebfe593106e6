"""A map with everything that its file can hold, its JSON, and the message with which wrong JSON is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.file import parse_map, to_json
from onnx_tagger.hierarchy.map import HierarchyMap, Module, Parameter, SavedGraph, SavedNode
from onnx_tagger.model.metadata import Source


def make_map() -> HierarchyMap:
    modules = (
        Module("", "Net", "/Net", None, 0, 1),
        Module("a", "ModuleList", None, ""),
        Module("a.0", "Blk", "/Net/Blk.0", "a", 1, 2, ("tied", "größe")),
        Module("a.1", "Blk", "/Net/Blk.1", "a"),
    )
    parameters = (
        Parameter("a.0.w", "a.0", (2, 3), "float32", ("0" * 16, "00ff00ff00ff00ff")),
        Parameter("a.1.s", "a.1", (), "int64", ("f" * 16, "1" * 16)),
    )
    bare = HierarchyMap(modules)
    nodes = [
        SavedNode("main", "n0", "MatMul", ("x", "w"), ("h",), bare.tag("a.0", Source.EXPORTED, (), ("a.0@1",))),
        SavedNode(
            "main", "", "com.microsoft::Fused", ("h", ""), ("y",), bare.tag("", Source.INHERITED, ("a.0", "a.1"))
        ),
        SavedNode("main/If_1.then_branch", "n2", "Add", (), ("z", ""), None),
    ]
    graph = SavedGraph(nodes, ("x",), ("y",), {"w": ("a.0",), "unowned": ()})
    return HierarchyMap(modules, parameters, graph, "onnx-tagger 0, torch 0")


def document() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(to_json(make_map()))
    return made


def assert_one_line(error: MapError) -> None:
    text = str(error)
    assert text
    assert "\n" not in text
    assert len(text) < 400


def refused(data: bytes) -> str:
    """Parse what must be refused and return the message, which is one line."""
    with pytest.raises(MapError) as caught:
        parse_map(data, "m.json")
    assert_one_line(caught.value)
    text = str(caught.value)
    assert text.startswith("m.json: ")
    return text


def refused_json(value: object) -> str:
    return refused(json.dumps(value).encode())
