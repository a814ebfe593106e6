"""That onnxruntime puts nodes where `place` says: with the CPU alone, and beside a plug-in provider where one is there.

`nxrt-ep-cpu` is a plug-in that runs on any CPU; no package of ours asks for it.
"""

from __future__ import annotations

import random
from pathlib import Path

import onnx
import pytest
from onnx import helper

import onnx_tagger as ot
from examples.placed import annotated, beside, chain, model_of, value
from onnx_tagger.errors import TaggerError
from onnx_tagger.model.graph import walk
from onnx_tagger.runtime.assignment import assigned
from onnx_tagger.workflows.placing.predicting import inlined, predicted
from onnx_tagger.workflows.placing.rules import Rule, setting_of
from onnx_tagger.workflows.placing.verifying import verify

CPU, PLUGIN = "CPUExecutionProvider", "cpu_ep"
ANNOTATIONS = ["/N/B.1/", "/N/B.10/", "/N/B.1/C/", "/N/B.2/", "/N/", "/N/E/", "", "/M/"]
TEXTS = [*filter(None, ANNOTATIONS), "/N/B.1", "/N/B", "/", "/N/B.1/C/D/"]


@pytest.fixture(scope="session")
def plugin() -> Path:
    return Path(pytest.importorskip("nxrt_ep_cpu").get_library_path())


def test_onnxruntime_takes_the_setting_and_puts_all_on_the_cpu(tmp_path: Path) -> None:
    onnx.save(chain(), tmp_path / "m.onnx")
    placement = ot.place(tmp_path / "m.onnx", "cpu(layers.0); CPUExecutionProvider(layers.1); gpu(head)")
    held = verify(placement)
    assert held.ok
    assert held.agreed == 4
    assert held.open == 1


def test_a_setting_that_it_refuses_is_an_error(tmp_path: Path) -> None:
    onnx.save(beside(["/N/"]), tmp_path / "m.onnx")
    with pytest.raises(TaggerError, match="does not load it so"):
        assigned(tmp_path / "m.onnx", "cpu(/N/); gpu(/N/)")


def test_a_library_that_is_no_provider_is_an_error(tmp_path: Path) -> None:
    onnx.save(beside(["/N/"]), tmp_path / "m.onnx")
    (tmp_path / "lib.so").write_bytes(b"no library")
    with pytest.raises(TaggerError, match="as an execution provider"):
        assigned(tmp_path / "m.onnx", "", tmp_path / "lib.so")


def _wanted(model: onnx.ModelProto, rules: list[Rule]) -> dict[str, str]:
    """What goes where; a plug-in that comes first takes what no rule covers."""
    walked = walk(model)
    annotations = {op.id: op.node.metadata_props[0].value for op in walked.ops if op.node.metadata_props}
    found = predicted(walked, annotations, rules)
    devices = {CPU: CPU, PLUGIN: PLUGIN}
    return {
        op.node.name: devices.get(rules[found[op.id]].device, PLUGIN) if op.id in found else PLUGIN
        for op in walked.ops
        if op.id not in inlined(walked)
    }


@pytest.mark.parametrize("seed", range(20))
def test_random_rules_do_what_is_predicted(seed: int, tmp_path: Path, plugin: Path) -> None:
    chosen = random.Random(seed)
    rules, seen = [], set()
    for _ in range(chosen.randint(1, 6)):
        exact, text = chosen.random() < 0.3, chosen.choice(TEXTS)
        if (exact, text) not in seen:
            seen.add((exact, text))
            rules.append(Rule(chosen.choice([CPU, PLUGIN, "gpu"]), "", exact, (text,)))
    model = beside(ANNOTATIONS)
    onnx.save(model, tmp_path / "m.onnx")
    assert assigned(tmp_path / "m.onnx", setting_of(rules), plugin).providers == _wanted(model, rules)


@pytest.mark.parametrize("call", ["", "/N/B/"])
@pytest.mark.parametrize("text", ["/N/B/", "/N/E/"])
def test_nodes_of_functions_go_by_the_call(call: str, text: str, tmp_path: Path, plugin: Path) -> None:
    inner = [annotated(helper.make_node("Add", ["a", "a"], ["b"], "inner"), "/N/E/")]
    function = helper.make_function("loc", "F", ["a"], ["b"], inner, [helper.make_opsetid("", 17)])
    model = model_of(
        [annotated(helper.make_node("F", ["x"], ["y"], "call", domain="loc"), call)], ["y"], functions=[function]
    )
    onnx.save(model, tmp_path / "m.onnx")
    rules = [Rule(CPU, "", False, (text,))]
    real = assigned(tmp_path / "m.onnx", setting_of(rules), plugin).providers
    assert {name.removeprefix("_inlfunc_F_"): where for name, where in real.items()} == _wanted(model, rules)


@pytest.mark.parametrize("device", [CPU, "gpu"])
def test_bodies_go_with_their_owner(device: str, tmp_path: Path, plugin: Path) -> None:
    branch = helper.make_graph([helper.make_node("Add", ["x", "x"], ["r"], "plain")], "then", [], [value("r")])
    other = helper.make_graph([helper.make_node("Mul", ["x", "x"], ["s"], "other")], "else", [], [value("s")])
    model = model_of(
        [annotated(helper.make_node("If", ["c"], ["y"], "if", then_branch=branch, else_branch=other), "/N/B/")], ["y"]
    )
    model.graph.input.append(helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, []))
    onnx.save(model, tmp_path / "m.onnx")
    rules = [Rule(device, "", False, ("/N/B/",))]
    real = assigned(tmp_path / "m.onnx", setting_of(rules), plugin).providers
    # The plug-in has no kernel of If, which no rule can change.
    assert real.pop("if") == CPU
    assert real == {name: where for name, where in _wanted(model, rules).items() if name != "if"}
