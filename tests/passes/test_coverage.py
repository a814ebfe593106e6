"""Coverage: what is counted, by what, and the gate."""

from __future__ import annotations

import onnx
import pytest
from onnx import helper

from onnx_tagger.errors import CoverageError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.model.report import Report
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.coverage import Coverage
from onnx_tagger.passes.manager import PassManager

TREE = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "A"), ModuleRow("b", "B")])
A, B = (TREE.tag(path, Source.MATCHED) for path in "ab")
GUESSED = TREE.tag("a", Source.INHERITED)
ROOT = TREE.tag("", Source.ROOT)
FUSED = TREE.tag("", Source.ALIGNED, ("a", "b"))


def node(op: str, **bodies: onnx.GraphProto) -> onnx.NodeProto:
    made: onnx.NodeProto = helper.make_node(op, [], [], domain="d" if op == "f" else None)
    made.attribute.extend(helper.make_attribute(name, body) for name, body in bodies.items())
    return made


def graph(*nodes: onnx.NodeProto) -> onnx.GraphProto:
    return helper.make_graph(list(nodes), "g", [], [])


def model(*nodes: onnx.NodeProto, functions: tuple[onnx.FunctionProto, ...] = ()) -> onnx.ModelProto:
    return helper.make_model(graph(*nodes), functions=list(functions))


def cover(made: onnx.ModelProto, tags: list[Tag | None], step: Coverage | None = None) -> Report:
    ctx = Context(made, TREE)
    ctx.tags.update({op: tag for op, tag in zip(ctx.ops, tags, strict=True) if tag is not None})
    return PassManager([step or Coverage()], verify=True).run_in(ctx).report


def test_counts() -> None:
    f = helper.make_function("d", "f", [], [], [node("Exp"), node("Exp")], [])
    dead = helper.make_function("d", "dead", [], [], [node("Neg")] * 3, [])
    made = model(node("Relu"), node("If", then_branch=graph(node("Add"))), node("f"), node("f"), functions=(f, dead))
    report = cover(made, [A, FUSED, None, B, GUESSED, ROOT, None, None, None, None])
    assert (report.nodes, report.tagged) == (7, 5)
    assert report.coverage == pytest.approx(500 / 7)
    assert report.by_source == {"exported": 0, "matched": 2, "aligned": 1, "named": 0, "inherited": 1, "root": 1}
    assert report.by_graph == {"main": 4, "main/If_1.then_branch": 1, "function:d.f": 2}
    assert sum(report.by_graph.values()) == report.nodes
    assert sum(report.by_source.values()) == report.tagged
    assert report.untagged == ["main/If_1.then_branch#0 Add", "function:d.f#1 Exp"]
    assert report.tags == {"/Net": 2, "/Net/A": 2, "/Net/B": 1}
    assert report.origins == 1
    assert report.fallbacks == ["function:d.dead is never called: its 3 nodes are not counted"]


def test_an_empty_graph_has_full_coverage_of_nothing() -> None:
    report = cover(model(), [], Coverage(enforce=True))
    assert (report.nodes, report.tagged, report.coverage, report.ok) == (0, 0, 100.0, True)


def test_a_graph_of_functions_that_are_never_called_counts_nothing() -> None:
    report = cover(model(functions=(helper.make_function("d", "f", [], [], [node("Exp")], []),)), [None])
    assert (report.nodes, report.ok) == (0, True)


def test_9999_of_10000_is_not_all() -> None:
    made = model(*(node("Relu") for _ in range(10_000)))
    tags: list[Tag | None] = [A] * 9_999 + [None]
    report = cover(made, tags)
    assert not report.ok
    assert report.failures == ["1 of 10000 nodes have no tag, at least 100 % must: main#9999 Relu"]
    assert cover(made, tags, Coverage(min_coverage=99.99)).ok
    assert not cover(made, tags, Coverage(min_coverage=99.991)).ok


@pytest.mark.parametrize(
    ("step", "failures"),
    [
        (Coverage(max_root=1), []),
        (Coverage(), ["1 nodes got only the root as fallback, at most 0 may: main#2 Neg"]),
        (Coverage(max_root=1, max_inherited=0), ["1 nodes inherited their tag, at most 0 may: main#1 Exp"]),
        (Coverage(max_root=1, max_inherited=1), []),
    ],
)
def test_limits_of_sources(step: Coverage, failures: list[str]) -> None:
    report = cover(model(node("Relu"), node("Exp"), node("Neg")), [A, GUESSED, ROOT], step)
    assert report.failures == failures
    assert report.ok is (not failures)


def test_a_true_root_node_is_no_fallback() -> None:
    assert cover(model(node("Relu")), [TREE.tag("", Source.EXPORTED)]).ok


def test_enforce_raises_and_names_the_nodes() -> None:
    made = model(node("Relu"), node("If", then_branch=graph(node("Add"))))
    with pytest.raises(CoverageError, match=r"1 of 3 nodes have no tag.*: main/If_1\.then_branch#0 Add"):
        cover(made, [A, A, None], Coverage(enforce=True))
    assert cover(made, [A, A, None], Coverage(enforce=True, min_coverage=66.0)).ok


def test_a_second_run_starts_anew() -> None:
    ctx = Context(model(node("Relu")), TREE)
    PassManager([Coverage(), Coverage()]).run_in(ctx)
    assert len(ctx.report.failures) == 1
    ctx.tags[ctx.ops[0]] = A
    PassManager([Coverage()]).run_in(ctx)
    assert ctx.report.ok
    assert ctx.report.failures == []


def test_functions_of_one_name_are_counted_together() -> None:
    """``a.b`` and ``c``, ``a`` and ``b.c``: both are shown as ``function:a.b.c``."""
    body = [helper.make_node("Exp", ["x"], ["y"])]
    functions = [
        helper.make_function(domain, name, ["x"], ["y"], body, [helper.make_opsetid("", 18)])
        for domain, name in (("a.b", "c"), ("a", "b.c"))
    ]
    nodes = [helper.make_node("c", ["x"], ["h"], domain="a.b"), helper.make_node("b.c", ["h"], ["y"], domain="a")]
    made = helper.make_model(helper.make_graph(nodes, "g", [], []), functions=functions)
    ctx = Context(made)
    Coverage().run(ctx)
    assert ctx.report.by_graph == {"main": 2, "function:a.b.c": 2}
