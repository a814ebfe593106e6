"""check on files: keys that do not hold, pairs that contradict each other, limits, dialects; what serves as a map."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

import onnx_tagger as ot
from examples.branching import MODULES, TREE, change, exported, map_of, torch_only, winml_only
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model import metadata
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import DIALECTS
from onnx_tagger.workflows.checking import load_map, map_path, read_tags


def set_all(key: str, value: str | None) -> Callable[[onnx.ModelProto], None]:
    """Return a change that sets a key on every node, or removes it."""

    def how(made: onnx.ModelProto) -> None:
        for op in walk(made).ops:
            for at, entry in reversed(list(enumerate(op.node.metadata_props))):
                if entry.key == key:
                    del op.node.metadata_props[at]
            if value is not None:
                op.node.metadata_props.add(key=key, value=value)

    return how


def set_one(**values: str) -> Callable[[onnx.ModelProto], None]:
    """Return a change that sets keys of ours on the first node."""

    def how(made: onnx.ModelProto) -> None:
        for entry in made.graph.node[0].metadata_props:
            entry.value = values.get(entry.key.removeprefix(metadata.PREFIX), entry.value)

    return how


@pytest.mark.parametrize(
    ("key", "value", "phrase"),
    [
        (metadata.TAG, "x", "main#0 Mul has the tag 'x', which does not fit its module 'a.x'"),
        (metadata.TAG, "/Net", "main#0 Mul has the tag '/Net', which does not fit"),
        (metadata.TAG, None, "main#0 Mul has no pkg.onnx_tagger.tag"),
        (metadata.MODULE, None, "main#0 Mul has no pkg.onnx_tagger.module"),
        (metadata.SOURCE, None, "main#0 Mul has no pkg.onnx_tagger.source"),
        (metadata.SOURCE, "guessed", "unknown pkg.onnx_tagger.source 'guessed'"),
        (metadata.SOURCE, "root", "has source 'root' but the module 'a.x'"),
        (metadata.ORIGINS, "a", "no JSON list of two or more module paths"),
    ],
)
def test_check_fails_on_keys_that_do_not_hold(tagged: Path, key: str, value: str | None, phrase: str) -> None:
    report = ot.check(change(tagged, set_all(key, value)))
    assert not report.ok
    assert phrase in "; ".join(report.failures)
    assert report.tagged == 0
    assert report.failures[0].startswith("7 of 7 nodes have no tag")


@pytest.mark.parametrize(
    ("how", "phrase"),
    [
        (set_one(tag="/Net/A/Other"), "but another node of 'a.x' has"),
        (set_one(module="a.z"), "has the module 'a.x', but another node tagged '/Net/A/Linear.x' has 'a.z'"),
        (set_one(tag="/Elsewhere", module=""), "but other tags begin with"),
    ],
)
def test_check_fails_on_pairs_that_contradict_each_other(
    tagged: Path, how: Callable[[onnx.ModelProto], None], phrase: str
) -> None:
    if "a.z" in phrase:
        # '/Net/A/Linear.x' cannot be the tag of 'a.z' by itself: the plain segment can.
        tagged = change(tagged, set_all(metadata.TAG, "/Net/A/Linear"), "plain.onnx")
        phrase = phrase.replace("Linear.x", "Linear")
    report = ot.check(change(tagged, how))
    assert not report.ok
    assert phrase in "; ".join(report.failures)


def test_check_with_a_map_knows_which_pairs_there_are(bare: Path, tagged: Path) -> None:
    # '/Net/A/Linear' fits 'a.z' and contradicts nothing in the file.
    odd = change(tagged, set_one(tag="/Net/A/Linear", module="a.z"))
    assert ot.check(odd).ok
    report = ot.check(odd, map_path(bare))
    assert not report.ok
    assert "main#0 Mul has the module 'a.z', which the map does not know" in report.failures
    report = ot.check(change(tagged, set_all(metadata.ORIGINS, '["a.x", "elsewhere"]')), map_path(bare))
    assert "main#0 Mul has the origin 'elsewhere', which the map does not know" in report.failures
    other = HierarchyMap.from_rows(
        [ModuleRow(p, c) for p, c in (("", "Net"), ("a", "A"), ("a.x", "X"), ("a.y", "Y"), ("b", "B"))]
    )
    report = ot.check(tagged, other)
    assert "main#0 Mul has the tag '/Net/A/Linear.x', but the map gives 'a.x' the tag '/Net/A/X'" in report.failures


def test_check_of_an_untagged_file(bare: Path) -> None:
    report = ot.check(bare)
    assert not report.ok
    assert (report.nodes, report.tagged) == (7, 0)
    assert ot.check(bare, min_coverage=0).ok


def test_check_counts_sources(tagged: Path) -> None:
    def inherited(made: onnx.ModelProto) -> None:
        made.graph.node[0].metadata_props[2].value = "inherited"

    changed = change(tagged, inherited)
    assert ot.check(changed).ok
    assert ot.check(changed, max_inherited=1).ok
    assert not ot.check(changed, max_inherited=0).ok


def test_check_limits_the_root(bare: Path) -> None:
    def unknown(made: onnx.ModelProto) -> None:
        made.graph.node.append(helper.make_node("RandomNormal", [], ["noise"], shape=[1]))

    target = bare.with_name("t.onnx")
    ot.retag(change(bare, unknown), map_path(bare), target)
    report = ot.check(target)
    assert report.coverage == 100.0
    assert not report.ok
    assert ot.check(target, max_root=1).ok


def test_foreign_keys_do_not_count_as_ours(bare: Path) -> None:
    target = bare.with_name("t.onnx")
    ot.retag(bare, map_path(bare), target, also=["winml"])
    for key in (metadata.TAG, metadata.MODULE, metadata.SOURCE):
        target = change(target, set_all(key, None), f"{key}.onnx")
    assert not ot.check(target).ok
    assert ot.check(target).tagged == 0
    assert ot.check(target, dialect="winml").ok


@pytest.mark.parametrize("dialect", DIALECTS)
def test_check_reads_a_dialect(bare: Path, dialect: str) -> None:
    target = bare.with_name("t.onnx")
    ot.retag(bare, map_path(bare), target, also=[dialect])
    with_map = ot.check(target, map_path(bare), dialect=dialect)
    assert (with_map.ok, with_map.tagged) == (True, 7)
    assert with_map.tags == ot.check(target).tags
    if dialect != "doc_string":  # module paths alone name no class: they need a map
        alone = ot.check(target, dialect=dialect)
        assert (alone.ok, alone.tagged) == (True, 7)
        assert alone.tags == with_map.tags
    other = ot.check(target, dialect=next(name for name in DIALECTS if name != dialect))
    assert (other.ok, other.tagged) == (False, 0)


def test_check_of_a_dialect_goes_by_that_dialect_alone(tagged: Path) -> None:
    report = ot.check(change(tagged, set_all(metadata.WINML_TAG, "/Net/Other")), dialect="winml")
    assert (report.ok, report.tags) == (True, {"/Net/Other": 7})


def test_check_of_a_dialect_with_a_map_knows_what_there_is(bare: Path) -> None:
    target = bare.with_name("t.onnx")
    ot.retag(bare, map_path(bare), target, also=["winml"])
    report = ot.check(change(target, set_all(metadata.WINML_TAG, "/Net/Other")), map_path(bare), dialect="winml")
    assert not report.ok
    assert "main#0 Mul names '/Net/Other', which the map does not know" in report.failures


def test_stats_reads_any_carrier(bare: Path) -> None:
    assert ot.stats(change(bare, torch_only)).tagged == 7
    assert ot.stats(change(bare, winml_only)).tagged == 7
    assert ot.stats(bare).tagged == 0
    assert ot.stats(bare, map_path(bare)).tagged == 7


def test_map_path() -> None:
    assert map_path("x/M.onnx") == Path("x/M.hierarchy.json")
    assert map_path("bert.int8.onnx") == Path("bert.int8.hierarchy.json")


def test_load_map(bare: Path, tagged: Path) -> None:
    assert load_map(TREE) is TREE
    assert load_map(map_path(bare)) == map_of(exported())
    known = load_map(tagged)
    assert known.graph is not None
    assert {m.path: m.tag for m in known.modules} == {m.path: m.tag for m in TREE.modules}


def test_read_tags_changes_nothing(tagged: Path) -> None:
    made = onnx.load(tagged)
    before = made.SerializeToString(deterministic=True)
    ctx = read_tags(made)
    assert [ctx.tags[op].module for op in ctx.ops] == MODULES
    assert made.SerializeToString(deterministic=True) == before
    assert read_tags(exported()).tags == {}
