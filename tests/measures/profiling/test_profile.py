"""A profile as a value: what it adds up to by module, its intervals, and what is refused."""

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.kernel import Kernel, Roof
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.measures.student import estimate
from onnx_tagger.model.metadata import Tag

CPU = "CPUExecutionProvider"


def profile(tree: ModuleTree, tags: list[Tag | None], scale: float = 1.0) -> Profile:
    """Six kernels, as the tags of the examples: in sessions 0 to 2, kernel k takes k + 1 and a little more."""
    kernels = [
        Kernel(f"k{at}", "Add", CPU, tuple(scale * (at + 1 + 0.1 * s) for s in range(3)), tag, f"main#{at}")
        for at, tag in enumerate(tags)
    ]
    return Profile("net.onnx", "test 1.0", tree, tuple(kernels), {"level": "all"}, (30.0, 31.0))


def test_rows_add_up_to_the_whole(tree: ModuleTree, tags: list[Tag | None]) -> None:
    found = profile(tree, tags)
    table = found.modules
    assert [column.name for column in table.columns] == ["kernels", "time", "± 95 %", "share"]
    assert table.whole["time"] == pytest.approx(21.6)
    assert sum(row.own["time"] or 0 for row in table) == pytest.approx(21.6)
    assert table["enc"].total["kernels"] == 4
    assert table["enc"].total["share"] == pytest.approx(100 * 10.4 / 21.6)
    assert found.attributed == pytest.approx((5 / 6, 15.5 / 21.6))
    assert found.latency is not None
    assert found.latency.mean == 30.5


def test_intervals_are_of_sums_a_session(tree: ModuleTree, tags: list[Tag | None]) -> None:
    table = profile(tree, tags).modules
    # Layer 0 holds two kernels, whose sums are 3.0, 3.2 and 3.4.
    assert table["enc.layers.0"].total["± 95 %"] == pytest.approx(estimate([3.0, 3.2, 3.4]).half)
    assert table["enc"].own["± 95 %"] == pytest.approx(estimate([4.0, 4.1, 4.2]).half)
    assert table.whole["± 95 %"] == pytest.approx(estimate([21.0, 21.6, 22.2]).half)
    assert table.untagged["± 95 %"] == pytest.approx(estimate([6.0, 6.1, 6.2]).half)


def test_one_session_has_no_interval_and_no_comparison(tree: ModuleTree, tags: list[Tag | None]) -> None:
    one = Profile("net.onnx", "test", tree, (Kernel("k", "Add", "", (2.0,), tags[0]),))
    assert one.modules.whole["± 95 %"] is None
    with pytest.raises(TaggerError, match=r"the profile of net\.onnx is of 1 session"):
        one.compare(one)


def test_a_fused_kernel_stands_at_the_module_around_or_in_parts(tree: ModuleTree, tags: list[Tag | None]) -> None:
    found = profile(tree, tags)
    assert found.modules["enc"].own["time"] == pytest.approx(4.1)
    assert found.table(fused="shared")["enc"].own["time"] == 0
    assert found.table(fused="shared")["enc.layers.1"].own["time"] == pytest.approx(3.1 + 4.1 / 2)


def test_no_kernels_at_all(tree: ModuleTree) -> None:
    empty = Profile("net.onnx", "test", tree, ())
    assert empty.modules.whole["time"] == 0
    assert empty.attributed == (1.0, 1.0)
    assert empty.latency is None


def test_sessions_have_to_be_equally_many(tree: ModuleTree) -> None:
    with pytest.raises(TaggerError, match="unequally many sessions"):
        Profile("net.onnx", "test", tree, (Kernel("a", "Add", "", (1.0,)), Kernel("b", "Add", "", (1.0, 2.0))))


def test_columns_that_were_measured_are_there(tree: ModuleTree, tags: list[Tag | None]) -> None:
    kernels = (Kernel("k", "MatMul", "", (2.0,), tags[0], flops=4e6, bytes=2e6, live=64.0),)
    table = Profile("net.onnx", "test", tree, kernels).modules
    assert table["enc.layers.0"].own["MFLOP"] == 4
    assert table["enc.layers.0"].own["MB moved"] == 2
    assert table["enc"].total["live at peak"] == 64


def test_the_roof_of_some_intensity() -> None:
    roof = Roof(100.0, 10.0)
    assert roof.reach(20.0, 1.0) == 100.0
    assert roof.reach(2.0, 1.0) == 20.0
    assert roof.reach(2.0, 0.0) == 100.0


def test_a_short_representation(tree: ModuleTree, tags: list[Tag | None]) -> None:
    assert repr(profile(tree, tags)) == "<Profile net.onnx, 6 kernels, 21.6 µs>"
    assert profile(tree, tags)._repr_html_().startswith("<svg ")
