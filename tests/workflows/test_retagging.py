"""retag and strip on files: equal bytes, byte for byte back, any carrier, and what is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from onnx import helper, numpy_helper

import onnx_tagger as ot
from examples.branching import MODULES, TREE, change, exported, map_of, modules, nodes, torch_only, winml_only
from onnx_tagger.errors import FileFormatError, MapError, TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap, Operation
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model import metadata
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import DIALECTS, Source
from onnx_tagger.workflows.checking import map_path
from onnx_tagger.workflows.retagging import default_passes

dialects = st.sets(st.sampled_from(sorted(DIALECTS))).map(lambda names: metadata.check_dialects(names))
each_dialect = pytest.mark.parametrize("also", [(), *((name,) for name in DIALECTS), tuple(DIALECTS)], ids=str)
few = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def noted(made: onnx.ModelProto) -> None:
    """Put metadata and texts of others everywhere, among them what looks like ours, empty texts and equal values."""
    for index, op in enumerate(walk(made).ops):
        op.node.doc_string = ["", "text", "text\n", "\n", "two\nlines", " ", "onnx"][index]
        entries = [("theirs", str(index)), ("namespace", ["their/place", "", "Net/A"][index % 3])]
        entries += [("layer_ann", "gpu(encoder)"), ("theirs", "again"), ("winml.hierarchy.depth", "3")]
        metadata.add_entries(op.node, entries[: index + 1])
    metadata.add_entries(made, [("theirs", "1"), ("", ""), ("onnx_tagger", "no prefix")])


# Tagging.


def test_retag_from_a_map(bare: Path, tagged: Path) -> None:
    onnx.checker.check_model(onnx.load(bare))
    onnx.checker.check_model(onnx.load(tagged))
    assert modules(tagged) == MODULES
    report = ot.check(tagged)
    assert (report.ok, report.nodes, report.coverage) == (True, 7, 100.0)
    assert report.by_source == {"exported": 0, "matched": 7, "aligned": 0, "named": 0, "inherited": 0, "root": 0}
    assert ot.check(tagged, map_path(bare)).ok


def test_the_model_carries_the_digest_of_its_map(bare: Path, tagged: Path) -> None:
    assert metadata.model_value(onnx.load(tagged), metadata.MAP) == HierarchyMap.load(map_path(bare)).digest


def test_everything_but_our_metadata_is_as_it_was(bare: Path, tagged: Path) -> None:
    made = onnx.load(tagged)
    for op in walk(made).ops:
        del op.node.metadata_props[:]
    del made.metadata_props[:]
    assert made == onnx.load(bare)


def test_the_phases_and_passes_are_reported(bare: Path) -> None:
    told: list[str] = []
    report = ot.retag(bare, map_path(bare), bare.with_name("t.onnx"), progress=told.append, verify_passes=True)
    assert told == [phase.name for phase in report.phases] == ["read", "tag", "write"]
    assert [step.name for step in report.passes] == [step.name for step in default_passes()]


@each_dialect
def test_retag_twice_gives_equal_bytes(bare: Path, also: tuple[str, ...]) -> None:
    one, two = bare.with_name("1.onnx"), bare.with_name("2.onnx")
    for target in (one, two):
        ot.retag(bare, map_path(bare), target, also=also)
    assert one.read_bytes() == two.read_bytes()


@each_dialect
@pytest.mark.parametrize("with_map", [True, False])
@pytest.mark.parametrize("how", [lambda made: None, noted], ids=["plain", "noted"])
def test_retag_of_its_own_output_gives_equal_bytes(
    bare: Path, also: tuple[str, ...], with_map: bool, how: Callable[[onnx.ModelProto], object]
) -> None:
    first, second, third = (bare.with_name(f"{i}.onnx") for i in range(3))
    ot.retag(change(bare, how), map_path(bare), first, also=also)
    ot.retag(first, map_path(bare) if with_map else None, second, also=also)
    assert second.read_bytes() == first.read_bytes()
    # Without being told, the dialects that the file carries stay.
    ot.retag(first, map_path(bare) if with_map else None, third)
    assert third.read_bytes() == first.read_bytes()


def test_retag_of_a_changed_file_settles_too(bare: Path) -> None:
    """What was aligned or inherited is found again as it was."""

    def fuse(made: onnx.ModelProto) -> None:
        del made.graph.node[:2]
        made.graph.node.insert(0, helper.make_node("Fused", ["in", "w"], ["s"], domain="ms"))
        made.graph.node.append(helper.make_node("Shape", ["out"], ["shape"]))

    changed, first, second = change(bare, fuse), bare.with_name("1.onnx"), bare.with_name("2.onnx")
    report = ot.retag(changed, map_path(bare), first)
    assert report.by_source == {"exported": 0, "matched": 5, "aligned": 1, "named": 0, "inherited": 1, "root": 0}
    assert modules(first)[0] == "a.x"
    for tree in (map_path(bare), None):
        ot.retag(first, tree, second)
        assert second.read_bytes() == first.read_bytes()


def test_a_tagged_file_serves_as_map(bare: Path, tagged: Path) -> None:
    target = bare.with_name("again.onnx")
    report = ot.retag(bare, tagged, target)
    assert report.by_source["matched"] == 7
    assert modules(target) == MODULES


def test_in_place(bare: Path, tagged: Path) -> None:
    before = tagged.read_bytes()
    ot.retag(bare, map_path(bare), bare, in_place=True)
    assert bare.read_bytes() == before


def test_ir_version_is_written_when_asked_for(bare: Path) -> None:
    old = change(bare, lambda made: setattr(made, "ir_version", 8))
    kept, told = bare.with_name("kept.onnx"), bare.with_name("told.onnx")
    ot.retag(old, map_path(bare), kept)
    ot.retag(old, map_path(bare), told, ir_version=10)
    assert onnx.load(kept).ir_version == 8
    assert onnx.load(told).ir_version == 10
    assert modules(told) == modules(kept) == MODULES


def test_own_passes_run_before_the_tags_are_written(bare: Path) -> None:
    class Everything(ot.Pass):
        name = "everything-is-b"
        touches = ot.Touches.TAGS

        def run(self, ctx: ot.Context) -> int:
            assert len(ctx.tags) == len(ctx.ops)
            ctx.tags.update(dict.fromkeys(ctx.ops, TREE.tag("b", Source.MATCHED)))
            return len(ctx.ops)

    target = bare.with_name("t.onnx")
    report = ot.retag(bare, map_path(bare), target, passes=[Everything()], verify_passes=True)
    assert modules(target) == ["b"] * 7
    assert report.tags == {"/Net/B": 7}


def test_a_pass_that_adds_nodes_is_saved(bare: Path) -> None:
    class AddsOne(ot.Pass):
        name = "adds-one"
        touches = ot.Touches.TOPOLOGY | ot.Touches.TAGS

        def run(self, ctx: ot.Context) -> int:
            ctx.model.graph.node.append(helper.make_node("Identity", ["out"], ["out2"], "added"))
            return 1

    target = bare.with_name("t.onnx")
    ot.retag(bare, map_path(bare), target, passes=[AddsOne()], verify_passes=True)
    assert [node.name for node in nodes(target)][:5] == ["mul", "add", "if", "then_branch_node", "else_branch_node"]
    assert "added" in [node.name for node in nodes(target)]
    assert [path for path, node in zip(modules(target), nodes(target), strict=True) if node.name != "added"] == MODULES
    assert onnx.load(target).graph.initializer[0] == exported().graph.initializer[0]


# Strip.


@few
@given(dialects, dialects, st.booleans())
def test_strip_gives_back_the_file_byte_for_byte(
    tmp_path: Path, first: tuple[str, ...], second: tuple[str, ...], foreign: bool
) -> None:
    made = exported()
    tree = map_of(made)
    if foreign:
        noted(made)
    untagged, once, twice, back = (tmp_path / f"{name}.onnx" for name in ("untagged", "once", "twice", "back"))
    onnx.save(made, untagged)
    ot.retag(untagged, tree, once, also=first)
    ot.retag(once, None, twice, also=second)
    for path in (once, twice):
        assert path.read_bytes() != untagged.read_bytes()
        assert ot.strip(path, back) == 7
        assert back.read_bytes() == untagged.read_bytes()


def test_weights_keep_their_place_in_the_pages_of_the_file(bare: Path) -> None:
    """They are copied at full speed then; re-tagging settles, and nothing is left of the padding."""
    weights = numpy_helper.from_array(np.random.default_rng(0).standard_normal(1 << 19).astype(np.float32), "large")
    large = change(bare, lambda made: made.graph.initializer.append(weights))
    once, twice, back = (bare.with_name(f"{name}.onnx") for name in ("once", "twice", "back"))
    ot.retag(large, map_path(bare), once)
    ot.retag(once, map_path(bare), twice)
    ot.strip(twice, back)
    places = [path.read_bytes().index(weights.raw_data) for path in (large, once)]
    assert places[0] != places[1]
    assert (places[1] - places[0]) % 4096 == 0
    assert metadata.model_value(onnx.load(once), metadata.PAD).isspace()
    assert twice.read_bytes() == once.read_bytes()
    assert back.read_bytes() == large.read_bytes()


def test_strip_of_an_untagged_file_changes_nothing(bare: Path) -> None:
    copy = bare.with_name("copy.onnx")
    assert ot.strip(bare, copy) == 0
    assert copy.read_bytes() == bare.read_bytes()


def test_strip_in_place(bare: Path, tagged: Path) -> None:
    with pytest.raises(TaggerError, match="--in-place"):
        ot.strip(tagged, tagged)
    ot.strip(tagged, tagged, in_place=True)
    assert tagged.read_bytes() == bare.read_bytes()


def test_strip_of_stack_traces_only_when_asked_for(bare: Path) -> None:
    def trace(made: onnx.ModelProto) -> None:
        made.graph.node[0].metadata_props.add(key=metadata.TORCH_STACK, value="File x")

    traced, target = change(bare, trace), bare.with_name("t.onnx")
    assert ot.strip(traced, target) == 0
    assert target.read_bytes() == traced.read_bytes()
    assert ot.strip(traced, target, stack_traces=True) == 1
    assert target.read_bytes() == bare.read_bytes()


# Refusals.


def test_the_target_may_not_be_the_input(bare: Path) -> None:
    before = bare.read_bytes()
    linked = bare.with_name("linked.onnx")
    os.link(bare, linked)
    for target in (bare, linked, bare.parent / "." / bare.name):
        with pytest.raises(TaggerError, match="is the input file; choose another output or ask for --in-place"):
            ot.retag(bare, map_path(bare), target)
    assert bare.read_bytes() == before


def test_a_target_that_cannot_be_written(bare: Path) -> None:
    for target in (bare.parent, bare.parent / "missing" / "t.onnx"):
        with pytest.raises(TaggerError):
            ot.retag(bare, map_path(bare), target)


def test_an_ir_version_that_nobody_reads_is_refused(bare: Path) -> None:
    for version in (0, 99):
        with pytest.raises(TaggerError, match=f"IR version {version} is not one"):
            ot.retag(bare, map_path(bare), bare.with_name("t.onnx"), ir_version=version)


def test_a_rebuilt_model_does_not_take_the_place_of_its_weights(bare: Path) -> None:
    folder = bare.parent / "apart"
    folder.mkdir()
    made = onnx.load(bare)
    made.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones(1, np.float32), "w"))
    onnx.save(made, folder / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    before = (folder / "m.data").read_bytes()
    with pytest.raises(TaggerError, match="holds the weights"):
        ot.retag(folder / "m.onnx", map_path(bare), folder / "m.data", ir_version=10)
    assert (folder / "m.data").read_bytes() == before


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 100, b"{}", b"PK\x03\x04", b"\x08\x0a"])
def test_what_is_no_model(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    calls: list[Callable[[], object]] = [
        lambda: ot.retag(path, TREE, tmp_path / "t.onnx"),
        lambda: ot.retag(path, None, tmp_path / "t.onnx"),
        lambda: ot.check(path),
        lambda: ot.stats(path),
        lambda: ot.strip(path, tmp_path / "t.onnx"),
    ]
    for call in calls:
        with pytest.raises(FileFormatError) as caught:
            call()
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    assert not (tmp_path / "t.onnx").exists()


def test_what_is_no_map(bare: Path) -> None:
    target = bare.with_name("t.onnx")
    (bare.parent / "torn.json").write_bytes(b"{")
    for tree in (bare.parent / "none.json", bare.parent / "none.onnx", bare.parent / "torn.json", bare.parent, bare):
        with pytest.raises(MapError):
            ot.retag(bare, tree, target)
        with pytest.raises(MapError):
            ot.check(bare, tree)
    assert not target.exists()


def test_a_file_that_says_nothing_needs_a_map(bare: Path) -> None:
    with pytest.raises(TaggerError, match="neither metadata nor names say a module; give --map"):
        ot.retag(bare, None, bare.with_name("t.onnx"))


def test_another_model_s_map_is_refused_unless_forced(bare: Path) -> None:
    def rename(made: onnx.ModelProto) -> None:
        for op in walk(made).ops:
            for names in (op.node.input, op.node.output):
                names[:] = [f"other_{name}" for name in names]
        made.graph.initializer[0].name = "other_w"

    other, target = change(bare, rename), bare.with_name("t.onnx")
    with pytest.raises(MapError, match="it cannot be told whether the file is of the map's model"):
        ot.retag(other, map_path(bare), target)
    assert not target.exists()
    ot.retag(other, map_path(bare), target, force=True)
    assert target.exists()


def test_unknown_options_are_refused(bare: Path) -> None:
    target = bare.with_name("t.onnx")
    with pytest.raises(TaggerError, match="unknown dialect 'graphviz'"):
        ot.retag(bare, map_path(bare), target, also=["graphviz"])
    with pytest.raises(TaggerError, match="choose 'enclosing' or 'output'"):
        ot.retag(bare, map_path(bare), target, merge="input")  # type: ignore[arg-type]
    with pytest.raises(TaggerError, match="unknown dialect 'graphviz'"):
        ot.check(bare, dialect="graphviz")
    for share in (-1.0, 101.0, float("nan")):
        with pytest.raises(TaggerError, match="must lie between 0 and 100"):
            ot.check(bare, min_coverage=share)
    assert not target.exists()


# Files that others have tagged.


def test_own_keys_are_made_of_a_winml_tagged_file(bare: Path) -> None:
    theirs, target = change(bare, winml_only), bare.with_name("t.onnx")
    assert ot.check(theirs, dialect="winml").ok
    report = ot.retag(theirs, None, target)
    assert report.by_source["matched"] == 7
    checked = ot.check(target)
    assert checked.ok
    assert checked.tags == ot.check(theirs, dialect="winml").tags
    # Their entries are theirs.
    assert ot.strip(target, bare.with_name("back.onnx")) == 7
    assert bare.with_name("back.onnx").read_bytes() == theirs.read_bytes()


def test_own_keys_are_made_of_a_torch_tagged_file(bare: Path) -> None:
    theirs, target = change(bare, torch_only), bare.with_name("t.onnx")
    assert ot.check(theirs, dialect="torch").ok
    report = ot.retag(theirs, None, target)
    assert report.by_source["exported"] == 7
    assert modules(target) == MODULES
    assert ot.check(target, map_path(bare)).ok
    assert ot.strip(target, bare.with_name("back.onnx")) == 7
    assert bare.with_name("back.onnx").read_bytes() == theirs.read_bytes()


def test_a_dialect_that_a_file_already_has_stays_theirs(bare: Path) -> None:
    theirs, target, back = change(bare, winml_only), bare.with_name("t.onnx"), bare.with_name("back.onnx")
    ot.retag(theirs, map_path(bare), target, also=["winml"])
    ot.retag(target, None, target, in_place=True)
    ot.strip(target, back)
    assert back.read_bytes() == theirs.read_bytes()


# Smaller parts.


def test_default_passes() -> None:
    chain = default_passes(merge="output", also=["doc_string", "winml"], limits=ot.Limits(90.0, 1, 2))
    assert [step.name for step in chain] == ["match", "align", "inherit", "inject", "coverage"]
    assert chain[1:2] == [ot.Align(merge="output")]
    assert chain[3:] == [
        ot.Inject(also=("winml", "doc_string")),
        ot.Coverage(min_coverage=90.0, max_root=1, max_inherited=2),
    ]


def test_a_plain_retag_loads_only_what_it_needs(bare: Path) -> None:
    """Of a small file, what is loaded is most of the memory."""
    code = (
        "import sys, onnx\n"
        "before = set(sys.modules)\n"
        "import onnx_tagger as ot\n"
        "ot.retag(*sys.argv[1:])\n"
        "heavy = {'hashlib', 'networkx', 'pydantic', 'rich', 'typer', 'onnxruntime', 'torch'}\n"
        "sys.exit(' '.join(heavy & (set(sys.modules) - before)) or 0)"
    )
    arguments = (bare, map_path(bare), bare.with_name("again.onnx"))
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _run_alone(*kinds: str) -> tuple[onnx.ModelProto, HierarchyMap]:
    """A chain of operators, and the map of a run of some of them, which knows no file."""
    made = [
        helper.make_node(kind.rpartition("::")[2], [f"h{i}"], [f"h{i + 1}"], domain=kind.rpartition("::")[0])
        for i, kind in enumerate(kinds)
    ]
    ends = [helper.make_tensor_value_info(name, 1, [4]) for name in ("h0", f"h{len(kinds)}")]
    trace = tuple(Operation("a", kind.lower(), reads=(i - 1,) if i else ()) for i, kind in enumerate(("Relu", "Tanh")))
    rows = [ModuleRow("", "Net"), ModuleRow("a", "A")]
    return helper.make_model(helper.make_graph(made, "g", ends[:1], ends[1:])), replace(
        HierarchyMap.from_rows(rows), trace=trace
    )


@pytest.mark.parametrize(
    ("kinds", "advised"),
    [
        (("Relu", "com.microsoft::Odd", "Tanh", "Xor"), True),
        (("Relu", "Tanh", "Xor"), False),
        (("Relu", "mine::Odd", "Tanh", "Xor"), False),
    ],
    ids=["a tool's operator and a guess", "no tool's", "one's own"],
)
def test_a_map_of_a_run_is_the_weaker_one_behind_a_tool(tmp_path: Path, kinds: tuple[str, ...], advised: bool) -> None:
    made, tree = _run_alone(*kinds)
    onnx.save(made, tmp_path / "m.onnx")
    report = ot.retag(tmp_path / "m.onnx", tree, tmp_path / "t.onnx", force=True)
    found = [note for note in report.notes if "tag the file that the tool was given" in note]
    assert bool(found) == advised, report.by_source
