"""What is held when most is: by hand on small graphs."""

from onnx import helper

from onnx_tagger.measures.profiling.liveness import Step, live_at_peak


def step(op: str, inputs: list[str], *outputs: str, size: float = 8.0) -> Step:
    return Step(helper.make_node(op, inputs, list(outputs)), dict.fromkeys(outputs, size))


def test_a_skip_connection_is_held_over_the_branch() -> None:
    steps = [
        step("Neg", ["x"], "skip", size=10),
        step("MatMul", ["skip", "w"], "wide", size=100),
        step("MatMul", ["wide", "w"], "narrow", size=20),
        step("Add", ["narrow", "skip"], "y", size=10),
    ]
    most, live = live_at_peak(steps, ["y"])
    assert most == 130
    assert live == [10, 100, 20, 0]


def test_a_view_holds_what_it_looks_at() -> None:
    steps = [
        step("Neg", ["x"], "a"),
        step("Reshape", ["a", "s"], "b"),
        step("Neg", ["z"], "c"),
        step("Add", ["b", "c"], "y"),
    ]
    most, live = live_at_peak(steps, ["y"])
    assert (most, live) == (24, [8, 0, 8, 8])


def test_a_view_of_an_input_is_a_result_of_its_own() -> None:
    assert live_at_peak([step("Reshape", ["x", "s"], "y")], ["y"]) == (8, [8])


def test_outputs_are_held_to_the_end() -> None:
    steps = [step("Neg", ["x"], "first"), step("Neg", ["first"], "second"), step("Neg", ["second"], "third")]
    assert live_at_peak(steps, ["first", "third"])[0] == 24
    assert live_at_peak(steps, ["third"])[0] == 16


def test_nothing_at_all() -> None:
    assert live_at_peak([], []) == (0, [])
    assert live_at_peak([step("Neg", ["x"], "y", size=0)], ["y"]) == (0, [0])
