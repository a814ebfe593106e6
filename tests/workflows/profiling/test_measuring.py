"""Real sessions on small files: every kernel has its module, times add up, and what was made up is said."""

from pathlib import Path

import onnx
import pytest

import onnx_tagger as ot
from examples.profiled import SIDE, TREE, blocks, saved
from onnx_tagger.measures.profiling.groups import grouped
from onnx_tagger.workflows.profiling.planning import Plan


def test_every_kernel_has_its_module(profile: ot.Profile) -> None:
    assert profile.attributed == (1.0, 1.0)
    assert {kernel.joined for kernel in profile.kernels} == {"name"}
    # Whatever onnxruntime fused, both blocks and nothing else take the time.
    table = profile.modules
    parts = [table[path].total["time"] or 0 for path in ("blocks.0", "blocks.1")]
    assert sum(parts) == pytest.approx(table.whole["time"])
    assert min(parts) > 0
    assert all(kernel.node.startswith("main#") for kernel in profile.kernels)
    assert all(kernel.provider == "CPUExecutionProvider" for kernel in profile.kernels)


def test_what_was_measured_beside_the_kernels(profile: ot.Profile) -> None:
    assert (profile.sessions, len(profile.latencies), len(profile.creations), len(profile.yardsticks)) == (2, 2, 2, 2)
    assert profile.latency is not None
    assert profile.latency.mean > 0
    assert profile.overhead is not None
    assert profile.overhead.per_kernel > 0
    assert profile.settings == {"level": "all", "provider": "CPUExecutionProvider", "threads": "1"}
    assert profile.runtime.startswith("onnxruntime 1.")
    assert profile.notes[0] == f"inputs are random (seed 0): x 8x{SIDE}"
    assert profile.peak is None or profile.peak > 0


def test_operations_and_memory(profile: ot.Profile) -> None:
    assert sum(kernel.flops or 0 for kernel in profile.kernels) == 2 * 2 * 8 * SIDE * SIDE
    assert profile.roof is not None
    assert profile.modules.whole["GFLOP/s"] is not None
    # Two results of one size are held at a time, that which is read and that which is made.
    assert 8 * SIDE * 4 <= (profile.modules.whole["live at peak"] or 0) <= 2 * 8 * SIDE * 4


def test_a_map_says_what_the_file_does_not(folder: Path) -> None:
    found = ot.profile(folder / "bare.onnx", folder / "blocks.hierarchy.json", sessions=1, runs=2, force=True)
    # Such a map knows no graph and no weights, so that nothing is known but the modules.
    assert {tag.module for kernel in found.kernels if (tag := kernel.tag)} <= {module.path for module in TREE.modules}
    tagged = ot.profile(folder / "bare.onnx", folder / "blocks.onnx", sessions=1, runs=2)
    assert tagged.attributed == (1.0, 1.0)


def test_a_map_of_another_model_is_refused(folder: Path) -> None:
    with pytest.raises(ot.MapError, match=r"bare\.onnx: "):
        ot.profile(folder / "bare.onnx", folder / "blocks.hierarchy.json", sessions=1, runs=1)


def test_a_file_without_modules_is_profiled_by_operator(folder: Path) -> None:
    found = ot.profile(folder / "bare.onnx", sessions=1, runs=2)
    assert found.attributed == (0.0, 0.0)
    assert any("names no module, and no map was given" in note for note in found.notes)
    assert grouped(found, "operator").attributed == (1.0, 1.0)


def test_nodes_without_names_are_named(folder: Path) -> None:
    before = (folder / "nameless.onnx").read_bytes()
    found = ot.profile(folder / "nameless.onnx", sessions=1, runs=2)
    assert found.attributed == (1.0, 1.0)
    assert any(note.startswith("6 nodes had no name of their own") for note in found.notes)
    assert (folder / "nameless.onnx").read_bytes() == before


def test_bodies(folder: Path) -> None:
    found = ot.profile(folder / "looping.onnx", sessions=1, runs=2, roofline=True)
    product = next(kernel for kernel in found.kernels if kernel.op == "MatMul")
    assert product.count == 5
    assert product.flops == 5 * 2 * 256 * SIDE * SIDE
    assert product.node == "main/Loop_0.body#0"
    assert product.mean > next(kernel for kernel in found.kernels if kernel.op == "Loop").mean


@pytest.mark.parametrize("level", ["disable", "basic", "extended", "layout"])
def test_levels(folder: Path, level: str) -> None:
    found = ot.profile(folder / "blocks.onnx", level=level, sessions=1, runs=2)
    assert found.attributed == (1.0, 1.0)
    if level == "disable":
        assert [kernel.op for kernel in found.kernels] == ["MatMul", "Add", "Relu"] * 2


def test_weights_in_another_file(tmp_path: Path) -> None:
    model = blocks(named=False)
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="m.data", size_threshold=0)
    assert ot.profile(tmp_path / "m.onnx", sessions=1, runs=2).attributed == (1.0, 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.data", "m.onnx"]


def test_settings_and_more_threads(folder: Path) -> None:
    found = ot.profile(folder / "blocks.onnx", settings=["enable_mem_pattern=0"], threads=2, sessions=1, runs=2)
    assert found.settings["enable_mem_pattern"] == "0"
    assert any(note.startswith("more than one thread") for note in found.notes)


def test_how_much_is_measured_has_to_be_something() -> None:
    for plan in ({"sessions": 0}, {"runs": 0}, {"runs": "many"}):
        with pytest.raises(ot.TaggerError):
            Plan(**plan)  # type: ignore[arg-type]


def test_a_busy_profiler_is_capped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnx_tagger.runtime.profiles._MOST_EVENTS", 50)
    found = ot.profile(folder / "blocks.onnx", sessions=1, runs=9)
    assert any(note.startswith("3 runs a session in place of 9") for note in found.notes)


def test_empty_model(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    graph = helper.make_graph([], "nothing", [value], [value])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    found = ot.profile(saved(model, tmp_path / "m.onnx"), sessions=2, runs=2)
    assert found.kernels == ()
