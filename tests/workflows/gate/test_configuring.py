"""Finding and reading the file of settings, and what is refused in it."""

import json
from pathlib import Path

import jsonschema
import pytest

import onnx_tagger
from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.gate.configuring import find, json_schema, read, tomllib

SCHEMA = Path(onnx_tagger.__file__).parent / "model" / "gate" / "settings.schema.json"

WHOLE = """
files = ["models/**/*.onnx"]
map = "net.hierarchy.json"
min-coverage = 99.5
max-inherited = 3
ignore = ["OT002"]
baseline = "tags.json"
format = "sarif"

[per-file."int8/**"]
max-inherited = 30
allow-forced = true
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the root of a repository, and the current one."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_nearest_file_holds_up_to_the_root_of_the_repository(here: Path) -> None:
    deep = here / "inner" / "a" / "b"
    deep.mkdir(parents=True)
    (here / "onnx-tagger.toml").write_text("max-root = 1")
    assert find(deep).values == {"max-root": 1}
    (here / "inner" / "pyproject.toml").write_text("[tool.other]")
    assert find(deep).values == {"max-root": 1}
    (here / "inner" / "pyproject.toml").write_text("[tool.onnx-tagger]\nmax-root = 2")
    found = find(deep)
    assert (found.values, found.folder) == ({"max-root": 2}, here / "inner")
    (here / "inner" / ".git").mkdir()
    (here / "inner" / "pyproject.toml").unlink()
    assert find(deep).place == ""


def test_own_file_before_the_shared_one(here: Path) -> None:
    Path("pyproject.toml").write_text("[tool.onnx-tagger]\nmax-root = 2")
    assert find(Path()).place == "pyproject.toml [tool.onnx-tagger]"
    Path("onnx-tagger.toml").write_text("max-root = 1")
    assert (find(Path()).place, find(Path()).folder) == ("onnx-tagger.toml", Path())


def test_everything(here: Path) -> None:
    Path("onnx-tagger.toml").write_text(WHOLE)
    found = read(Path("onnx-tagger.toml"))
    assert found.values["min-coverage"] == 99.5
    assert found.per_file == {"int8/**": {"max-inherited": 30, "allow-forced": True}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("max-rot = 1", "has the unknown key 'max-rot': did you mean 'max-root'"),
        ("max_root = 1", "has the unknown key 'max_root': did you mean 'max-root'?"),
        ("zzz = 1", "has the unknown key 'zzz': set one of map, "),
        (
            "[per-file.'a/*']\nmax-naned = 1",
            "per-file 'a/*': has the unknown key 'max-naned': did you mean 'max-named'",
        ),
        ("[per-file.'a/*']\nbaseline = 'b'", "unknown key 'baseline': it is for all files; set it in the table itself"),
        ("max-root = -1", "max-root: Expected `int` >= 0"),
        ("max-root = 'x'", "max-root: Expected `int`, got `str`"),
        ("min-coverage = 101", "min-coverage: Expected `float` <= 100"),
        ("format = 'txt'", "format: Invalid enum value 'txt'"),
        ("per-file = 3", "per-file: Expected `object`, got `int`"),
        ("ignore = ['OT999']", "no rule is named 'OT999': did you mean"),
        ("[per-file.'a']\nselect = ['nope']", "per-file 'a': no rule is named 'nope'"),
        ("[per-file.'[z-a]']\nmax-root = 1", "per-file '[z-a]' is no glob: bad character range"),
        ("max-root = ", "is not TOML"),
    ],
)
def test_what_is_refused(here: Path, text: str, sentence: str) -> None:
    Path("onnx-tagger.toml").write_text(text)
    with pytest.raises(TaggerError) as raised:
        find(Path())
    assert str(raised.value).startswith("onnx-tagger.toml")
    assert sentence in str(raised.value)


def test_files_that_are_none(here: Path) -> None:
    with pytest.raises(TaggerError, match=r"missing\.toml: no such file; name another one"):
        read(Path("missing.toml"))
    Path("pyproject.toml").write_text("[tool]\nonnx-tagger = 3")
    with pytest.raises(TaggerError, match=r"\[tool\.onnx-tagger\] is no table"):
        find(Path())
    Path("pyproject.toml").write_text("[tool.other]\n")
    with pytest.raises(TaggerError, match=r"has no table \[tool\.onnx-tagger\]"):
        read(Path("pyproject.toml"))
    Path("onnx-tagger.toml").write_bytes(b"\xff")
    with pytest.raises(TaggerError, match="is not TOML"):
        find(Path())


def test_the_schema_ships_and_fits() -> None:
    command = "python -m onnx_tagger.workflows.gate.configuring > tagger/model/gate/settings.schema.json"
    assert SCHEMA.read_text() == json_schema(), f"run {command}"
    schema = json.loads(json_schema())
    jsonschema.validate(tomllib.loads(WHOLE), schema)
    for text in ("max-rot = 1", "max-root = -1", "[per-file.a]\nbaseline = 'b'"):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(tomllib.loads(text), schema)
