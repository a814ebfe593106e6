"""Placement rules: what can be read, and what they stand for."""

import pytest

from examples.placed import LAYERS
from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.workflows.placing.rules import Rule, parse_rules, resolve_rules, setting_of

TREE = ModuleTree(LAYERS)


def resolved(text: str, *annotations: str) -> list[Rule]:
    return resolve_rules(parse_rules(text), TREE, annotations)


@pytest.mark.parametrize(
    "text", ["", ";", "gpu", "gpu()", "gpu( , =)", "(a)", "gpu(a", "gpu a)", "gpu(a)) ", "gpu(a) cpu(b)", "gpu(a(b))"]
)
def test_what_onnxruntime_refuses_or_passes_over_is_an_error(text: str) -> None:
    with pytest.raises(TaggerError, match="write 'gpu"):
        parse_rules(text)


def test_modules_patterns_and_tags_are_annotations_that_end_with_a_slash() -> None:
    assert resolved("gpu(layers.0)")[0].annotations == ("/Net/Layer.0/",)
    assert resolved("gpu(/Net/Layer.1)")[0].annotations == ("/Net/Layer.1/",)
    assert resolved("gpu(layers.{1..2})")[0].annotations == ("/Net/Layer.1/", "/Net/Layer.2/")
    assert resolved("gpu(<Layer>)")[0].annotations == ("/Net/Layer.0/", "/Net/Layer.1/", "/Net/Layer.2/")


def test_only_the_outermost_of_the_modules_that_a_pattern_names_are_written() -> None:
    assert resolved("gpu(layers.**)")[0].annotations == ("/Net/Layer.0/", "/Net/Layer.1/", "/Net/Layer.2/")
    assert resolved("gpu(**)")[0].annotations == ("/Net/",)


def test_a_container_stands_for_the_modules_in_it_and_has_no_nodes_of_its_own() -> None:
    assert len(resolved("gpu(layers)")[0].annotations) == 3
    assert "container" in resolved("gpu(=layers)")[0].problem


def test_annotations_that_are_no_tags_are_taken_as_they_are() -> None:
    assert resolved("gpu(enc)", "encoder", "other")[0].annotations == ("enc",)
    assert "no module" in resolved("gpu(=enc)", "encoder")[0].problem


def test_a_typing_error_is_a_problem_of_its_rule_with_advice() -> None:
    found = resolved("gpu(layer.0); cpu(head)")
    assert "did you mean" in found[0].problem
    assert not found[1].problem


def test_an_annotation_stands_once_in_the_setting_since_onnxruntime_refuses_it_twice() -> None:
    found = resolved("gpu(layers.0); cpu(layers.*); npu(layers.1); npu(=layers.1)")
    assert setting_of(found) == "gpu(/Net/Layer.0/); cpu(/Net/Layer.1/, /Net/Layer.2/); npu(=/Net/Layer.1/)"
    assert "cpu(layers.*)" in found[2].problem


def test_an_annotation_with_a_mark_of_the_setting_is_refused() -> None:
    found = resolve_rules([Rule("gpu", "a;b")], TREE, ["a;b"])
    assert "cannot be written" in found[0].problem
