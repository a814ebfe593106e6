"""The manager: order, declarations that it verifies, invalidation, re-runs, errors that name the pass, timings."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx
import onnx.numpy_helper
import pytest
from onnx import helper

from onnx_tagger.errors import CoverageError, MapError, PassError
from onnx_tagger.hierarchy.from_model import hierarchy_of_model
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model import metadata
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.base import Analysis, Context, Pass, Touches
from onnx_tagger.passes.coverage import Coverage
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.passes.inject import Inject
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match

TREE = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "A"), ModuleRow("b", "B")])


def model() -> onnx.ModelProto:
    nodes = [helper.make_node("Relu", ["x"], ["h"], "r"), helper.make_node("Exp", ["h"], ["y"], "e")]
    return helper.make_model(helper.make_graph(nodes, "g", [], []))


@dataclass(frozen=True)
class Do(Pass):
    """Does what it is told and returns how many nodes it says it changed."""

    name = "do"
    touches: ClassVar[Touches] = Touches.NOTHING

    what: Callable[[Context], object] = lambda ctx: None
    changed: int = 1

    def run(self, ctx: Context) -> int:
        self.what(ctx)
        return self.changed


@dataclass(frozen=True)
class DoTags(Do):
    name = "do-tags"
    touches = Touches.TAGS


@dataclass(frozen=True)
class DoTopology(Do):
    name = "do-topology"
    touches = Touches.TOPOLOGY


class Ids(Analysis[list[int]]):
    computed: ClassVar[int] = 0

    def compute(self, ctx: Context) -> list[int]:
        type(self).computed += 1
        return [op.id for op in ctx.ops]


class TagCount(Analysis[int]):
    reads = Touches.TAGS

    def compute(self, ctx: Context) -> int:
        return len(ctx.tags)


class Doubled(Analysis[int]):
    requires = (TagCount,)
    reads = Touches.NOTHING

    def compute(self, ctx: Context) -> int:
        return 2 * ctx.get(TagCount)


class One(Analysis[int]):
    def compute(self, ctx: Context) -> int:
        return ctx.get(Other)


class Other(Analysis[int]):
    def compute(self, ctx: Context) -> int:
        return ctx.get(One)


One.requires = (Other,)
Other.requires = (One,)


@dataclass(frozen=True)
class Reads(Pass):
    """Asks for every analysis that it declares and keeps the results."""

    name = "reads"
    requires = (Ids, TagCount, Doubled)

    seen: list[tuple[object, ...]] = field(default_factory=list)

    def run(self, ctx: Context) -> int:
        self.seen.append((ctx.get(Ids), ctx.get(TagCount), ctx.get(Doubled)))
        return 0


@pytest.fixture(autouse=True)
def _fresh_counter() -> None:
    Ids.computed = 0


def tag_all(path: str) -> Callable[[Context], None]:
    return lambda ctx: ctx.tags.update(dict.fromkeys(ctx.ops, TREE.tag(path, Source.MATCHED)))


def test_passes_run_in_order_on_one_context() -> None:
    seen: list[str] = []
    steps = [Do(lambda ctx, name=name: seen.append(f"{name}{len(ctx.ops)}")) for name in "abc"]  # type: ignore[misc]
    PassManager(steps).run(model())
    assert seen == ["a2", "b2", "c2"]


def test_what_is_no_pass_is_refused() -> None:
    with pytest.raises(PassError, match=r"^Inherit is the class of a pass: give an instance of it, Inherit\(\)$"):
        PassManager([Inherit]).run(model())  # type: ignore[list-item]


@pytest.mark.parametrize("body", [{}, {"name": ""}, {"name": 3}])
def test_a_class_without_a_name_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(PassError, match=r'the pass class Nameless has no name: add name = "..." to its body'):
        type("Nameless", (Pass,), {"run": lambda self, ctx: 0, **body})


def test_a_name_is_not_inherited() -> None:
    with pytest.raises(PassError, match="Nameless has no name"):
        type("Nameless", (Inherit,), {})


def test_an_undeclared_analysis_is_refused_with_the_line_to_add() -> None:
    with pytest.raises(PassError, match=r"'do' asks for DataFlow without declaring it: add requires = \(DataFlow,\)"):
        PassManager([Do(lambda ctx: ctx.get(DataFlow))]).run(model())


def test_an_analysis_declares_what_it_asks_for_too() -> None:
    class Careless(Analysis[int]):
        def compute(self, ctx: Context) -> int:
            return len(ctx.get(Ids))

    @dataclass(frozen=True)
    class UsesCareless(Pass):
        name = "uses-careless"
        requires = (Careless, Ids)

        def run(self, ctx: Context) -> int:
            return ctx.get(Careless)

    with pytest.raises(PassError, match=r"'Careless' asks for Ids without declaring it: add requires = \(Ids,\)"):
        PassManager([UsesCareless()]).run(model())


def test_a_circle_of_analyses_is_refused() -> None:
    @dataclass(frozen=True)
    class Circular(Pass):
        name = "circular"
        requires = (One,)

        def run(self, ctx: Context) -> int:
            return ctx.get(One)

    with pytest.raises(PassError, match="the analysis One requires itself in a circle"):
        PassManager([Circular()]).run(model())


def test_an_analysis_is_computed_once() -> None:
    PassManager([Reads(), Reads()]).run(model())
    assert Ids.computed == 1


def test_an_analysis_is_dropped_when_what_it_reads_is_touched() -> None:
    reads = Reads()
    PassManager([reads, DoTags(tag_all("a")), reads]).run(model(), TREE)
    assert reads.seen == [([0, 1], 0, 0), ([0, 1], 2, 4)]
    assert Ids.computed == 1


def test_a_pass_that_changed_nothing_drops_nothing() -> None:
    reads = Reads()
    PassManager([reads, DoTopology(changed=0), reads]).run(model())
    assert Ids.computed == 1


def test_nodes_are_listed_anew_after_a_topology_change_and_tags_follow() -> None:
    def replace(ctx: Context) -> None:
        graph = ctx.model.graph
        del graph.node[1]
        graph.node.insert(0, helper.make_node("Neg", ["x"], ["n"]))

    reads = Reads()
    ctx = Context(model(), TREE)
    PassManager([DoTags(tag_all("a")), reads, DoTopology(replace), reads]).run_in(ctx)
    assert Ids.computed == 2
    assert [op.label for op in ctx.ops] == ["main#0 Neg", "main#1 Relu"]
    assert {op.label: tag.module for op, tag in ctx.tags.items()} == {"main#1 Relu": "a"}
    assert set(ctx.tags) <= set(ctx.ops)


def test_tags_follow_nodes_that_a_pass_has_copied() -> None:
    def copy(ctx: Context) -> None:
        graph = onnx.GraphProto()
        graph.CopyFrom(ctx.model.graph)
        ctx.model.graph.CopyFrom(graph)

    ctx = Context(model(), TREE)
    PassManager([DoTags(tag_all("a")), DoTopology(copy)]).run_in(ctx)
    assert [ctx.tags[op].module for op in ctx.ops] == ["a", "a"]


def test_a_pass_runs_again_when_a_later_one_changed_what_it_derives_from() -> None:
    made = model()
    report = PassManager([DoTags(tag_all("a")), Inject(), Coverage(), DoTags(tag_all("b"))], verify=True).run(
        made, TREE
    )
    assert [metadata.props_of(node)[metadata.MODULE] for node in made.graph.node] == ["b", "b"]
    assert report.tags == {"/Net/B": 2}
    assert [step.name for step in report.passes] == ["do-tags", "inject", "coverage", "do-tags", "inject", "coverage"]


def test_a_pass_does_not_run_again_without_need() -> None:
    report = PassManager([DoTags(tag_all("a")), Inject(), DoTags(changed=0), Do(), Coverage()]).run(model(), TREE)
    assert [step.name for step in report.passes] == ["do-tags", "inject", "do-tags", "do", "coverage"]


def set_metadata(ctx: Context) -> None:
    ctx.ops[0].node.metadata_props.add(key="a", value="1")


def set_doc(ctx: Context) -> None:
    ctx.ops[0].node.doc_string = "text"


def rename(ctx: Context) -> None:
    ctx.ops[0].node.output[0] = "renamed"


def dead_op(ctx: Context) -> None:
    ctx.tags[Context(model()).ops[0]] = TREE.tag("a", Source.MATCHED)


def foreign_tag(ctx: Context) -> None:
    ctx.tags[ctx.ops[0]] = Tag("a", "/Net/Other", Source.MATCHED)


def foreign_module(ctx: Context) -> None:
    ctx.tags[ctx.ops[0]] = Tag("c", "/Net/A", Source.MATCHED)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Do(set_metadata), "pass 'do' changed METADATA without declaring it: add Touches.METADATA"),
        (Do(set_doc), "pass 'do' changed METADATA without declaring it"),
        (Do(rename), "pass 'do' changed TOPOLOGY without declaring it: add Touches.TOPOLOGY"),
        (Do(tag_all("a")), "pass 'do' changed TAGS without declaring it: add Touches.TAGS"),
        (DoTags(set_metadata), "pass 'do-tags' changed METADATA without declaring it"),
        (DoTags(tag_all("a"), changed=0), "pass 'do-tags' changed TAGS but returned 0"),
        (DoTopology(rename, changed=0), "pass 'do-topology' changed TOPOLOGY but returned 0"),
        (DoTags(dead_op), "pass 'do-tags' left a tag on main#0 Relu, which is no node of the model any more"),
        (DoTags(foreign_tag), "pass 'do-tags' gave main#0 Relu the tag '/Net/Other' of 'a', which the map lacks"),
        (DoTags(foreign_module), "pass 'do-tags' gave main#0 Relu the tag '/Net/A' of 'c', which the map lacks"),
    ],
)
def test_verify_catches_what_was_not_declared(step: Pass, message: str) -> None:
    with pytest.raises(PassError, match="^" + message.replace("(", r"\(")):
        PassManager([step], verify=True).run(model(), TREE)
    PassManager([step]).run(model(), TREE)


def test_verify_sees_bodies_and_functions() -> None:
    made = model()
    made.graph.node.append(
        helper.make_node(
            "If", ["c"], ["z"], then_branch=helper.make_graph([helper.make_node("Add", [], ["i"])], "t", [], [])
        )
    )
    made.functions.append(helper.make_function("d", "f", [], [], [helper.make_node("Add", [], ["j"])], []))
    for index in (3, 4):
        with pytest.raises(PassError, match="changed METADATA"):
            PassManager([Do(lambda ctx, i=index: ctx.ops[i].node.metadata_props.add(key="a"))], verify=True).run(made)  # type: ignore[misc]


def test_verify_lets_declared_changes_pass() -> None:
    manager = PassManager([Match(), Inherit(), Inject(), Coverage()], verify=True)
    assert manager.run(model(), TREE).tagged == 2


def test_any_error_names_the_pass_and_keeps_its_cause() -> None:
    def divide(ctx: Context) -> float:
        return 1 / 0

    with pytest.raises(PassError, match="pass 'do' failed: ZeroDivisionError: division by zero") as caught:
        PassManager([Do(divide)]).run(model())
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_errors_of_this_package_keep_their_kind_and_name_the_pass() -> None:
    def refuse(ctx: Context) -> None:
        raise MapError("the map is torn")

    with pytest.raises(MapError, match=r"^pass 'do': the map is torn$"):
        PassManager([Do(refuse)]).run(model())
    with pytest.raises(CoverageError, match="pass 'coverage'"):
        PassManager([Coverage(enforce=True)]).run(model(), TREE)


@pytest.mark.parametrize("result", [None, "3", 1.0, True])
def test_a_pass_returns_a_count(result: object) -> None:
    with pytest.raises(PassError, match=r"run\(\) must return how many nodes it changed"):
        PassManager([Do(changed=result)]).run(model())  # type: ignore[arg-type]


def fail(ctx: Context) -> None:
    assert not gc.isenabled()
    raise ValueError("no")


def test_timings_of_every_pass_the_failing_one_too() -> None:
    ctx = Context(model(), TREE)
    with pytest.raises(PassError):
        PassManager([DoTags(tag_all("a"), changed=2), Do(fail), Coverage()]).run_in(ctx)
    assert [(step.name, step.changed) for step in ctx.report.passes] == [("do-tags", 2), ("do", 0)]
    assert all(step.ms >= 0 for step in ctx.report.passes)


def test_a_context_is_usable_after_an_error() -> None:
    ctx = Context(model(), TREE)
    with pytest.raises(PassError):
        PassManager([Do(fail)]).run_in(ctx)
    assert ctx.get(Ids) == [0, 1]


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(enabled: bool) -> None:
    (gc.enable if enabled else gc.disable)()
    try:
        PassManager([Do()]).run(model())
        assert gc.isenabled() is enabled
        with pytest.raises(PassError):
            PassManager([Do(fail)]).run(model())
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def tagged_model() -> onnx.ModelProto:
    made = model()
    for node, path, tag in zip(made.graph.node, ("fc", ""), ("/Net/Linear", "/Net"), strict=False):
        for key, value in (("tag", tag), ("module", path), ("source", "exported")):
            node.metadata_props.add(key=f"pkg.onnx_tagger.{key}", value=value)
    return made


def test_a_tagged_model_needs_no_map() -> None:
    report = PassManager([Match(), Coverage()]).run(tagged_model())
    assert report.by_source["exported"] == 2


def test_model_and_map_may_be_files(tmp_path: Path) -> None:
    onnx.save(tagged_model(), tmp_path / "m.onnx")
    known = hierarchy_of_model(tagged_model())
    assert known is not None
    known.save(tmp_path / "m.hierarchy.json")
    reports = [
        PassManager([Match(), Coverage()]).run(source, tree)
        for source in (
            tmp_path / "m.onnx",
            str(tmp_path / "m.onnx"),
            (tmp_path / "m.onnx").read_bytes(),
            tagged_model(),
        )
        for tree in (tmp_path / "m.hierarchy.json", str(tmp_path / "m.onnx"), known, None)
    ]
    assert [report.tags for report in reports] == [{"/Net": 1, "/Net/Linear": 1}] * 16


def test_a_file_is_read_with_its_weights_where_a_pass_asks_for_them(tmp_path: Path) -> None:
    made = model()
    made.graph.initializer.append(onnx.numpy_helper.from_array(np.arange(1000, dtype=np.float32), "w"))
    onnx.save(made, tmp_path / "m.onnx")
    found: list[object] = []
    PassManager([Do(lambda ctx: found.append(ctx.read_values(ctx.model.graph.initializer[0])), 0)]).run(
        tmp_path / "m.onnx"
    )
    step = DoTopology(lambda ctx: found.append(len(ctx.model.graph.initializer[0].raw_data)), 0)
    PassManager([step]).run(tmp_path / "m.onnx")
    assert isinstance(found[0], np.ndarray)
    assert found[0].sum() == 499500
    assert found[1] == 4000


def _remove(ctx: Context) -> None:
    del ctx.model.graph.node[0]


def _replace_by_a_copy(ctx: Context) -> None:
    fresh = onnx.ModelProto()
    fresh.CopyFrom(ctx.model)
    ctx.model.CopyFrom(fresh)


def _put_another_model(ctx: Context) -> None:
    ctx.model = model()


def _remove_and_fail(ctx: Context) -> None:
    _remove(ctx)
    raise IndexError("no more nodes")


@pytest.mark.parametrize("verify", [False, True])
@pytest.mark.parametrize("change", [_remove, _replace_by_a_copy, _put_another_model, _remove_and_fail])
def test_an_undeclared_change_of_the_graph_names_pass_and_declaration(
    change: Callable[[Context], None], verify: bool
) -> None:
    chain = PassManager([Do(lambda ctx: ctx.ops, 0), Do(change), Inherit(), Coverage()], verify=verify)
    with pytest.raises(PassError, match=r"pass 'do'.* changed TOPOLOGY without declaring it: add Touches\.TOPOLOGY"):
        chain.run(model())


def test_a_declared_change_that_returns_0_is_told() -> None:
    with pytest.raises(PassError, match="changed TOPOLOGY but returned 0"):
        PassManager([Do(lambda ctx: ctx.ops, 0), DoTopology(_remove, 0)]).run(model())


def test_notes_of_a_pass_land_in_the_report() -> None:
    report = PassManager([Do(lambda ctx: ctx.notes.append("two nodes"), 0)]).run(model())
    assert report.notes == ["two nodes"]
    assert report.as_dict()["notes"] == ["two nodes"]
    assert report.fallbacks == []
