"""Skeletons and splices of files: memory, copy paths, targets, external data, values on demand."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.files import external as external_data
from onnx_tagger.files import filecopy, onnxfile, pruning, wire
from onnx_tagger.files.onnxfile import read_initializer, read_skeleton, splice_bytes, write_spliced
from onnx_tagger.files.wire import varint

MIB = 1 << 20
PAD = "pkg.onnx_tagger.pad"


def model_with(*tensors: onnx.TensorProto) -> onnx.ModelProto:
    names = [tensor.name for tensor in tensors]
    nodes = [helper.make_node("Identity", [name], [f"{name}_out"], name=f"n_{name}") for name in names]
    outputs = [
        helper.make_tensor_value_info(f"{tensor.name}_out", tensor.data_type, list(tensor.dims)) for tensor in tensors
    ]
    graph = helper.make_graph(nodes, "g", [], outputs, list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def floats(name: str, count: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.random.default_rng(0).random(count, dtype=np.float32), name)


def tag(skeleton: onnxfile.Skeleton, value: str = "/A/B") -> None:
    for node in skeleton.model.graph.node:
        node.metadata_props.add(key="pkg.onnx_tagger.tag", value=value)
    skeleton.model.metadata_props.add(key="pkg.onnx_tagger.version", value="1")


def untag(skeleton: onnxfile.Skeleton) -> None:
    for holder in (skeleton.model, *skeleton.model.graph.node):
        for index in reversed(range(len(holder.metadata_props))):
            if holder.metadata_props[index].key.startswith("pkg.onnx_tagger."):
                del holder.metadata_props[index]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file of 1.6 MB: large enough for the kernel's copy."""
    path = tmp_path / "m.onnx"
    path.write_bytes(model_with(floats("w", 400_000), floats("b", 3)).SerializeToString())
    return path


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".tmp"))


def sparse_file(path: Path, size: int) -> bytes:
    """Write a model whose only tensor is a hole of `size` bytes; return the bytes before the hole."""
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.UINT8, dims=[size]).SerializeToString()
    tensor += b"\x4a" + varint(size)
    node = onnx.NodeProto(op_type="Identity", input=["w"], output=["y"]).SerializeToString()
    graph = b"\x0a" + varint(len(node)) + node + b"\x2a" + varint(len(tensor) + size) + tensor
    head: bytes = b"\x08\x0a\x3a" + varint(len(graph) + size) + graph
    path.write_bytes(head)
    os.truncate(path, len(head) + size)
    return head


