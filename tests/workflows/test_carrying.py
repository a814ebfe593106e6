"""Tags across other tools: carry with commands and functions, external data too, and tree --before.

What fails leaves everything as it was.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import onnx_tagger as ot
from examples.carried import TREE, tiny_model, values_of
from onnx_tagger.cli import main
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import also_of
from onnx_tagger.workflows import carrying
from onnx_tagger.workflows.checking import read_tags

# Reads the first file named and writes it without metadata and with the Relu gone to the second.
DROP_RELU = """
import sys, onnx
model = onnx.load(sys.argv[1], load_external_data=False)
relu, reshape = model.graph.node[2], model.graph.node[3]
reshape.input[0] = relu.input[0]
model.graph.node.remove(relu)
for node in model.graph.node:
    del node.metadata_props[:]
print("said on stdout")
print("said on stderr", file=sys.stderr)
open(sys.argv[2], "wb").write(model.SerializeToString())
"""


@pytest.fixture
def tagged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tagged file, alone in the current folder but for its untagged twin and its map."""
    monkeypatch.chdir(tmp_path)
    onnx.save(tiny_model(), "plain.onnx")
    TREE.save("tiny.hierarchy.json")
    ot.retag("plain.onnx", "tiny.hierarchy.json", "tagged.onnx")
    return tmp_path / "tagged.onnx"


@pytest.fixture
def apart(tmp_path: Path, tagged: Path) -> Path:
    """The tagged file with its weights in a file of their own."""
    folder = tmp_path / "apart"
    folder.mkdir()
    onnx.save(
        onnx.load(tagged), folder / "big.onnx", save_as_external_data=True, location="big.data", size_threshold=64
    )
    return folder / "big.onnx"


def modules(path: Path | str) -> list[str | None]:
    ctx = read_tags(read_skeleton(path).model)
    return [ctx.tags[op].module if op in ctx.tags else None for op in ctx.ops]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def script(code: str) -> list[str]:
    return [sys.executable, "-c", code, "{in}", "{out}"]


def drop_relu(model: onnx.ModelProto) -> None:
    relu, reshape = model.graph.node[2], model.graph.node[3]
    reshape.input[0] = relu.input[0]
    model.graph.node.remove(relu)
    for node in model.graph.node:
        del node.metadata_props[:]


# --- commands ---------------------------------------------------------------------------------------------------------


def test_a_command_s_result_is_tagged_from_the_input(tagged: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = contents(tagged.parent)
    code = main.run(["carry", "tagged.onnx", "-o", "out.onnx", "--report", "r.json", "--", *script(DROP_RELU)])
    out, err = capfd.readouterr()
    assert code == 0
    assert re.fullmatch(r"out\.onnx: 100 % of 3 nodes tagged \(matched .*\)\n", out)
    assert sorted(err.splitlines()) == ["said on stderr", "said on stdout"]
    assert modules("out.onnx") == ["encoder.linear", "encoder.linear", "encoder"]
    after = contents(tagged.parent)
    assert after.keys() - before.keys() == {"out.onnx", "r.json"}
    assert before.items() <= after.items()
    assert re.search(rb'"name": "tool",\s+"seconds": 0?\.?[0-9]', after["r.json"])


def test_a_placeholder_may_stand_within_an_argument_and_several_times(tagged: Path) -> None:
    code = "import sys, shutil\nassert sys.argv[2] == 'from:' + sys.argv[1].removeprefix('twice:').split('|')[0]\n"
    code += "shutil.copy(sys.argv[2].removeprefix('from:'), sys.argv[3].removeprefix('--output='))"
    tool = ot.Command([sys.executable, "-c", code, "twice:{in}|{in}", "from:{in}", "--output={out}"])
    ot.carry(tagged, "out.onnx", tool)
    assert modules("out.onnx") == modules(tagged)


def test_a_path_that_looks_like_a_placeholder_is_no_placeholder(tagged: Path) -> None:
    odd = tagged.rename(tagged.with_name("{out}.onnx"))
    ot.carry(odd, "{in}.onnx", ot.Command(script("import sys, shutil; shutil.copy(*sys.argv[1:])")))
    assert modules("{in}.onnx") == modules(odd)


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        (["tool", "{in}"], r"tool \{in\}: does not say where \{out\} go"),
        (["tool"], r"tool: does not say where \{in\} and \{out\} go"),
        (["no-such-tool", "{in}", "{out}"], "no-such-tool: cannot be run: No such file or directory"),
        (["./tagged.onnx", "{in}", "{out}"], "cannot be run: Permission denied"),
        (script("import sys; print('first', file=sys.stderr); sys.exit('last  words')"), "exit code 1: last words"),
        (script("import sys; sys.exit(7)"), r"\{in\} \{out\}: failed with exit code 7 and said nothing"),
        (script("import os; os.abort()"), "was ended by SIGABRT"),
        (script("pass"), r"\{in\} \{out\}: wrote no file"),
        (script("import sys, os; os.mkdir(sys.argv[2])"), "wrote no file"),
        (script("import sys; open(sys.argv[2], 'w').write('rubbish')"), "the result of .* is no ONNX model"),
        (script("import sys; open(sys.argv[2], 'w')"), r"the result of .* \{in\} \{out\} is empty"),
    ],
)
def test_a_tool_that_fails_leaves_nothing_behind(
    tagged: Path, capfd: pytest.CaptureFixture[str], tool: list[str], sentence: str
) -> None:
    (tagged.parent / "out.onnx").write_bytes(b"what was there")
    before = contents(tagged.parent)
    assert main.run(["carry", "tagged.onnx", "-o", "out.onnx", "--", *tool]) == 2
    out, err = capfd.readouterr()
    *_, last = err.splitlines()
    assert out == ""
    assert re.search(f"^onnx-tagger: .*{sentence}", last)
    assert contents(tagged.parent) == before
    assert not [path for path in tagged.parent.iterdir() if path.is_dir()]


