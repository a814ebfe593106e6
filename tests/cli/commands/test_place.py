"""`place`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from examples.placed import chain

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(chain(), "m.onnx")
    onnx.save(chain(also=False), "bare.onnx")


def test_the_option_the_rules_what_crosses_and_what_is_left(run: Run) -> None:
    code, out, err = run("place", "m.onnx", "gpu(layers.0, layers.1); cpu(embed)", "--verify")
    assert code == 0
    assert out.splitlines() == [
        "session.layer_assignment_settings = gpu(/Net/Layer.0/, /Net/Layer.1/); cpu(/Net/Embed/)",
        "",
        "rule           annotations    nodes  bytes",
        "gpu(layers.0)  /Net/Layer.0/      2      0",
        "gpu(layers.1)  /Net/Layer.1/      2      0",
        "cpu(embed)     /Net/Embed/        1      0",
        "",
        "from  to         tensors  bytes",
        "cpu   gpu              1     24",
        "gpu   (no rule)        1     24",
        "",
        "5 of 9 nodes go by a rule; onnxruntime places the others as it would",
        "no rule: (root) 1, layers.2 2, head 1",
    ]
    assert err == "verified: onnxruntime put 1 of 1 node where it should; 4 could not be held against it here\n"


def test_rules_that_do_nothing_exit_with_1(run: Run) -> None:
    code, out, _ = run("place", "m.onnx", "cpu(layers); gpu(layers.0); npu(layer.0)")
    assert code == 1
    assert "does nothing: gpu(layers.0): is shadowed by cpu(layers)" in out
    assert "does nothing: npu(layer.0): no module has the path or tag 'layer.0': did you mean" in out


def test_the_forms_for_machines(run: Run) -> None:
    code, out, _ = run("place", "m.onnx", "gpu(layers.0)", "--format", "json")
    assert code == 0
    assert json.loads(out)["setting"] == "gpu(/Net/Layer.0/)"
    code, out, _ = run("place", "m.onnx", "gpu(layers.0)", "--format", "csv", "--html", "p.html")
    assert code == 0
    assert "on gpu" in out.splitlines()[0]
    assert Path("p.html").is_file()


def test_a_file_without_annotations_is_told_how_to_get_them(run: Run) -> None:
    code, _, err = run("place", "bare.onnx", "gpu(layers.0)")
    assert code == 0
    assert "retag --also layer_ann" in err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("m.onnx", "gpu"), "lacks a bracket"),
        (("m.onnx", "gpu(a) cpu(b)"), "goes on behind its bracket"),
        (("m.onnx", "gpu(layers.{0)"), "without its partner"),
        (("missing.onnx", "gpu(a)"), "missing.onnx"),
        (("bare.onnx", "cpu(layers)", "--verify"), "nothing can be verified"),
        (("m.onnx", "cpu(layers)", "--plugin", "m.onnx"), "as an execution provider"),
    ],
)
def test_what_cannot_be_read(run: Run, args: tuple[str, ...], words: str) -> None:
    code, out, err = run("place", *args)
    assert (code, out) == (2, "")
    assert words in err
