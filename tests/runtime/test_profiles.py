"""Running under the profiler: names, inputs, bodies, and what is taken out of times."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from examples.profiled import SIDE, blocks, looping, saved
from onnx_tagger.errors import TaggerError
from onnx_tagger.measures.profiling.kernel import Overhead
from onnx_tagger.model.graph import walk
from onnx_tagger.runtime.events import Recording
from onnx_tagger.runtime.machine import Probe, Yardstick, roof
from onnx_tagger.runtime.profiles import (
    WARM_UP,
    Subject,
    bounded,
    feeds_of,
    name_nodes,
    own_times,
    owners_of,
    profiled,
    runs_that_fit,
)
from onnx_tagger.runtime.settings import Setup


def test_every_node_gets_a_name_of_its_own() -> None:
    model = looping()
    model.graph.node[1].name = 'a "quoted" \\ name'
    assert name_nodes(model) == 1
    assert name_nodes(model) == 0
    names = [op.node.name for op in walk(model).ops]
    assert len(set(names)) == len(names)
    nameless = blocks(named=False)
    nameless.graph.node[0].name = "Relu_2"
    assert name_nodes(nameless) == 5
    assert [node.name for node in nameless.graph.node][:3] == ["Relu_2", "Add_1", "Relu_2_"]


def test_a_file_with_names_runs_as_it_is(tmp_path: Path) -> None:
    assert Subject(saved(blocks(), tmp_path / "a.onnx")).data is None
    renamed = Subject(saved(blocks(named=False), tmp_path / "b.onnx"))
    assert renamed.renamed == 6
    assert renamed.data is not None


def test_kernels_have_the_names_of_the_optimised_model(tmp_path: Path) -> None:
    subject = Subject(saved(looping(), tmp_path / "m.onnx"))
    feeds, _ = feeds_of(subject, Setup(), None, 0)
    kept = tmp_path / "optimised.onnx"
    session = profiled(subject, Setup(), feeds, 3, tmp_path, saved=kept, facts=True)
    names = {op.node.name for op in walk(onnx.load(kept)).ops}
    assert set(session.recording.names) <= names
    assert session.recording.us.shape == (len(session.recording.names), WARM_UP + 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "optimised.onnx"]


def test_a_loop_has_its_own_time_without_its_body(tmp_path: Path) -> None:
    subject = Subject(saved(looping(times=50), tmp_path / "m.onnx"))
    feeds, _ = feeds_of(subject, Setup(), None, 0)
    kept = tmp_path / "optimised.onnx"
    recording = profiled(subject, Setup(), feeds, 5, tmp_path, saved=kept, facts=True).recording
    owners = owners_of(onnx.load(kept))
    own, nested = (
        dict(zip(recording.names, own_times(recording, owner, Overhead(0.0, 0.0)), strict=True))
        for owner in (owners, {})
    )
    loop = next(name for name in own if recording.facts[name].op == "Loop")
    product = next(name for name in own if recording.facts[name].op == "MatMul")
    assert recording.counts[recording.names.index(product)].tolist() == [50.0] * (WARM_UP + 5)
    # Which of the two takes longer depends on the machine.
    assert own[product] == nested[product] > 0
    assert 0 <= own[loop] < nested[loop]


def test_own_times_by_hand() -> None:
    us = np.array([[100.0] * 8, [30.0] * 8, [2.0] * 8])
    counts = np.array([[1.0] * 8, [3.0] * 8, [1.0] * 8])
    recording = Recording(["loop", "body", "other"], us, counts, {}, np.zeros(8), None)
    own = own_times(recording, {"body": "loop", "gone": "loop"}, Overhead(5.0, 2.0))
    # Equal ticks are spread over one, of which a tenth lies below the 10th percentile; here a little more.
    tick = (0.5 + 0.1 * 2) / 3
    assert own[0] == pytest.approx(100 - 30 - 3 * (5 - 2) - 2 + tick)
    assert own[1] == pytest.approx(30 - 3 * 2 + tick)
    assert own[2] == pytest.approx(tick)


def test_random_inputs_are_said_and_repeat(tmp_path: Path) -> None:
    subject = Subject(saved(blocks("batch"), tmp_path / "m.onnx"))
    feeds, notes = feeds_of(subject, Setup(), None, 7)
    assert feeds["x"].shape == (8, SIDE)
    assert notes[0] == f"inputs are random (seed 7): x 8x{SIDE}"
    assert "leaves the sizes batch open" in notes[1]
    again, _ = feeds_of(subject, Setup(), None, 7)
    assert np.array_equal(feeds["x"], again["x"])
    other, _ = feeds_of(subject, Setup(), None, 8)
    assert not np.array_equal(feeds["x"], other["x"])


def test_inputs_from_a_file(tmp_path: Path) -> None:
    subject = Subject(saved(blocks("batch"), tmp_path / "m.onnx"))
    np.savez(tmp_path / "v.npz", x=np.ones((3, SIDE)))
    feeds, notes = feeds_of(subject, Setup(), tmp_path / "v.npz", 0)
    assert feeds["x"].dtype == np.float32
    assert (feeds["x"].shape, notes) == ((3, SIDE), [])
    (tmp_path / "s.json").write_text(f'{{"x": {{"dtype": "float32", "shape": [5, {SIDE}]}}, "y": null}}')
    feeds, _ = feeds_of(subject, Setup(), tmp_path / "s.json", 0)
    assert feeds["x"].shape == (5, SIDE)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("s.json", "{}", "describes no input 'x'"),
        ("s.json", '{"x": {"dtype": "float32", "shape": [5, 3]}}', "does not run on the inputs of"),
        ("v.npz", "nothing", "cannot be read as an .npz file"),
    ],
)
def test_inputs_that_do_not_fit(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    subject = Subject(saved(blocks(), tmp_path / "m.onnx"))
    (tmp_path / name).write_text(content)
    with pytest.raises(TaggerError, match=sentence):
        feeds_of(subject, Setup(), tmp_path / name, 0)


def test_a_model_that_runs_on_nothing_random(tmp_path: Path) -> None:
    node = helper.make_node("Reshape", ["x", "s"], ["y"], "r")
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [6]),
        helper.make_tensor_value_info("s", TensorProto.INT64, [2]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    model = helper.make_model(
        helper.make_graph([node], "g", values[:2], values[2:]),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=9,
    )
    with pytest.raises(TaggerError, match=r"does not run on random inputs.*--inputs VALUES\.npz"):
        feeds_of(Subject(saved(model, tmp_path / "m.onnx")), Setup(), None, 0)


def test_runs_are_capped_by_the_events_that_the_profiler_holds() -> None:
    assert runs_that_fit(100, 30) == 30
    assert runs_that_fit(50_000, 30) == 13
    assert runs_that_fit(10**6, 30) == 1


def test_what_the_machine_can_do(tmp_path: Path) -> None:
    found = roof(tmp_path)
    assert 0.1 < found.gflops < 1e5
    assert 0.1 < found.gbytes < 1e4
    assert Yardstick(tmp_path).measure(3) > 0
    probe = Probe(tmp_path)
    probe.measure()
    # The profiler writes a line of text for each kernel, which takes more than the kernel that does nothing.
    first = probe.cost
    assert first.per_kernel > first.taken_out > 0
    least = probe.inside
    probe.measure()
    assert probe.inside <= least


def test_no_more_is_taken_out_than_the_fastest_kernel_takes() -> None:
    us = np.array([[50.0] * 8, [2.0] * 8])
    recording = Recording(["slow", "fast"], us, np.ones((2, 8)), {}, np.zeros(8), None)
    assert bounded(Overhead(5.0, 9.0), [recording]).taken_out == pytest.approx(2.0 + (0.5 + 0.1 * 2) / 3)
    assert bounded(Overhead(5.0, 1.0), [recording]) == Overhead(5.0, 1.0)
    assert bounded(Overhead(5.0, 9.0), []) == Overhead(5.0, 9.0)
