"""What is in force for a file: options beat globs, globs the table, the table defaults."""

from pathlib import Path

import pytest

from onnx_tagger.model.gate.settings import DEFAULTS, Settings, fits, names_in

SAID = Settings(
    "x.toml",
    Path("models"),
    {"max-root": 3, "format": "json"},
    {"int8/**": {"max-root": 9}, "*.tmp.onnx": {"max-root": 0, "map": "m.json"}},
)


def values(options: dict[str, object], file: str | None) -> tuple[object, str]:
    found = SAID.in_force(options, file)["max-root"]
    return found.value, found.origin


def test_where_each_value_comes_from() -> None:
    assert values({}, None) == (3, "x.toml")
    assert values({}, "models/a.onnx") == (3, "x.toml")
    assert values({}, "models/int8/b/a.onnx") == (9, "x.toml, per-file 'int8/**'")
    assert values({}, "models/int8/a.tmp.onnx") == (0, "x.toml, per-file '*.tmp.onnx'")
    assert values({"max-root": 0}, "models/int8/a.onnx") == (0, "command line")
    assert values({"max-root": None}, "models/int8/a.onnx") == (9, "x.toml, per-file 'int8/**'")
    assert {each.origin for each in Settings().in_force({}).values()} == {"default"}
    assert list(Settings().in_force({})) == list(DEFAULTS)


@pytest.mark.parametrize(
    ("glob", "yes", "no"),
    [
        ("*.onnx", ["a.onnx", "deep/er/a.onnx"], ["a.json"]),
        ("a/*.onnx", ["a/b.onnx"], ["a/b/c.onnx", "b.onnx"]),
        ("a/**", ["a/b.onnx", "a/b/c.onnx"], ["b/a.onnx", "ab.onnx"]),
        ("**/x.onnx", ["x.onnx", "a/b/x.onnx"], ["ax.onnx"]),
        ("a/**/x.onnx", ["a/x.onnx", "a/b/c/x.onnx"], ["a/bx.onnx"]),
        ("./a/[ab]?.onnx", ["a/b1.onnx"], ["a/c1.onnx", "a/b.onnx"]),
        ("[!ab]", ["c"], ["a", "b"]),
        ("a/[!b]c", ["a/xc"], ["a//c", "a/bc"]),
        ("a+(b).onnx", ["a+(b).onnx"], ["aab.onnx"]),
        ("s3://bucket/**", ["s3://bucket/a/b.onnx"], ["s3://other/a.onnx"]),
    ],
)
def test_globs(glob: str, yes: list[str], no: list[str]) -> None:
    assert [fits(glob, place) for place in yes] == [True] * len(yes)
    assert [fits(glob, place) for place in no] == [False] * len(no)


def test_paths_start_from_the_folder_of_the_file() -> None:
    assert SAID.path_of("m.json") == "models/m.json"
    assert SAID.path_of("https://host/m.json") == "https://host/m.json"
    assert Settings().path_of("m.json") == "m.json"
    assert SAID.place_of("models/a/b.onnx") == "a/b.onnx"
    assert SAID.place_of("other/b.onnx") == "../other/b.onnx"
    assert SAID.place_of("s3://bucket/b.onnx") == "s3://bucket/b.onnx"


def test_names_of_a_list() -> None:
    assert names_in(["a", "b"]) == ("a", "b")
    assert names_in(None) == ()
