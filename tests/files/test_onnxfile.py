"""Skeletons and splices of files: memory, copy paths, targets, external data, values on demand."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from examples.stored import floats, model_with, sparse_file, tag, untag
from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.files import wire
from onnx_tagger.files.onnxfile import read_skeleton, splice_bytes, write_spliced
from onnx_tagger.files.tensors import read_initializer

PAD = "pkg.onnx_tagger.pad"


def test_a_file_beyond_protobufs_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    sparse_file(path, 5 << 30)
    assert read_skeleton(path).model.graph.initializer[0].dims == [5 << 30]


def test_metadata_that_would_break_the_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    sparse_file(path, wire.MAX_MESSAGE - 60)
    skeleton = read_skeleton(path)
    tag(skeleton)
    with pytest.raises(TaggerError, match="protobuf reads up to 2147483647"):
        write_spliced(skeleton, tmp_path / "out.onnx")
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


def test_in_place_has_to_be_allowed_through_any_link(source: Path, tmp_path: Path) -> None:
    before = source.read_bytes()
    (tmp_path / "soft.onnx").symlink_to(source)
    (tmp_path / "hard.onnx").hardlink_to(source)
    skeleton = read_skeleton(source)
    tag(skeleton)
    for target in (source, tmp_path / "soft.onnx", tmp_path / "hard.onnx", tmp_path / "." / "m.onnx"):
        with pytest.raises(TaggerError, match=r"is the input itself.*--in-place"):
            write_spliced(skeleton, target)
    assert source.read_bytes() == before
    (tmp_path / "hard.onnx").unlink()

    expected = splice_bytes(skeleton)
    write_spliced(skeleton, tmp_path / "soft.onnx", in_place=True)
    assert (tmp_path / "soft.onnx").is_symlink()
    assert source.read_bytes() == expected


def test_in_place_without_a_change_touches_nothing(source: Path) -> None:
    before = source.stat()
    write_spliced(read_skeleton(source), source, in_place=True)
    assert (source.stat().st_ino, source.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_source_that_changed_is_not_spliced(source: Path, tmp_path: Path) -> None:
    skeleton = read_skeleton(source)
    source.write_bytes(source.read_bytes() + b"\x12\x01a")
    with pytest.raises(TaggerError, match="was changed after it was read"):
        write_spliced(skeleton, tmp_path / "out.onnx")


def test_a_model_in_memory_is_written_to_a_file(source: Path, tmp_path: Path) -> None:
    skeleton = read_skeleton(source.read_bytes())
    tag(skeleton)
    write_spliced(skeleton, tmp_path / "out.onnx", pad_key=PAD)
    again = read_skeleton(tmp_path / "out.onnx")
    untag(again)
    assert splice_bytes(again) == source.read_bytes()


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """A model with data files of its own folder and of one below, named by an initializer, a constant and a body."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    tensors = {name: floats(name, 300) for name in ("w", "c", "b")}
    model = model_with(tensors["w"])
    constant = model.graph.node.add(op_type="Constant", output=["c"])
    constant.attribute.add(name="value", t=tensors["c"], type=onnx.AttributeProto.TENSOR)
    body = onnx.GraphProto(name="body", initializer=[tensors["b"]])
    model.graph.node.add(op_type="If").attribute.add(name="then_branch", g=body, type=onnx.AttributeProto.GRAPH)
    attributes = [node.attribute[0] for node in model.graph.node[1:]]
    holders = [model.graph.initializer[0], attributes[0].t, attributes[1].g.initializer[0]]
    for tensor, location, offset in zip(holders, ["w.bin", "sub/c.bin", "w.bin"], [16, 0, 1216], strict=True):
        with (folder / location).open("ab") as data:
            data.truncate(offset)
            data.seek(offset)
            data.write(tensor.raw_data)
        onnx.external_data_helper.set_external_data(tensor, location, offset, len(tensor.raw_data))
        tensor.ClearField("raw_data")
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_data_files_stay_in_the_same_folder(external: Path) -> None:
    skeleton = read_skeleton(external)
    assert skeleton.external == ("w.bin", "sub/c.bin")
    before = sorted(external.parent.rglob("*"))
    write_spliced(skeleton, external.with_name("out.onnx"))
    assert sorted(external.parent.rglob("*")) == sorted([*before, external.with_name("out.onnx")])


