"""The graph for Model Explorer: what its JSON says, and that Model Explorer's own server shows it."""

from __future__ import annotations

import json
import os
import queue
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnx
import pytest

import onnx_tagger as ot
from onnx_tagger.reporters import render_view
from onnx_tagger.workflows.viewing import view

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def graph_of(model: onnx.ModelProto) -> dict[str, Any]:
    found = json.loads(render_view(view(ot.read(model)), "me.json"))
    assert found["label"]
    (graph,) = found["graphs"]
    assert isinstance(graph, dict)
    return graph


def test_nodes_lie_in_the_namespaces_of_their_modules(net: Callable[..., onnx.ModelProto]) -> None:
    nodes = {node["id"]: node for node in graph_of(net(after=True))["nodes"]}
    assert nodes["one"]["namespace"] == "Net/Blk.0"
    assert nodes["loose"]["namespace"] == "(no tag)"
    facts = {fact["key"]: fact["value"] for fact in nodes["one"]["attrs"]}
    assert facts == {"module": "layers.0", "source": "aligned", "does the work of": "layers.0.act, layers.0.fc"}


def test_edges_name_nodes_and_their_outputs(net: Callable[..., onnx.ModelProto]) -> None:
    graph = graph_of(net())
    ids = [node["id"] for node in graph["nodes"]]
    assert len(set(ids)) == len(ids)
    edges = {node["id"]: node["incomingEdges"] for node in graph["nodes"]}
    assert edges["add"] == [{"sourceNodeId": "mm", "sourceNodeOutputId": "0", "targetNodeInputId": "0"}]
    assert edges["neg"][0]["sourceNodeId"] == "relu"
    assert all(edge["sourceNodeId"] in ids for found in edges.values() for edge in found)


def test_groups_have_the_columns_of_the_table(net: Callable[..., onnx.ModelProto]) -> None:
    groups = graph_of(net())["groupNodeAttributes"]
    assert groups["Net/Blk.1"] == {"class": "Blk", "module": "layers.1", "nodes": "4 (own 1)", "fused": "0 (own 0)"}


@pytest.mark.parametrize("form", ["me.json", "overlay.json", "svg"])
def test_hostile_names(net: Callable[..., onnx.ModelProto], form: str, hostile_in_file: str) -> None:
    text = render_view(view(ot.read(net(loose=hostile_in_file))), form)
    assert text.replace("\n", "").isprintable()
    if form != "svg":
        json.loads(text)


# --- its own server ---


@contextmanager
def served(graph: Path, overlay: Path) -> Iterator[str]:
    """The address at which Model Explorer shows a graph with an overlay."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "model_explorer", str(graph), "--node_data_paths", str(overlay)]
    command += ["--no_open_in_browser", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: queue.Queue[str] = queue.Queue()

    def listen() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        while True:
            words = lines.get(timeout=120).split()
            address = next((word for word in words if word.startswith(f"http://127.0.0.1:{port}/?")), None)
            if address is not None:
                break
        yield address
    finally:
        process.terminate()
        process.wait()
        listener.join()
        if process.stdout is not None:
            process.stdout.close()


MODELS = ("bert", "resnet", "whisper", "llama")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")
@pytest.mark.skipif(find_spec("model_explorer") is None, reason="ai-edge-model-explorer is not installed")
@pytest.mark.parametrize("name", MODELS)
def test_model_explorer_shows_graph_and_overlay(name: str, tmp_path: Path) -> None:
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))
    from functions import files_of

    arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*arguments, "--enable-unsafe-swiftshader"])
        for kind, file in files_of(name, "fx", tmp_path):
            if kind == "EXTENDED":
                continue
            found = view(ot.read(file), ["weights"], path=file)
            graph, overlay = tmp_path / f"{kind}.me.json", tmp_path / f"{kind}.overlay.json"
            graph.write_text(render_view(found, "me.json"), "utf-8")
            overlay.write_text(render_view(found, "overlay.json"), "utf-8")
            with served(graph, overlay) as address:
                page = browser.new_page(viewport={"width": 1400, "height": 900})
                elsewhere: list[str] = []
                page.on("request", lambda request, seen=elsewhere: seen.append(request.url))
                page.goto(address)
                # The panel of the overlay lists the nodes by their operators, once graph and data are taken.
                page.get_by_text("weights (B)").first.wait_for(timeout=60_000)
                text = page.inner_text("body")
                page.close()
            assert found.tagged.modules.root.segment in text
            assert "Error" not in text
            assert [op.node.op_type for op in found.ops if op.node.op_type in text]
            outside = [url for url in elsewhere if not url.startswith(("http://127.0.0.1", "data:", "blob:"))]
            # Its page asks for icons and fonts of its vendor; what it shows came from here.
            assert all("google" in url or "gstatic" in url for url in outside)
        browser.close()
