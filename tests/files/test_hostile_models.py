"""Models that are broken or made to do harm: each command works, or exits with 2, one sentence and nothing written."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnx_tagger.cli import main
from onnx_tagger.errors import FileFormatError
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.wire import varint
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.model.graph import walk
from onnx_tagger.model.limits import InputLimits, input_limits, limited
from onnx_tagger.model.metadata import MAX_PARTS, fits
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.base import Context, Pass
from onnx_tagger.passes.manager import PassManager

Run = Callable[..., tuple[int, str, str]]


def own_keys(module: str, tag: str) -> dict[str, str]:
    return {"pkg.onnx_tagger.tag": tag, "pkg.onnx_tagger.module": module, "pkg.onnx_tagger.source": "exported"}


def make_node(
    op: str,
    inputs: list[str],
    outputs: list[str],
    name: str = "",
    props: dict[str, str] | None = None,
    domain: str = "",
) -> onnx.NodeProto:
    node = helper.make_node(op, inputs, outputs, name=name, domain=domain)
    for key, value in (props or {}).items():
        node.metadata_props.add(key=key, value=value)
    return node


def make_model(nodes: list[onnx.NodeProto], functions: list[onnx.FunctionProto] | None = None) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2])],
    )
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("d", 1)]
    return helper.make_model(graph, functions=functions or [], opset_imports=opsets, ir_version=10)


def whole_model() -> onnx.ModelProto:
    """A body, a function, a weight, a sparse one, own keys, torch's keys and a dialect in 1.4 kB."""
    body = helper.make_graph([make_node("Neg", ["h"], ["t"], "", own_keys("a.b", "/Net/Blk.a/B.b"))], "body", [], [])
    branch = make_node("If", ["c"], ["i"], "if", own_keys("", "/Net"))
    branch.attribute.append(helper.make_attribute("then_branch", body))
    torch_keys = {
        "pkg.torch.onnx.name_scopes": "['', 'a', 'mm']",
        "pkg.torch.onnx.class_hierarchy": "['m.Net', 'm.Blk', 'aten.mm']",
        "pkg.torch.onnx.stack_trace": 'File "/home/somebody/m.py", line 3, in f\n  return z',
    }
    nodes = [
        make_node("MatMul", ["x", "w"], ["h"], "mm", {**own_keys("a", "/Net/Blk.a"), **torch_keys}),
        branch,
        make_node("F", ["i"], ["f"], "call", own_keys("a", "/Net/Blk.a"), domain="d"),
        make_node("Identity", ["f"], ["y"], "", {"namespace": "Net/Blk.a"}),
    ]
    inner = [make_node("Neg", ["p"], ["q"], "inner", own_keys("a", "/Net/Blk.a"))]
    function = helper.make_function("d", "F", ["p"], ["q"], inner, [helper.make_opsetid("", 20)])
    model = make_model(nodes, [function])
    model.graph.initializer.append(numpy_helper.from_array(np.arange(16, dtype=np.float32).reshape(4, 4), "w"))
    sparse = model.graph.sparse_initializer.add(dims=[4])
    sparse.values.CopyFrom(helper.make_tensor("s", onnx.TensorProto.FLOAT, [1], [1.0]))
    sparse.indices.CopyFrom(helper.make_tensor("", onnx.TensorProto.INT64, [1], [2]))
    model.metadata_props.add(key="pkg.onnx_tagger.version", value="0")
    return model


WHOLE = whole_model().SerializeToString()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*args: object) -> tuple[int, str, str]:
        code = main.run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def reading(model: Path, good: Path) -> list[tuple[object, ...]]:
    """Every command that reads a model, in every place where it takes one."""
    return [
        ("check", model),
        ("check", model, "--dialect", "torch", "--format", "junit"),
        ("check", model, "--format", "github"),
        ("check", good, "--map", model),
        ("stats", model, "--json"),
        ("tree", model),
        ("tree", good, "--before", model),
        ("nodes", model, "--under", "a"),
        ("show", model, "mm"),
        ("diff", model, good),
    ]


def writing(model: Path, good: Path, out: Path) -> list[tuple[object, ...]]:
    """Every command that writes a model."""
    return [
        ("strip", model, "-o", out, "--stack-traces"),
        ("retag", model, "-o", out, "--also", "namespace,layer_ann,winml,doc_string"),
        ("retag", model, "-o", out, "--ir-version", "10"),
        ("retag", good, "--map", model, "-o", out),
        ("carry", model, "-o", out, "--map", good, "--force", "--", "cp", "{in}", "{out}"),
    ]


