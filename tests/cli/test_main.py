"""The command: exit codes, what goes to stdout and stderr, options; real processes only where a process matters."""

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.errors import CoverageError, PassError
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.report import Report
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.workflows import checking, retagging

Run = Callable[..., tuple[int, str, str]]

TREE = HierarchyMap.from_rows(
    [ModuleRow("", "Tiny"), ModuleRow("encoder", "Encoder"), ModuleRow("encoder.linear", "Linear")], "a test"
)


def tiny_model(evil: str = "Constant_3") -> onnx.ModelProto:
    """Five nodes named as TorchScript names them; the name of the Constant says nothing."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"], "/encoder/linear/MatMul"),
        helper.make_node("Add", ["xw", "b"], ["y"], "/encoder/linear/Add"),
        helper.make_node("Relu", ["y"], ["z"], "/encoder/Relu"),
        helper.make_node("Constant", [], ["shape"], evil, value=numpy_helper.from_array(np.array([4, 1]))),
        helper.make_node("Reshape", ["z", "shape"], ["out"], "/encoder/Reshape"),
    ]
    weights = [
        numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(2, 4), "w"),
        numpy_helper.from_array(np.ones(4, dtype=np.float32), "b"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [4, 1])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with plain.onnx, tagged.onnx and tiny.hierarchy.json, which is the current one."""
    onnx.save(tiny_model(), tmp_path / "plain.onnx")
    TREE.save(tmp_path / "tiny.hierarchy.json")
    retagging.retag(tmp_path / "plain.onnx", tmp_path / "tiny.hierarchy.json", tmp_path / "tagged.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command line as a process of its own."""
    line = [sys.executable, "-m", "onnx_tagger", *args]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=os.environ | env)


def one_sentence(err: str) -> bool:
    return err.startswith("onnx-tagger: ") and err.count("\n") == 1 and err.endswith("\n")


# --- the door ---------------------------------------------------------------------------------------------------------


def test_help_lists_the_commands_in_the_order_of_use(run: Run) -> None:
    code, out, _ = run("--help")
    order = ["demo", "export", "capture", "retag", "carry", "strip"]
    order += ["tree", "show", "nodes", "stats", "diff", "passes", "check", "bench", "strategies"]
    found = re.findall(r"^[│ ]*([a-z]+) {2,}[A-Z]", out, re.MULTILINE)
    assert (code, found) == (0, order)


@pytest.mark.parametrize(
    "name",
    [
        "export",
        "capture",
        "strategies",
        "bench",
        "retag",
        "carry",
        "check",
        "tree",
        "show",
        "stats",
        "nodes",
        "diff",
        "strip",
    ],
)
def test_each_command_has_help(run: Run, name: str) -> None:
    code, out, err = run(name, "-h")
    assert (code, err) == (0, "")
    assert name in out


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv[1:] = ['--help']\n"
        "from onnx_tagger.cli import main as cli\n"
        "assert cli.run(['--help']) == 0\n"
        "heavy = {'torch', 'onnxruntime', 'networkx', 'pydantic', 'msgspec', 'onnx', 'numpy', 'transformers'}\n"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_version(run: Run) -> None:
    assert re.fullmatch(r"onnx-tagger \d+\.\d+\.\d+\n", run("--version")[1])


def test_without_a_command_there_is_help_and_exit_2(run: Run) -> None:
    code, out, err = run()
    assert code == 2
    assert "retag" in out + err


