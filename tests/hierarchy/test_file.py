"""The file of a map: round trip, equal bytes, schema, limits, and that bad input is always one MapError."""

from __future__ import annotations

import copy
import gzip
import hashlib
import json
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from examples.maps import assert_one_line, document, make_map, refused, refused_json
from onnx_tagger.errors import MapError
from onnx_tagger.hierarchy.file import digest_of, parse_map, read_map, to_json
from onnx_tagger.hierarchy.map import HierarchyMap, Module
from onnx_tagger.model.limits import InputLimits, limited

# What a JSON document may hold in any place.
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
scalars |= st.sampled_from([-1, 2**31, 2**63, 10**400, "exported", "/Net", "a", "", "onnx-tagger/hierarchy-map"])
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


@pytest.mark.parametrize("name", ["m.hierarchy.json", "m.hierarchy.json.gz"])
def test_round_trip(tmp_path: Path, name: str) -> None:
    made, path = make_map(), tmp_path / name
    digest = made.save(path)
    read = HierarchyMap.load(path)
    assert read == made
    assert read.digest == digest == digest_of(to_json(made))
    assert path.read_bytes()[:2] == (b"\x1f\x8b" if name.endswith(".gz") else b'{"')


@pytest.mark.parametrize("loaded", [False, True])
def test_a_digest_is_the_beginning_of_the_sha_256(loaded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whatever code it is made."""
    if not loaded:
        monkeypatch.delitem(sys.modules, "hashlib")
    for length in (0, 1, 63, 64, 1 << 20, (1 << 20) + 1):
        data = b"x" * length
        assert digest_of(data) == hashlib.sha256(data).hexdigest()[:32]


def test_round_trip_without_graph(tmp_path: Path) -> None:
    made = HierarchyMap(make_map().modules)
    made.save(tmp_path / "m.json")
    assert HierarchyMap.load(tmp_path / "m.json") == made
    assert b'"graph"' not in (tmp_path / "m.json").read_bytes()


@pytest.mark.parametrize("name", ["m.json", "m.json.gz"])
def test_equal_maps_give_equal_bytes(tmp_path: Path, name: str) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        folder.mkdir()
        make_map().save(folder / name)
    data = (one / name).read_bytes()
    assert data == (other / name).read_bytes()
    if name.endswith(".gz"):
        assert data[4:8] == bytes(4), "gzip's header holds a time"


def test_a_read_map_is_written_as_it_was(tmp_path: Path) -> None:
    make_map().save(tmp_path / "m.json")
    assert to_json(HierarchyMap.load(tmp_path / "m.json")) == (tmp_path / "m.json").read_bytes()


def test_gzipped_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(gzip.compress(to_json(make_map())))
    assert HierarchyMap.load(tmp_path / "m.json") == make_map()


def test_a_name_that_is_no_text_is_refused_on_writing(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="no valid text"):
        HierarchyMap((Module("", "Net\ud800", "/Net"),)).save(tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "phrase"),
    [
        (b"", "is no JSON object"),
        (b"[]", "is no JSON object"),
        (b"{", "is no JSON object"),
        (b"\xff\xfe", "is no JSON object"),
        (b"{}", "has no format, not 'onnx-tagger/hierarchy-map'"),
        (b'{"format": "x"}', "has the format 'x'"),
        (b'{"format": ["x"]}', "has the format"),
        (b"[" * 100_000, "is no JSON object"),
        (b'{"format": "onnx-tagger/hierarchy-map", "x": ' + b"[" * 100_000, "is no JSON object"),
        (b'{"format": "' + b"x" * 1_000_000 + b'"}', "has the format"),
        (b'{"format": ' + b"[" * 150 + b"]" * 150 + b"}", "has the format"),
        (b'{"format": ' + b"[" * 100_000, "is no JSON object"),
    ],
)
def test_what_is_no_map(data: bytes, phrase: str) -> None:
    assert phrase in refused(data)


@pytest.mark.parametrize("version", [2, 0, "1", 1.5, None, False, 10**30])
def test_other_versions(version: object) -> None:
    assert "this onnx-tagger reads version 1" in refused_json({**document(), "version": version})


@pytest.mark.parametrize(
    ("place", "value", "phrase"),
    [
        (("modules",), {}, "modules: "),
        (("modules", 0, "path"), 1, "modules.0.path"),
        (("modules", 0, "path"), "b", "no root module"),
        (("modules", 2, "parent"), "nowhere", "'a.0' has the parent 'nowhere'"),
        (("modules", 2, "parent"), "a.1", "does not lie in its parent"),
        (("modules", 3, "tag"), "/Net/Blk.0", "one tag"),
        (("modules", 3, "tag"), "/Net/Blk.2", "'/Net/Blk.2'"),
        (("modules", 3, "tag"), "x", "'x'"),
        (("modules", 3, "path"), "a.0", "two modules by one path"),
        (("modules", 0, "calls"), -1, "modules.0.calls"),
        (("modules", 0, "calls"), 2**31, "modules.0.calls"),
        (("modules", 0, "order"), 1.5, "modules.0.order"),
        (("parameters", 0, "owner"), "nowhere", "'a.0.w' has the owner 'nowhere'"),
        (("parameters", 0, "shape"), [2**63], "parameters.0.shape.0"),
        (("parameters", 0, "digests"), ["0" * 16], "parameters.0.digests"),
        (("parameters", 0, "digests"), ["0" * 16, "x" * 16], "parameters.0.digests.1"),
        (("graph", "strings"), [], "a string that the table does not hold"),
        (("graph", "nodes", "module"), [-2, -1, -1], "graph.nodes.module.0"),
        (("graph", "nodes", "module"), [-1, -1], "the columns of its nodes differ in length"),
        (("graph", "nodes", "source"), ["exported"], "the columns of its nodes differ in length"),
        (("graph", "nodes", "source"), ["x", "x", "x"], "graph.nodes.source.0"),
        (("graph", "nodes", "op"), [9999] * 3, "a string that the table does not hold"),
        (("graph", "nodes", "inputs"), [[0], [9999], []], "a string that the table does not hold"),
        (("graph", "inputs"), [9999], "a string that the table does not hold"),
        (("graph", "initializers", "owners"), [], "the columns of its initializers differ in length"),
    ],
)
def test_damaged_maps_say_where(place: tuple[str | int, ...], value: object, phrase: str) -> None:
    made = document()
    holder: Any = made
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    assert phrase in refused_json(made)


@pytest.mark.parametrize(
    "text",
    [b"\xff", b"\xed\xa0\x80", b"\xc3", b"\\ud800", b"\\udc00x", b"\\q", b"\n", b"\0"],
    ids=["no UTF-8", "surrogate", "half", "escaped surrogate", "other half", "escape", "line break", "nought"],
)
@pytest.mark.parametrize("key", [b"created_by", b"later"])
def test_what_is_no_text_is_refused(text: bytes, key: bytes) -> None:
    """Whether somebody reads it or not."""
    head, _, rest = to_json(make_map()).partition(b'"created_by":')
    for value in (text, b"x" * 2_000_000 + text):
        data = head + b'"' + key + b'":"' + value + b'",' + b'"created_by":' + rest
        assert "is no JSON object" in refused(data)


def test_text_that_is_parted_between_two_chunks_is_read() -> None:
    for length in range((1 << 20) - 4, 1 << 20):
        assert parse_map(b'{"later":"' + b"x" * length + "ßñ😀".encode() + b'",' + to_json(make_map())[1:], "m")


def test_a_mark_of_the_byte_order_or_more_behind_the_end_is_refused() -> None:
    data = to_json(make_map())
    for wrong in (b"\xef\xbb\xbf" + data, data + b"x", data + b"\0", data.decode().encode("utf-16")):
        assert "is no JSON object" in refused(wrong)


def test_too_large(tmp_path: Path) -> None:
    data = to_json(make_map())
    for name, content in (("m.json", data), ("m.json.gz", gzip.compress(data))):
        (tmp_path / name).write_bytes(content)
        assert read_map(tmp_path / name, max_bytes=len(data)) == make_map()
        with pytest.raises(MapError, match=f"holds more than {len(data) - 1} bytes of JSON"):
            read_map(tmp_path / name, max_bytes=len(data) - 1)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    (tmp_path / "m.json.gz").write_bytes(gzip.compress(b" " * 20_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(MapError, match="more than 1000 bytes"):
            read_map(tmp_path / "m.json.gz", max_bytes=1000)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@settings(max_examples=60)
@given(st.data())
def test_gzip_damage(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    packed = bytearray(gzip.compress(to_json(make_map()), mtime=0))
    for at in data.draw(st.lists(st.integers(2, len(packed) - 1), min_size=1, max_size=3, unique=True)):
        packed[at] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.json.gz"
    path.write_bytes(packed[: data.draw(st.integers(2, len(packed)))])
    try:
        # Flags and the time stamp in the header may be anything.
        assert read_map(path) == make_map()
    except MapError as error:
        assert_one_line(error)


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="no such map; a map is saved beside the model at export"):
        HierarchyMap.load(tmp_path / "m.json")
    with pytest.raises(MapError, match="cannot be read as a map"):
        HierarchyMap.load(tmp_path)


@given(st.binary(max_size=200))
def test_random_bytes(data: bytes) -> None:
    refused(data)


@given(anything)
def test_random_json(value: object) -> None:
    refused_json(value)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON document, by the keys that lead to it."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, inner in steps for place in places(inner, (*at, key)))]


PLACES = places(document())[1:]


@settings(max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.none() | anything), min_size=1, max_size=3), st.booleans())
def test_random_changes_of_a_map_are_read_or_refused(changes: list[tuple[tuple[Any, ...], object]], drop: bool) -> None:
    made = copy.deepcopy(document())
    for place, value in changes:
        holder: Any = made
        try:
            for step in place[:-1]:
                holder = holder[step]
            if drop and value is None:
                del holder[place[-1]]
            else:
                holder[place[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    try:
        read = parse_map(json.dumps(made).encode(), "m.json")
    except MapError as error:
        assert_one_line(error)
        return
    # What is accepted is whole: it can be asked and written again.
    for module in read.modules:
        assert read.chain(module.path)[0] == ""
    assert parse_map(to_json(read), "again") == read


# --- limits -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "phrase"),
    [
        (InputLimits(map_bytes=100), "holds more than 100 bytes of JSON.*raise --limit map-bytes"),
        (InputLimits(map_values=20), "holds more than 20 values.*raise --limit map-values"),
        (InputLimits(nodes=1), "it lists [0-9]+ nodes, more than 1.*raise --limit nodes"),
        (InputLimits(modules=1), "it lists [0-9]+ modules, more than 1.*raise --limit modules"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_map_is_held_to_limits(limits: InputLimits, phrase: str, packed: bool, tmp_path: Path) -> None:
    path = tmp_path / f"m.json{'.gz' if packed else ''}"
    make_map().save(path)
    assert read_map(path) == make_map()
    with limited(limits), pytest.raises(MapError, match=phrase):
        read_map(path)


def test_a_gzip_bomb_is_refused_by_its_ratio(tmp_path: Path) -> None:
    """Though its JSON would be within the limit; a map that is small when unpacked may be packed as it likes."""
    path = tmp_path / "m.json.gz"
    path.write_bytes(gzip.compress(to_json(make_map()) + b" " * 1_000_000))
    assert read_map(path).modules == make_map().modules
    path.write_bytes(gzip.compress(to_json(make_map()) + b" " * 100_000_000))
    with pytest.raises(MapError, match="unpacks to more than 200 times its size"):
        read_map(path)


@pytest.mark.parametrize(("key", "phrase"), [("later", ""), ("format", "the format '[[{"), ("version", "version [[{")])
def test_nothing_is_made_of_what_nobody_reads(key: str, phrase: str) -> None:
    """Nor of what only an error tells of."""
    data = json.dumps(document() | {key: "@"}).replace('"@"', "[" + '[{"a": [1.5]}],' * 100_000 + "1]").encode()
    tracemalloc.start()
    try:
        if phrase:
            assert phrase in refused(data)
        else:
            assert parse_map(data, "m.json") == make_map()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
