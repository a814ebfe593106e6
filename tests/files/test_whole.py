"""Models that are read and written whole, since a splice cannot express what changed."""

from pathlib import Path

import onnx
import pytest

from examples.stored import floats, model_with
from onnx_tagger.errors import FileFormatError, TaggerError
from onnx_tagger.files.whole import load_whole, write_whole


@pytest.fixture
def apart(tmp_path: Path) -> Path:
    """A model with its weight in a file beside it, in a folder of its own."""
    path = tmp_path / "in" / "m.onnx"
    path.parent.mkdir()
    onnx.save(model_with(floats("w", 300)), path, save_as_external_data=True, location="w.bin", size_threshold=0)
    return path


def test_another_topology_and_ir_version_are_written_with_the_same_weights(source: Path, tmp_path: Path) -> None:
    whole = load_whole(source, tmp_path / "o.onnx")
    whole.graph.node[0].op_type = "Neg"
    proved = write_whole(whole, 9, source, tmp_path / "o.onnx", verify_bytes=True)
    made = onnx.load(tmp_path / "o.onnx")
    assert (made.ir_version, made.graph.node[0].op_type) == (9, "Neg")
    assert made.graph.initializer == onnx.load(source).graph.initializer
    assert proved is not None
    assert proved.tensors == 2


def test_a_changed_weight_is_not_written_where_proof_is_asked_for(source: Path, tmp_path: Path) -> None:
    whole = load_whole(source, tmp_path / "o.onnx")
    whole.graph.initializer[1].raw_data = bytes(12)
    with pytest.raises(TaggerError, match=r"o\.onnx"):
        write_whole(whole, None, source, tmp_path / "o.onnx", verify_bytes=True)
    assert not (tmp_path / "o.onnx").exists()
    assert write_whole(whole, None, source, tmp_path / "o.onnx", verify_bytes=False) is None
    assert onnx.load(tmp_path / "o.onnx").graph.initializer[1].raw_data == bytes(12)


def test_external_data_stays_beside_the_model(apart: Path, tmp_path: Path) -> None:
    assert load_whole(apart, apart.with_name("o.onnx")).graph.initializer[0].external_data
    with pytest.raises(TaggerError, match="stays beside its external data; write into the input's folder"):
        load_whole(apart, tmp_path / "o.onnx")
    with pytest.raises(TaggerError, match=r"w\.bin"):
        load_whole(apart, apart.with_name("w.bin"))


def test_what_protobuf_cannot_parse_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x0a")
    with pytest.raises(FileFormatError, match="protobuf cannot parse it as a whole"):
        load_whole(tmp_path / "m.onnx", tmp_path / "o.onnx")
