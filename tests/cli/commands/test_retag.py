"""The command retag: what it writes and prints, and the options that it hands on."""

import json
from pathlib import Path

import pytest

from examples.tiny import Run
from onnx_tagger.model.report import Report
from onnx_tagger.passes.inherit import Inherit
from onnx_tagger.workflows import retagging


def test_retag(run: Run, files: Path) -> None:
    code, out, err = run("retag", "plain.onnx", "--map", "tiny.hierarchy.json", "-o", "out.onnx", "--report", "r.json")
    assert (code, out, err) == (0, "out.onnx: 100 % of 5 nodes tagged (matched 4, inherited 1)\n", "")
    assert (files / "out.onnx").read_bytes() == (files / "tagged.onnx").read_bytes()
    report = json.loads((files / "r.json").read_text(encoding="utf-8"))
    assert report["by_source"]["matched"] == 4
    assert [step["name"] for step in report["passes"]][:3] == ["match", "align", "inherit"]
    assert run("-q", "retag", "tagged.onnx", "-o", "again.onnx")[1:] == ("", "")


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
        "evidence": False,
        "force": True,
        "values": False,
        "in_place": False,
        "link": True,
        "ir_version": 10,
        "verify": False,
        "verify_bytes": False,
        "inputs": None,
    }


def test_many_files_into_a_folder(run: Run, files: Path) -> None:
    (files / "deep").mkdir()
    (files / "deep" / "plain.onnx").write_bytes((files / "plain.onnx").read_bytes())
    (files / "bad.onnx").write_text("{}")
    command = ("retag", ".", "--map", "tiny.hierarchy.json", "-o", "out", "--report", "r.json")
    code, out, err = run(*command)
    assert code == 2
    assert out.splitlines() == [
        "out/deep/plain.onnx: 100 % of 5 nodes tagged (matched 4, inherited 1)",
        "out/plain.onnx: 100 % of 5 nodes tagged (matched 4, inherited 1)",
        "out/tagged.onnx: 100 % of 5 nodes tagged (matched 4, inherited 1)",
        "4 files, of which 1 cannot be read: 100 % of 15 nodes tagged (matched 12, inherited 3)",
    ]
    assert err.startswith("onnx-tagger: bad.onnx")
    assert (files / "out" / "deep" / "plain.onnx").read_bytes() == (files / "tagged.onnx").read_bytes()
    assert not (files / "out" / "bad.onnx").exists()
    assert [bool(each["error"]) for each in json.loads((files / "r.json").read_text())["files"]] == [1, 0, 0, 0]


def test_many_files_where_they_are(run: Run, files: Path) -> None:
    assert run("retag", "plain.onnx", "tagged.onnx", "--map", "tiny.hierarchy.json")[0] == 2
    assert run("retag", "plain.onnx", "tagged.onnx", "--map", "tiny.hierarchy.json", "-o", "plain.onnx")[0] == 2
    assert run("retag", "plain.onnx", "tagged.onnx", "--map", "tiny.hierarchy.json", "--in-place")[0] == 0
    assert (files / "plain.onnx").read_bytes() == (files / "tagged.onnx").read_bytes()
