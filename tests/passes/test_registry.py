"""Passes by name: ours, options from the command line, clashes, and packages that are broken."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from types import SimpleNamespace

import pytest

from onnx_tagger.errors import PassError
from onnx_tagger.passes import registry
from onnx_tagger.passes.align import Align
from onnx_tagger.passes.coverage import Coverage
from onnx_tagger.passes.inject import Inject
from onnx_tagger.passes.registry import GROUP, make_pass, registered

Install = Callable[..., None]


def entry(name: str, value: str, owner: str) -> EntryPoint:
    """Make an entry point of a distribution that is not installed."""
    made = EntryPoint(name, value, GROUP)
    vars(made).update(dist=SimpleNamespace(name=owner))
    return made


@pytest.fixture(name="install")
def _install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make the registry see these entry points, each of (name, value, distribution)."""

    def install(*entries: tuple[str, str, str]) -> None:
        monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints(entry(*each) for each in entries))

    return install


def test_our_passes_are_registered_by_the_installed_package() -> None:
    ours = {name: found for name, found in registered().items() if found.owner == "onnx-tagger"}
    assert {"match", "align", "inherit", "inject", "coverage"} <= set(ours)
    assert list(registered()) == sorted(registered())
    for name, found in ours.items():
        assert found.load().name == name


def test_a_clash_names_both_owners(install: Install) -> None:
    install(("sum", "one.passes:Sum", "pkg-one"), ("sum", "two:Sum", "pkg-two"))
    with pytest.raises(
        PassError, match=r"'sum' is registered by both pkg-one \(one.passes:Sum\) and pkg-two \(two:Sum\)"
    ):
        registered()


def test_one_distribution_found_twice_is_no_clash(install: Install) -> None:
    install(("sum", "one:Sum", "pkg-one"), ("sum", "one:Sum", "pkg-one"))
    assert list(registered()) == ["sum"]


def test_one_distribution_with_two_passes_of_a_name_is_a_clash(install: Install) -> None:
    install(("sum", "one:Sum", "pkg-one"), ("sum", "one:Other", "pkg-one"))
    with pytest.raises(PassError, match="registered by both"):
        registered()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module_anywhere:Sum", r"'sum' of pkg cannot be imported \(ModuleNotFoundError"),
        ("onnx_tagger.passes.base:Missing", r"'sum' of pkg cannot be imported \(AttributeError"),
        ("json:dumps", "json:dumps of pkg is no Pass class: derive it from onnx_tagger.Pass"),
        ("json:JSONDecoder", "is no Pass class"),
        ("onnx_tagger.passes.align:Align", "is registered as 'sum' but named 'align'"),
    ],
)
def test_broken_packages_are_named(install: Install, value: str, message: str) -> None:
    install(("sum", value, "pkg"))
    with pytest.raises(PassError, match=message):
        make_pass("sum")


def test_options() -> None:
    assert make_pass("align") == Align()
    assert make_pass("align:merge=output") == Align(merge="output")
    assert make_pass("coverage:enforce=true,min_coverage=99.5,max_inherited=null") == Coverage(True, 99.5, 0, None)
    assert make_pass("inject:map_digest=00ff") == Inject(map_digest="00ff")
    assert make_pass('inject:also=["winml"]') == Inject(also=("winml",))


def test_a_list_may_hold_commas_and_a_value_anything() -> None:
    assert make_pass('inject:also=["winml","namespace"],map_digest=x') == Inject(
        also=("winml", "namespace"), map_digest="x"
    )
    assert make_pass("inject:map_digest=a=b:c") == Inject(map_digest="a=b:c")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "no pass is named 'nothing': registered are .*align"),
        ("", "no pass is named ''"),
        ("align:mode=x", "pass 'align' has no option 'mode=x': write key=value with merge"),
        ("align:merge", "pass 'align' has no option 'merge'"),
        ("align:merge=sideways", "merge is 'sideways', choose 'enclosing' or 'output'"),
    ],
)
def test_wrong_requests(text: str, message: str) -> None:
    with pytest.raises(PassError, match=message):
        make_pass(text)
