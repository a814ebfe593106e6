"""The page in headless Chromium: what is drawn, what clicks, keys and patterns do; nothing is asked of a network."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest

import onnx_tagger as ot
from onnx_tagger.hierarchy.globs import under
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.model.metadata import Source
from onnx_tagger.reporters import render_view
from onnx_tagger.workflows.viewing import view

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        # Root has no sandbox of its own to start.
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield started
        started.close()


Open = Callable[..., "Page"]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open a page; an error in it, a message of its, or a request fails the test."""
    heard: list[str] = []
    contexts = []

    def show(text: str, width: int = 1200, scheme: str = "light") -> Page:
        file = tmp_path / "page.html"
        file.write_text(text, "utf-8")
        contexts.append(browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: heard.append(dialog.message))
        page.on("request", lambda request: None if request.url == file.as_uri() else heard.append(request.url))
        page.goto(file.as_uri())
        page.wait_for_selector("html[data-complete]")
        return page

    yield show
    for context in contexts:
        context.close()
    assert heard == []


@pytest.fixture
def model(net: Callable[..., onnx.ModelProto]) -> onnx.ModelProto:
    return net(after=True)


def text_of(model: onnx.ModelProto, before: onnx.ModelProto | None = None, measures: tuple[str, ...] = ()) -> str:
    return render_view(view(ot.read(model), measures, ot.read(before) if before is not None else None), "html")


def boxes(page: Page) -> list[str]:
    found: list[str] = page.locator(".icicle > div").evaluate_all(
        "all => all.map(one => one.getAttribute('aria-label'))"
    )
    return found


def rows(page: Page, table: str = "modules") -> list[str]:
    found: list[str] = page.locator(f"#{table} tbody tr").evaluate_all(
        "all => all.map(row => row.cells[0].title.split('\\n')[0] || row.cells[0].textContent)"
    )
    return found


def test_zoom_by_click_and_back(opened: Open, model: onnx.ModelProto) -> None:
    page = opened(text_of(model))
    assert boxes(page)[0] == "(no tag), 1"
    assert "layers.1, 4" in boxes(page)
    page.locator("[aria-label='layers.1, 4']").click()
    assert page.url.endswith("#layers.1")
    assert page.locator("h2").all_text_contents() == ["3 modules in layers.1", "4 nodes in layers.1"]
    assert "layers.0, 1" not in boxes(page)
    page.locator("[aria-label='layers.1.fc, 2']").click()
    assert page.locator("#trail a").all_text_contents() == ["Net", "layers", "Blk.1", "fc"] or page.url.endswith(".fc")
    page.go_back()
    assert page.url.endswith("#layers.1")
    page.go_back()
    assert len(page.locator("#trail a").all_text_contents()) == 1
    assert "layers.0, 1" in boxes(page)


def test_keys(opened: Open, model: onnx.ModelProto) -> None:
    page = opened(text_of(model))
    page.locator("[aria-label='(root), 5']").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "layers.1, 4"
    page.keyboard.press("Enter")
    assert page.url.endswith("#layers.1")
    page.keyboard.press("Escape")
    assert page.url.endswith("#layers")
    page.keyboard.press("Home")
    assert page.url.endswith("#")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "filter"


def test_sorting(opened: Open, model: onnx.ModelProto) -> None:
    page = opened(text_of(model))
    in_order = rows(page)
    head = page.locator("#modules thead button").nth(2)
    head.click()
    assert page.locator("#modules thead th").nth(2).get_attribute("aria-sort") == "descending"
    numbers = [int(text) for text in page.locator("#modules tbody tr td:nth-child(3)").all_text_contents()[:-1]]
    assert numbers == sorted(numbers, reverse=True)
    head.click()
    assert page.locator("#modules thead th").nth(2).get_attribute("aria-sort") == "ascending"
    head.click()
    assert rows(page) == in_order


PATTERNS = [
    "layers.0",
    "layers.*",
    "layers.**",
    "layers.*.fc",
    "**.act",
    "<Linear>",
    "<Re*>",
    "<Blk>.fc",
    "/Net/Blk.0",
    "/Net/*/Linear",
    "/Net/**",
    "layers.?.fc",
    "layers.[!0].fc",
    "(root)",
    "**",
]


def test_patterns_mean_what_they_mean_elsewhere(opened: Open, model: onnx.ModelProto, net_map: HierarchyMap) -> None:
    tagged = ot.read(model, net_map)
    page = opened(render_view(view(tagged), "html"))
    for pattern in PATTERNS:
        page.locator("#filter").fill(pattern)
        wanted = [
            module.shown for module in tagged.modules.root.below() if module.path in under(tagged.modules, pattern)
        ]
        assert rows(page) == wanted, pattern
    page.locator("#filter").fill("linear")
    assert rows(page) == ["layers.0.fc", "layers.1.fc"]
    faint = page.locator(".icicle > div.faint").count()
    assert 0 < faint < len(boxes(page))


