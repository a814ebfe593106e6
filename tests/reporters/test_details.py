"""All that is known of single nodes, in every form."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields

import pytest
from onnx import ModelProto

from onnx_tagger.model.metadata import TORCH_STACK
from onnx_tagger.reporters.details import show_details
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.workflows.querying import Details, Neighbour, details_of, find_nodes
from onnx_tagger.workflows.reading import read

Net = Callable[..., ModelProto]
Show = Callable[..., str]


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    def call(found: list[Details], form: str = "text") -> str:
        show_details(Screen(), found, form)  # type: ignore[arg-type]
        return capsys.readouterr().out

    return call


def details(model: ModelProto, *names: str) -> list[Details]:
    tagged = read(model)
    return [details_of(tagged.context, op) for name in names for op in find_nodes(tagged.context, name)]


def test_a_fused_node(show: Show, net: Net) -> None:
    model = net(after=True)
    model.graph.node[0].doc_string = "made by a tool\nonnx_tagger:layers.0\nof three nodes"
    model.graph.node[0].metadata_props.add(key=TORCH_STACK, value='File "m.py", line 3, in forward\n    return a * b')
    assert show(details(model, "one")) == (
        "one  main#0 FusedGemm\n"
        "  module  layers.0\n"
        "  tag     /Net/Blk.0\n"
        "  source  aligned\n"
        "  origin  layers.0.act\n"
        "  origin  layers.0.fc\n"
        '  code    File "m.py", line 3, in forward: return a * b\n'
        "  doc     made by a tool; of three nodes\n"
        "  input   x, input of main\n"
        "  input   w, initializer\n"
        "  input   b, initializer\n"
        "  output  r, to main/If_1.else_branch#0 Abs -> layers.1.fc\n"
        "  output  r, to neg Neg -> layers.1.fc\n"
    )


@pytest.mark.parametrize(
    ("text", "code", "doc"),
    [
        ("fused MatMul and Add", "", "fused MatMul and Add"),
        ("first\n\nm.py(3): forward\nnn.py(9): __call__\n", "m.py(3): forward", "first"),
        ('File "nn.py", line 9, in __call__\nFile "m.py", line 3, in forward', 'File "m.py", line 3, in forward', ""),
        ("/a/m.py:3\nonnx_tagger:layers.0", "/a/m.py:3", ""),
        ("onnx_tagger:layers.0", "", ""),
    ],
)
def test_what_a_tool_says_is_no_code(net: Net, text: str, code: str, doc: str) -> None:
    model = net()
    model.graph.node[0].doc_string = text
    (found,) = details(model, "mm")
    assert (found.code, found.doc) == (code, doc)


def test_a_node_without_a_tag_and_without_a_name(show: Show, net: Net) -> None:
    assert show(details(net(loose=""), "y")) == (
        "main#5  main#5 Cast\n"
        "  module  (none)\n"
        "  input   s, from main#4 Sigmoid -> layers.1.act\n"
        "  output  y, output of main\n"
    )


def test_a_body_says_whose_it_is(show: Show, net: Net) -> None:
    assert "  output  t, output of main/If_3.then_branch, a body of if If\n" in show(details(net(), "neg"))


def test_json_holds_every_field(show: Show, net: Net) -> None:
    found = json.loads(show(details(net(), "mm", "main#4"), "json"))
    assert [list(each) for each in found] == [[field.name for field in fields(Details)]] * 2
    assert [(each["id"], each["name"], each["label"]) for each in found] == [
        ("main#0", "mm", "main#0 MatMul"),
        ("main#4", "", "main#4 Sigmoid"),
    ]
    assert found[0]["inputs"][1] == {"tensor": "w", "what": "initializer", "module": ""}
    assert json.loads(show(details(net(), "loose"), "json"))[0]["tag"] is None


def test_tsv_has_a_row_for_each_field(show: Show, net: Net) -> None:
    rows = [line.split("\t") for line in show(details(net(), "mm", "loose"), "tsv").splitlines()]
    assert rows[:4] == [
        ["node", "field", "value"],
        ["main#0", "module", "layers.0.fc"],
        ["main#0", "tag", "/Net/Blk.0/Linear"],
        ["main#0", "source", "exported"],
    ]
    assert rows[-1] == ["main#5", "output", "y, output of main"]


def test_hostile_names(show: Show, hostile: str) -> None:
    neighbour = Neighbour(hostile, hostile, hostile)
    found = Details(*([hostile] * 9), (hostile,), (hostile,), (hostile,), hostile, hostile, (neighbour,), (neighbour,))
    for form in ("text", "tsv"):
        lines = show([found], form).split("\n")
        assert lines.pop() == ""
        assert all(line.replace("\t", "").isprintable() for line in lines)
        # A header, and a line for each of ten fields, of which code and doc are left out where they are empty.
        assert len(lines) == (11 if hostile else 9)
        if form == "tsv":
            assert {line.count("\t") for line in lines} == {2}
    text = show([found], "json")
    assert text.replace("\n", "").isprintable()
    assert json.loads(text)[0]["inputs"][0]["tensor"] == hostile
