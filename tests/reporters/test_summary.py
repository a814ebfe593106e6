"""Counts on the terminal: coverage, graphs, and a row for each module and for the nodes without a tag."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from onnx import ModelProto, helper

from onnx_tagger.model.report import Report
from onnx_tagger.reporters.summary import show_notes, show_stats
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.workflows import checking
from onnx_tagger.workflows.reading import read

Net = Callable[..., ModelProto]
Show = Callable[..., list[str]]


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]) -> Show:
    def call(model: ModelProto, *measures: str) -> list[str]:
        tagged = read(model)
        show_stats(Screen(), checking.count(tagged.context), tagged.table(("nodes", "sources", *measures)))
        return capsys.readouterr().out.splitlines()

    return call


def test_stats(show: Show, net: Net) -> None:
    assert show(net(after=True), "weights") == [
        "83.3 % of 6 nodes tagged (exported 2, aligned 2, inherited 1)",
        "1 node with the work of several modules",
        "nodes  graph",
        "    4  main",
        "    1  main/If_1.else_branch",
        "    1  main/If_1.then_branch",
        "nodes  exported  aligned  inherited  weights (B)  tag",
        "    1         0        1          0           80  /Net/Blk.0",
        "    1         1        0          0            0  /Net/Blk.1",
        "    2         0        1          1            0  /Net/Blk.1/Linear",
        "    1         1        0          0            0  /Net/Blk.1/ReLU",
        "    1         0        0          0            0  (no tag)",
    ]


def test_numbers_of_untagged_nodes_are_not_lost(show: Show, net: Net) -> None:
    model = net()
    for node in model.graph.node:
        del node.metadata_props[:]
        for attribute in node.attribute:
            for inner in attribute.g.node:
                del inner.metadata_props[:]
    assert show(model, "weights")[-2:] == ["nodes  weights (B)  tag", "    8           80  (no tag)"]


def test_an_empty_graph(show: Show, net: Net) -> None:
    model = net()
    del model.graph.node[:]
    assert show(model) == ["100 % of 0 nodes tagged"]


def test_hostile_tags_are_text(show: Show, net: Net, hostile_in_file: str) -> None:
    node = helper.make_node("Neg", ["x"], ["y"], "n")
    node.metadata_props.add(key="winml.hierarchy.tag", value=f"/Net/{hostile_in_file.replace('/', '%2F') or 'x'}")
    lines = show(helper.make_model(helper.make_graph([node], "g", [], [])))
    assert all(line.isprintable() for line in lines)
    assert lines[:2] == ["100 % of 1 nodes tagged (matched 1)", "nodes  matched  tag"]
    assert len(lines) == 3


def test_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(fallbacks=["first \x1b[31m", "second"])
    show_notes(Screen(), report)
    assert capsys.readouterr() == ("", "note: first \\x1b[31m\nnote: second\n")
    show_notes(Screen(quiet=True), report)
    assert capsys.readouterr() == ("", "")
