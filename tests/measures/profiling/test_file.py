"""The JSON file of a profile: equal after a round trip, equal bytes for equal profiles, and what is refused."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import onnx_tagger
from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.file import json_schema, to_json
from onnx_tagger.measures.profiling.kernel import Kernel, Overhead, Roof
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.limits import limited, limits_of_texts
from onnx_tagger.model.metadata import Tag

SCHEMA = Path(onnx_tagger.__file__).parent / "measures" / "profiling" / "profile.schema.json"


@pytest.fixture(name="profile")
def _profile(tree: ModuleTree, tags: list[Tag | None]) -> Profile:
    kernels = [
        Kernel(f"k{at}", "com.microsoft::Gelu", "CPU", (1.5 + at, 2.25), tag, f"main#{at}", "name", 2.0, 1e6, 8.0, None)
        for at, tag in enumerate(tags)
    ]
    kernels.append(Kernel("?", "Reorder", "", (0.125, 0.25), None, "", "none"))
    return Profile(
        "net.onnx",
        "test 1.0",
        tree,
        tuple(kernels),
        {"level": "all", "threads": "1"},
        (30.0, 31.5),
        (0.25,),
        Overhead(5.5, 2.0),
        Roof(50.0, 10.0),
        4096.0,
        (100.0, 101.0),
        ("a note",),
    )


def test_a_round_trip(profile: Profile, tmp_path: Path) -> None:
    profile.save(tmp_path / "p.json")
    found = Profile.load(tmp_path / "p.json")
    assert found.kernels == profile.kernels
    names = (
        "model",
        "runtime",
        "settings",
        "latencies",
        "creations",
        "overhead",
        "roof",
        "peak",
        "yardsticks",
        "notes",
    )
    assert [getattr(found, name) for name in names] == [getattr(profile, name) for name in names]
    assert found.modules.whole == profile.modules.whole
    found.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "p.json").read_bytes()


def test_the_schema_ships_and_fits(profile: Profile) -> None:
    command = "python -m onnx_tagger.measures.profiling.file > tagger/measures/profiling/profile.schema.json"
    assert SCHEMA.read_text() == json_schema(), f"run {command}"
    jsonschema.validate(json.loads(to_json(profile)), json.loads(json_schema()))


def broken(profile: Profile, **fields: Any) -> str:
    content = json.loads(to_json(profile))
    for name, value in fields.items():
        target, _, key = name.rpartition("__")
        (content[target] if target else content)[key] = value
    return json.dumps(content)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"format": "other"}, "format: Invalid enum value 'other'"),
        ({"version": 2}, "version: Invalid enum value 2"),
        ({"kernels__us": [[1.0]]}, "the column 'us' of its kernels is not as long as their names"),
        ({"kernels__us": []}, "its kernels have no times"),
        ({"kernels__us": [[-1.0] * 7]}, "kernels.us.0.0: Expected `float` >= 0.0"),
        ({"kernels__op": []}, "the column 'op' of its kernels"),
        ({"kernels__module": [99] * 7}, "a kernel names a module that is not there"),
        ({"kernels__source": [None] * 7}, "does not say how its module was found"),
        ({"modules__path": ["", "a", "a", "b", "c", "d"]}, "two of its modules have one path"),
    ],
)
def test_what_is_damaged_is_said(profile: Profile, tmp_path: Path, fields: dict[str, Any], sentence: str) -> None:
    path = tmp_path / "p.json"
    path.write_text(broken(profile, **fields))
    with pytest.raises(TaggerError) as caught:
        Profile.load(path)
    assert sentence in str(caught.value)


def test_what_is_no_profile(tmp_path: Path, profile: Profile) -> None:
    path = tmp_path / "p.json"
    with pytest.raises(TaggerError, match=r"p\.json: cannot be read"):
        Profile.load(path)
    path.write_text("{")
    with pytest.raises(TaggerError, match="give a profile that was saved"):
        Profile.load(path)
    profile.save(path)
    with limited(limits_of_texts(["map-bytes=100"])), pytest.raises(TaggerError, match="more than 100 bytes"):
        Profile.load(path)
    with pytest.raises(TaggerError, match="the profile is None; give the path"):
        Profile.load(None)  # type: ignore[arg-type]