def test_payloads_are_never_read(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    head = sparse_file(path, 64 * MIB)
    tracemalloc.start()
    try:
        skeleton = read_skeleton(path)
        tag(skeleton)
        write_spliced(skeleton, tmp_path / "out.onnx")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MIB
    assert skeleton.model.graph.initializer[0].dims == [64 * MIB]
    assert not skeleton.model.graph.initializer[0].HasField("raw_data")
    again = read_skeleton(tmp_path / "out.onnx")
    assert again.model.graph.node[0].metadata_props[0].value == "/A/B"
    untag(again)
    write_spliced(again, tmp_path / "back.onnx")
    assert (tmp_path / "back.onnx").stat().st_size == path.stat().st_size
    assert (tmp_path / "back.onnx").read_bytes()[: len(head)] == head


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


def failing(code: int) -> Callable[..., int]:
    def fail(*arguments: object) -> int:
        raise OSError(code, os.strerror(code))

    return fail


def nothing(*arguments: object) -> int:
    return 0


def by_pieces(copy: Callable[..., int]) -> Callable[..., int]:
    """Copy at most 1000 bytes a call, and give up for good in the middle."""
    calls = iter(range(300))

    def some(source: int, target: int, count: int, offset: int) -> int:
        return copy(source, target, min(count, 1000), offset) if next(calls, None) is not None else 0

    return some


@pytest.mark.parametrize("path", ["fast", "missing", "zero", "pieces", *map(errno.errorcode.get, [1, 18, 22, 38, 95])])
@pytest.mark.parametrize("second", ["fast", "missing", "zero", "ENOTSOCK"])
def test_every_way_of_copying_gives_the_same_file(
    path: str, second: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if second == "missing":
        monkeypatch.delattr(os, "sendfile", raising=False)
    elif second == "zero":
        monkeypatch.setattr(os, "sendfile", nothing)
    elif second != "fast":
        monkeypatch.setattr(os, "sendfile", failing(errno.ENOTSOCK))
    if path == "missing":
        monkeypatch.delattr(os, "copy_file_range", raising=False)
    elif path == "zero":
        monkeypatch.setattr(os, "copy_file_range", nothing)
    elif path == "pieces":
        monkeypatch.setattr(os, "copy_file_range", by_pieces(os.copy_file_range))
    elif path != "fast":
        monkeypatch.setattr(os, "copy_file_range", failing(getattr(errno, path)))
    skeleton = read_skeleton(source)
    tag(skeleton)
    expected = onnx.load(source)
    expected.graph.node[0].metadata_props.add(key="pkg.onnx_tagger.tag", value="/A/B")
    expected.graph.node[1].metadata_props.add(key="pkg.onnx_tagger.tag", value="/A/B")
    expected.metadata_props.add(key="pkg.onnx_tagger.version", value="1")
    write_spliced(skeleton, tmp_path / "out.onnx")
    assert onnx.load(tmp_path / "out.onnx") == expected
    assert (tmp_path / "out.onnx").read_bytes() == splice_bytes(skeleton)
    onnx.checker.check_model(str(tmp_path / "out.onnx"))


@pytest.mark.parametrize("chunk", [1000, 1 << 16, 1 << 17])
def test_a_copy_without_the_kernel_reads_a_chunk_at_a_time(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filecopy, "_by_range", nothing)
    monkeypatch.setattr(filecopy, "_by_sendfile", nothing)
    monkeypatch.setattr(filecopy, "CHUNK", chunk)
    data = bytes(range(256)) * 1200
    (tmp_path / "in").write_bytes(data)
    asked: list[int] = []

    def read(self: wire.FileReader, offset: int, length: int) -> bytes:
        asked.append(length)
        return data[offset : offset + length]

    monkeypatch.setattr(wire.FileReader, "read", read)
    with wire.open_file(tmp_path / "in") as reader, filecopy.replacing(tmp_path / "out") as output:
        output.copy(reader, 7, len(data))
    assert (tmp_path / "out").read_bytes() == data[7:]
    assert set(asked[:-1]) == {chunk}
    assert sum(asked) == len(data) - 7


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system takes no hints")
@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("in_memory", [False, True])
def test_the_disk_begins_before_the_end_if_it_can_be_asked(
    refused: bool, in_memory: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def fadvise(descriptor: int, offset: int, length: int, advice: int) -> None:
        assert offset + length <= os.fstat(descriptor).st_size
        asked.append((offset, offset + length))
        if refused:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(filecopy, "_STRIDE", 1 << 17)
    monkeypatch.setattr(os, "posix_fadvise", fadvise)
    skeleton = read_skeleton(source.read_bytes() if in_memory else source)
    tag(skeleton)
    write_spliced(skeleton, tmp_path / "out.onnx")
    assert (tmp_path / "out.onnx").read_bytes() == splice_bytes(skeleton)
    ends = [end for _, end in asked]
    assert [start for start, _ in asked] == [0, *ends[:-1]]
    assert source.stat().st_size - ends[-1] < 1 << 18


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failed_write_leaves_the_target_as_it_was(
    code: int, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out.onnx"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, "copy_file_range", failing(code))
    with pytest.raises(TaggerError, match=f"cannot be written: {os.strerror(code)}"):
        write_spliced(read_skeleton(source), target)
    assert target.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_an_interrupt_leaves_nothing_behind(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "copy_file_range", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_spliced(read_skeleton(source), tmp_path / "out.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


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


def test_permissions_are_those_of_a_new_file_or_of_the_old_target(source: Path, tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        write_spliced(read_skeleton(source), tmp_path / "new.onnx")
        (tmp_path / "old.onnx").touch(0o600)
        (tmp_path / "old.onnx").chmod(0o606)
        write_spliced(read_skeleton(source), tmp_path / "old.onnx")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "new.onnx").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "old.onnx").stat().st_mode) == 0o606


def test_impossible_targets_are_refused(source: Path, tmp_path: Path) -> None:
    skeleton = read_skeleton(source)
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for target, what in [
        (tmp_path, "is a directory"),
        (tmp_path / "none" / "out.onnx", "there is no folder"),
        (source / "out.onnx", "is not a folder"),
        (tmp_path / "pipe", "is not a regular file"),
        (tmp_path / "loop", "cannot be written: Too many"),
        (tmp_path / ("x" * 300), "cannot be written: File name too long"),
        (tmp_path / "nul\0", "cannot be written: embedded null"),
    ]:
        with pytest.raises(TaggerError, match=what):
            write_spliced(skeleton, target)
    assert leftovers(tmp_path) == []


def test_write_protected_targets_are_refused(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out.onnx").touch(0o400)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anything
    with pytest.raises(TaggerError, match="is write-protected"):
        write_spliced(read_skeleton(source), tmp_path / "out.onnx")


def test_a_model_in_memory_is_written_to_a_file(source: Path, tmp_path: Path) -> None:
    skeleton = read_skeleton(source.read_bytes())
    tag(skeleton)
    write_spliced(skeleton, tmp_path / "out.onnx", pad_key=PAD)
    again = read_skeleton(tmp_path / "out.onnx")
    untag(again)
    assert splice_bytes(again) == source.read_bytes()


def offset_of_weights(path: Path) -> int:
    return path.read_bytes().index(numpy_helper.to_array(floats("w", 400_000)).tobytes())


@pytest.mark.parametrize("length", [1, 90, 500, 1300])
def test_padding_keeps_weights_in_step_and_leaves_no_trace(length: int, source: Path, tmp_path: Path) -> None:
    skeleton = read_skeleton(source)
    tag(skeleton, "x" * length)
    write_spliced(skeleton, tmp_path / "1.onnx", pad_key=PAD)
    assert (offset_of_weights(tmp_path / "1.onnx") - offset_of_weights(source)) % 4096 == 0
    onnx.checker.check_model(str(tmp_path / "1.onnx"))

    skeleton = read_skeleton(tmp_path / "1.onnx")
    write_spliced(skeleton, tmp_path / "2.onnx", pad_key=PAD)
    assert (tmp_path / "2.onnx").read_bytes() == (tmp_path / "1.onnx").read_bytes()

    tag(skeleton, "y" * 70)
    write_spliced(skeleton, tmp_path / "3.onnx", pad_key=PAD)
    assert (offset_of_weights(tmp_path / "3.onnx") - offset_of_weights(tmp_path / "1.onnx")) % 4096 == 0
    skeleton = read_skeleton(tmp_path / "3.onnx")
    assert [entry.key for entry in skeleton.model.metadata_props].count(PAD) == 1
    untag(skeleton)
    write_spliced(skeleton, tmp_path / "4.onnx")
    assert (tmp_path / "4.onnx").read_bytes() == source.read_bytes()


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


def test_data_files_are_found_wherever_a_tensor_can_be() -> None:
    places = iter(range(100))

    def far(tensor: onnx.TensorProto) -> None:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value=str(next(places)))

    model = onnx.ModelProto(ir_version=10)
    training = model.training_info.add()
    function = model.functions.add(name="f")
    for graph in (model.graph, training.initialization, training.algorithm, function):
        attribute = graph.node.add(op_type="Op").attribute.add(name="a")
        inner = attribute.graphs.add()
        far(attribute.t)
        far(attribute.tensors.add())
        for sparse in (attribute.sparse_tensor, attribute.sparse_tensors.add(), inner.sparse_initializer.add()):
            far(sparse.values)
            far(sparse.indices)
        far(attribute.g.initializer.add())
    far(function.attribute_proto.add(name="default").t)
    skeleton = read_skeleton(model.SerializeToString())
    assert {int(location) for location in skeleton.external} == set(range(next(places)))
    assert len(skeleton.external) == 4 * 9 + 1


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | wire.LENGTH) + varint(len(data)) + data


# The fields of a model that hold a tensor, outermost first.
PLACES = {
    "initializer": [7, 5],
    "sparse": [7, 15, 2],
    "constant": [7, 1, 5, 5],
    "body": [7, 1, 5, 6, 5],
    "function": [25, 7, 5, 5],
}


@pytest.mark.parametrize("part", [1, 1 << 16])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("mark", ["7001", "70818000", "f00001", "f080008100"])
def test_a_tensor_that_names_no_data_file_is_not_overlooked(
    mark: str, place: str, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However its mark is written, and though others account for all that is said of locations."""
    monkeypatch.setattr(pruning, "_PART", part)
    nameless = field(8, b"nameless") + bytes.fromhex(mark)
    for number in reversed(PLACES[place][1:]):
        nameless = field(number, nameless)
    named = field(5, b"\x70\x01" + field(13, field(1, b"location") + field(2, b"w.bin")))
    graph = field(2, b"graph") + named * 2
    if PLACES[place][0] == wire.GRAPH_OF_MODEL:
        data = field(7, nameless + graph)
    else:
        data = field(7, graph) + field(PLACES[place][0], nameless)
    assert sorted(map(str, read_skeleton(data).external)) == ["", "w.bin"]


def test_marks_of_external_data_are_counted_over_any_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes.fromhex("7001 f00001 00 f080008100 7000 f001 7071 708180") * 9
    for size in (1, 2, 3, 7, 1 << 16):
        monkeypatch.setattr(external_data, "_COUNTED", size)
        assert external_data.most_external(data) == 4 * 9
    assert external_data.most_external(b"") == external_data.most_external(b"\x70") == 0


def test_only_the_initializers_are_looked_at_where_they_have_all_external_data(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_with(floats("w", 2))
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "w.bin")
    monkeypatch.delattr(external_data, "_other_tensors")
    assert read_skeleton(model.SerializeToString()).external == ("w.bin",)


def test_what_tensors_say_of_their_data_is_not_held() -> None:
    model = onnx.ModelProto()
    tensor = onnx.TensorProto(data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.extend([onnx.StringStringEntryProto()] * 20)
    tensor.external_data.add(key="location", value="w.bin")
    model.graph.initializer.extend([tensor] * 1000)
    for most in (1000, 1001):
        tracemalloc.start()
        assert dict.fromkeys(external_data.locations(model, most)) == {"w.bin": None}
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 50_000
