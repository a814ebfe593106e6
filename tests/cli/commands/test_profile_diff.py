"""The command `profile-diff`: exit codes, forms, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import onnx_tagger as ot
from examples.profiled import blocks, saved
from examples.tiny import Run


@pytest.fixture(name="files", scope="module")
def _files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A profile, the same with its second block made half as fast again, and one of a single session."""
    folder = tmp_path_factory.mktemp("profiles")
    real = ot.profile(saved(blocks(), folder / "m.onnx"), sessions=1, runs=5)
    noise = (1.0, 1.01, 0.99, 1.005)
    steady = replace(
        real,
        kernels=tuple(replace(k, us=tuple(max(k.us[0], 1.0) * n for n in noise)) for k in real.kernels),
        yardsticks=(100.0,) * 4,
    )
    slower = replace(
        steady,
        kernels=tuple(
            replace(k, us=tuple(1.5 * t for t in k.us)) if k.tag and k.tag.module.startswith("blocks.1") else k
            for k in steady.kernels
        ),
    )
    real.save(folder / "one.json")
    steady.save(folder / "a.json")
    slower.save(folder / "b.json")
    return folder


def test_nothing_is_slower(run: Run, files: Path) -> None:
    code, out, _ = run("profile-diff", files / "a.json", files / "a.json")
    assert code == 0
    assert "0 modules slower by more than 5 % for sure" in out


def test_something_is_slower(run: Run, files: Path) -> None:
    code, out, _ = run("profile-diff", files / "a.json", files / "b.json")
    assert code == 1
    assert any(line.startswith("blocks.1") and line.endswith("slower for sure") for line in out.splitlines())
    assert run("profile-diff", files / "b.json", files / "a.json")[0] == 0
    assert run("profile-diff", files / "a.json", files / "b.json", "--max-slowdown", "80%")[0] == 0


@pytest.mark.parametrize("form", ["json", "junit", "github", "markdown"])
def test_forms(run: Run, files: Path, form: str) -> None:
    code, out, _ = run("profile-diff", files / "a.json", files / "b.json", "--format", form)
    assert code == 1
    assert "blocks.1" in out
    if form == "json":
        assert "blocks.1" in json.loads(out)["slower"]


@pytest.mark.parametrize(
    ("names", "options", "sentence"),
    [
        (("a.json", "missing.json"), (), "missing.json: cannot be read"),
        (("a.json", "m.onnx"), (), "give a profile that was saved"),
        (("a.json", "one.json"), (), "is of 1 session"),
        (("a.json", "b.json"), ("--max-slowdown", "much"), "is no share between 0 and 100 %"),
        (("a.json", "b.json"), ("--max-slowdown", "-5%"), "is no share"),
        (("a.json", "b.json"), ("--format", "xml"), "'xml' is not one of"),
    ],
)
def test_what_cannot_be_used_is_said(
    run: Run, files: Path, names: tuple[str, str], options: tuple[str, ...], sentence: str
) -> None:
    code, out, err = run("profile-diff", *(files / name for name in names), *options)
    assert (code, out) == (2, "")
    assert sentence in err
