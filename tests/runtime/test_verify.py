"""Proof by running both files: what agrees, what does not and is no cut point any more, what cannot be verified."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_tagger as ot
from examples.running import exported, model, renaming, saved
from onnx_tagger.cli import main
from onnx_tagger.model.metadata import own_tag, props_of
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.match import Match
from onnx_tagger.runtime.verify import TOLERANCES, error_of, verify

pytest.importorskip("onnxruntime")


def modules(path: Path | str) -> dict[str, str | None]:
    found = {node.name: own_tag(props_of(node)) for node in onnx.load(path).graph.node}
    return {name: tag.module if tag is not None else None for name, tag in found.items()}


# --- comparing --------------------------------------------------------------------------------------------------------


def test_equal_files_agree(files: Path) -> None:
    found = verify(Path("net.onnx"), Path("bare.onnx"))
    assert found.agreed == ("xw", "r", "mf", "p", "out")
    assert (found.differing, found.distrusted, found.kind, found.inputs) == ((), (), "float32", "random")


@pytest.mark.parametrize("open_dims", [False, True])
def test_names_given_to_other_tensors_are_found(files: Path, open_dims: bool) -> None:
    found = verify(saved(exported(open_dims), "one.onnx"), saved(renaming(open_dims), "other.onnx"))
    assert (found.agreed, found.differing, found.distrusted) == (("p", "out"), ("xw", "r"), ("xw", "r"))


def test_where_the_outputs_differ_only_the_first_are_distrusted(files: Path) -> None:
    made = exported()
    made.graph.node[1].op_type = "Neg"
    found = verify(Path("net.onnx"), saved(made, "broken.onnx"))
    assert (found.agreed, found.differing, found.distrusted) == (("xw", "mf"), ("r", "p", "out"), ("r",))
    assert "its outputs differ, too" in found.sentence()


def test_a_folded_tensor_is_compared_as_a_weight(files: Path) -> None:
    made = exported()
    del made.graph.node[0:2]
    made.graph.initializer.append(numpy_helper.from_array(np.zeros((3, 4), np.float32), "r"))
    found = verify(Path("net.onnx"), saved(made, "folded.onnx"))
    assert found.differing[0] == "r"


@pytest.mark.parametrize(
    ("one", "other", "error"),
    [
        ([3.0, 4.0], [3.0, 4.0], 0.0),
        ([3.0, 4.0], [3.0, 3.0], 0.2),
        ([[3.0, 4.0]], [3.0, 3.0], 0.2),
        ([3.0, 4.0], [3.0], np.inf),
        ([0.0, 0.0], [0.0, 1e-9], np.inf),
        ([0.0, 0.0], [0.0, 0.0], 0.0),
        ([-3e38, 1.0], [-1e4, 1.0], 0.0),
        ([np.nan, 1.0], [np.nan, 1.0], 0.0),
        ([np.nan, 1.0], [1.0, 1.0], np.inf),
        ([1, 0], [1, 1], 1.0),
        ([True, False], [1, 0], 0.0),
        ([1.0, 2.0], [1, 2], None),
        (["a"], ["a"], None),
    ],
)
def test_error_of(one: list[object], other: list[object], error: float | None) -> None:
    assert error_of(np.array(one), np.array(other)) == error
    assert error_of(list(one), np.array(other)) is None


def test_what_rounds_to_nothing_agrees() -> None:
    one, other = np.array([1e-8, -3e-8]), np.zeros(2)
    assert error_of(one, other) == 1.0
    assert (error_of(one, other, 2e-6) or 1.0) < TOLERANCES["float16"]


def half(made: onnx.ModelProto) -> onnx.ModelProto:
    made.graph.node.insert(0, helper.make_node("Cast", ["x"], ["xh"], "down", to=TensorProto.FLOAT16))
    made.graph.node.insert(1, helper.make_node("Cast", ["xh"], ["xf"], "up", to=TensorProto.FLOAT))
    made.graph.node[2].input[0] = "xf"
    return made


def quantised(made: onnx.ModelProto) -> onnx.ModelProto:
    scale = numpy_helper.from_array(np.array(0.05, np.float32), "scale")
    zero = numpy_helper.from_array(np.array(0, np.int8), "zero")
    made.graph.initializer.extend([scale, zero])
    made.graph.node.insert(0, helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["xq"], "q"))
    made.graph.node.insert(1, helper.make_node("DequantizeLinear", ["xq", "scale", "zero"], ["xd"], "d"))
    made.graph.node[2].input[0] = "xd"
    return made


@pytest.mark.parametrize(("change", "kind"), [(half, "float16"), (quantised, "quantised")])
def test_the_tolerance_goes_by_what_the_tool_did(
    files: Path, change: Callable[[onnx.ModelProto], onnx.ModelProto], kind: str
) -> None:
    found = verify(Path("net.onnx"), saved(change(exported()), "changed.onnx"))
    assert (found.kind, found.differing, len(found.agreed)) == (kind, (), 5)
    found = verify(Path("net.onnx"), saved(change(renaming()), "changed.onnx"))
    assert (found.kind, found.differing) == (kind, ("xw", "r"))


# --- retag ------------------------------------------------------------------------------------------------------------


def test_distrusted_names_are_no_cut_points(files: Path) -> None:
    ot.retag("renamed.onnx", "net.hierarchy.json", "by_name.onnx", force=True)
    # By their names, the Relu is the MatMul, and what makes the mask is the Relu.
    assert modules("by_name.onnx")["new_3"] == "a"
    report = ot.retag("renamed.onnx", "net.hierarchy.json", "out.onnx", verify=True, force=True)
    assert modules("out.onnx") == {"new_1": "a", "new_2": "a", "new_3": "b", "third": "b", "fourth": "c"}
    assert report.verified is not None
    assert {key: report.verified[key] for key in ("tensors", "agreed", "differing", "distrusted", "kind")} == {
        "tensors": 4,
        "agreed": 2,
        "differing": ["xw", "r"],
        "distrusted": ["xw", "r"],
        "kind": "float32",
    }
    assert any("2 of 4 tensors have other values than in net.onnx: xw, r" in note for note in report.fallbacks)
    assert [phase.name for phase in report.phases] == ["read", "verify", "tag", "write"]


def test_the_original_may_be_the_map_or_be_named(files: Path) -> None:
    ot.retag("renamed.onnx", "net.hierarchy.json", "out.onnx", verify=True, force=True)
    ot.retag("renamed.onnx", "net.onnx", "by_file.onnx", verify=True, force=True)
    ot.retag("renamed.onnx", ot.HierarchyMap.load("net.hierarchy.json"), "named.onnx", verify="bare.onnx", force=True)
    assert modules("out.onnx") == modules("by_file.onnx") == modules("named.onnx")


# Whose file five nodes without a known weight are cannot be told, so the map is taken by force.


def test_nothing_is_verified_unless_asked_for(files: Path) -> None:
    report = ot.retag("renamed.onnx", "net.hierarchy.json", "out.onnx", force=True)
    assert report.verified is None
    with pytest.raises(ot.TaggerError, match="inputs are for verifying"):
        ot.retag("renamed.onnx", "net.hierarchy.json", "out.onnx", inputs="values.npz", force=True)


def test_match_and_align_leave_distrusted_tensors_alone(files: Path) -> None:
    tree = ot.HierarchyMap.load("net.hierarchy.json")
    for name, known in ((), 5), (("xw",), 4):
        ctx = Context(exported(), tree)
        ot.PassManager([Match(distrusted=name)], verify=True).run_in(ctx)
        assert len(ctx.tags) == known
        ot.PassManager([Align(distrusted=name)], verify=True).run_in(ctx)
        assert [ctx.tags[op].module for op in ctx.ops] == list("aabbc")


def test_a_converter_of_a_distrusted_tensor_takes_what_makes_it(files: Path) -> None:
    made = exported()
    # The Relu is gone, its name is the MatMul's, and a pair of converters stands behind it, which clips as it did.
    del made.graph.node[1]
    made.graph.node[0].output[0] = "r"
    pair = [
        helper.make_node("QuantizeLinear", ["r", "scale", "zero"], ["rq"], "q"),
        helper.make_node("DequantizeLinear", ["rq", "scale", "zero"], ["rd"], "d"),
    ]
    made.graph.node.insert(1, pair[0])
    made.graph.node.insert(2, pair[1])
    made.graph.node[4].input[0] = "rd"
    made.graph.initializer.append(numpy_helper.from_array(np.array(0.05, np.float32), "scale"))
    made.graph.initializer.append(numpy_helper.from_array(np.array(0, np.uint8), "zero"))
    made.graph.node[0].metadata_props.extend(onnx.load("net.onnx").graph.node[0].metadata_props)
    onnx.save(made, "qdq.onnx")
    report = ot.retag("qdq.onnx", "net.hierarchy.json", "out.onnx", verify=True, force=True)
    assert report.verified is not None
    assert report.verified["differing"] == ["r"]
    found = modules("out.onnx")
    assert [found[name] for name in ("first", "q", "d", "cast", "fourth")] == list("aaabc")
    assert report.by_source["inherited"] == 0


def test_the_command_tells_what_was_verified(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    args = [
        "retag",
        "renamed.onnx",
        "--map",
        "net.hierarchy.json",
        "-o",
        "out.onnx",
        "--verify",
        "--force",
        "--report",
        "r.json",
    ]
    assert main.run(args) == 0
    out, err = capsys.readouterr()
    assert out.startswith("out.onnx: 100 % of 5 nodes tagged")
    assert "verified: 2 of 4 tensors agree with net.onnx within 0.001 (float32)\n" in err
    assert "note: 2 of 4 tensors have other values than in net.onnx: xw, r; their names were not used\n" in err
    assert json.loads(Path("r.json").read_text())["verified"]["differing"] == ["xw", "r"]


def test_carry_verifies_against_its_input(files: Path) -> None:
    report = ot.carry("net.onnx", "out.onnx", lambda made: renaming(), verify=True)
    assert report.verified is not None
    assert (report.verified["original"], report.verified["differing"]) == ("net.onnx", ["xw", "r"])
    assert modules("out.onnx")["new_3"] == "b"


# --- what cannot be verified ------------------------------------------------------------------------------------------


def without_original() -> None:
    Path("net.onnx").unlink()


def another_original() -> None:
    Path("net.onnx").write_bytes(Path("bare.onnx").read_bytes())


def nothing_in_common() -> None:
    made = model(helper.make_node("MatMul", ["x", "w"], ["last"], "first"))
    made.graph.output[0].name = "last"
    onnx.save(made, "renamed.onnx")


def another_input() -> None:
    made = renaming()
    made.graph.input[0].name = made.graph.node[0].input[0] = "data"
    onnx.save(made, "renamed.onnx")


def text_input() -> None:
    made = onnx.load("net.onnx")
    made.graph.input.append(helper.make_tensor_value_info("text", TensorProto.STRING, [1]))
    onnx.save(made, "net.onnx")


def unknown_operator() -> None:
    made = renaming()
    made.graph.node[1].domain = "nobody.knows"
    made.opset_import.append(helper.make_opsetid("nobody.knows", 1))
    onnx.save(made, "renamed.onnx")


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (without_original, r"net\.onnx: not there, so net\.hierarchy\.json cannot be verified"),
        (another_original, r"net\.onnx: was not tagged from net\.hierarchy\.json"),
        (nothing_in_common, r"renamed\.onnx: has no tensor in common with net\.onnx; there is nothing to verify"),
        (another_input, r"renamed\.onnx: has the input 'data', which net\.onnx has not"),
        (text_input, r"net\.onnx: the input 'text' is no tensor of numbers"),
        (unknown_operator, r"renamed\.onnx: onnxruntime does not load it"),
    ],
)
def test_what_cannot_be_verified_is_said(files: Path, break_it: Callable[[], None], sentence: str) -> None:
    break_it()
    with pytest.raises(ot.TaggerError, match=sentence):
        ot.retag("renamed.onnx", "net.hierarchy.json", "out.onnx", verify=True, force=True)
    assert not Path("out.onnx").exists()


def test_a_map_without_a_file_cannot_be_verified(files: Path) -> None:
    for source in (None, ot.HierarchyMap.load("net.hierarchy.json")):
        with pytest.raises(ot.TaggerError, match="needs the file that this one was made of"):
            ot.retag("net.onnx", source, "out.onnx", verify=True)


# --- kinship ----------------------------------------------------------------------------------------------------------


def test_equal_outputs_are_evidence_that_the_map_is_the_files_own(files: Path) -> None:
    """Nets so small that nothing else tells, and names that moved: without running them, force was needed."""
    with pytest.raises(ot.TaggerError, match="cannot be told"):
        ot.retag("renamed.onnx", "net.hierarchy.json", "out.onnx")
    report = ot.retag("renamed.onnx", "net.hierarchy.json", "out.onnx", verify=True)
    assert report.verified is not None
    assert report.verified["outputs_agree"] is True
    assert report.kinship is not None
    assert report.kinship["verdict"] == "kin"
    kinds = [each["kind"] for each in report.kinship["evidence"]]  # type: ignore[attr-defined]
    assert "verified" in kinds
    assert ot.check("out.onnx").ok


def test_other_outputs_are_no_evidence(files: Path) -> None:
    made = renaming()
    made.graph.node[-1].op_type = "Tanh"
    onnx.save(made, "other.onnx")
    with pytest.raises(ot.TaggerError, match="another model than the map"):
        ot.retag("other.onnx", "net.hierarchy.json", "out.onnx", verify=True)


@pytest.mark.parametrize(
    ("one", "other", "agrees"),
    [
        ([0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4], True),
        ([0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1], False),
        ([0.5001, 0.5002, 0.4999, 0.4998], [0.5, 0.5, 0.5, 0.5], False),
        ([1.0, 0.0, 1.0, 0.0], [1.0, 0.0, 1.0, 0.0], None),
    ],
    ids=["equal", "other order", "near to another constant", "a mask"],
)
def test_outputs_agree_about_their_mean(files: Path, one: list[float], other: list[float], agrees: bool | None) -> None:
    """Probabilities that are all nearly equal are near to those of any other net."""
    for name, values in (("one.onnx", one), ("other.onnx", other)):
        constant = numpy_helper.from_array(np.array(values, np.float32))
        node = helper.make_node("Constant", [], ["out"], "made", value=constant)
        graph = helper.make_graph([node], "net", [], [helper.make_tensor_value_info("out", TensorProto.FLOAT, [4])])
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), name)
    assert verify(Path("one.onnx"), Path("other.onnx")).outputs_agree is agrees
