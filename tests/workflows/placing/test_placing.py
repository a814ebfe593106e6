"""`place`: the setting, what goes by each rule, and which rules do nothing."""

import json
from pathlib import Path

import onnx
import pytest

import onnx_tagger as ot
from examples.placed import beside, chain
from onnx_tagger.errors import TaggerError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(chain(), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_rules_with_their_nodes_what_crosses_and_what_is_not_covered(file: Path) -> None:
    found = ot.place(file, "gpu(layers.{0..1}); cpu(embed)")
    assert found.setting == "gpu(/Net/Layer.0/, /Net/Layer.1/); cpu(/Net/Embed/)"
    assert [placed.nodes for placed in found.rules] == [4, 1]
    assert [(one.source, one.target, one.bytes) for one in found.crossing] == [("cpu", "gpu", 24), ("gpu", None, 24)]
    assert found.uncovered == (("(root)", 1), ("layers.2", 2), ("head", 1))
    assert found.ok
    assert found.annotated == found.nodes == 9
    assert found.modules["layers.0"].total["on gpu"] == 2


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ("cpu(layers); gpu(layers.0)", "shadowed by cpu(layers)"),
        ("gpu(=layers.0); cpu(layers.0)", "shadowed by cpu(layers.0)"),
        ("gpu(layers.7)", "no module"),
        ("gpu(embed); cpu(embed)", "shadowed by gpu(embed)"),
    ],
)
def test_a_rule_that_does_nothing_is_a_failure_with_its_reason(file: Path, rules: str, why: str) -> None:
    found = ot.place(file, rules)
    assert not found.ok
    assert len(found.failures) == 1
    assert why in found.failures[0]


def test_a_longer_rule_to_the_left_takes_its_part_and_shadows_nothing(file: Path) -> None:
    found = ot.place(file, "gpu(layers.0.fc); cpu(layers.0)")
    assert found.ok
    assert [placed.nodes for placed in found.rules] == [1, 1]


def test_without_annotations_the_tags_say_what_will_be(tmp_path: Path) -> None:
    onnx.save(chain(also=False), tmp_path / "m.onnx")
    found = ot.place(tmp_path / "m.onnx", "gpu(layers.0)")
    assert found.annotated == 0
    assert found.rules[0].nodes == 2


def test_the_annotations_of_the_file_decide_and_not_its_tags(tmp_path: Path) -> None:
    model = chain()
    for node in model.graph.node[1:]:
        del node.metadata_props[-1]
    onnx.save(model, tmp_path / "m.onnx")
    found = ot.place(tmp_path / "m.onnx", "gpu(embed); cpu(head)")
    assert [placed.nodes for placed in found.rules] == [1, 0]
    assert "matches no node" in found.failures[0]


def test_a_file_without_tags_is_refused(tmp_path: Path) -> None:
    onnx.save(beside([""]), tmp_path / "m.onnx")
    with pytest.raises(TaggerError, match="no node has a tag"):
        ot.place(tmp_path / "m.onnx", "gpu(a)")


def test_the_json_says_it_all(file: Path) -> None:
    value = json.loads(ot.place(file, "gpu(layers.0); cpu(nothing)").to_json())
    assert value["option"] == "session.layer_assignment_settings"
    assert value["ok"] is False
    assert [rule["nodes"] for rule in value["rules"]] == [2, 0]
    assert value["uncovered"]["nodes"] == 7
    assert value["uncovered"]["modules"]["head"] == 1
