"""The command check: its exit codes, its forms, dialects and limits."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from examples.tiny import Run


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
