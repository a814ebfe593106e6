"""How values of the public API look at a prompt and in a notebook: short, in one line, whatever a model holds."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

import onnx_tagger as ot
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.hierarchy.map import HierarchyMap, Parameter, SavedGraph
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.texts import MOST, brief_fields, html_table, value_text
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.diffing import diff
from onnx_tagger.workflows.querying import find_nodes, inputs_of
from onnx_tagger.workflows.reading import Tagged

LONG = "layer<script>\n" * 300
ROOMS = ("model", "hierarchy", "files", "measures", "workflows", "passes", "passes.analyses", "runtime")


def public_records() -> Iterator[type]:
    """Every public dataclass and named tuple of the rooms whose values a caller can get."""
    for room in ROOMS:
        package = importlib.import_module(f"onnx_tagger.{room}")
        for found in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"onnx_tagger.{room}.{found.name}")
            for name, value in vars(module).items():
                if name.startswith("_") or not isinstance(value, type) or value.__module__ != module.__name__:
                    continue
                if dataclasses.is_dataclass(value) or (issubclass(value, tuple) and hasattr(value, "_fields")):
                    yield value


@pytest.mark.parametrize("record", list(public_records()), ids=lambda record: record.__qualname__)
def test_no_record_writes_out_all_that_it_holds(record: type) -> None:
    """A class whose representation dataclass or NamedTuple has made would print whatever its fields hold."""
    if record is ot.Pass:
        return
    assert record.__repr__.__module__.startswith("onnx_tagger"), f"give {record.__qualname__} a short __repr__"
    if record.__repr__ is brief_fields:
        value = object.__new__(record)
        for field in dataclasses.fields(record):
            object.__setattr__(value, field.name, LONG)
        assert short(value)


def short(value: object) -> bool:
    text = repr(value)
    return len(text) <= MOST == 300 and "\n" not in text and text.isprintable()


def reached(*values: object) -> Iterator[object]:
    """Everything that can be reached from some values by attributes, as far as it is of this package."""
    seen: set[int] = set()
    stack = list(values)
    kept = []
    while stack:
        value = stack.pop()
        if id(value) in seen or isinstance(value, (str, bytes, int, float, type)):
            continue
        seen.add(id(value))
        kept.append(value)
        if isinstance(value, Mapping):
            stack += [*list(value)[:20], *list(value.values())[:20]]
        elif isinstance(value, (list, tuple, set, frozenset)) and not hasattr(value, "_fields"):
            stack += list(value)[:20]
        elif type(value).__module__.startswith("onnx_tagger"):
            yield value
            if not isinstance(value, enum.Enum):
                names = [name for name in dir(value) if not name.startswith("__")]
                stack += [getattr(value, name) for name in names if not callable(getattr(value, name, None))]


def monster(count: int = 4000) -> tuple[onnx.ModelProto, ot.HierarchyMap]:
    """A chain of thousands of nodes with very long names, and its map."""
    rows = [ModuleRow("", LONG), *(ModuleRow(f"{i}_" + LONG.replace(".", ""), "Block") for i in range(50))]
    tree = HierarchyMap.from_rows(rows, created_by=LONG)
    nodes = [helper.make_node("Relu", [f"{LONG}{i}"], [f"{LONG}{i + 1}"], name=f"{i}{LONG}") for i in range(count)]
    body = helper.make_graph([helper.make_node("Add", ["a", "b"], ["c"], name=LONG)], LONG, [], [])
    nodes.append(helper.make_node("If", ["flag"], [LONG], name="if", then_branch=body, else_branch=body))
    ends = [helper.make_tensor_value_info(f"{LONG}{i}", TensorProto.FLOAT, [1] * 40) for i in (0, count)]
    stored = [helper.make_tensor(f"w{LONG}", TensorProto.FLOAT, [2], [1.0, 2.0])]
    return helper.make_model(helper.make_graph(nodes, LONG, ends[:1], ends[1:], stored, doc_string=LONG)), tree


def test_a_graph_of_thousands_of_nodes_with_very_long_names() -> None:
    model, tree = monster()
    ctx = ot.Context(model, tree)
    paths = [module.path for module in tree.modules]
    for op in ctx.ops:
        ctx.tags[op] = tree.tag(paths[op.id % 50], ot.Source.EXPORTED, paths[:5], (LONG, LONG))
    graph = SavedGraph.of(ctx.walk, [ctx.tags[op] for op in ctx.ops], {"w": tuple(paths)})
    parameter = Parameter(LONG, LONG, (10**30,) * 64, LONG, (LONG, LONG))
    held = dataclasses.replace(tree, graph=graph, parameters=(parameter,) * 1000)
    manager = ot.PassManager(
        [*ot.default_passes(distrusted=frozenset(map(str, range(9999)))), ot.GraphSurgeonPass(short)]
    )
    report = ot.Report(failures=[LONG] * 100, fallbacks=[LONG], untagged=[LONG] * 9999, strategy=LONG)
    tagged = Tagged(ctx, LONG)
    values = (
        ctx,
        held,
        report,
        manager,
        ot.Command(["tool", "{in}", "{out}", *[LONG] * 100]),
        ot.Export(Path(LONG), Path(LONG), held, report),
        ctx.get(ot.DataFlow),
        diff(ctx, ot.Context(monster(10)[0], tree)),
        tagged,
        tagged.modules,
        tagged.nodes()[:20],
        tagged.table(),
        read_skeleton(model.SerializeToString()),
        inputs_of(ctx, find_nodes(ctx, "if")[0]),
        ot.Limits(),
    )
    found = list(reached(*values))
    assert len(found) > 100
    assert {type(value) for value in found} >= {ot.Op, ot.Tag, HierarchyMap, SavedGraph, ot.Report, ot.Context}
    assert [repr(value) for value in found if not short(value)] == []
    for value in found:
        if hasattr(value, "_repr_html_"):
            page = value._repr_html_()
            assert len(page) < (60_000 if isinstance(value, (ot.ModuleTable, Tagged)) else 10_000)
            assert "<script" not in page
            assert page.startswith(("<table>", "<svg ", "<p><b>", "<details"))


def test_a_residual_network(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Block(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.BatchNorm2d(4)

        def forward(self, x: object) -> object:
            return torch.relu(self.norm(self.conv(x)) + x)

    blocks = [Block() for _ in range(4)]
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), *blocks, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    made = ot.export(model, (torch.randn(1, 3, 8, 8),), tmp_path / "net.onnx", strategy="htp")
    ctx = read_tags(read_skeleton(made.path).model, made.hierarchy)
    found = list(reached(made, ctx, ctx.get(ot.DataFlow), ot.check(made.path), ot.stats(made.path)))
    assert [repr(value) for value in found if not short(value)] == []
    assert repr(made).startswith(f"<Export {tmp_path}/net.onnx, strategy htp, 100 % of ")
    assert repr(made.hierarchy).startswith("<HierarchyMap Sequential, 16 modules, ")
    assert repr(ctx.ops[0]) == f"<Op {ctx.ops[0].label}, {ctx.ops[0].node.name!r}>"
    page = made._repr_html_()
    assert "net.onnx" in page
    assert "htp" in page


def test_a_pass_of_one_s_own_is_shown_in_short() -> None:
    @dataclass(frozen=True)
    class Own(ot.Pass):
        name = "own"
        words: frozenset[str] = frozenset(map(str, range(10_000)))
        text: str = LONG

        def run(self, ctx: ot.Context) -> int:
            return 0

    assert short(Own())
    assert repr(Own(text="a")) == "test_a_pass_of_one_s_own_is_shown_in_short.<locals>.Own".rpartition(".")[2] + (
        "(words=<frozenset of 10000>, text='a')"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(10**5000, "<int of 16610 bits>", id="large"),
        ({"a": 1}, "{'a': 1}"),
        (onnx.NodeProto(name="x" * 10_000), "<NodeProto>"),
        ({1}, "{1}"),
        ((1,), "(1,)"),
        ((1, 2, 3, 4), "<tuple of 4>"),
        (b"x" * 1000, "<bytes of 1000>"),
        ([[[["deep"]]]], "[[<list of 1>]]"),
    ],
)
def test_values_of_any_kind(value: object, text: str) -> None:
    assert value_text(value, 1) == text


def test_html_is_escaped() -> None:
    assert html_table("<b>", [("<i>", "a & \x1b" + "y" * 9999)]).startswith(
        "<table><caption>&lt;b&gt;</caption><tbody><tr><th>&lt;i&gt;</th><td>a &amp; \\x1byy"
    )
