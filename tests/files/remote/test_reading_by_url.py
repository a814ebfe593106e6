"""Files elsewhere, read for real: a web server on the loopback with faults, fsspec's memory, a file:// URL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import onnx
import pytest

import onnx_tagger as ot
from examples.stored import floats, model_with
from examples.web import Web, serving
from onnx_tagger.cli.main import run
from onnx_tagger.errors import MissingExtraError, TaggerError
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.remote import ranges as patience
from onnx_tagger.files.remote.readahead import RemoteReader
from onnx_tagger.files.tensors import read_initializer
from onnx_tagger.model.metadata import Source, Tag, write_node


def layered(layers: int = 8) -> bytes:
    """A model whose weights repeat, layer by layer, as those of a transformer do."""
    sizes = (40_000, 200, 40_000, 200, 160_000, 800)
    weights = [floats(f"layer.{at}.{part}", size) for at in range(layers) for part, size in enumerate(sizes)]
    model = model_with(*weights)
    del model.graph.node[:]
    for at in range(layers):
        node = model.graph.node.add(op_type="Relu", input=[f"layer.{at}.0"], output=[f"o{at}"], name=f"act{at}")
        write_node(node, Tag(f"layer.{at}", f"/Net/Layer.{at}", Source.EXPORTED), ())
    return bytes(model.SerializeToString())


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.001)
    with serving(Web({"m.onnx": layered()})) as server:
        yield server


def reader_of(url: str) -> RemoteReader:
    reader = read_skeleton(url).memory
    assert isinstance(reader, RemoteReader)
    return reader


@pytest.mark.parametrize("together", [True, False])
def test_a_model_is_read_by_few_ranges(web: Web, together: bool) -> None:
    web.together = together
    whole = web.files["m.onnx"]
    skeleton = read_skeleton(web.url("m.onnx"))
    assert skeleton.model == read_skeleton(whole).model
    assert web.sent < len(whole) / 2 or not together
    reader = skeleton.memory
    assert isinstance(reader, RemoteReader)
    assert reader.ranges.received < len(whole) / 2
    assert reader.ranges.requests == len(web.requests)
    assert not together or len(web.requests) < 14  # 24 weights lie far apart
    values = read_initializer(skeleton, "layer.7.4")
    assert np.array_equal(values, read_initializer(read_skeleton(whole), "layer.7.4"))


@pytest.mark.parametrize("fault", ["cut", "short", "long", "shifted", "503", "429:0"])
def test_what_fails_for_a_moment_is_asked_again(web: Web, fault: str) -> None:
    web.fault = lambda number: fault if number in (0, 2, 3) else ""
    assert read_skeleton(web.url("m.onnx")).model == read_skeleton(web.files["m.onnx"]).model


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("cut", "the connection failed"),
        ("short", "65535 bytes where 65536 were asked for, 4 times in a row"),
        ("long", "more than 65536 bytes where 65536 were asked for"),
        ("shifted", "the server sends bytes 1 to 65536 where 0 to 65535 were asked for"),
        ("503", "the server answers 503"),
        ("429:3600", "asks for a pause of 3600 s; try later"),
        ("404", "there is no such file"),
        ("403", "may not be read"),
        ("418", "the server answers 418"),
        ("unranged", None),
    ],
)
def test_what_stays_wrong_is_an_error(web: Web, fault: str, sentence: str | None) -> None:
    web.fault = lambda _: fault
    if sentence is None:  # a short file is taken whole from a server without ranges
        assert len(read_skeleton(web.url("m.onnx")).model.graph.node) == 8
        assert len(web.requests) == 1
        return
    with pytest.raises(TaggerError, match=sentence):
        read_skeleton(web.url("m.onnx"))
    assert len(web.requests) <= patience.ATTEMPTS


def test_a_large_file_without_ranges_is_refused_before_it_comes(web: Web) -> None:
    web.files["m.onnx"] = layered(16)
    web.ranges = False
    with pytest.raises(TaggerError, match=r"the server ignores ranges and would send all .* bytes; download it"):
        read_skeleton(web.url("m.onnx"))


def test_ranges_that_are_ignored_later_are_an_error(web: Web) -> None:
    web.together = False
    web.fault = lambda number: "unranged" if number > 3 else ""
    with pytest.raises(TaggerError, match="the server ignores ranges"):
        read_skeleton(web.url("m.onnx"))


def test_a_file_that_changes_is_an_error(web: Web) -> None:
    web.etag = lambda number: '"old"' if number < 3 else '"new"'
    with pytest.raises(TaggerError, match=r'was changed while it was read .its ETag was "old" and is "new".'):
        read_skeleton(web.url("m.onnx"))


def test_a_file_that_grows_is_an_error_without_any_etag(web: Web) -> None:
    web.etag = lambda _: ""
    longer = web.files["m.onnx"] + onnx.ModelProto(producer_name="x").SerializeToString()

    def grow(number: int) -> str:
        web.files["m.onnx"] = longer if number > 2 else web.files["m.onnx"]
        return ""

    web.fault = grow
    with pytest.raises(TaggerError, match=r"it had .* bytes and has"):
        read_skeleton(web.url("m.onnx"))


def test_limits_hold(web: Web) -> None:
    from onnx_tagger.model.limits import InputLimits, limited

    with limited(InputLimits(nodes=3)), pytest.raises(TaggerError, match="more than 3 nodes"):
        read_skeleton(web.url("m.onnx"))


def test_secrets_are_not_printed(web: Web, capsys: pytest.CaptureFixture[str]) -> None:
    url = web.url("none.onnx").replace("http://", "http://me:secret@") + "?X-Amz-Signature=hidden&revision=v2"
    assert run(["tree", url]) == 2
    assert run(["check", url.replace("none", "m")]) == 0
    printed = "".join(capsys.readouterr())
    assert "secret" not in printed
    assert "hidden" not in printed
    assert "***@127.0.0.1" in printed
    assert "revision=v2" in printed


def test_every_reading_command_takes_a_url(web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local, url = tmp_path / "m.onnx", web.url("m.onnx")
    local.write_bytes(web.files["m.onnx"])
    for command in (["tree"], ["stats"], ["nodes", "--tsv"], ["nodes", "--under", "layer.3"]):
        told = []
        for source in (str(local), url):
            assert run([command[0], source, *command[1:]]) == 0
            told.append(capsys.readouterr().out.replace(source, "FILE"))
        assert told[0] == told[1]
    assert run(["show", url, "act3"]) == 0
    assert run(["check", url]) == 0
    assert run(["diff", url, str(local)]) == 0
    assert run(["stats", url, "--map", url]) == 0


def test_python_takes_a_url(web: Web) -> None:
    tagged = ot.read(web.url("m.onnx"))
    assert tagged.name == web.url("m.onnx")
    assert len(tagged.nodes(under="layer.3")) == 1
    assert ot.check(web.url("m.onnx")).ok


def test_a_map_is_read_by_url(web: Web, net_map: ot.HierarchyMap, tmp_path: Path) -> None:
    for name in ("a.hierarchy.json", "a.hierarchy.json.gz"):
        net_map.save(tmp_path / name)
        web.files[name] = (tmp_path / name).read_bytes()
        assert ot.HierarchyMap.load(web.url(name)).modules == net_map.modules


def test_a_local_copy_is_retagged(web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    local, out = tmp_path / "m.onnx", tmp_path / "out.onnx"
    local.write_bytes(web.files["m.onnx"])
    assert run(["retag", web.url("m.onnx"), "--map", str(local), "-o", str(out), "--verify-bytes"]) == 0
    assert ot.check(out).ok
    ot.retag(local, local, tmp_path / "same.onnx")
    assert out.read_bytes() == (tmp_path / "same.onnx").read_bytes()
    assert run(["strip", web.url("m.onnx"), "-o", str(out)]) == 0
    assert run(["retag", web.url("m.onnx"), "--in-place"]) == 2
    assert run(["retag", str(local), "-o", web.url("x.onnx")]) == 2
    assert "give the path of a local file" in capsys.readouterr().err
    with pytest.raises(TaggerError, match="give the path of a local file"):
        ot.retag(local, None, "s3://bucket/x.onnx")
    with pytest.raises(TaggerError, match="takes a local file; download it first"):
        ot.retag(web.url("m.onnx"), None, out, ir_version=10)


@pytest.fixture
def apart(tmp_path: Path) -> dict[str, bytes]:
    """A model with external data: its files by name."""
    model = onnx.ModelProto.FromString(layered(2))
    onnx.save(model, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=1000)
    return {name: (tmp_path / name).read_bytes() for name in ("m.onnx", "w.bin")}


def test_external_data_is_read_and_fetched(web: Web, apart: dict[str, bytes], tmp_path: Path) -> None:
    web.files = {f"a b/{name}".replace(" ", "%20"): data for name, data in apart.items()}
    url = web.url("a%20b/m.onnx?download=true")
    skeleton = read_skeleton(url)
    want = read_initializer(read_skeleton(tmp_path / "m.onnx"), "layer.1.4")
    assert np.array_equal(read_initializer(skeleton, "layer.1.4"), want)
    out = tmp_path / "copy" / "out.onnx"
    out.parent.mkdir()
    ot.retag(url, None, out, verify_bytes=True)
    assert (out.parent / "w.bin").read_bytes() == apart["w.bin"]
    ot.retag(url, None, out)
    (out.parent / "w.bin").write_bytes(b"other")
    with pytest.raises(TaggerError, match="already exists and is not the data of this model"):
        ot.retag(url, None, out)


def test_missing_external_data_leaves_nothing(web: Web, apart: dict[str, bytes], tmp_path: Path) -> None:
    web.files = {"m.onnx": apart["m.onnx"]}
    out = tmp_path / "copy" / "out.onnx"
    out.parent.mkdir()
    with pytest.raises(TaggerError, match=r"w.bin: there is no such file"):
        ot.retag(web.url("m.onnx"), None, out)
    assert not list(out.parent.iterdir())


@pytest.mark.parametrize("location", ["../w.bin", "/etc/passwd", "http://host/w", "a\\b", "", "a/"])
def test_external_data_never_leaves_the_folder(location: str) -> None:
    from onnx_tagger.files.sources import data_file
    from onnx_tagger.model.urls import Url

    with pytest.raises(TaggerError, match=r"outside its folder|no file name"):
        data_file(Url("https://host/a/m.onnx"), location)


def test_memory_and_file_urls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = layered()
    memory = fsspec.filesystem("memory")
    memory.pipe("/models/m.onnx", data)
    (tmp_path / "m.onnx").write_bytes(data)
    want = read_skeleton(data).model
    assert read_skeleton("memory://models/m.onnx").model == want
    skeleton = read_skeleton((tmp_path / "m.onnx").as_uri())
    assert skeleton.model == want
    assert skeleton.path == tmp_path / "m.onnx"
    assert run(["check", (tmp_path / "m.onnx").as_uri()]) == 0
    with pytest.raises(TaggerError, match=r"memory://models/none.onnx: there is no such file"):
        ot.check("memory://models/none.onnx")


def test_a_file_in_memory_that_changes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/m.onnx", layered())
    reader = reader_of("memory://m.onnx")
    memory.pipe("/m.onnx", layered(9))
    with pytest.raises(TaggerError, match="was changed while it was read"):
        reader.confirm()


def test_the_package_of_a_protocol_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TaggerError, match="Protocol not known"):
        ot.check("nowhere://bucket/m.onnx")
    with pytest.raises(MissingExtraError, match=r"s3:// needs s3fs, which is not installed: pip install"):
        ot.check("s3://bucket/m.onnx")
    monkeypatch.setattr("onnx_tagger.errors.is_installed", lambda _: False)
    with pytest.raises(MissingExtraError, match=r"needs fsspec, .* 'onnx-tagger\[remote\]'"):
        ot.check("https://host/m.onnx")


def test_a_lfs_pointer_or_a_page_is_named(web: Web, tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    web.files |= {"p.onnx": pointer, "page.onnx": b"<!DOCTYPE html><html></html>", "p.hierarchy.json": pointer}
    (tmp_path / "p.onnx").write_bytes(pointer)
    for source in (web.url("p.onnx"), str(tmp_path / "p.onnx")):
        with pytest.raises(TaggerError, match=r"Git LFS pointer.*run git lfs pull"):
            ot.check(source)
    with pytest.raises(TaggerError, match="is a web page"):
        ot.check(web.url("page.onnx"))
    with pytest.raises(TaggerError, match="Git LFS pointer"):
        ot.HierarchyMap.load(web.url("p.hierarchy.json"))


def test_a_source_of_ones_own_is_read() -> None:
    class Own:
        def __init__(self, data: bytes, lost: int = 0) -> None:
            self.data, self.size, self.lost = data, len(data), lost

        def read_at(self, offset: int, length: int) -> bytes:
            return self.data[offset : offset + length - self.lost]

    assert len(ot.read(Own(layered())).nodes()) == 8
    with pytest.raises(TaggerError, match=r"does not give .* mend its read_at"):
        ot.read(Own(layered(), lost=1))
