"""The strategies side by side: what is compared, what is said where one fails, and how it looks."""

import json
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper

from onnx_tagger.cli import main
from onnx_tagger.errors import ExportError
from onnx_tagger.exporters.select import first_that_works
from onnx_tagger.exporters.sources.loading import load_source
from onnx_tagger.exporters.truth import judging
from onnx_tagger.model.graph import walk
from onnx_tagger.model.report import Report
from onnx_tagger.reporters.strategies import show_comparison
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.workflows import exporting
from onnx_tagger.workflows.strategies import Comparison, Outcome, compare, without_metadata

Run = Callable[..., tuple[int, str, str]]

MODELS = """
import torch
from torch import nn


class Work(nn.Module):
    def __init__(self, work, width=4):
        super().__init__()
        self.first, self.second, self.work = nn.Linear(4, 8), nn.Linear(8, width), work

    def forward(self, x):
        return self.second(self.work(self.first(x)))


class Depends(nn.Module):
    def forward(self, x):
        return x.tanh() if x.sum() > 1e9 else x.sigmoid()


class Decomposed(nn.Module):
    def forward(self, x):
        return torch.linalg.svdvals(x) * torch.ones(8)[: min(x.shape)]


def made(work, width=4):
    torch.manual_seed(0)
    return Work(work, width).eval(), (torch.randn(3, 4),)


def plain():
    return made(nn.GELU())


def depends_on_values():
    return made(Depends())


def without_a_symbol():
    return made(nn.RMSNorm(8))


def impossible():
    return Decomposed(), (torch.randn(3, 4),)


def raises():
    return made(nn.Linear(5, 8))
"""


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


def plain_model() -> tuple[torch.nn.Module, tuple[torch.Tensor, ...]]:
    torch.manual_seed(0)
    layers = [torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 4)]
    return torch.nn.Sequential(*layers).eval(), (torch.randn(3, 4),)


# --- the command ------------------------------------------------------------------------------------------------------


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


# --- what is compared -------------------------------------------------------------------------------------------------


def test_options_reach_every_export_and_phases_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes, told = {}, []
    export = exporting.export

    def watched(*args: object, **options: object) -> exporting.Export:
        made = export(*args, **options)
        if options.get("dynamic"):
            model = onnx.load(made.path)
            dims = [dim.dim_param != "" for dim in model.graph.input[0].type.tensor_type.shape.dim]
            shapes[options["strategy"]] = dims, model.opset_import[0].version
        return made

    monkeypatch.setattr(exporting, "export", watched)
    model, args = plain_model()
    compare(model, args, opset=19, dynamic=True, progress=told.append)
    assert {name: any(dims) for name, (dims, _) in shapes.items()} == {"fx": True, "htp": True}
    assert {version for _, version in shapes.values()} == {19}
    steps = ["load the exporters", "usage: capture", "fx: export", "htp: export", "usage: tag"]
    assert [step for step in told if step in steps] == steps


def test_the_decision_is_that_of_an_export(folder: Path) -> None:
    source = load_source("models.py:depends_on_values")
    model, args = source.model, source.args
    found = compare(model, args)
    report = exporting.export(model, args, folder / "auto.onnx", strategy="auto").report
    assert report.strategy == found.auto
    assert report.fallbacks[0] == f"auto took htp, since fx: {found.since['fx']}"


def test_strategies_are_tried_in_order_until_one_works() -> None:
    def attempt(name: str) -> str:
        if name == "fx":
            raise ExportError("not this one")
        return name.upper()

    assert first_that_works("auto", attempt) == ("htp", "HTP", {"fx": "not this one"})
    assert first_that_works("torchscript", attempt) == ("htp", "HTP", {})
    with pytest.raises(ExportError, match=r"fx: not this one: try --strategy auto") as caught:
        first_that_works("fx", attempt)
    assert str(caught.value.__cause__) == "not this one"


@pytest.mark.parametrize("strategy", ["fx", "htp"])
def test_a_tagged_file_without_metadata_is_the_bare_export_without_it(strategy: str, tmp_path: Path) -> None:
    model, args = plain_model()
    files = [tmp_path / f"{number}.onnx" for number in range(4)]
    exporting.export(model, args, files[0], strategy=strategy)
    exporting.export(model, args, files[1], strategy=strategy, tag=False)
    for source, target in zip(files, files[2:], strict=False):
        without_metadata(source, target)
    assert onnx.load(files[2]) == onnx.load(files[3])


def test_bodies_lose_their_metadata_too_and_nothing_else_changes(tmp_path: Path) -> None:
    def branch(name: str) -> onnx.GraphProto:
        node = helper.make_node("Neg", ["x"], [name], f"/inner/{name}", doc_string="inner")
        node.metadata_props.add(key="namespace", value="/inner")
        return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])])

    node = helper.make_node("If", ["c"], ["y"], "", "a doc", then_branch=branch("yes"), else_branch=branch("no"))
    node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value="['']")
    inputs = [
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
    ]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])])
    model = helper.make_model(graph)
    model.metadata_props.add(key="pkg.onnx_tagger.version", value="1")
    onnx.save(model, tmp_path / "full.onnx")
    without_metadata(tmp_path / "full.onnx", tmp_path / "bare.onnx")
    for op in walk(model).ops:
        op.node.ClearField("metadata_props")
        op.node.ClearField("doc_string")
    model.ClearField("metadata_props")
    assert onnx.load(tmp_path / "bare.onnx") == model


def test_a_model_without_weights_is_compared(folder: Path) -> None:
    class Bare(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sin() * x

    found = compare(Bare(), torch.randn(2, 3))
    assert [outcome.reason for outcome in found.outcomes] == ["", "", ""]
    usage = found.outcomes[2].report
    assert usage is not None
    assert usage.tagged == usage.nodes > 0


# --- how it looks -----------------------------------------------------------------------------------------------------


def large(reason: str = "", note: str = "") -> Comparison:
    """Columns as wide as they come, and texts from elsewhere."""
    report = Report(nodes=1234567, tagged=1234566, fallbacks=[note] if note else [])
    judgement = judging.Judgement(nodes=1234567, alone=100000)
    judgement.verdicts.update({"right": 654321})
    done = [Outcome(name, "htp", report, judgement=judgement) for name in ("htp", "usage")]
    return Comparison([Outcome("fx", "fx", reason=reason), *done], "htp", ("fx", "htp"), {"fx": reason})


@pytest.mark.parametrize("terminal", [False, True])
def test_a_table_fits_into_80_columns(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    show_comparison(Screen(), large())
    out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, out.splitlines())) <= 80
    assert out.count("99.9 % 1234566") == out.count("100 % 654321") == 2
    assert "  right alone" in out


@pytest.mark.parametrize("terminal", [False, True])
def test_texts_from_elsewhere_do_not_steer_the_terminal(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    show_comparison(Screen(), large("[red]no\x1b]0;title\x07", "htp: \x1b[2J[bold]noted"))
    captured = capsys.readouterr()
    assert r"fx failed: [red]no\x1b]0;title\x07" in captured.out
    assert captured.err == "note: htp: \\x1b[2J[bold]noted\nnote: usage: htp: \\x1b[2J[bold]noted\n"


def test_quiet_leaves_out_the_notes_alone(capsys: pytest.CaptureFixture[str]) -> None:
    show_comparison(Screen(quiet=True), large("no", "noted"))
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "auto tries fx, htp in this order and takes htp, since fx failed" in captured.out
