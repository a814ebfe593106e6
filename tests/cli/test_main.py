"""The command: exit codes, what goes to stdout and stderr, options; real processes only where a process matters."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import helper

from examples.tiny import Run, tiny_model
from onnx_tagger.errors import CoverageError, PassError
from onnx_tagger.workflows import checking


def command(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command line as a process of its own."""
    line = [sys.executable, "-m", "onnx_tagger", *args]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=os.environ | env)


def one_sentence(err: str) -> bool:
    return err.startswith("onnx-tagger: ") and err.count("\n") == 1 and err.endswith("\n")


# --- the door ---------------------------------------------------------------------------------------------------------


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
        ("check", "none/*.onnx"),
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
        ("retag", "silent.onnx", "-o", "o.onnx"),
        ("strip", "tagged.onnx"),
        ("strip", "tagged.onnx", "-o", "."),
        ("diff", "tagged.onnx"),
        ("demo", "--keep", "."),
        ("demo", "--keep", "plain.onnx"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(run: Run, files: Path, args: tuple[str, ...]) -> None:
    silent = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], "Relu_1")], "g", [], [])
    onnx.save(helper.make_model(silent), files / "silent.onnx")
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
    for force in ({}, {"NO_COLOR": ""}, {"FORCE_COLOR": "1"}):  # NO_COLOR is set for all tests
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
    assert r"Kn\xf6ten Constant -> encoder (inherited)" in done.stdout


# --- commands that read -----------------------------------------------------------------------------------------------


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
