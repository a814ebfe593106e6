"""Maps made of records: tags that fit their paths, nodes and traces that name what the map lists."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings, strategies as st

from examples.maps import document, refused, refused_json
from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.file import parse_map, to_json
from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.metadata import MAX_PARTS, fits


@settings(max_examples=400)
@given(st.data())
def test_tags_are_held_to_their_paths_one_by_one_or_as_they_continue_each_other(data: st.DataObject) -> None:
    """A tag that is another's and a segment more is not compared from the root on; the answer is the same."""
    paths = ["", "a", "a.b", "a.b.0", "a.b.0.c", "a.%", "a.b.0.%.d", "b", "b.0", "b.0.a/b", "b..x"]
    rows = [ModuleRow(path, "M", tagged=not path or data.draw(st.booleans()), keyed=path == "b") for path in paths]
    made = HierarchyMap.from_rows(rows)
    segment = st.sampled_from(
        ["M", "M.b", "M.0", "M.b.0", "M.", "M..", "M/M", ".b", "M.%25", "M.%", "M.a%2Fb", "M..x", ""]
    )
    above = st.sampled_from([module.tag for module in made.modules if module.tag])
    changed = data.draw(st.dictionaries(st.sampled_from(paths), st.tuples(above, segment), max_size=3))
    modules = [
        replace(module, tag="/".join(changed[module.path])) if module.path in changed else module
        for module in data.draw(st.permutations(made.modules))
    ]
    tags = [module.tag for module in modules if module.tag is not None]
    fit = all(fits(module.tag, module.path) for module in modules if module.tag is not None)
    assume(len(set(tags)) == len(tags))
    if fit:
        assert parse_map(to_json(HierarchyMap(tuple(modules))), "m").modules == tuple(modules)
    else:
        assert "does not fit the module" in refused(to_json(HierarchyMap(tuple(modules))))


def test_a_tag_of_more_parts_than_are_compared_is_refused() -> None:
    depth = MAX_PARTS + 3
    paths = [".".join(["a"] * length) for length in range(depth)]
    modules = [
        Module(path, "M", "/M" * (length + 1), paths[length - 1] if length else None)
        for length, path in enumerate(paths)
    ]
    assert parse_map(to_json(HierarchyMap(tuple(modules[:MAX_PARTS]))), "m")
    with pytest.raises(MapError, match="does not fit the module"):
        parse_map(to_json(HierarchyMap(tuple(modules))), "m")


def test_a_node_of_an_unknown_module_or_origin() -> None:
    made = document()
    strings = made["graph"]["strings"]
    strings[strings.index("a.0")] = "elsewhere"
    assert "no module 'elsewhere'" in refused_json(made)
    made = document()
    made["graph"]["strings"].append("elsewhere")
    made["graph"]["nodes"]["origins"][1].append(len(made["graph"]["strings"]) - 1)
    assert "the origin 'elsewhere', which the map does not list" in refused_json(made)


def test_a_root_module_of_another_node() -> None:
    made = document()
    made["graph"]["nodes"]["module"][0] = made["graph"]["strings"].index("n0")
    assert "no module 'n0'" in refused_json(made)


def _trace(**columns: object) -> bytes:
    """A map of two modules with a trace of two operations, of which some columns are others."""
    modules = [
        {"path": path, "class": "M", "tag": tag, "parent": parent, "order": None, "calls": 1}
        for path, tag, parent in (("", "/M", None), ("a", "/M/M", ""), ("list", None, ""))
    ]
    trace: dict[str, object] = {
        "operators": ["mm", "relu"],
        "calls": ["a@1"],
        "operator": [0, 1],
        "module": [0, 1],
        "call": [-1, 0],
        "views": [0],
        "reads": [[], [0]],
        "weights": {},
    }
    head = {"format": "onnx-tagger/hierarchy-map", "version": 1, "created_by": "test"}
    return json.dumps(head | {"modules": modules, "parameters": [], "trace": trace | columns}).encode()


def test_a_trace_is_read() -> None:
    first, second = parse_map(_trace(), "m").trace
    assert (first.module, first.operator, first.view, first.call) == ("", "mm", True, ())
    assert (second.module, second.operator, second.reads, second.call) == ("a", "relu", (0,), ("a@1",))


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"call": [-1]}, "differ in length"),
        ({"reads": [[], [1]]}, "takes what comes later"),
        ({"views": [2]}, "refers to operations that it does not list"),
        ({"weights": {"2": []}}, "refers to operations that it does not list"),
        ({"weights": {"00": []}}, "refers to operations that it does not list"),
        ({"weights": {"1": [0]}}, "names what the map does not list"),
        ({"module": [0, 9]}, "names what the map does not list"),
        ({"operator": [0, 9]}, "names what the map does not list"),
        ({"module": [0, 2]}, "a module that has no forward"),
        ({"calls": ["b@1"]}, "the call 'b@1' of another module"),
    ],
)
def test_a_damaged_trace_is_refused_in_a_sentence(columns: dict[str, object], what: str) -> None:
    with pytest.raises(MapError, match=what):
        parse_map(_trace(**columns), "m.hierarchy.json")
