"""`place`: what onnxruntime's layer assignment settings will do with a file, found out before it runs."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.arguments import insist_on
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.graph import Op
from onnx_tagger.model.keys import LAYER_ANN
from onnx_tagger.model.metadata import props_of, text_of
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.model.urls import place_of
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.workflows.placing.crossing import Crossing, crossings, tensor_bytes
from onnx_tagger.workflows.placing.predicting import Matcher, inlined, predicted
from onnx_tagger.workflows.placing.rules import Rule, parse_rules, resolve_rules, setting_of
from onnx_tagger.workflows.reading import Tagged, read

OPTION = "session.layer_assignment_settings"
"""The session option of onnxruntime that takes the setting, from 1.25 on."""

# Modules without a rule that a person is told of.
_UNCOVERED = "uncovered"


@dataclass(frozen=True, slots=True)
class Placed:
    """A rule and what goes by it.

    Attributes
    ----------
    rule : Rule
    nodes : int
        How many go by it.
    bytes : int
        Of the weights that these read, a weight with several readers in equal parts.
    would : int
        How many would, were it the only rule.
    shadowed_by : str
        The first rule to the left that takes nodes which this one fits, where it gets none; else empty.
    """

    rule: Rule
    nodes: int
    bytes: int
    would: int
    shadowed_by: str = ""

    def __repr__(self) -> str:
        return brief(self, self.rule.text, counted(self.nodes, "node"))

    @property
    def failure(self) -> str:
        """Why it does nothing; empty if it does something."""
        if self.nodes:
            return ""
        if self.rule.problem:
            return f"{self.rule.text}: {self.rule.problem}"
        if self.would:
            return (
                f"{self.rule.text}: is shadowed by {self.shadowed_by}, which takes all {counted(self.would, 'node')} "
                "that it fits; the leftmost beginning that fits wins, and any beginning over '='"
            )
        return f"{self.rule.text}: matches no node; its module has none in this file"


@dataclass(frozen=True)
class Placement:
    """What onnxruntime's layer assignment settings do with a file.

    Attributes
    ----------
    model : str
        The file.
    setting : str
        The value of the session option `OPTION`.
    rules : tuple of Placed
        In their order, which is theirs in the setting.
    devices : dict
        Op id to the device of its rule; nodes that no rule covers are left out.
    crossing : tuple of Crossing
    modules : ModuleTable
        Nodes, bytes of weights, and nodes by device, by module.
    uncovered : tuple of (str, int)
        The outermost modules with nodes that no rule covers, and how many; an empty name for nodes without a tag.
    annotated : int
        How many nodes carry an annotation in the file; where none does, the tags are taken for what
        ``retag --also layer_ann`` would write.
    nodes : int
        How many there are.
    names : dict
        Op id to the name of a node that runs; onnxruntime knows nodes by it.
    """

    model: str
    setting: str
    rules: tuple[Placed, ...]
    devices: dict[int, str]
    crossing: tuple[Crossing, ...]
    modules: ModuleTable
    uncovered: tuple[tuple[str, int], ...]
    annotated: int
    nodes: int
    names: dict[int, str] = field(repr=False, default_factory=dict)

    def __repr__(self) -> str:
        return brief(self, counted(len(self.rules), "rule"), f"{len(self.devices)} of {self.nodes} nodes placed")

    @property
    def failures(self) -> list[str]:
        """A sentence for each rule that does nothing."""
        return [placed.failure for placed in self.rules if placed.failure]

    @property
    def ok(self) -> bool:
        """Whether each rule does something."""
        return not self.failures

    def to_json(self) -> str:
        """The placement as JSON text."""
        value = {
            "ok": self.ok,
            "model": self.model,
            "option": OPTION,
            "setting": self.setting,
            "nodes": self.nodes,
            "annotated": self.annotated,
            "rules": [
                {
                    "device": placed.rule.device,
                    "rule": placed.rule.text,
                    "exact": placed.rule.exact,
                    "annotations": placed.rule.annotations,
                    "nodes": placed.nodes,
                    "bytes": placed.bytes,
                    "shadowed_by": placed.shadowed_by or None,
                    "failure": placed.failure or None,
                }
                for placed in self.rules
            ],
            "crossing": [
                {
                    "from": one.source,
                    "to": one.target,
                    "tensors": one.tensors,
                    "bytes": one.bytes,
                    "unknown": one.unknown,
                }
                for one in self.crossing
            ],
            "uncovered": {"nodes": self.nodes - len(self.devices), "modules": dict(self.uncovered)},
            "failures": self.failures,
        }
        return json.dumps(value, ensure_ascii=False, indent=1)


def place(model: str | os.PathLike[str], rules: str, *, map: MapSource | None = None) -> Placement:  # noqa: A002
    """Predict what onnxruntime does with placement rules, by the semantics of its source.

    Parameters
    ----------
    model : path or URL
        A file with tags. Where its nodes carry annotations (``retag --also layer_ann``), these decide, as they do in
        onnxruntime; where none does, the tags are taken for what would be written.
    rules : str
        ``device(item, item); device(item)``: an item is a module path, a tag, a glob, or an annotation. A device is one
        of onnxruntime's designators (``cpu``, ``gpu``, ``npu``, ``cuda`` ...) or the name of an execution provider.
    map : HierarchyMap, path or URL, optional
        Its modules, for a file that does not name all of them.

    Returns
    -------
    Placement

    Raises
    ------
    TaggerError
        If the file or the rules cannot be read, or no node says where it belongs.

    Examples
    --------
    >>> import tempfile
    >>> from onnx import helper
    >>> import onnx_tagger as ot
    >>> nodes = [helper.make_node("Relu", [x], [y], y) for x, y in ("xa", "ay")]
    >>> for node in nodes:
    ...     ot.write_tag(node, ot.Tag(node.name, f"/Net/ReLU.{node.name}", ot.Source.EXPORTED))
    >>> values = [helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = ot.save(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:])), f"{folder}/m.onnx")
    ...     placement = place(f"{folder}/m.onnx", "gpu(a); cpu(y)")
    >>> placement.setting, placement.ok
    ('gpu(/Net/ReLU.a/); cpu(/Net/ReLU.y/)', True)
    >>> [(one.source, one.target, one.tensors) for one in placement.crossing]
    [('gpu', 'cpu', ('a',))]
    """
    place_of(model, "the model")
    insist_on(rules, str, "the rules", "a text such as 'gpu(encoder.layer.0); cpu(embeddings)'")
    parsed = parse_rules(rules)
    with collector_paused():
        tagged = read(model, map)
        annotations, annotated = _annotations(tagged)
        if not annotations:
            raise TaggerError(f"{model}: no node has a tag; tag it first with retag, or give its map with --map")
        resolved = resolve_rules(parsed, tagged.modules, set(annotations.values()))
        return _placement(os.fspath(model), tagged, resolved, annotations, annotated)


def _annotations(tagged: Tagged) -> tuple[dict[int, str], int]:
    """What decides, by op id, and how many nodes carry it in the file."""
    ops = tagged.context.walk.counted
    found = {op.id: text_of(value) for op in ops if (value := props_of(op.node).get(LAYER_ANN))}
    if found:
        return found, len(found)
    tags = tagged.context.tags
    return {op.id: f"{tags[op].tag}/" for op in ops if op in tags}, 0


def _placement(
    model: str, tagged: Tagged, rules: Sequence[Rule], annotations: Mapping[int, str], annotated: int
) -> Placement:
    walk = tagged.context.walk
    found, calls = predicted(walk, annotations, rules), inlined(walk)
    ops = [op for op in walk.counted if op.id not in calls]
    devices = {op.id: rules[found[op.id]].device for op in ops if op.id in found}
    crossing = crossings(
        walk, tagged.context.get(DataFlow), lambda op: devices.get(op.id), tensor_bytes(tagged.context.model)
    )
    table = _table(tagged, devices)
    return Placement(
        model,
        setting_of(rules),
        tuple(_placed(tagged, rules, ops, annotations, found)),
        devices,
        tuple(crossing),
        table,
        _uncovered(table),
        annotated,
        len(ops),
        {op.id: text_of(op.node.name) for op in ops},
    )


def _placed(
    tagged: Tagged,
    rules: Sequence[Rule],
    ops: Sequence[Op],
    annotations: Mapping[int, str],
    found: Mapping[int, int],
) -> list[Placed]:
    """The rules with what goes by them; one that gets no node with the reason."""
    weights = dict(zip((op.id for op in tagged.measured.ops), _weights(tagged), strict=True))
    nodes, sizes = Counter[int](), defaultdict[int, float](float)
    for op in ops:
        if op.id in found:
            nodes[found[op.id]] += 1
            sizes[found[op.id]] += weights[op.id]
    placed = []
    for place, rule in enumerate(rules):
        would, by = 0, rule.twin
        if not nodes[place]:
            alone = Matcher([rule])
            fitting = [op.id for op in ops if alone(annotations.get(op.id, "")) is not None]
            would, by = len(fitting), rules[found[fitting[0]]].text if fitting else rule.twin
        placed.append(Placed(rule, nodes[place], round(sizes[place]), would, by))
    return placed


def _uncovered(table: ModuleTable) -> tuple[tuple[str, int], ...]:
    """The outermost modules none of whose nodes go by a rule, and single nodes of others, in the order of the tree."""
    found: list[tuple[str, int]] = []
    inside: set[str] = set()
    for row in table.rows:
        if row.module is None:
            bare = row.own[_UNCOVERED]
        elif row.module.parent is not None and row.module.parent.path in inside:
            inside.add(row.module.path)
            continue
        else:
            whole = row.total[_UNCOVERED] == row.total["nodes"]
            bare = row.total[_UNCOVERED] if whole else row.own[_UNCOVERED]
            if whole:
                inside.add(row.module.path)
        if bare:
            found.append((row.module.shown if row.module is not None else "", round(bare)))
    return tuple(found)


def _weights(tagged: Tagged) -> list[float]:
    from onnx_tagger.measures.weights import measure

    return [float(value or 0.0) for value in measure(tagged.measured)[0].values]


def _table(tagged: Tagged, devices: Mapping[int, str]) -> ModuleTable:
    """Nodes, bytes of weights, and nodes by device."""
    ops = tagged.measured.ops
    names = dict.fromkeys(devices.values())
    columns = [Measure(Column(f"on {name}"), [float(devices.get(op.id) == name) for op in ops]) for name in names]
    columns.append(Measure(Column(_UNCOVERED), [float(op.id not in devices) for op in ops]))
    return tagged.table(("nodes", "weights", *columns))
