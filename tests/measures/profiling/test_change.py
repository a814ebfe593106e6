"""Two profiles compared: what is slower for sure, what only looks so, and what a slower machine does to it."""

import numpy as np

from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.kernel import Kernel
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.metadata import Source, Tag

MODULES = ["enc.layers.0", "enc.layers.1", "head"]


def made(
    tree: ModuleTree,
    seed: int,
    noise: float = 0.01,
    sessions: int = 5,
    yardstick: float = 100.0,
    **scales: float,
) -> Profile:
    """A kernel a module of 100 µs, times a scale by module, with noise by session."""
    random = np.random.default_rng(seed)
    kernels = []
    for path in MODULES:
        scale = 100 * scales.get(path.replace(".", "_"), 1.0)
        times = scale * np.exp(random.normal(0, noise, sessions))
        module = tree[path]
        kernels.append(Kernel(path, "MatMul", "", tuple(times), Tag(path, module.tag or "", Source.MATCHED)))
    return Profile("net.onnx", "test", tree, tuple(kernels), yardsticks=(yardstick,) * sessions)


def verdicts(before: Profile, after: Profile, floor: float = 0.05) -> dict[str | None, str]:
    return {row.module: row.verdict for row in before.compare(after, floor=floor).rows}


def test_a_slower_module_is_found_and_no_other(tree: ModuleTree) -> None:
    found = made(tree, 0).compare(made(tree, 1, head=1.3))
    assert {row.module for row in found.slower} == {"head", ""}
    assert not found.faster
    (row,) = [row for row in found.rows if row.module == "head"]
    assert row.low is not None
    assert row.ratio is not None
    assert row.high is not None
    assert row.low < 1.3 < row.high
    assert (row.chance or 1) < 1e-4
    assert verdicts(made(tree, 0), made(tree, 1, head=1.3))["enc.layers.0"] == "same"


def test_a_faster_module(tree: ModuleTree) -> None:
    assert {row.module for row in made(tree, 0).compare(made(tree, 1, enc_layers_0=0.5)).faster} == {
        "",
        "enc",
        "enc.layers.0",
    }


def test_a_change_below_the_floor_is_none_however_sure(tree: ModuleTree) -> None:
    before, after = made(tree, 0, 0.001), made(tree, 1, 0.001, head=1.04)
    assert verdicts(before, after)["head"] == "same"
    assert verdicts(before, after, 0.02)["head"] == "slower"


def test_what_scatters_is_unsure(tree: ModuleTree) -> None:
    assert verdicts(made(tree, 0, 0.3), made(tree, 1, 0.3, head=1.2))["head"] == "unsure"


def test_noise_alone_is_no_alarm(tree: ModuleTree) -> None:
    alarms = sum(bool(made(tree, 2 * seed, 0.05).compare(made(tree, 2 * seed + 1, 0.05)).slower) for seed in range(200))
    assert alarms <= 10


def test_a_slower_machine_is_no_slower_model(tree: ModuleTree) -> None:
    scales = dict.fromkeys(("enc_layers_0", "enc_layers_1"), 1.2)
    before, after = made(tree, 0), made(tree, 1, yardstick=120.0, head=1.6, **scales)
    found = before.compare(after)
    assert "head" in [row.module for row in found.slower]
    assert "enc.layers.0" not in [row.module for row in found.slower]
    assert any("the machine itself took +20 %" in note for note in found.notes)
    blind = made(tree, 0, **scales)
    assert "enc.layers.0" in [row.module for row in made(tree, 1).compare(blind).slower]


def test_a_module_that_only_one_of_them_runs(tree: ModuleTree) -> None:
    before = made(tree, 0)
    after = Profile("net.onnx", "test", tree, before.kernels[:2], yardsticks=before.yardsticks)
    assert verdicts(before, after)["head"] == "only before"
    assert verdicts(after, before)["head"] == "only after"


def test_settings_that_differ_are_told(tree: ModuleTree) -> None:
    before = made(tree, 0)
    after = Profile("net.onnx", "other", tree, before.kernels, {"threads": "2"})
    assert before.compare(after).notes[:2] == (
        "the runtimes differ: test before, other after",
        "threads differs: not set before, 2 after",
    )
    assert "is not known of both" in before.compare(after).notes[2]
    assert repr(before.compare(after)).startswith("<ProfileChange 5 modules judged, 0 slower")


def many(tree: ModuleTree, seed: int, common: float, slow: float = 1.0, rest: float = 1.0) -> Profile:
    """Twenty kernels in the layers and one in the head; all of a session scatter alike, and each a little by itself."""
    random = np.random.default_rng(seed)
    session = np.exp(random.normal(0, common, 5))
    kernels = []
    for at in range(21):
        path = "head" if at == 20 else f"enc.layers.{at % 2}"
        own = 100 * session * np.exp(random.normal(0, 0.01, 5)) * (slow if path == "head" else rest)
        kernels.append(Kernel(f"k{at}", "MatMul", "", tuple(own), Tag(path, tree[path].tag or "", Source.MATCHED)))
    return Profile("net.onnx", "test", tree, tuple(kernels), yardsticks=(100.0,) * 5)


def test_what_all_have_in_common_hides_nothing(tree: ModuleTree) -> None:
    found = 0
    for seed in range(0, 40, 2):
        change = many(tree, seed, 0.1).compare(many(tree, seed + 1, 0.1, slow=1.3))
        found += any(row.module == "head" for row in change.slower)
        assert not any(row.relative for row in change.slower if row.module != "head")
    assert found >= 15


def test_what_all_have_in_common_is_no_alarm(tree: ModuleTree) -> None:
    pairs = [(many(tree, seed, 0.2), many(tree, seed + 1, 0.2)) for seed in range(0, 200, 2)]
    assert sum(bool(one.compare(other).slower) for one, other in pairs) <= 5


def test_what_stays_while_the_rest_becomes_faster_is_not_slower(tree: ModuleTree) -> None:
    for seed in range(0, 40, 2):
        change = many(tree, seed, 0.05).compare(many(tree, seed + 1, 0.05, rest=0.6))
        assert "head" not in [row.module for row in change.slower]
