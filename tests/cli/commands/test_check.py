"""The command check: its exit codes, its forms, dialects and limits."""

import json
import xml.etree.ElementTree as ET
from io import StringIO
from pathlib import Path

import pytest

from examples.tiny import Run
from onnx_tagger.reporters import VERDICT_FORMS


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


@pytest.mark.usefixtures("nets")
class TestManyFiles:
    """A folder with before.onnx and after.onnx, of which a node has no tag, plain.onnx without tags, and a map."""

    def test_a_line_for_each_and_a_table_of_rules(self, run: Run) -> None:
        code, out, err = run("check", "before.onnx", "*.onnx", "missing.onnx")
        lines = out.splitlines()
        assert (code, err) == (1, "")
        assert [line.split(":")[0] for line in lines if not line.startswith(" ")] == [
            *("before.onnx", "after.onnx", "plain.onnx", "missing.onnx"),
            "4 files",
        ]
        assert "  OT001 loose (main#5 Cast) has no tag" in lines
        assert lines[-2:] == [
            "  OT001  untagged-node         3 findings in 3 files",
            "  OT006  unreadable-file        1 finding in 1 file",
        ]

    def test_a_folder_of_one_file_is_many(self, run: Run, files: Path) -> None:
        (files / "one").mkdir()
        (files / "tagged.onnx").rename(files / "one" / "t.onnx")
        code, out, _ = run("check", "one")
        assert code == 0
        assert out.splitlines() == [
            "one/t.onnx: ok, 100 % of 5 nodes tagged (matched 4, inherited 1)",
            "1 file: all ok, 100 % of 5 nodes tagged",
        ]

    def test_names_on_stdin(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.stdin", StringIO("before.onnx\nplain.onnx\n"))
        assert json.loads(run("check", "-", "--format", "json")[1])["by_rule"] == {"OT001": 2}

    def test_quiet_prints_findings_only(self, run: Run) -> None:
        assert run("check", "plain.onnx", "before.onnx", "-q")[1].splitlines() == [
            "plain.onnx: OT001 n (main#0 Neg) has no tag",
            "before.onnx: OT001 loose (main#5 Cast) has no tag",
        ]

    def test_rules_that_are_left_out(self, run: Run) -> None:
        assert run("check", "plain.onnx", "before.onnx", "--ignore", "OT001")[0] == 0
        assert run("check", "plain.onnx", "--ignore", "untagged-node")[0] == 0
        assert run("check", "plain.onnx", "--select", "OT002,OT003")[0] == 0
        code, _, err = run("check", "plain.onnx", "--select", "OT2")
        assert (code, "no rule is named 'OT2'" in err) == (2, True)

    def test_every_form(self, run: Run) -> None:
        found = {form: run("check", "plain.onnx", "missing.onnx", "--format", form) for form in VERDICT_FORMS}
        assert {result[0] for result in found.values()} == {1}
        assert [each["file"] for each in json.loads(found["json"][1])["files"]] == ["plain.onnx", "missing.onnx"]
        suites = ET.fromstring(found["junit"][1].encode())
        assert [suite.get("failures") for suite in suites] == ["1", "1"]
        assert found["github"][1].startswith("::error file=plain.onnx,title=OT001 untagged-node::n (main#0 Neg)")
        assert found["markdown"][1].startswith("### onnx-tagger: failed")

    def test_the_report(self, run: Run, tmp_path: Path) -> None:
        run("check", "plain.onnx", "before.onnx", "--report", "r.json")
        assert json.loads((tmp_path / "r.json").read_text())["ok"] is False

    def test_one_file_that_is_missing_is_bad_input(self, run: Run) -> None:
        assert run("check", "missing.onnx")[0] == 2


def test_rules(run: Run) -> None:
    out = run("rules")[1]
    rules = json.loads(run("rules", "--json")[1])
    assert [each["id"] for each in rules] == [line.split()[0] for line in out.splitlines() if line.startswith("OT")]