@pytest.mark.parametrize("link", [False, True])
def test_data_files_follow_into_another_folder(link: bool, external: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    skeleton = read_skeleton(external)
    tag(skeleton)
    write_spliced(skeleton, out / "m.onnx", link=link)
    for location in skeleton.external:
        assert (out / str(location)).read_bytes() == (external.parent / str(location)).read_bytes()
        assert (out / str(location)).samefile(external.parent / str(location)) == link
    values = read_initializer(read_skeleton(out / "m.onnx"), "w")
    assert np.array_equal(values, numpy_helper.to_array(floats("w", 300)))
    write_spliced(skeleton, out / "again.onnx", link=link)  # the same data is there already
    if not link:
        onnx.load(out / "m.onnx")


def test_other_data_of_that_name_is_an_error_that_changes_nothing(external: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "sub" / "c.bin").write_bytes(b"other")
    skeleton = read_skeleton(external)
    with pytest.raises(TaggerError, match=r"c\.bin already exists and is not the data"):
        write_spliced(skeleton, out / "m.onnx")
    assert sorted(path.name for path in out.rglob("*")) == ["c.bin", "sub"]


def test_data_files_go_away_again_if_the_model_cannot_be_written(
    external: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    real = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target.name == "m.onnx":
            raise OSError(errno.EACCES, "refused")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(TaggerError, match="refused"):
        write_spliced(read_skeleton(external), out / "m.onnx")
    assert list(out.iterdir()) == []


def test_a_target_never_takes_the_place_of_weights(external: Path, tmp_path: Path) -> None:
    skeleton = read_skeleton(external)
    (tmp_path / "link.onnx").symlink_to(external.parent / "w.bin")
    for target in (external.parent / "w.bin", tmp_path / "link.onnx"):
        with pytest.raises(TaggerError, match="holds the weights"):
            write_spliced(skeleton, target, in_place=True)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(TaggerError, match="name of its data file"):
        write_spliced(skeleton, out / "w.bin")
    assert list(out.iterdir()) == []


def test_missing_data_is_named(external: Path, tmp_path: Path) -> None:
    (external.parent / "w.bin").unlink()
    skeleton = read_skeleton(external)
    (tmp_path / "out").mkdir()
    with pytest.raises(TaggerError, match=r"w\.bin cannot be opened"):
        write_spliced(skeleton, tmp_path / "out" / "m.onnx")
    with pytest.raises(TaggerError, match=r"w\.bin cannot be opened"):
        read_initializer(skeleton, "w")


@pytest.mark.parametrize(
    ("location", "what"),
    [
        ("", "is no file name"),
        ("/etc/hostname", "lies outside"),
        ("../w.bin", "lies outside"),
        ("sub/../../w.bin", "lies outside"),
        (".", "lies outside"),
        ("out", "a link out of its folder"),
        ("away/w.bin", "a link out of its folder"),
        ("a\0b", "is no file name"),
        ("sub", "is a directory"),
    ],
)
def test_external_data_is_contained(location: str, what: str, external: Path, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(2000))
    (external.parent / "out").symlink_to(tmp_path / "w.bin")
    (external.parent / "away").symlink_to(tmp_path)
    model = onnx.load(external, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = location
    external.write_bytes(model.SerializeToString())
    skeleton = read_skeleton(external)
    with pytest.raises(TaggerError, match=what):
        read_initializer(skeleton, "w")
    (tmp_path / "target").mkdir()
    with pytest.raises(TaggerError, match=what):
        write_spliced(skeleton, tmp_path / "target" / "m.onnx")
    write_spliced(skeleton, external.with_name("beside.onnx"))


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("offset", "-1", "ends before"),
        ("offset", "99999", "ends before"),
        ("length", "99999", "ends before"),
        ("length", "-4", "ends before"),
        ("length", "many", "is no number"),
        ("length", "4", "do not fit"),
    ],
)
def test_external_values_that_are_not_there_are_named(key: str, value: str, what: str, external: Path) -> None:
    model = onnx.load(external, load_external_data=False)
    for entry in model.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = value
    external.write_bytes(model.SerializeToString())
    with pytest.raises(TaggerError, match=what):
        read_initializer(read_skeleton(external), "w")


def test_external_data_of_a_model_in_memory_cannot_be_found(external: Path) -> None:
    with pytest.raises(TaggerError, match="in memory"):
        read_initializer(read_skeleton(external.read_bytes()), "w")


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "int32", "uint64", "float64", "bool"])
def test_initializers_are_read_on_demand(dtype: str, raw: bool) -> None:
    array = (np.arange(600).reshape(20, 30) % 7).astype(dtype)
    tensor = numpy_helper.from_array(array, "w")
    if not raw:
        tensor = helper.make_tensor("w", tensor.data_type, array.shape, array.flatten().tolist())
    skeleton = read_skeleton(model_with(floats("other", 5), tensor).SerializeToString())
    values = read_initializer(skeleton, "w")
    assert values.dtype == array.dtype
    assert np.array_equal(values, array)
    assert len(read_initializer(skeleton, "other")) == 5


def test_an_initializer_that_is_not_there_or_does_not_fit_is_named() -> None:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[5], raw_data=bytes(2000))
    skeleton = read_skeleton(model_with(tensor).SerializeToString())
    with pytest.raises(TaggerError, match="no initializer 'v'"):
        read_initializer(skeleton, "v")
    with pytest.raises(FileFormatError, match="values of 'w' do not fit"):
        read_initializer(skeleton, "w")


def test_paths_of_any_kind_are_sources(source: Path) -> None:
    assert read_skeleton(str(source)).path == source
    script = (
        "from onnx_tagger.files.onnxfile import read_skeleton; print(len(read_skeleton('m.onnx').model.graph.node))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=source.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.onnx").touch()
    for path, what in [
        (tmp_path / "none.onnx", "none.onnx cannot be opened"),
        (tmp_path, "is a directory"),
        (tmp_path / "empty.onnx", "is empty"),
    ]:
        with pytest.raises(FileFormatError, match=what):
            read_skeleton(path)
