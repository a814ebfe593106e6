"""What records take in and refuse, and the schema that is made of them."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

import onnx_tagger
from examples.maps import document, make_map, refused
from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.file import json_schema, parse_map, to_json

SCHEMA = Path(onnx_tagger.__file__).parent / "hierarchy" / "hierarchy-map.schema.json"


def test_unknown_keys_are_left_for_later_versions() -> None:
    made = document()
    made["later"] = {"a": [1]}
    made["modules"][0]["later"] = 1
    assert parse_map(json.dumps(made).encode(), "m") == make_map()


def test_shipped_schema_is_the_generated_one() -> None:
    command = "python -m onnx_tagger.hierarchy.file > tagger/hierarchy/hierarchy-map.schema.json"
    assert SCHEMA.read_text(encoding="utf-8") == json_schema(), f"run: {command}"


def test_the_schema_accepts_a_saved_map_and_refuses_a_wrong_one() -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    validator.check_schema(schema)
    check = validator(schema)
    check.validate(document())
    for key, value in (("version", 2), ("format", "x"), ("modules", [{}]), ("graph", {"strings": [1]})):
        assert not check.is_valid({**document(), key: value})


def test_an_integer_of_many_digits_is_refused() -> None:
    data = to_json(make_map()).replace(b'"calls":2', b'"calls":' + b"9" * 10_000)
    assert "modules.2.calls: " in refused(data)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "01", "1.", "0x1", "+1", "1.0", "1e2", "true", '"2"', "null"])
def test_what_is_no_integer_is_refused(number: str) -> None:
    refused(to_json(make_map()).replace(b'"calls":2', f'"calls":{number}'.encode()))


def test_of_equal_keys_the_last_counts_and_each_is_validated() -> None:
    data = to_json(make_map())
    again = data.replace(b'"calls":2', b'"calls":7,"calls":2')
    assert parse_map(again, "m") == make_map()
    assert "modules.2.calls" in refused(data.replace(b'"calls":2', b'"calls":"x","calls":2'))


@pytest.mark.parametrize(
    "entry", ['"1":1', '"x":[]', '"1":[-1]', '"1":[1.5]', '"1":[true]', '"12345678901":[]', '"1\\\\n":[]']
)
def test_wrong_weights_of_a_trace(entry: str) -> None:
    columns = {
        "operators": ["mm"],
        "calls": [],
        "operator": [0],
        "module": [0],
        "call": [-1],
        "views": [],
        "reads": [[]],
    }
    text = json.dumps(document() | {"trace": columns | {"weights": "@"}}).replace('"@"', f"{{{entry}}}")
    with pytest.raises(MapError, match=r"here: (a key of )?trace\.weights[.0]*: Expected"):
        parse_map(text.encode(), "here")
