"""A pass of another distribution: installed beside the package, found by its entry point, run from the command line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import helper

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model import metadata
from onnx_tagger.model.metadata import Source

PLUGIN = Path(__file__).parent / "plugin"
SEEN = "example.seen"


@pytest.fixture(name="site", scope="module")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plug-in installed in it, built in a copy so that nothing is left in the checkout."""
    copy, site = tmp_path_factory.mktemp("plugin") / "source", tmp_path_factory.mktemp("site")
    shutil.copytree(PLUGIN, copy, ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-index"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", str(site), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return site


def run(site: Path | None, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command with the plug-in's folder on the path, or without."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    command = [sys.executable, "-m", "onnx_tagger", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(name="model")
def _model(tmp_path: Path) -> Path:
    """A tagged chain of Add, Relu, Add."""
    tree = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "A")])
    nodes = []
    for index, op in enumerate(("Add", "Relu", "Add")):
        node = helper.make_node(op, [f"t{index}"] * (2 if op == "Add" else 1), [f"t{index + 1}"], f"n{index}")
        metadata.write_node(node, tree.tag("a", Source.EXPORTED), ())
        nodes.append(node)
    ends = [helper.make_tensor_value_info(name, 1, [1]) for name in ("t0", "t3")]
    path = tmp_path / "m.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:])), path)
    return path


def test_the_command_runs_the_plug_in_s_pass(site: Path, model: Path) -> None:
    target = model.with_name("out.onnx")
    done = run(site, "retag", "--pass", "count-ops:op=Add", model, "-o", target)
    assert done.returncode == 0, done.stderr
    made = onnx.load(target)
    onnx.checker.check_model(made)
    assert [metadata.props_of(node).get(SEEN) for node in made.graph.node] == ["1", None, "2"]
    assert [metadata.props_of(node)[metadata.MODULE] for node in made.graph.node] == ["a"] * 3


def test_the_pass_keeps_its_entries_on_a_second_run(site: Path, model: Path) -> None:
    first, second = model.with_name("1.onnx"), model.with_name("2.onnx")
    for source, target in ((model, first), (first, second)):
        assert run(site, "retag", "--pass", "count-ops:op=Add", source, "-o", target).returncode == 0
    assert second.read_bytes() == first.read_bytes()


def test_the_command_lists_the_pass_with_its_owner(site: Path) -> None:
    done = run(site, "passes")
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stdout.splitlines() if "count-ops" in line]
    assert "onnx-tagger-plugin-example" in done.stdout
    assert "op" in line


def test_a_wrong_option_is_told_in_a_sentence(site: Path, model: Path) -> None:
    target = model.with_name("out.onnx")
    done = run(site, "retag", "--pass", "count-ops:kind=Add", model, "-o", target)
    assert done.returncode == 2
    assert "has no option 'kind=Add'" in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert not target.exists()


def test_without_the_plug_in_there_is_no_such_pass(model: Path) -> None:
    done = run(None, "retag", "--pass", "count-ops:op=Add", model, "-o", model.with_name("out.onnx"))
    assert done.returncode == 2
    assert "no pass is named 'count-ops'" in done.stderr.replace("\n", " ")


def test_a_clash_names_both_owners(site: Path, model: Path, tmp_path: Path) -> None:
    rival = tmp_path / "rival"
    shutil.copytree(site, rival)
    (info,) = rival.glob("*.dist-info")
    info = info.rename(rival / "rival_plugin-1.0.dist-info")
    text = (info / "METADATA").read_text().replace("onnx-tagger-plugin-example", "rival-plugin")
    (info / "METADATA").write_text(text)
    entries = (info / "entry_points.txt").read_text()
    (info / "entry_points.txt").write_text(entries.replace("onnx_tagger_plugin_example:", "rival:"))
    both = os.pathsep.join(map(str, (site, rival)))
    done = run(Path(both), "retag", "--pass", "count-ops", model, "-o", model.with_name("out.onnx"))
    assert done.returncode == 2
    told = " ".join(done.stderr.split())
    assert "registered by both" in told
    assert "onnx-tagger-plugin-example" in told
    assert "rival-plugin" in told
