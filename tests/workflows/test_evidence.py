"""What tags rest on, through the commands: on the node, in the report, in the gate, and gone when stripped."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import onnx_tagger as ot
from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import walk
from onnx_tagger.model.keys import EVIDENCE
from onnx_tagger.model.metadata import Source, add_entries, props_of
from onnx_tagger.workflows.querying import details_of, find_nodes

PATHS = ("first", "first", "second", "second")


def made() -> onnx.ModelProto:
    nodes = [
        helper.make_node("Abs", ["x"], ["first_abs"], "one"),
        helper.make_node("Relu", ["first_abs"], ["first_relu"], "two"),
        helper.make_node("Exp", ["first_relu"], ["second_exp"], "three"),
        helper.make_node("Neg", ["second_exp"], ["y"], "four"),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def tree() -> HierarchyMap:
    bare = HierarchyMap.from_rows([ModuleRow(path, "M") for path in ("", "first", "second")])
    tags = [bare.tag(path, Source.EXPORTED) for path in PATHS]
    return HierarchyMap(bare.modules, graph=SavedGraph.of(walk(made()), tags))


def changed() -> onnx.ModelProto:
    """The same after a tool that fuses the middle under a name of its own, and puts a node of its own at the end."""
    model = made()
    del model.graph.node[1:3]
    model.graph.node.insert(1, helper.make_node("ReluExp", ["first_abs"], ["fused"], "fused", domain="tool"))
    model.graph.node[2].input[0] = "fused"
    model.opset_import.append(helper.make_opsetid("tool", 1))
    return model


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(changed(), "changed.onnx")
    onnx.save(made(), "same.onnx")


def evidence_in(path: str) -> list[str | None]:
    return [props_of(node).get(EVIDENCE) for node in onnx.load(path).graph.node]


def test_nodes_say_what_their_tags_rest_on() -> None:
    report = ot.retag("changed.onnx", tree(), "tagged.onnx", evidence=True, force=True)
    assert evidence_in("tagged.onnx") == ["node", "structure", "name"]
    assert {name: count for name, count in report.by_evidence.items() if count} == {
        "node": 1,
        "name": 1,
        "structure": 1,
    }
    assert report.evidence_by_source == {"matched": {"node": 1}, "aligned": {"name": 1, "structure": 1}}
    assert json.loads(report.to_json())["by_evidence"]["structure"] == 1


def test_nothing_is_written_unless_asked_for() -> None:
    report = ot.retag("changed.onnx", tree(), "tagged.onnx", force=True)
    assert evidence_in("tagged.onnx") == [None, None, None]
    assert report.by_evidence["structure"] == 1


def test_again_gives_the_same_bytes_and_strip_takes_it_away() -> None:
    ot.retag("changed.onnx", tree(), "tagged.onnx", evidence=True, also=["winml", "doc_string"], force=True)
    ot.retag("tagged.onnx", tree(), "again.onnx", evidence=True, force=True)
    assert Path("tagged.onnx").read_bytes() == Path("again.onnx").read_bytes()
    ot.strip("tagged.onnx", "stripped.onnx")
    assert Path("stripped.onnx").read_bytes() == Path("changed.onnx").read_bytes()


def test_without_a_map_the_file_keeps_what_it_says() -> None:
    ot.retag("changed.onnx", tree(), "tagged.onnx", evidence=True, force=True)
    ot.retag("tagged.onnx", None, "again.onnx", evidence=True)
    assert evidence_in("again.onnx") == ["node", "structure", "name"]


def test_gate_names_nodes_that_rest_on_too_little() -> None:
    ot.retag("changed.onnx", tree(), "tagged.onnx", evidence=True, force=True)
    assert ot.check("tagged.onnx", min_evidence="structure", allow_forced=True).ok
    report = ot.check("tagged.onnx", min_evidence="name", allow_forced=True)
    assert report.failures == [
        "1 nodes have tags that rest on less than 'name', or do not say on what (retag --evidence writes it): "
        "main#1 ReluExp"
    ]
    assert report.by_evidence["node"] == 1


def test_gate_takes_no_silence_for_evidence() -> None:
    ot.retag("same.onnx", tree(), "tagged.onnx", force=True)
    report = ot.check("tagged.onnx", min_evidence="none", allow_forced=True)
    assert not report.ok
    assert report.failures[0].startswith("4 nodes have tags that rest on less than 'none'")
    assert sum(report.by_evidence.values()) == 0


def test_gate_refuses_an_unknown_class() -> None:
    with pytest.raises(TaggerError, match="unknown class of evidence 'guess'"):
        ot.check("same.onnx", min_evidence="guess")


def test_unknown_evidence_on_a_node_is_a_problem() -> None:
    ot.retag("same.onnx", tree(), "tagged.onnx", force=True)
    model = onnx.load("tagged.onnx")
    add_entries(model.graph.node[0], [(EVIDENCE, "hearsay")])
    onnx.save(model, "odd.onnx")
    report = ot.check("odd.onnx", allow_forced=True)
    assert "main#0 Abs has the unknown pkg.onnx_tagger.evidence 'hearsay'" in report.failures


def test_show_and_nodes_tell_it() -> None:
    ot.retag("changed.onnx", tree(), "tagged.onnx", evidence=True, force=True)
    tagged = ot.read("tagged.onnx")
    assert [node.evidence for node in tagged.nodes()] == ["node", "structure", "name"]
    (op,) = find_nodes(tagged.context, "fused")
    assert details_of(tagged.context, op).evidence == "structure"
    assert ot.read("changed.onnx", tree()).nodes()[0].evidence is None


def test_carry_writes_it_too() -> None:
    ot.retag("same.onnx", tree(), "tagged.onnx", force=True)
    report = ot.carry("tagged.onnx", "carried.onnx", lambda model: None, evidence=True, force=True)
    assert None not in evidence_in("carried.onnx")
    assert "force makes no difference: carry refuses no map" in report.notes