@pytest.mark.parametrize(
    "args",
    [
        ("chekc",),
        ("check",),
        ("check", "tagged.onnx", "--nix"),
        ("check", "tagged.onnx", "--max-root", "few"),
        ("check", "tagged.onnx", "--format", "yaml"),
        ("check", "tagged.onnx", "--min-coverage", "101"),
        ("check", "tagged.onnx", "--dialect", "latin"),
        ("check", "missing.onnx"),
        ("check", "tiny.hierarchy.json"),
        ("check", "tagged.onnx", "--map", "plain.onnx"),
        ("check", "."),
        ("show", "tagged.onnx", "nobody"),
        ("nodes", "tagged.onnx", "--under", "decoder"),
        ("retag", "plain.onnx", "--map", "tiny.hierarchy.json"),
        ("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "plain.onnx"),
        ("retag", "plain.onnx", "--map", "tagged.onnx", "-o", "tagged.onnx"),
        ("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "none/o.onnx"),
        ("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "o.onnx", "--in-place"),
        ("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "o.onnx", "--report", "o.onnx"),
        ("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "o.onnx", "--report", "plain.onnx"),
        ("check", "plain.onnx", "--report", "plain.onnx"),
        ("strip", "plain.onnx", "-o", "o.onnx", "--report", "o.onnx"),
        ("strip", "plain.onnx", "--in-place", "--report", "plain.onnx"),
        ("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "o.onnx", "--also", "latin"),
        ("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "o.onnx", "--pass", "nobody"),
        ("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "o.onnx", "--merge", "sideways"),
        ("retag", "plain.onnx", "-o", "o.onnx"),
        ("strip", "tagged.onnx"),
        ("strip", "tagged.onnx", "-o", "."),
        ("diff", "tagged.onnx"),
        ("demo", "--keep", "."),
        ("demo", "--keep", "plain.onnx"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(run: Run, files: Path, args: tuple[str, ...]) -> None:
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    code, out, err = run(*args)
    assert (code, out) == (2, "")
    assert one_sentence(err), err
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


@pytest.mark.parametrize(
    "args",
    [
        ("export", "model.py:make", "-o", "model.py"),
        ("export", "model.py:make", "-o", "none/m.onnx"),
        ("export", "model.py:make", "-o", "m.onnx", "--also", "latin"),
        ("export", "model.py:make", "-o", "m.onnx", "--report", "m.hierarchy.json"),
        ("capture", "model.py:make", "-o", "m.onnx"),
        ("capture", "config.json", "-o", "config.json"),
        ("export", "model.py:make", "-o", "pipe"),
        ("export", "model.py:make", "-o", "m.onnx", "--report", "pipe"),
        ("capture", "model.py:make", "-o", "pipe"),
        ("export", "model.py:make", "-o", "m.onnx", "--seed", str(2**64)),
    ],
)
def test_a_wrong_target_is_refused_before_the_model_is_loaded(run: Run, files: Path, args: tuple[str, ...]) -> None:
    for name in ("model.py", "config.json"):
        (files / name).write_text("raise AssertionError('this ran')", encoding="utf-8")
    os.mkfifo(files / "pipe")
    code, out, err = run(*args)
    assert (files / "pipe").is_fifo()
    assert (code, out) == (2, "")
    assert one_sentence(err), err
    assert "this ran" not in err


def test_similar_names_are_offered(run: Run, files: Path) -> None:
    assert "'/encoder/linear/MatMul'" in run("show", "tagged.onnx", "/encoder/linear/matmul")[2]
    assert "'encoder.linear'" in run("nodes", "tagged.onnx", "--under", "encoder.liner")[2]


@pytest.mark.parametrize("place", [0, 1, 4])
def test_debug_shows_a_traceback_wherever_it_stands(run: Run, files: Path, place: int) -> None:
    args = ["nodes", "tagged.onnx", "--under", "nobody"]
    args.insert(place, "--debug")
    code, _, err = run(*args)
    assert code == 2
    assert "Traceback" in err
    assert "TaggerError" in err


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (CoverageError("too few"), 1, "onnx-tagger: too few\n"),
        (PassError("pass 'x':\n broken \x1b[31m"), 2, "onnx-tagger: pass 'x': broken \\x1b[31m\n"),
        (PermissionError(13, "Permission denied", "m.onnx"), 2, "onnx-tagger: m.onnx: Permission denied\n"),
        (ZeroDivisionError("by zero"), 2, "onnx-tagger: ZeroDivisionError: by zero: this is a bug"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_exit_codes_of_errors(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(checking, "check", fail)
    found, out, err = run("check", "m.onnx")
    assert (found, out) == (code, "")
    assert err.startswith(said)
    assert "Traceback" not in err


def test_a_closed_pipe_is_no_error(files: Path) -> None:
    nodes = [helper.make_node("Neg", ["x"], [f"t{number}"], f"node {number}") for number in range(20_000)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [])), files / "large.onnx")
    line = [sys.executable, "-m", "onnx_tagger", "nodes", "large.onnx"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "node 0 Neg -> (none)\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_an_unopened_stdout_is_no_error(files: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "onnx_tagger", "check", "tagged.onnx"],
        stderr=subprocess.PIPE,
        check=False,
        preexec_fn=lambda: os.close(1),
    )
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_process_has_the_exit_code_and_no_colour(files: Path) -> None:
    for force in ({}, {"FORCE_COLOR": "1", "NO_COLOR": ""}):
        failed = command("check", "plain.onnx", **force)
        assert (failed.returncode, failed.stderr) == (1, "")
        assert "\x1b" not in failed.stdout
        assert "\x1b" not in command("tree", "tagged.onnx", **force).stdout
    wrong = command("check", "missing.onnx")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert one_sentence(wrong.stderr)


def test_a_narrow_encoding_is_no_error(files: Path) -> None:
    onnx.save(tiny_model("Knöten"), files / "wide.onnx")
    done = command("nodes", "wide.onnx", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert r"Kn\xf6ten Constant -> (none)" in done.stdout


# --- commands that read -----------------------------------------------------------------------------------------------


def test_check(run: Run, files: Path) -> None:
    assert run("check", "tagged.onnx") == (
        0,
        "tagged.onnx: ok, 100 % of 5 nodes tagged (matched 4, inherited 1)\n",
        "",
    )
    assert run("check", "tagged.onnx", "--map", "tiny.hierarchy.json")[0] == 0
    assert run("check", "tagged.onnx", "--max-inherited", "0")[0] == 1
    assert run("check", "plain.onnx", "--min-coverage", "0")[0] == 0
    code, out, _ = run("check", "plain.onnx")
    assert code == 1
    assert "main#0 MatMul has no tag" in out


@pytest.mark.parametrize(("file", "code"), [("tagged.onnx", 0), ("plain.onnx", 1)])
def test_check_in_every_form_has_the_same_exit_code(run: Run, files: Path, file: str, code: int) -> None:
    found = {form: run("check", file, "--format", form) for form in ("text", "json", "junit", "github")}
    assert {result[0] for result in found.values()} == {code}
    assert json.loads(found["json"][1])["ok"] is (code == 0)
    assert ET.fromstring(found["junit"][1].encode()).get("tests") == "3"
    assert found["github"][1].startswith("::error " if code else "::notice ")


def test_check_of_a_dialect(run: Run, files: Path) -> None:
    run("retag", "tagged.onnx", "-o", "winml.onnx", "--also", "winml")
    assert run("check", "winml.onnx", "--dialect", "winml")[0] == 0
    assert run("check", "winml.onnx", "--dialect", "namespace")[0] == 1


def test_hostile_names_do_not_reach_the_terminal(run: Run, files: Path) -> None:
    evil = "\x1b]0;title\x07[bold red]\u202ex\n::error::"
    onnx.save(tiny_model(evil), files / "evil.onnx")
    run("retag", "evil.onnx", "--map", "tiny.hierarchy.json", "-o", "out.onnx")
    for args in (("nodes", "out.onnx"), ("show", "out.onnx", "main#3"), ("diff", "out.onnx", "plain.onnx")):
        _, out, err = run(*args)
        assert r"\x1b]0;title\x07[bold red]\u202ex\n::error::" in out
        assert all(line.isprintable() for line in (out + err).splitlines())


def test_a_terminal_gets_trees_and_tables(terminal: Run, files: Path) -> None:
    out = terminal("tree", "tagged.onnx")[1]
    assert "└── " in out
    assert "\x1b" not in re.sub(r"\x1b\[[0-9;]*m", "", out)
    assert "─────" in terminal("stats", "tagged.onnx")[1]
    assert "merge='enclosing'" in terminal("passes")[1]
    assert "ok, 100 %" in terminal("check", "tagged.onnx")[1]


def test_progress_is_shown_on_a_terminal_alone(terminal: Run, run: Run, files: Path) -> None:
    args = ("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "out.onnx")
    assert "retag" in terminal(*args)[2]
    assert terminal(*args, "-q")[1:] == run(*args, "-q")[1:] == ("", "")


def test_rich_reads_no_markup_from_names(terminal: Run, files: Path) -> None:
    model = tiny_model()
    model.graph.node[0].metadata_props.add(key="winml.hierarchy.tag", value="/Tiny/[red]Evil[green]\x1b[0m")
    onnx.save(model, files / "evil.onnx")
    for name in ("tree", "stats"):
        assert r"[red]Evil[green]\x1b[0m" in re.sub(r"\x1b\[[0-9;]*m", "", terminal(name, "evil.onnx")[1])


# --- commands that write ----------------------------------------------------------------------------------------------


def test_retag(run: Run, files: Path) -> None:
    code, out, err = run("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "out.onnx", "--report", "r.json")
    assert (code, out, err) == (0, "out.onnx: 100 % of 5 nodes tagged (matched 4, inherited 1)\n", "")
    assert (files / "out.onnx").read_bytes() == (files / "tagged.onnx").read_bytes()
    report = json.loads((files / "r.json").read_text(encoding="utf-8"))
    assert report["by_source"]["matched"] == 4
    assert [step["name"] for step in report["passes"]][:3] == ["match", "align", "inherit"]
    assert run("-q", "retag", "tagged.onnx", "-o", "again.onnx")[1:] == ("", "")


@pytest.mark.parametrize(
    ("line", "phases"),
    [
        ("check tagged.onnx", ["read", "check"]),
        ("check plain.onnx --format junit", ["read", "check"]),
        ("strip tagged.onnx -o out.onnx", ["read", "strip", "write"]),
        ("retag tagged.onnx -o out.onnx", ["read", "tag", "write"]),
    ],
)
def test_reports_hold_phases_passes_and_memory(run: Run, files: Path, line: str, phases: list[str]) -> None:
    assert run(*line.split(), "--report", "r.json")[0] == int("plain" in line)
    report = json.loads((files / "r.json").read_text(encoding="utf-8"))
    assert [phase["name"] for phase in report["phases"]] == phases
    assert sum(phase["share"] for phase in report["phases"]) == pytest.approx(1, abs=0.001)
    assert all(step["us_per_node"] == pytest.approx(step["ms"] * 1e3 / 5, abs=0.2) for step in report["passes"])
    assert report["peak_rss_mb"] > 10


def test_retag_in_place(run: Run, files: Path) -> None:
    assert run("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "--in-place")[0] == 0
    assert (files / "plain.onnx").read_bytes() == (files / "tagged.onnx").read_bytes()
    assert run("retag", "plain.onnx", "--in-place", "-o", "./plain.onnx", "--no-values")[0] == 0


def test_retag_hands_its_options_on(run: Run, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, object] = {}

    def spy(*_: object, **options: object) -> Report:
        seen.update(options)
        return Report()

    monkeypatch.setattr(retagging, "retag", spy)
    args = (
        "retag plain.onnx -o o.onnx --merge output --also winml,namespace --also doc_string --force --link --no-values"
    )
    assert run(*args.split(), "--pass", "inherit:fallback=false", "--ir-version", "10")[0] == 0
    del seen["progress"]
    assert seen == {
        "passes": [Inherit(fallback=False)],
        "merge": "output",
        "also": ["winml", "namespace", "doc_string"],
        "force": True,
        "values": False,
        "in_place": False,
        "link": True,
        "ir_version": 10,
        "verify": False,
        "verify_bytes": False,
        "inputs": None,
    }


def test_strip_gives_the_untagged_file_back(run: Run, files: Path) -> None:
    assert run("strip", "tagged.onnx", "-o", "bare.onnx") == (0, "bare.onnx: 5 nodes stripped\n", "")
    assert (files / "bare.onnx").read_bytes() == (files / "plain.onnx").read_bytes()
    assert run("strip", "tagged.onnx", "--in-place")[0] == 0
    assert (files / "tagged.onnx").read_bytes() == (files / "plain.onnx").read_bytes()


# --- passes -----------------------------------------------------------------------------------------------------------


def test_passes(run: Run) -> None:
    code, out, _ = run("passes")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert {"match", "align", "inherit", "inject", "coverage"} <= set(lines)
    assert re.search(r"onnx-tagger +tags +merge='enclosing', weights=True, .*Tag what", lines["align"])


def test_a_broken_plug_in_is_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from onnx_tagger.passes import registry

    entry = EntryPoint("lost", "no_such_module:Lost", registry.GROUP)
    known = registry.registered() | {"lost": registry.Registered("lost", "someone", entry)}
    monkeypatch.setattr(registry, "registered", lambda: known)
    code, out, _ = run("passes")
    assert code == 0
    assert "broken: pass 'lost' of someone cannot be imported" in out
    assert "align" in out
