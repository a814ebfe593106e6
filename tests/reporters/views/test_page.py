"""The page of a table: what its data hold, that its policy fits it, and that no text of a model is anything but data.

What it does in a browser is tested in `test_page_in_a_browser`.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import zlib
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.metadata import Source
from onnx_tagger.reporters.views.page import NodeColumns, render

SOURCES = Path(__file__).resolve().parents[3] / "tagger" / "reporters" / "views"


class Parsed(HTMLParser):
    """Elements with their attributes, and the texts in scripts, styles and titles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.elements and data.strip():
            self.texts.append((self.elements[-1][0], data))


def page_of(table: ModuleTable, **options: Any) -> str:
    out = StringIO()
    render(table, out, **options)
    return out.getvalue()


def data_of(page: str, name: str = "data") -> dict[str, Any]:
    text = re.search(rf'id="{name}">([^<]*)<', page)
    assert text is not None
    found: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text[1])))
    return found


def test_modules_and_numbers(table: ModuleTable) -> None:
    found = data_of(page_of(table, facts=[("nodes", "5")]))
    assert found["names"] == ["Net", "Blk", "Linear"]
    assert found["paths"] == ["", "blk", "fc"]
    assert found["up"] == [-1, 0, 1]
    assert [column["name"] for column in found["columns"]] == ["nodes", "fused", "time", "error"]
    assert found["cells"][0] == {"own": [1, 1, 2], "total": None, "untagged": 1, "whole": 5}
    # Where a number is missing the page cannot add up by itself.
    assert found["cells"][2]["total"] == [2.75, 2.75, 2.25]
    assert found["facts"] == [["nodes", "5"]]
    assert found["sources"] is None


def test_a_filtered_table_brings_its_totals(table: ModuleTable) -> None:
    found = data_of(page_of(table.filter("blk", depth=0)))
    assert (found["paths"], found["up"]) == (["blk"], [-1])
    assert found["cells"][0]["total"] == [3]


def test_rows_of_a_sorted_table_stand_in_the_order_of_the_tree(table: ModuleTable) -> None:
    found = data_of(page_of(table.sort("nodes", descending=False)))
    assert found["names"] == ["Net", "Blk", "Linear"]
    assert found["cells"][0]["own"] == [1, 1, 2]


def test_nodes(table: ModuleTable) -> None:
    nodes = NodeColumns(
        ["a", "b", "c"],
        ["Add", "Neg", "Add"],
        ["blk.fc", "", None],
        ["exported", "aligned", None],
        ["2×4 float", "", ""],
        {1: ("blk", "blk.fc")},
    )
    page = page_of(table, nodes=nodes)
    found = data_of(page, "node-data")
    assert found["names"] == ["a", "b", "c"]
    assert [found["ops"][op] for op in found["op"]] == nodes.ops
    assert found["steps"] == [2, -2, -1]
    assert found["source"] == [0, 2, -1]
    assert found["origins"] == [[1, [1, 2]]]
    assert data_of(page)["sources"] == [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]


@pytest.mark.parametrize("option", ["size", "colour"])
def test_a_column_that_is_not_there(table: ModuleTable, option: str) -> None:
    with pytest.raises(TaggerError, match="'tmie'"):
        page_of(table, **{option: "tmie"})


def test_the_policy_lets_in_what_the_page_has_and_nothing_else(table: ModuleTable) -> None:
    parsed = Parsed(page_of(table))
    policy = next(attrs["content"] for tag, attrs in parsed.elements if attrs.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    runnable = [text for tag, text in parsed.texts if tag in ("script", "style")]
    hashes = {base64.b64encode(sha256(text.encode()).digest()).decode() for text in runnable}
    for wanted in re.findall(r"sha256-([\w+/=]+)", policy):
        assert wanted in hashes
    for _, attrs in parsed.elements:
        assert not {"src", "onclick", "onload", "style"} & attrs.keys()
        assert attrs.get("href", "data:,") == "data:,"


def test_no_text_of_a_model_is_markup(table_of: Callable[..., ModuleTable], hostile: str) -> None:
    plain = Parsed(page_of(table_of()))
    table = table_of(hostile, column=hostile or "time")
    nodes = NodeColumns([hostile], [hostile or "Add"], [""], ["exported"], [hostile], {})
    page = page_of(table, title=hostile or "t", nodes=nodes, facts=[(hostile, hostile)])
    found = Parsed(page)
    assert [tag for tag, _ in found.elements] == [tag for tag, _ in plain.elements]
    assert [text for tag, text in found.texts if tag == "style"] == [
        text for tag, text in plain.texts if tag == "style"
    ]
    assert page.replace("\n", "").isprintable()
    json.dumps(data_of(page)).encode()


def test_a_name_of_a_megabyte_does_not_make_the_page_one(table_of: Callable[..., ModuleTable]) -> None:
    rows = [ModuleRow("", "N" * 1_000_000), ModuleRow("m" * 1_000_000, "C" * 1_000_000)]
    tree = HierarchyMap.from_rows(rows)
    tags = [tree.tag("m" * 1_000_000, Source.EXPORTED)]
    table = ModuleTable.of(ModuleTree(tree), tags, [Measure(Column("c" * 1_000_000), [1])])
    nodes = NodeColumns(["n" * 1_000_000], ["O" * 1_000_000], [tags[0].module], ["exported"], ["1"], {})
    assert len(page_of(table, title="t" * 1_000_000, nodes=nodes)) < len(page_of(table_of())) + 5_000


@pytest.mark.skipif(shutil.which("node") is None, reason="no node to check the script with")
def test_the_script_is_javascript() -> None:
    done = subprocess.run(["node", "--check", SOURCES / "page.js"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_script_writes_text_and_never_markup() -> None:
    script = (SOURCES / "page.js").read_text("utf-8")
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
        "fetch(",
        "XMLHttp",
    ):
        assert word not in script