def insist(run: Run, folder: Path, commands: list[tuple[object, ...]], out: Path) -> list[int]:
    """Run commands: none has a bug, what fails says one sentence and leaves nothing, what is written is whole."""
    before = sorted(folder.iterdir())
    codes = []
    for command in commands:
        code, printed, said = run(*command)
        codes.append(code)
        assert code in (0, 1, 2), command
        assert not re.search("this is a bug|failed: [A-Za-z]+Error", said), (command, said)
        assert not re.search(r"[^\n\x20-\x7e\x80-\U0010ffff]|[\u202a-\u202e\u2066-\u2069]", printed + said), command
        if code == 2:
            # A check in a form for machines has what cannot be read in that form, too.
            form = command[-1] if "--format" in command else ""
            assert not printed or (form in ("junit", "github", "json", "sarif") and "OT006" in printed), command
            assert said.count("\n") == 1, (command, said)
            assert len(said) < 3000, command
        if code == 0 and out.exists():
            read_skeleton(out)
            out.unlink()
        if code == 2 and command[0] == "carry" and (kept := out.with_suffix(".untagged.onnx")).exists():
            # What the tool made is not lost: here the very file that it was given.
            assert kept.read_bytes() == Path(str(command[1])).read_bytes()
            assert kept.name in said
            kept.unlink()
        assert sorted(folder.iterdir()) == before, command
    return codes


def attack(run: Run, folder: Path, models: Iterator[bytes], *, write: bool = True) -> list[int]:
    model, good, out = folder / "m.onnx", folder / "good.onnx", folder / "out.onnx"
    good.write_bytes(WHOLE)
    codes = []
    for data in models:
        model.write_bytes(data)
        commands = reading(model, good) + (writing(model, good, out) if write else [])
        codes += insist(run, folder, commands, out)
    return codes


def is_read(data: bytes) -> bool:
    try:
        read_skeleton(data)
    except FileFormatError:
        return False
    return True


def test_a_model_cut_at_every_byte_is_refused_or_whole_for_us() -> None:
    """Where nothing that we read is cut off, what is left is read; everywhere else the file is refused."""
    starts = {len(WHOLE)}
    at = 0
    while at < len(WHOLE):  # the model's own fields, by hand
        starts.add(at)
        number, at = WHOLE[at], at + (2 if WHOLE[at] >= 0x80 else 1)
        if number & 7 == 0:
            at += 1
        else:
            width = 2 if WHOLE[at] >= 0x80 else 1
            at += width + (WHOLE[at] & 0x7F | (WHOLE[at + 1] << 7 if width == 2 else 0))
    read = {size for size in range(len(WHOLE)) if is_read(WHOLE[:size])}
    assert 0 < len(read) < 6
    assert read < starts


def test_cut_models(run: Run, tmp_path: Path) -> None:
    codes = attack(run, tmp_path, (WHOLE[:size] for size in range(0, len(WHOLE), 101)))
    assert codes.count(2) > 0.9 * len(codes)


def test_random_bytes(run: Run, tmp_path: Path) -> None:
    rng = random.Random(0)
    assert set(attack(run, tmp_path, (rng.randbytes(rng.choice([1, 10, 100, 5000])) for _ in range(10)))) == {2}


def test_flipped_bits(run: Run, tmp_path: Path) -> None:
    rng = random.Random(0)

    def flipped() -> Iterator[bytes]:
        for _ in range(25):
            data = bytearray(WHOLE)
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            yield bytes(data)

    assert len(set(attack(run, tmp_path, flipped()))) > 1


def field(number: int, body: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(body)) + body


@pytest.mark.parametrize("wire_type", range(8))
def test_wrong_wire_types(wire_type: int) -> None:
    """Any field of any message with any wire type is read or refused, and never anything else."""
    node = field(1, b"x") + field(2, b"y") + field(4, b"Neg")
    values = {0: b"\x05", 1: bytes(8), 2: b"\x03\x08\x01\xff", 3: b"\x08\x01", 4: b"", 5: bytes(4), 6: b"x", 7: b"x"}
    outcomes = set()
    for number in [*range(1, 31), 127, 1 << 28]:
        odd = varint(number << 3 | wire_type) + values[wire_type]
        for data in (
            field(7, field(1, node)) + odd,
            field(7, field(1, node) + odd),
            field(7, field(1, node + odd)),
            field(7, field(1, node + field(5, field(1, b"a") + odd))),
            field(7, field(1, node) + field(5, field(8, b"w") + odd)),
            field(7, field(1, node)) + field(25, field(1, b"f") + field(7, node) + odd),
            field(7, field(1, node + field(9, field(1, b"k") + odd))),
        ):
            outcomes.add(is_read(b"\x08\x0a" + data))
    assert False in outcomes


