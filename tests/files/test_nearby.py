"""Names that a missing file may have been meant by, for every command that reads one."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from onnx_tagger.cli import main
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    onnx.save(
        helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "r")], "g", [], [])), "bert.onnx"
    )
    HierarchyMap.from_rows([ModuleRow("", "Net")]).save("bert.hierarchy.json")
    np.savez("values.npz", x=np.zeros(1))
    Path("net.py").touch()
    Path("spec.json").write_text("{}")
    Path("models").mkdir()
    Path("models/bert.onnx").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("check bert.omnx", "bert.onnx"),
        ("tree Bert.onnx", "bert.onnx"),
        ("stats bret.onnx", "bert.onnx"),
        ("nodes bert.onx", "bert.onnx"),
        ("show bert.onnxx r", "bert.onnx"),
        ("diff bert.onnx brt.onnx", "bert.onnx"),
        ("strip bertt.onnx -o out.onnx", "bert.onnx"),
        ("retag bert.omnx -o out.onnx", "bert.onnx"),
        ("retag bert.onnx --map bert.hierachy.json -o out.onnx", "bert.hierarchy.json"),
        ("check bert.onnx --map brt.onnx", "bert.onnx"),
        ("tree bert.onnx --before bertt.onnx", "bert.onnx"),
        ("carry bert.omnx -o out.onnx -- tool {in} {out}", "bert.onnx"),
        ("stats modles/bert.onnx", "models/bert.onnx"),
        ("retag bert.onnx --map bert.hierarchy.json -o modles/out.onnx", "models"),
        ("export nett.py:make -o out.onnx", "net.py"),
        ("capture ./modles -o out.hierarchy.json", "models"),
        ("export net.py:make --inputs spek.json -o out.onnx", "spec.json"),
    ],
)
def test_a_missing_file_comes_with_what_was_meant(
    folder: Path, line: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if line.startswith(("export", "capture")):
        pytest.importorskip("torch")
    assert main.run(line.split()) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert any(f"did you mean '{path}'?" in shown for path in (meant, folder / meant)), shown


def test_inputs_for_verifying(folder: Path) -> None:
    feeds = pytest.importorskip("onnx_tagger.runtime.feeds")
    with pytest.raises(Exception, match=r"did you mean 'valuess?\.npz'\?"):
        feeds.given_feeds(Path("valuess.npz"), [])


@pytest.mark.parametrize("name", ["nothing.like.it", "", ".", "bert.onnx", "a\0b", "x" * 5000, "/", "missing/deep/er"])
def test_what_is_like_nothing_gets_no_advice(folder: Path, name: str) -> None:
    assert advice_on_missing(Path(name)) == ""


def test_two_names_may_be_meant(folder: Path) -> None:
    Path("bart.onnx").touch()
    assert advice_on_missing(Path("bxrt.onnx")) == "did you mean 'bert.onnx' or 'bart.onnx'?"


def test_a_large_folder_takes_no_time(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"model-{number:06}.onnx").touch()
    start = time.perf_counter()
    advice_on_missing(tmp_path / "model-00000x.onnx")
    assert time.perf_counter() - start < 2
