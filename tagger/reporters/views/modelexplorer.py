"""A tagged model as a graph for Model Explorer: its JSON, with the module tree as namespaces.

Model Explorer opens it without an extension for ONNX. Numbers by node are `overlay`'s.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TextIO

from onnx_tagger.measures.fragment import title
from onnx_tagger.measures.shown import shown
from onnx_tagger.measures.table import Row
from onnx_tagger.model.graph import Op
from onnx_tagger.model.metadata import Tag
from onnx_tagger.passes.analyses.dataflow import DataFlow, Flow
from onnx_tagger.reporters.jsonform import safe
from onnx_tagger.workflows.viewing import View, shapes_of, unique_names

_NO_TAG = "(no tag)"


def render_view(view: View, out: TextIO) -> None:
    """Write the graph of a view, with the columns of its table at its modules.

    Parameters
    ----------
    view : View
    out : TextIO
    """
    flow = view.tagged.context.get(DataFlow)
    ids = {op.id: name for op, name in zip(view.ops, unique_names(view.ops), strict=True)}
    nodes = [
        _node(op, ids, flow, view.tagged.context.tags.get(op), shape)
        for op, shape in zip(view.ops, shapes_of(view.ops), strict=True)
    ]
    groups = {
        row.module.tag.lstrip("/"): _attributes(row, view) for row in view.table.rows if row.module and row.module.tag
    }
    graph = {"id": "main", "nodes": nodes, "groupNodeAttributes": groups}
    # Without a label, Model Explorer shows no more than "Error".
    out.write(safe(json.dumps({"label": view.title, "graphs": [graph]}, ensure_ascii=False)) + "\n")


def _node(op: Op, ids: Mapping[int, str], flow: Flow, tag: Tag | None, shape: str) -> dict[str, object]:
    edges = []
    for at, key in enumerate(flow.inputs[op.id]):
        maker = flow.producer.get(key)
        if maker is not None and maker in ids:
            outputs = flow.outputs[maker]
            edge = {
                "sourceNodeId": ids[maker],
                "sourceNodeOutputId": str(outputs.index(key)),
                "targetNodeInputId": str(at),
            }
            edges.append(edge)
    made: dict[str, object] = {
        "id": ids[op.id],
        "label": op.node.op_type,
        "namespace": tag.tag.lstrip("/") if tag is not None else _NO_TAG,
        "attrs": [{"key": key, "value": value} for key, value in _facts(op, tag)],
        "incomingEdges": edges,
    }
    if shape:
        made["outputsMetadata"] = [{"id": "0", "attrs": [{"key": "shape", "value": shape}]}]
    return made


def _facts(op: Op, tag: Tag | None) -> list[tuple[str, str]]:
    facts = [("graph", op.scope.name)] if op.scope.name != "main" else []
    if tag is not None:
        facts += [("module", tag.module or "(root)"), ("source", tag.source.label)]
        if tag.origins:
            facts.append(("does the work of", ", ".join(path or "(root)" for path in tag.origins)))
    return facts


def _attributes(row: Row, view: View) -> dict[str, str]:
    assert row.module is not None
    facts = {"class": row.module.cls or "", "module": row.module.shown}
    for column in view.table.columns:
        facts[title(column)] = f"{shown(row.total[column.name])} (own {shown(row.own[column.name])})"
    return facts
