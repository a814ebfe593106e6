"""The command config, and check by a file of settings."""

import json
from pathlib import Path

import pytest

from examples.tiny import Run

pytestmark = pytest.mark.usefixtures("nets")


def test_defaults(run: Run) -> None:
    code, out, err = run("config", "--no-config")
    assert (code, err) == (0, "")
    assert "min-coverage     100    default" in out.splitlines()


def test_where_each_value_comes_from(run: Run) -> None:
    Path("onnx-tagger.toml").write_text('max-root = 3\n[per-file."plain.*"]\nmax-root = 9\n')
    out = run("config")[1].splitlines()
    assert "max-root         3      onnx-tagger.toml" in out
    assert out[-1] == "per-file 'plain.*': max-root = 9"
    found = json.loads(run("config", "plain.onnx", "--format", "json")[1])
    assert found["settings"]["max-root"] == {"value": 9, "from": "onnx-tagger.toml, per-file 'plain.*'"}
    assert found["file"] == "onnx-tagger.toml"


def test_the_schema_is_printed(run: Run) -> None:
    assert json.loads(run("config", "--schema")[1])["$ref"] == "#/$defs/GateRecord"


def test_wrong_settings(run: Run) -> None:
    Path("pyproject.toml").write_text("[tool.onnx-tagger]\nmax-rot = 3\n")
    for command in (("config",), ("check", "before.onnx")):
        code, _, err = run(*command)
        assert code == 2
        assert "pyproject.toml [tool.onnx-tagger]: has the unknown key 'max-rot': did you mean 'max-root'" in err
    assert run("check", "before.onnx", "--no-config", "--min-coverage", "0")[0] == 0
    assert run("config", "--no-config", "--config", "a.toml")[0] == 2


def test_check_takes_files_limits_and_form_from_it(run: Run) -> None:
    assert run("check")[0] == 2
    Path("onnx-tagger.toml").write_text('files = ["*.onnx"]\nformat = "json"\n[per-file."plain.*"]\nmin-coverage = 0\n')
    code, out, _ = run("check")
    files = {each["file"]: each["ok"] for each in json.loads(out)["files"]}
    assert (code, files) == (1, {"after.onnx": False, "before.onnx": False, "plain.onnx": True})
    assert run("check", "--min-coverage", "0", "--format", "text")[1].startswith("after.onnx: ok")
    assert run("check", "plain.onnx", "--min-coverage", "50")[0] == 1


def test_a_map_for_some_files(run: Run) -> None:
    Path("onnx-tagger.toml").write_text('min-coverage = 0\n[per-file."*"]\nmap = "net.hierarchy.json"\n')
    assert run("check", "before.onnx", "after.onnx")[0] == 0
    Path("onnx-tagger.toml").write_text('min-coverage = 0\n[per-file."*"]\nmap = "gone.json"\n')
    assert run("check", "before.onnx", "after.onnx")[0] == 2


def test_check_against_a_baseline(run: Run) -> None:
    assert run("check", "before.onnx", "--update-baseline")[0] == 2
    assert run("check", "before.onnx", "--baseline", "tags.json")[0] == 2
    code, out, err = run("check", "before.onnx", "plain.onnx", "--baseline", "tags.json", "--update-baseline")
    assert (code, err) == (0, "tags.json: 2 files recorded\n")
    assert out.splitlines()[-1].startswith("2 files: all ok")
    before = Path("tags.json").read_bytes()
    assert run("check", "before.onnx", "--baseline", "tags.json")[0] == 0
    code, out, _ = run("check", "before.onnx", "after.onnx", "--baseline", "tags.json")
    assert code == 1
    assert "  OT003 main/If_1.else_branch#0 Abs inherited its tag" in out.splitlines()
    assert Path("tags.json").read_bytes() == before


def test_a_baseline_of_the_settings_that_could_be_tightened(run: Run) -> None:
    Path("onnx-tagger.toml").write_text('baseline = "tags.json"\n')
    run("check", "before.onnx", "--update-baseline")
    Path("tags.json").write_text(Path("tags.json").read_text().replace('"-":1', '"-":2'))
    code, out, _ = run("check", "before.onnx")
    assert code == 0
    assert out.splitlines()[-1].startswith(
        "tags.json: 1 entry could be tightened with --update-baseline (before.onnx: "
    )
    code, out, _ = run("check", "before.onnx", "--strict-baseline")
    assert (code, "OT010" in out) == (1, True)


def test_an_unreadable_file_is_in_every_form(run: Run) -> None:
    Path("bad.onnx").write_text("{}")
    for form in ("json", "junit", "github", "sarif", "markdown"):
        code, out, err = run("check", "bad.onnx", "--format", form)
        assert (code, "bad.onnx" in out, err.startswith("onnx-tagger: bad.onnx")) == (2, True, True)
    assert run("check", "bad.onnx")[1] == ""