@pytest.mark.parametrize(
    "wrong",
    [b"\xff" * 9 + b"\x01", b"\xff\xff\xff\xff\x07", b"\x80" * 12, b"\xff" * 10],
    ids=["2**64-1", "2**31-1", "without end", "beyond 64 bits"],
)
def test_lengths_beyond_the_file_and_numbers_without_end(wrong: bytes) -> None:
    for at in range(0, len(WHOLE), 3):
        for rest in (WHOLE[at:], WHOLE[at + 1 :]):
            is_read(WHOLE[:at] + wrong + rest)
    with pytest.raises(FileFormatError):
        read_skeleton(b"\x3a" + wrong + WHOLE)


def calling(name: str, *others: str) -> onnx.FunctionProto:
    nodes = [make_node(other, ["a"], ["b"], domain="d") for other in others]
    return helper.make_function("d", name, ["a"], ["b"], nodes, [helper.make_opsetid("", 20)])


def odd_graphs() -> dict[str, onnx.ModelProto]:
    neg = make_node("Neg", ["x"], ["y"], "mm", own_keys("a", "/Net/Blk.a"))
    call = make_node("F", ["x"], ["y"], "mm", own_keys("a", "/Net/Blk.a"), domain="d")
    chain = [calling(f"F{i}", f"F{i + 1}", f"F{i + 1}") for i in range(40)] + [calling("F40")]
    return {
        "circle": make_model([make_node("Add", ["x", "b"], ["a"], "mm"), make_node("Add", ["a", "x"], ["b"])]),
        "reads itself": make_model([make_node("Add", ["x", "a"], ["a"], "mm")]),
        "dangling": make_model([make_node("Add", ["nothing", "nowhere"], ["y"], "mm")]),
        "one output of many": make_model([neg, neg, make_node("Neg", ["x"], ["y", "y", ""])]),
        "no nodes": make_model([]),
        "no operator": make_model([make_node("", [], [], "mm")]),
        "calls itself": make_model([call], [calling("F", "F")]),
        "call each other": make_model([call], [calling("F", "G"), calling("G", "F")]),
        "one function thrice": make_model([call], [calling("F")] * 3),
        "calls that double": make_model([make_node("F0", ["x"], ["y"], "mm", domain="d")], chain),
    }


@pytest.mark.parametrize("name", odd_graphs())
def test_odd_graphs(run: Run, tmp_path: Path, name: str) -> None:
    attack(run, tmp_path, iter([odd_graphs()[name].SerializeToString()]))


