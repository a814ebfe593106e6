"""The choice under targets."""

from __future__ import annotations

from onnx_tagger.measures.optimising.choosing import choose, pareto
from onnx_tagger.measures.optimising.optimised import Interval, Targets, Try


def made(name: str, drop: float = 0.0, size: int = 10) -> Try:
    return Try(name, "s", name, "", "kept", "", size=size, drop=drop)


TRIES = [made("original"), made("sure", 0.01), made("fast", 0.1), made("worse", 0.2), made("unmeasured")]
SPEEDS = {
    "original": Interval(1.0, 1.0, 1.0),
    "sure": Interval(1.5, 1.4, 1.6),
    "fast": Interval(2.0, 1.8, 2.2),
    "worse": Interval(1.9, 1.8, 2.0),
}


def test_what_is_beaten_in_everything_is_no_choice() -> None:
    assert [each.id for each in pareto(TRIES, SPEEDS)] == ["original", "sure", "fast"]


def test_without_a_target_the_fastest() -> None:
    winner, ok, verdict = choose(TRIES, SPEEDS, Targets())
    assert (winner.id, ok) == ("fast", True)
    assert "x 2.000 [1.800, 2.200]" in verdict


def test_the_original_if_nothing_is_faster_for_sure() -> None:
    winner, ok, verdict = choose(
        TRIES[:2], {"original": SPEEDS["original"], "sure": Interval(1.1, 0.9, 1.3)}, Targets()
    )
    assert (winner.id, ok) == ("original", True)
    assert "nothing that was tried is faster" in verdict


def test_the_most_exact_of_those_that_are_fast_enough() -> None:
    winner, ok, _ = choose(TRIES, SPEEDS, Targets(1.4))
    assert (winner.id, ok) == ("sure", True)
    winner, ok, verdict = choose(TRIES, SPEEDS, Targets(1.45))
    assert (winner.id, ok) == ("sure", True)
    assert "its interval reaches below that" in verdict


def test_a_drop_rules_out_what_is_faster() -> None:
    winner, ok, verdict = choose(TRIES, SPEEDS, Targets(1.8, 0.05))
    assert (winner.id, ok) == ("sure", False)
    assert verdict.startswith("the target of x 1.8 with a drop of at most 0.05 is missed: the nearest is sure, x 1.500")
    assert choose(TRIES, SPEEDS, Targets(None, 0.05))[0].id == "sure"
