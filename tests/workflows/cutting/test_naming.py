"""Names at the border say whose tensors are, and meet no others."""

from __future__ import annotations

from examples.looped import model
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.cutting.naming import border_names
from onnx_tagger.workflows.cutting.region import Cutter
from onnx_tagger.workflows.splitting.maingraph import main_graph


def test_outputs_are_numbered_and_free_of_clashes() -> None:
    proto = model(
        [
            ("b", "Tanh", "/b0", ["x"]),
            ("a", "Exp", "output_0", ["/b0"]),
            ("a", "Abs", "a1", ["output_0"]),
            ("c", "Add", "y", ["output_0", "a1"]),
        ]
    )
    ctx = read_tags(proto)
    graph = main_graph(ctx)
    tags = [ctx.tags.get(ctx.ops[index]) for index in graph.ids]
    region = Cutter(graph, list(proto.graph.node), tags).region({1, 2})
    assert border_names(region, graph, tags, "torch") == {"/b0": "b/b0", "output_0": "output_0", "a1": "output_1"}
    assert border_names(region, graph, tags, "file") == {name: name for name in ("/b0", "output_0", "a1")}