def test_nothing_is_printed_of_a_node_whose_neighbours_cannot_be_told(run: Run, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(odd_graphs()["circle"].SerializeToString())
    code, printed, said = run("show", tmp_path / "m.onnx", "mm")
    assert (code, printed) == (2, "")
    assert "in a circle" in said


@pytest.mark.parametrize(
    "name",
    ["", "a/b", "'q\"`", "\x1b[31m\x07", "‮gpj", "a\nb\r\nc", "::error::x", "](http://x)<b>|", "\x00", "\u2028", "]]>",
     "-rf", "[bold]x[/bold]", "{in}", "%s%n", "../../x", "@0@1", "%2F%", "é" * 300, "\x9b31m", "a" * 70_000],
    ids=ascii,
)  # fmt: skip
def test_odd_names(run: Run, tmp_path: Path, name: str) -> None:
    safe = name.replace("%", "%25").replace("/", "%2F")
    others = {
        "namespace": name,
        "winml.hierarchy.tag": "/" + name,
        "layer_ann": "/" + name,
        "pkg.torch.onnx.name_scopes": repr(["", name, "x"]),
        "pkg.torch.onnx.class_hierarchy": repr(["m.Net", name, "x"]),
    }
    noted = make_node("Neg", ["x"], [f"{name}2"], "mm", others)
    noted.doc_string = f"onnx_tagger:{name}\n{name}"
    own = make_model([make_node(name or "Neg", ["x"], [name], name, own_keys(name, f"/Net/B.{safe}")), noted])
    torch = make_model([noted, make_node("Neg", ["x"], [name], name)])
    attack(run, tmp_path, iter([own.SerializeToString(), torch.SerializeToString()]))


def test_text_that_is_no_utf8(run: Run, tmp_path: Path) -> None:
    """A byte that starts no character, in one name after another."""
    rng = random.Random(0)
    places = [at for at in range(len(WHOLE)) if chr(WHOLE[at]).islower()]
    attack(run, tmp_path, (WHOLE[:at] + b"\xff" + WHOLE[at + 1 :] for at in rng.sample(places, 20)))


@pytest.mark.parametrize("name", [b"MatMul", b"mm", b"\x01w", b"\x01h", b"inner", b"then_branch"])
def test_names_of_nodes_that_are_no_utf8_are_refused(name: bytes) -> None:
    """Those of their attributes are nobody's business."""
    at = WHOLE.index(name) + len(name) - 1
    data = WHOLE[:at] + b"\xff" + WHOLE[at + 1 :]
    ctx = Context(read_skeleton(data).model)
    if name == b"then_branch":
        assert ctx.get(DataFlow).order
        return
    with pytest.raises(FileFormatError, match=r"#0 .*is no valid UTF-8"):
        ctx.get(DataFlow)


def nested(depth: int) -> bytes:
    body = field(1, field(4, b"Neg"))
    for _ in range(depth):
        body = field(1, field(4, b"If") + field(5, field(1, b"b") + field(6, body)))
    return b"\x08\x0a" + field(7, body)


@pytest.mark.parametrize("depth", [10, 32, 33, 34, 100, 3000])
def test_bodies_in_bodies(run: Run, tmp_path: Path, depth: int) -> None:
    codes = attack(run, tmp_path, iter([nested(depth)]))
    assert (set(codes) == {2}) == (depth > 32)


# --- limits -----------------------------------------------------------------------------------------------------------


def many_entries(count: int) -> bytes:
    return b"\x08\x0a" + field(7, field(1, field(4, b"Neg") + field(9, b"") * count))


NODES = make_model([make_node("Neg", ["x"], [f"y{index}"]) for index in range(30)]).SerializeToString()


@pytest.mark.parametrize(
    ("limits", "within", "beyond"),
    [
        (InputLimits(keys=3), many_entries(3), many_entries(4)),
        (InputLimits(), many_entries(4096), many_entries(4097)),
        (InputLimits(), many_entries(4096), many_entries(1_000_000)),
        (InputLimits(keys=5), field(7, b"") + field(14, b"") * 5, field(7, b"") + field(14, b"") * 6),
        (InputLimits(string_bytes=9), field(7, field(1, field(3, b"n" * 9))), field(7, field(1, field(3, b"n" * 10)))),
        (InputLimits(string_bytes=10), field(7, field(2, b"n" * 10)), field(7, field(5, field(8, b"n" * 11)))),
        (InputLimits(string_bytes=10), field(7, field(1, field(9, bytes(0)))), field(7, field(1, field(9, bytes(11))))),
        (InputLimits(), field(7, field(1, field(1, b"n" * 2**20))), field(7, field(1, field(1, b"n" * (2**20 + 1))))),
        (InputLimits(nodes=30), NODES, NODES + field(25, field(7, b"") * 31)),
        (InputLimits(skeleton_bytes=len(NODES)), NODES, NODES + field(2, b"producer")),
    ],
)  # fmt: skip
def test_a_model_is_held_to_limits(limits: InputLimits, within: bytes, beyond: bytes) -> None:
    with limited(limits):
        read_skeleton(within)
        with pytest.raises(FileFormatError, match=r"exceeds what is allowed.*if it comes from a place that you trust"):
            read_skeleton(beyond)


@pytest.mark.parametrize("body", [False, True])
def test_nodes_are_counted_in_bodies_too(body: bool) -> None:
    graph = field(1, field(4, b"Neg")) * 11
    data = field(7, field(1, field(4, b"If") + field(5, field(6, graph))) if body else graph)
    with limited(InputLimits(nodes=12)):
        walk(read_skeleton(data).model)
    with limited(InputLimits(nodes=10)), pytest.raises(FileFormatError, match="more than 10 nodes"):
        walk(read_skeleton(data).model)


def test_bodies_are_held_to_the_depth_that_is_allowed() -> None:
    with limited(InputLimits(depth=9)):
        walk(read_skeleton(nested(3)).model)
        with pytest.raises(FileFormatError, match="nested deeper than 3 levels"):
            walk(read_skeleton(nested(4)).model)


def test_the_modules_that_nodes_name_are_counted() -> None:
    own = make_model([make_node("Neg", ["x"], [f"y{i}"], "", own_keys(f"a{i}", f"/N/B.a{i}")) for i in range(5)])
    dialect = make_model(
        [make_node("Neg", ["x"], [f"y{i}"], "", {"winml.hierarchy.tag": f"/N/B.a{i}"}) for i in range(5)]
    )
    for model in (own, dialect):
        with limited(InputLimits(modules=6)):
            assert hierarchy_of_model(model) is not None
        with limited(InputLimits(modules=4)), pytest.raises(FileFormatError, match="more than 4 modules"):
            hierarchy_of_model(model)


def test_limits_are_set_by_option_and_by_environment(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(NODES)
    assert run("stats", path)[0] == 0
    code, _, said = run("--limit", "nodes=29", "stats", path)
    assert code == 2
    assert "more than 29 nodes" in said
    assert "raise --limit nodes" in said
    monkeypatch.setenv("ONNX_TAGGER_LIMITS", "nodes=29, depth=50")
    assert run("stats", path)[0] == 2
    assert run("--limit", "nodes=30", "stats", path)[0] == 0
    assert input_limits().nodes == 29
    monkeypatch.setenv("ONNX_TAGGER_LIMITS", "nodes=many")
    code, _, said = run("stats", path)
    assert code == 2
    assert "ONNX_TAGGER_LIMITS: the limit nodes is set to 'many'; give an integer above 0" in said


# --- texts that are made to cost --------------------------------------------------------------------------------------


def test_names_of_many_parts_are_none_of_a_module(run: Run, tmp_path: Path) -> None:
    """Class paths that could belong to a module path in very many ways; all of them took minutes to compare."""
    deep = "/Net" + "/B" * MAX_PARTS
    assert fits("/Net" + "/B" * (MAX_PARTS - 1), ".".join("b" * MAX_PARTS))
    assert not fits(deep + "/B", ".".join("b" * 3000))
    models = []
    for tag, module in (
        (deep * 10, "b." * 3000 + "b"),
        ("/N/B." + "a." * 4000 + "a", "a." * 4000 + "a"),
        ("/" * 9999, "a"),
    ):
        scopes = {
            "pkg.torch.onnx.name_scopes": repr(["", module, "x"]),
            "pkg.torch.onnx.class_hierarchy": "['', 'B', 'x']",
        }
        nodes = [
            make_node("Neg", ["x"], ["y"], "mm", own_keys(module, tag)),
            *(make_node("Neg", ["y"], [f"z{i}"], "", {"winml.hierarchy.tag": f"{tag}/C.{i}"}) for i in range(20)),
            make_node("Neg", ["y"], ["u"], "", scopes),
        ]
        models.append(make_model(nodes).SerializeToString())
    attack(run, tmp_path, iter(models))


def test_a_sentence_with_a_name_of_megabytes_is_shortened(run: Run, tmp_path: Path) -> None:
    name = "n" * 1_000_000
    path = tmp_path / "m.onnx"
    node = make_node("Neg", ["x"], ["y"], name, own_keys("a", "/Net/Blk.a") | {"pkg.onnx_tagger.source": name})
    path.write_bytes(make_model([node]).SerializeToString())
    for form in ("text", "junit", "github"):
        code, printed, _ = run("check", path, "--format", form)
        assert code == 1
        assert "characters left out" in printed
        assert len(printed) < 10_000
    code, _, said = run("nodes", path, "--under", "nnn")
    assert code == 2
    assert len(said) < 3000


def test_stack_traces_go_wherever_they_are(run: Run, tmp_path: Path) -> None:
    """Torch leaves local paths on nodes of the main graph, of bodies and of functions."""
    model = whole_model()
    trace = 'File "/home/somebody/m.py", line 3, in f\n  return z'
    body = model.graph.node[1].attribute[0].g
    for node in (body.node[0], model.functions[0].node[0], model.graph.node[3]):
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=trace)
    source, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    source.write_bytes(model.SerializeToString())
    assert run("strip", source, "-o", out)[0] == 0
    assert out.read_bytes().count(b"/home/somebody") == 4
    assert run("strip", source, "-o", out, "--stack-traces")[0] == 0
    assert b"/home/somebody" not in out.read_bytes()
    assert b"stack_trace" not in out.read_bytes()
    assert out.read_bytes().count(b"name_scopes") == 1


class Suffixes(Pass):
    """A pass that takes every name for a text."""

    name = "suffixes"

    def run(self, ctx: Context) -> int:
        return sum(name.endswith("_x") for op in ctx.ops for name in op.node.output)


def test_a_pass_that_falls_over_a_name_that_is_no_text_says_so() -> None:
    data = WHOLE.replace(b"\x12\x01h", b"\x12\x01\xff", 1)
    with pytest.raises(FileFormatError, match="main#0 MatMul: the name of a tensor is no valid UTF-8"):
        PassManager([Suffixes()]).run(read_skeleton(data).model)
    assert PassManager([Suffixes()]).run(read_skeleton(WHOLE).model).passes[0].changed == 0
