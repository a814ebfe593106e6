"""Comparing what was found with what is recorded, by file and module."""

from onnx_tagger.model.findings import FORCED, INHERITED, UNTAGGED, Finding
from onnx_tagger.model.gate.baseline import Baseline, compare, counts_of


def found(module: str | None, *positions: int) -> list[Finding]:
    rule = UNTAGGED if module is None else INHERITED
    return [Finding(rule, "a.onnx", f"n{i} ...", f"main#{i} Add", f"n{i}", module) for i in positions]


HERE = [*found("enc.0", 1, 2), *found(None, 5), Finding(FORCED, "a.onnx", "forced")]


def test_counts_hold_no_position() -> None:
    assert counts_of(HERE) == {"untagged": {"-": 1}, "inherited": {"enc.0": 2}}
    assert counts_of([*found("enc.0", 70, 80), *found(None, 90)]) == counts_of(HERE)
    assert counts_of([]) == {}


def test_the_same_is_neither_worse_nor_looser() -> None:
    compared = compare("a.onnx", HERE, counts_of(HERE))
    assert (compared.worse, compared.looser) == ((), ())


def test_a_module_that_is_new_is_told_node_by_node() -> None:
    compared = compare("a.onnx", [*HERE, *found("enc.1", 7, 8)], counts_of(HERE))
    assert [each.node for each in compared.worse] == ["main#7 Add", "main#8 Add"]


def test_a_module_with_more_is_one_finding() -> None:
    (worse,) = compare("a.onnx", [*HERE, *found("enc.0", 3)], counts_of(HERE)).worse
    assert (worse.rule, worse.module) == (INHERITED, "enc.0")
    assert worse.says == "enc.0 has 3 inherited nodes, the baseline records 2: n1, n2, n3"


def test_what_moved_to_another_module_is_worse_there_and_looser_here() -> None:
    compared = compare("a.onnx", found("enc.1", 1, 2), {"inherited": {"enc.0": 2}})
    assert len(compared.worse) == 2
    assert [each.says for each in compared.looser] == ["enc.0 has 0 inherited nodes, the baseline records 2"]


def test_less_is_looser() -> None:
    compared = compare("a.onnx", found("enc.0", 1), counts_of(HERE))
    assert compared.worse == ()
    assert [each.says for each in compared.looser] == [
        "what names no module has 0 untagged nodes, the baseline records 1",
        "enc.0 has 1 inherited node, the baseline records 2",
    ]


def test_files_of_which_nothing_falls_short_are_not_recorded() -> None:
    assert Baseline.of({"b": {"untagged": {"-": 1}}, "a": {}, "c": {"root": {}}}).files == {"b": {"untagged": {"-": 1}}}
    assert repr(Baseline({"a": {}})) == "<Baseline 1 file>"