def test_what_cannot_work_is_refused_before_the_tool_runs(tagged: Path, capfd: pytest.CaptureFixture[str]) -> None:
    tool = script("import sys; open('ran', 'w')")
    for args in (
        ["tagged.onnx", "-o", "tagged.onnx"],
        ["tagged.onnx", "-o", "missing/out.onnx"],
        ["tagged.onnx", "-o", "tiny.hierarchy.json", "--map", "tiny.hierarchy.json"],
        ["plain.onnx", "-o", "out.onnx"],
        ["missing.onnx", "-o", "out.onnx"],
        ["tagged.onnx", "-o", "out.onnx", "--also", "latin"],
    ):
        assert main.run(["carry", *args, "--", *tool]) == 2
        assert capfd.readouterr().err.startswith("onnx-tagger: ")
    assert not Path("ran").exists()


def test_a_map_may_be_given(tagged: Path) -> None:
    tool = ot.Command(script("import sys, shutil; shutil.copy(*sys.argv[1:])"))
    with pytest.raises(ot.TaggerError, match=r"plain\.onnx: holds no tags"):
        ot.carry("plain.onnx", "out.onnx", tool)
    ot.carry("plain.onnx", "out.onnx", tool, hierarchy="tiny.hierarchy.json")
    assert modules("out.onnx") == modules(tagged)


def test_the_input_s_dialects_are_kept(tagged: Path) -> None:
    ot.retag("plain.onnx", "tiny.hierarchy.json", "winml.onnx", also=["winml"])
    ot.carry("winml.onnx", "out.onnx", drop_relu)
    assert also_of(onnx.load("out.onnx")) == ("winml",)
    ot.carry("winml.onnx", "out.onnx", drop_relu, also=["namespace"])
    assert also_of(onnx.load("out.onnx")) == ("namespace",)


# --- functions --------------------------------------------------------------------------------------------------------


def test_a_function_of_a_model(tagged: Path) -> None:
    def another(model: onnx.ModelProto) -> onnx.ModelProto:
        made = onnx.ModelProto()
        made.CopyFrom(model)
        drop_relu(made)
        return made

    for fn in (drop_relu, another):
        report = ot.carry(tagged, "out.onnx", fn)
        assert (report.coverage, report.nodes, report.phases[0].name) == (100, 3, "tool")
        assert modules("out.onnx") == ["encoder.linear", "encoder.linear", "encoder"]


def test_a_function_of_two_paths(tagged: Path) -> None:
    def tool(source: Path, made: Path, cleverness: int = 1) -> str:
        model = onnx.load(source)
        drop_relu(model)
        onnx.save(model, made)
        return "ignored"

    ot.carry(tagged, "out.onnx", tool)
    assert modules("out.onnx") == ["encoder.linear", "encoder.linear", "encoder"]


def test_onnxruntime_as_a_function(tagged: Path) -> None:
    ort = pytest.importorskip("onnxruntime")

    def optimise(source: Path, made: Path) -> None:
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(made)
        ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])

    ot.carry(tagged, "out.onnx", optimise)
    assert {op.op_type for op in onnx.load("out.onnx").graph.node} == {"FusedGemm", "Reshape"}
    assert modules("out.onnx") == ["encoder", "encoder"]


