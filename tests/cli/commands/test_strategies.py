"""The command strategies: the strategies side by side, why one fails, and what auto takes."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from examples.factories import MODELS
from onnx_tagger.cli import main
from onnx_tagger.exporters.truth import judging
from onnx_tagger.model.report import Report

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with models.py; temporary files go to its folder `left`."""
    (tmp_path / "models.py").write_text(MODELS, encoding="utf-8")
    (tmp_path / "left").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "left"))
    return tmp_path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], folder: Path) -> Run:
    """Compare the strategies on a model of models.py: exit code, stdout, stderr; nothing is left behind."""

    def call(name: str, *options: str) -> tuple[int, str, str]:
        code = main.run(["strategies", f"models.py:{name}", *options])
        captured = capsys.readouterr()
        # torch keeps a cache of its own there.
        assert list((folder / "left").glob("onnx-tagger-*")) == []
        assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == ["left", "models.py"]
        return code, captured.out, captured.err

    return call


def table(out: str) -> dict[str, list[str]]:
    """The rows of a plain table; a share and its count are one cell."""
    lines = out.replace(" %", "%").splitlines()
    return {line[:16].strip(): line[16:].split() for line in lines if line[16:17] == " " or line.startswith("strategy")}


def test_a_table_with_a_column_for_each_strategy(run: Run) -> None:
    code, out, err = run("plain")
    rows = table(out)
    assert (code, err) == (0, "")
    assert rows["strategy"] == ["fx", "htp", "usage"]
    assert rows["result"] == ["done", "done", "done"]
    assert rows["file written by"] == ["fx", "htp", "fx"]
    nodes = rows["nodes"]
    assert nodes[2] == nodes[0]
    assert rows["tagged"] == ["100%", nodes[0], "100%", nodes[1], "100%", nodes[2]]
    assert rows["exported"] == [nodes[0], nodes[1], "0"]
    assert rows["export"][2] == "-"
    assert rows["read"][:2] == ["-", "-"]
    for column in range(3):
        phases = [
            rows[name][column] for name in ("capture", "digests", "export", "tag", "save", "save map", "read", "write")
        ]
        whole = sum(float(text) for text in phases if text != "-")
        assert float(rows["seconds"][column]) == pytest.approx(whole, abs=0.04)
    assert "right" not in rows
    assert out.splitlines()[-1] == "auto tries fx, htp in this order and takes fx, the first that works"


@pytest.mark.parametrize(
    ("name", "failed", "taken", "reason"),
    [
        ("depends_on_values", "fx", "htp, since fx failed", "torch.export cannot do it: "),
        ("without_a_symbol", "htp", "fx, the first that works", "the TorchScript exporter cannot do it: "),
    ],
)
def test_a_strategy_that_fails_says_why(run: Run, name: str, failed: str, taken: str, reason: str) -> None:
    code, out, _ = run(name)
    rows = table(out)
    place = ["fx", "htp"].index(failed)
    other = "fx" if failed == "htp" else "htp"
    assert code == 0
    assert rows["result"] == ["failed" if i == place else "done" for i in range(3)]
    assert rows["nodes"][place] == rows["seconds"][place] == "-"
    assert rows["file written by"] == ["-" if i == place else other for i in range(3)]
    assert [line for line in out.splitlines() if line.startswith(f"{failed} failed: {reason}")]
    assert out.splitlines()[-1] == f"auto tries fx, htp in this order and takes {taken}"


def test_when_no_strategy_works_there_is_no_table(run: Run) -> None:
    code, out, err = run("impossible")
    assert (code, out) == (2, "")
    assert err.startswith("onnx-tagger: the model cannot be exported: fx: torch.export cannot do it: ")
    assert "; htp: the TorchScript exporter cannot do it: " in err
    assert err.count("\n") == 1


def test_a_model_that_raises_is_not_called_unable(run: Run) -> None:
    code, out, err = run("raises")
    assert (code, out) == (2, "")
    assert "the model raised on these inputs" in err


def test_truth_counts_what_is_right(run: Run) -> None:
    pytest.importorskip("onnxruntime")
    code, out, _ = run("plain", "--truth", "--json")
    found = {each["strategy"]: each for each in json.loads(out)["strategies"]}
    assert code == 0
    assert list(found) == ["fx", "htp", "usage"]
    for each in found.values():
        judged = each["truth"]
        assert judged["nodes"] == each["report"]["nodes"]
        assert judged["testable"] == sum(judged[name] for name in ("right", "ancestor", "wrong", "untagged")) > 0
        assert judged["testable"] + sum(judged["untestable"].values()) == judged["nodes"]
        assert len(judged["details"]) >= judged["testable"] - judged["right"]
    assert found["fx"]["truth"]["wrong"] == found["htp"]["truth"]["wrong"] == 0


def test_json_holds_the_reports_and_the_decision(run: Run) -> None:
    whole = json.loads(run("depends_on_values", "--json")[1])
    fx, htp, usage = whole["strategies"]
    assert fx["report"] is fx["truth"] is fx["file_by"] is None
    assert htp["reason"] is htp["truth"] is None
    assert set(htp["report"]) == set(Report().as_dict())
    assert [htp["report"]["strategy"], usage["report"]["strategy"], usage["file_by"]] == ["htp", "usage", "htp"]
    assert whole["auto"] == {"strategy": "htp", "order": ["fx", "htp"], "since": {"fx": fx["reason"]}}


def test_what_truth_needs_is_said_before_the_model_is_loaded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import util

    find = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    assert run("no_such_model", "--truth") == (
        2,
        "",
        "onnx-tagger: truth by execution needs onnxruntime, which is not installed: pip install 'onnx-tagger[ort]'\n",
    )


def test_a_file_that_cannot_be_run_is_not_judged(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")

    def fail(*_: object) -> None:
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr(judging, "judge", fail)
    code, out, _ = run("plain", "--truth")
    assert code == 0
    assert "htp is not judged: its file cannot be run: RuntimeError: no kernel for this" in out.splitlines()
    assert "right" not in table(out)
