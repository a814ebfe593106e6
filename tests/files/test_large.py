"""Weights of gigabytes: models beyond what protobuf holds, and models in memory whose weights are not copied."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import onnx_tagger as ot

WIDTH, LAYERS = 8192, 9

IN_MEMORY = """
import sys
import onnx
from onnx import helper
import onnx_tagger as ot
from onnx_tagger.model.metadata import own_tag, props_of
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.report import peak_rss_mb

node = helper.make_node("MatMul", ["x", "w"], ["y"], "/a/MatMul")
model = helper.make_model(helper.make_graph([node], "g", [], [], []))
model.graph.initializer.add(name="w", data_type=1, dims=[1 << 13, 1 << 13], raw_data=bytes(1 << 28))
tree = ot.HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "Linear")])
# What the chain needs by itself is loaded with a model that has no weights.
ot.PassManager(ot.default_passes()).run(helper.make_model(helper.make_graph([node], "g", [], [], [])), tree)
weights, before = model.graph.initializer[0], peak_rss_mb()
report = ot.PassManager(ot.default_passes()).run(model, tree)
assert model.graph.initializer[0] is weights and report.coverage == 100
assert own_tag(props_of(model.graph.node[0])).module == "a"
print(peak_rss_mb() - before)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is removed at once: pytest keeps what earlier runs left."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_beyond_two_gib_from_export_to_check(folder: Path) -> None:
    """The weights follow the model, as a copy or a link; the tags never touch them."""
    torch.manual_seed(0)
    layers = [nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(LAYERS)]
    model, x = nn.Sequential(*layers).eval(), torch.randn(1, WIDTH)
    expected = model(x).detach().numpy()
    made = ot.export(model, (x,), folder / "model.onnx", strategy="fx")
    del model, layers
    data = folder / "model.onnx.data"
    assert data.stat().st_size == 4 * WIDTH * WIDTH * LAYERS > 2**31
    assert made.path.stat().st_size < 2**20
    assert ot.check(made.path, made.map_path).ok

    before = data.stat()
    ot.strip(made.path, folder / "stripped.onnx")
    report = ot.retag(folder / "stripped.onnx", made.map_path, folder / "again.onnx")
    assert report.by_source["matched"] == report.nodes >= LAYERS
    assert (data.stat().st_mtime_ns, data.stat().st_ino) == (before.st_mtime_ns, before.st_ino)

    linked, copied = folder / "linked", folder / "copied"
    linked.mkdir()
    ot.retag(folder / "stripped.onnx", made.map_path, linked / "model.onnx", link=True)
    assert (linked / data.name).stat().st_ino == before.st_ino
    shutil.rmtree(linked)
    copied.mkdir()
    ot.retag(folder / "stripped.onnx", made.map_path, copied / "model.onnx")
    data.unlink()
    assert ot.check(copied / "model.onnx").ok
    onnx.checker.check_model(str(copied / "model.onnx"))
    session = onnxruntime.InferenceSession(str(copied / "model.onnx"), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of the memory is Linux's")
def test_tagging_a_model_in_memory_does_not_copy_its_weights() -> None:
    done = subprocess.run([sys.executable, "-c", IN_MEMORY], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # The weights are 268 MB.
    assert float(done.stdout) < 20