@pytest.mark.parametrize(
    ("fn", "sentence"),
    [
        (lambda: None, "<lambda>: needs 0 arguments, and a tool takes two paths or one ModelProto"),
        (lambda a, b, c: None, "needs 3 arguments"),
        (lambda *files: None, "needs 0 arguments"),
        (lambda model: (model, True), "<lambda>: returned tuple where a ModelProto, or None, was expected"),
        (lambda source, made: None, "<lambda>: wrote no file"),
    ],
)
def test_what_is_no_tool(tagged: Path, fn: object, sentence: str) -> None:
    before = contents(tagged.parent)
    with pytest.raises(ot.TaggerError, match=re.escape(sentence)):
        ot.carry(tagged, "out.onnx", fn)  # type: ignore[arg-type]
    assert contents(tagged.parent) == before


def test_an_error_of_a_function_comes_through(tagged: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        ot.carry(tagged, "out.onnx", lambda model: 1 / 0)  # type: ignore[arg-type]
    assert not Path("out.onnx").exists()
    assert not [path for path in tagged.parent.iterdir() if path.is_dir()]


def test_the_input_is_never_the_output(tagged: Path) -> None:
    with pytest.raises(ot.TaggerError, match="is the input file"):
        ot.carry(tagged, tagged, drop_relu)


# --- external data ----------------------------------------------------------------------------------------------------


def values(path: Path) -> dict[str, bytes]:
    return values_of(onnx.load(path))


def test_weights_apart_stay_apart(apart: Path, tmp_path: Path) -> None:
    ot.carry(apart, tmp_path / "out.onnx", drop_relu)
    assert read_skeleton(tmp_path / "out.onnx").external == ("out.onnx.data",)
    assert values(tmp_path / "out.onnx") == values(apart)
    assert (tmp_path / "out.onnx.data").stat().st_nlink == 1


@pytest.mark.parametrize("beside", [True, False])
def test_a_result_that_names_the_input_s_data_finds_it(apart: Path, tmp_path: Path, beside: bool) -> None:
    target = (apart.parent if beside else tmp_path) / "out.onnx"
    before = contents(apart.parent)
    ot.carry(apart, target, ot.Command(script(DROP_RELU)))
    assert read_skeleton(target).external == ("big.data",)
    assert values(target) == values(apart)
    assert target.with_name("big.data").stat().st_nlink == 1
    assert before.items() <= contents(apart.parent).items()
    assert modules(target) == ["encoder.linear", "encoder.linear", "encoder"]


def test_data_of_another_model_is_not_overwritten(apart: Path, tmp_path: Path) -> None:
    (tmp_path / "big.data").write_bytes(b"another model's")
    with pytest.raises(ot.TaggerError, match=r"big\.data already exists and is not the data of this model"):
        ot.carry(apart, tmp_path / "out.onnx", ot.Command(script(DROP_RELU)))
    assert (tmp_path / "big.data").read_bytes() == b"another model's"
    assert not (tmp_path / "out.onnx").exists()


def test_the_target_may_not_be_the_input_s_data(apart: Path) -> None:
    before = contents(apart.parent)
    with pytest.raises(ot.TaggerError, match="holds the weights of"):
        ot.carry(apart, apart.with_name("big.data"), drop_relu)
    assert contents(apart.parent) == before


# --- tree --before ----------------------------------------------------------------------------------------------------

BEFORE = """\
Tiny  (root)  0 -> 0 nodes, 4 -> 3 with all below
  Encoder  encoder  2 -> 3 nodes, 4 -> 3 with all below
    Linear  encoder.linear  2 -> 0 nodes, 1 fused with others
"""


def fuse(model: onnx.ModelProto) -> None:
    """Make one node of MatMul, Add and Relu, and put a Neg behind the Reshape."""
    last = model.graph.node[3]
    last.output[0] = "negative"
    fused = helper.make_node("FusedGemm", ["x", "w", "b"], ["z"], "fused", domain="com.microsoft", activation="Relu")
    del model.graph.node[:3]
    model.graph.node.insert(0, fused)
    model.graph.node.append(helper.make_node("Neg", ["negative"], ["out"], "negative"))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))


