"""A profile by class, operator and call."""

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.groups import grouped
from onnx_tagger.measures.profiling.kernel import Kernel
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.metadata import Source, Tag


@pytest.fixture(name="profile")
def _profile(tree: ModuleTree, tags: list[Tag | None]) -> Profile:
    kernels = [Kernel(f"k{at}", "Add" if at % 2 else "Mul", "", (at + 1.0,), tag) for at, tag in enumerate(tags)]
    called = Tag("head", "/Net/Linear", Source.MATCHED, (), ("head@1",))
    kernels.append(Kernel("again", "Add", "", (10.0,), called))
    return Profile("net.onnx", "test", tree, tuple(kernels))


def rows(profile: Profile) -> dict[str | None, float | None]:
    return {row.path: row.own["time"] for row in profile.modules if row.own["time"]}


def test_by_operator(profile: Profile) -> None:
    assert rows(grouped(profile, "operator")) == {"Mul": 9.0, "Add": 22.0}
    assert grouped(profile, "operator").modules.whole["time"] == 31


def test_by_class(profile: Profile) -> None:
    assert rows(grouped(profile, "class")) == {"Layer": 6.0, "Enc": 4.0, "Net": 5.0, "Linear": 10.0, None: 6.0}


def test_by_call(profile: Profile) -> None:
    found = rows(grouped(profile, "call"))
    assert found["head@1"] == 10.0
    assert found["enc.layers.0"] == 3.0


def test_by_module_is_the_profile_itself(profile: Profile) -> None:
    assert grouped(profile, "module") is profile
    with pytest.raises(TaggerError, match="what times are grouped by is the str 'colour'; choose 'module'"):
        grouped(profile, "colour")
