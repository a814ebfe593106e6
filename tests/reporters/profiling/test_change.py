"""What changed between two profiles, in every form."""

import json
import xml.etree.ElementTree as ET

import pytest

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.change import ProfileChange
from onnx_tagger.measures.profiling.kernel import Kernel
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.metadata import Source
from onnx_tagger.reporters.profiling.change import FORMS, show_change
from onnx_tagger.reporters.terminal import Screen

MAP = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "Linear"), ModuleRow("b|*", "Linear")])


def made(scale: float) -> Profile:
    times = (100.0, 100.5, 101.0, 99.5)
    kernels = [
        Kernel(path, "Gemm", "", tuple(factor * time for time in times), MAP.tag(path, Source.MATCHED))
        for path, factor in (("a", 1.0), ("b|*", scale))
    ]
    return Profile("net.onnx", "test", ModuleTree(MAP), tuple(kernels), yardsticks=(50.0,) * 4)


def shown(change: ProfileChange, form: str, capsys: pytest.CaptureFixture[str]) -> str:
    show_change(Screen(), change, form)
    return capsys.readouterr().out


@pytest.fixture(name="slower")
def _slower() -> ProfileChange:
    return made(1.0).compare(made(1.5))


def test_text(slower: ProfileChange, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(slower, "text", capsys).splitlines()
    assert lines[1].split()[0] == "(root)"
    assert lines[2].endswith("slower for sure")
    assert lines[3].endswith("the same")
    assert lines[-1].startswith("net.onnx: 1 module slower by more than 5 % for sure, 0 faster; the whole x1.250")


def test_json(slower: ProfileChange, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(shown(slower, "json", capsys))
    assert (found["ok"], sorted(found["slower"]), found["faster"]) == (False, ["", "b|*"], [])
    assert found["modules"][1]["ratio"] == pytest.approx(1.0)
    assert json.loads(shown(made(1.0).compare(made(1.0)), "json", capsys))["ok"] is True


def test_junit(slower: ProfileChange, capsys: pytest.CaptureFixture[str]) -> None:
    suite = ET.fromstring(shown(slower, "junit", capsys))
    assert (suite.get("tests"), suite.get("failures")) == ("3", "2")
    assert [case.get("name") for case in suite if len(case)] == ["(root)", "b|*"]


def test_github(slower: ProfileChange, capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(slower, "github", capsys).splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error"] * 3
    assert shown(made(1.0).compare(made(1.0)), "github", capsys).startswith("::notice file=net.onnx")


def test_markdown(slower: ProfileChange, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(slower, "markdown", capsys)
    assert "| b\\|\\* | 100.2 | 150.4 |" in text
    assert text.count("\n| ") == 4


def test_every_form_is_there(slower: ProfileChange, capsys: pytest.CaptureFixture[str]) -> None:
    assert all(shown(slower, form, capsys) for form in FORMS)