def test_operators_and_sources(opened: Open, model: onnx.ModelProto) -> None:
    page = opened(text_of(model))
    page.locator("#operator").select_option("Abs")
    assert rows(page) == ["layers.1.fc"]
    assert page.locator("#nodes tbody tr td:nth-child(2)").all_text_contents() == ["Abs"]
    page.locator("#operator").select_option("any")
    page.locator("#source").select_option("(no tag)")
    assert page.locator("#nodes tbody tr td:nth-child(2)").all_text_contents() == ["Cast"]
    page.locator("#source").select_option("aligned")
    cells = page.locator("#nodes tbody tr").first.locator("td").all_text_contents()
    assert cells == ["one", "com.microsoft::FusedGemm", "layers.0", "aligned", "layers.0.act, layers.0.fc", ""]


def test_size_and_colour(opened: Open, model: onnx.ModelProto) -> None:
    page = opened(text_of(model, measures=("weights",)))
    assert page.locator("#size option:checked").text_content() == "weights (B)"
    assert "layers.0, 80 B" in boxes(page)
    colours = {}
    for name in ("class", "source of tags", "weights (B)"):
        page.locator("#colour").select_option(name)
        colours[name] = page.locator("[aria-label='layers.0, 80 B']").evaluate(
            "box => getComputedStyle(box).backgroundColor"
        )
    assert len(set(colours.values())) == 3
    page.locator("#size").select_option("nodes")
    assert "layers.1, 4" in boxes(page)


def test_before_and_after_stand_side_by_side(opened: Open, net: Callable[..., onnx.ModelProto]) -> None:
    page = opened(text_of(net(after=True), net()))
    assert page.locator("figcaption").all_text_contents() == ["nodes before", "nodes after"]
    one, other = page.locator(".icicle").all()
    assert one.bounding_box()["y"] == other.bounding_box()["y"]  # type: ignore[index]
    assert one.locator("[aria-label='layers.0, 3']").count() == other.locator("[aria-label='layers.0, 1']").count() == 1
    assert page.locator("#colour option:checked").text_content() == "nodes change"


def test_dark_and_narrow(opened: Open, model: onnx.ModelProto) -> None:
    light, dark = (opened(text_of(model), 360, scheme) for scheme in ("light", "dark"))
    backgrounds = [page.evaluate("getComputedStyle(document.body).backgroundColor") for page in (light, dark)]
    assert backgrounds == ["rgb(255, 255, 255)", "rgb(20, 23, 27)"]
    assert dark.evaluate("document.documentElement.scrollWidth") <= 360


def test_in_print_all_of_a_table_is_there(opened: Open, model: onnx.ModelProto) -> None:
    page = opened(text_of(model))
    page.emulate_media(media="print")
    assert not page.locator("#controls").is_visible()
    assert page.locator(".scroll").first.evaluate("one => getComputedStyle(one).overflow") == "visible"


def test_a_table_alone_has_no_nodes(opened: Open, model: onnx.ModelProto) -> None:
    from io import StringIO

    from onnx_tagger.reporters.views.page import render

    out = StringIO()
    ranks = Measure(Column("change"), [-1.0] * 5 + [2.0])
    render(ot.read(model).table(["nodes", ranks, "sources"]), out, title="a table")
    page = opened(out.getvalue())
    assert not page.locator("#nodes").is_visible()
    assert "source of tags" in page.locator("#colour option").all_text_contents()
    assert "change" not in page.locator("#size option").all_text_contents()
    page.locator("#colour").select_option("change")
    assert "change: -5" in (page.locator("#legend").text_content() or "").replace("−", "-")


HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"' onmouseover=alert(1) x='",
    "\u202eabc\u2066",
    "<style>*{display:none}</style>",
    "x" * 1_000_000,
    "a/b#c?d&e%41",
]


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name[:12]))
def test_hostile_names_are_text(opened: Open, name: str) -> None:
    modules = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow(name.replace(".", ""), name)])
    node = onnx.helper.make_node("Relu", ["x"], ["y"], name)
    made = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], []))
    tagged = ot.read(made)
    tagged.context.hierarchy = modules
    tagged.context.tags[tagged.context.ops[0]] = modules.tag(name.replace(".", ""), Source.EXPORTED)
    page = opened(render_view(view(tagged), "html"))
    assert page.locator("#nodes tbody tr").count() == 1
    assert page.locator("img, script:not([id]):not(:last-of-type), [onmouseover]").count() == 0
    page.locator(".icicle > div").nth(1).click()
    assert page.locator("h2").first.text_content().startswith("1 module")  # type: ignore[union-attr]
    page.go_back()
    assert page.locator("#modules tbody tr").count() == 2