def test_tree_shows_what_came_in_and_what_is_left(tagged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ot.carry(tagged, "fused.onnx", fuse)
    assert main.run(["tree", "fused.onnx", "--before", "tagged.onnx"]) == 0
    assert capsys.readouterr().out == BEFORE
    assert main.run(["tree", "fused.onnx", "--before", "tagged.onnx", "--depth", "0"]) == 0
    assert capsys.readouterr().out == BEFORE.splitlines(keepends=True)[0]


def test_tree_shows_modules_that_only_the_later_file_has(tagged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ot.carry(tagged, "fused.onnx", fuse)
    assert main.run(["tree", "tagged.onnx", "--before", "fused.onnx"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "    Linear  encoder.linear  0 -> 2 nodes"


def test_tree_of_what_has_no_tags_says_which_file(tagged: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([], "none", [], [])), "none.onnx")
    assert main.run(["tree", "tagged.onnx", "--before", "none.onnx"]) == 0
    assert capsys.readouterr().out == "none.onnx: no tags on 0 nodes\n"


# --- results that cannot be tagged ------------------------------------------------------------------------------------


def break_flow(source: Path, made: Path) -> None:
    """Write a model whose nodes read what each other makes, which nothing can tag."""
    nodes = [helper.make_node("Add", ["p", "b"], ["a"], "one"), helper.make_node("Add", ["p", "a"], ["b"], "two")]
    values = numpy_helper.from_array(np.linspace(0, 1, 5000, dtype=np.float32), "p")
    graph = helper.make_graph(nodes, "g", [], [helper.make_tensor_value_info("b", 1, [5000])], [values])
    onnx.save(helper.make_model(graph), made, save_as_external_data=made.name == "apart.onnx", location="w.data")


def test_a_result_that_cannot_be_tagged_is_kept(tagged: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = contents(tagged.parent)
    with pytest.raises(ot.FileFormatError, match=r"the tool's result is kept, without tags, as .*out\.untagged\.onnx$"):
        ot.carry(tagged, "out.onnx", break_flow)
    Path("out.untagged.onnx").write_bytes(b"mine")
    tool = script("import onnx, sys; onnx.save(onnx.ModelProto(ir_version=8), sys.argv[2])")
    assert main.run(["carry", "tagged.onnx", "-o", "out.onnx", "--", *tool]) == 2
    assert capfd.readouterr().err.rstrip().endswith("the tool's result is kept, without tags, as out.untagged-1.onnx")
    after = contents(tagged.parent)
    assert after.pop("out.untagged.onnx") == b"mine"
    assert after.pop("out.untagged-1.onnx") == onnx.ModelProto(ir_version=8).SerializeToString()
    assert after == before


def test_a_result_is_kept_with_its_data(tagged: Path) -> None:
    before = contents(tagged.parent)
    for number in ("", "-1"):
        with pytest.raises(ot.FileFormatError, match=rf"kept, without tags, as apart\.untagged{number}.apart\.onnx$"):
            ot.carry("tagged.onnx", "apart.onnx", break_flow)
        folder = Path(f"apart.untagged{number}")
        assert sorted(path.name for path in folder.iterdir()) == ["apart.onnx", "w.data"]
        assert numpy_helper.to_array(onnx.load(folder / "apart.onnx").graph.initializer[0]).size == 5000
    assert {name: data for name, data in contents(tagged.parent).items() if not name.startswith("apart")} == before


@pytest.mark.parametrize("beside", [True, False])
def test_the_input_s_data_is_not_kept_twice_where_it_lies_already(apart: Path, tmp_path: Path, beside: bool) -> None:
    place = (apart.parent if beside else tmp_path) / "out.onnx"

    def copy(source: Path, made: Path) -> None:
        made.write_bytes(source.read_bytes())

    with pytest.raises(ot.TaggerError) as caught:
        ot.carry(apart, place, copy, hierarchy=ot.HierarchyMap.from_rows([ModuleRow("", "Other")]), inputs="no.npz")
    kept = Path(str(caught.value).rpartition(" as ")[2])
    assert kept == (apart.with_name("out.untagged.onnx") if beside else tmp_path / "out.untagged" / "out.onnx")
    assert onnx.load(kept) == onnx.load(apart)


def test_a_user_who_interrupts_the_tagging_keeps_the_result(
    tagged: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(carrying, "retag", interrupted)
    code = main.run(
        ["carry", "tagged.onnx", "-o", "out.onnx", "--", *script("import shutil, sys; shutil.copy(*sys.argv[1:])")]
    )
    assert code == 130
    assert capfd.readouterr().err == (
        "onnx-tagger: interrupted: the tool's result is kept, without tags, as out.untagged.onnx\n"
    )
    assert modules("out.untagged.onnx") == modules(tagged)
    assert not Path("out.onnx").exists()


def test_an_unexpected_error_while_tagging_keeps_the_result(tagged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(carrying, "retag", fail)
    with pytest.raises(
        ot.TaggerError, match=r"^out\.onnx: tagging failed \(MemoryError: no room\); the tool's result is"
    ):
        ot.carry(tagged, "out.onnx", break_flow)
    assert Path("out.untagged.onnx").is_file()
