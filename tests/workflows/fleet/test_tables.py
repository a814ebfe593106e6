"""Rows as files: what was written is read again, in every form, and nothing else is taken for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.fleet import Found, Row
from onnx_tagger.workflows.fleet.tables import form_of, read_rows, write_rows

ROWS = [
    Row(
        url='a "quoted", name\n.onnx',
        size=12,
        mtime="2026-01-01T00:00:00Z",
        tool="1",
        job="check-0",
        producer="pytorch 2",
        opset=20,
        architecture="Net",
        nodes=3,
        tagged=2,
        coverage=66.5,
        by_source={"exported": 2},
        modules={"/Net/Linear.fc": 2},
        by_rule={"OT001": 1},
        findings=[Found("OT001", "main#0 Add has no tag", "main#0 Add"), Found("OT004", "odd", "n", "fc")],
        seconds=0.25,
    ),
    Row(url="=1+1.onnx", error="cannot be read", by_rule={"OT006": 1}),
    Row(url="é\u202e.onnx", size=0, etag='"v1"', output="out/x.onnx"),
]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_what_was_written_is_read_again(tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"r.{suffix}"
    write_rows(path, iter(ROWS))
    assert list(read_rows(path)) == ROWS
    write_rows(path, [])
    assert list(read_rows(path)) == []


def test_parquet_has_nested_columns(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    write_rows(tmp_path / "r.parquet", ROWS)
    table = pq.read_table(tmp_path / "r.parquet")
    assert table.column("modules").to_pylist()[0] == [("/Net/Linear.fc", 2)]
    assert table.column("findings").to_pylist()[0][1]["module"] == "fc"
    assert table.column("nodes").to_pylist() == [3, None, None]


def test_other_suffixes_are_refused() -> None:
    with pytest.raises(TaggerError, match="did you mean 'parquet'"):
        form_of(Path("r.parket"))


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_other_files_are_refused(tmp_path: Path, suffix: str) -> None:
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    path = tmp_path / f"r.{suffix}"
    path.write_bytes(b"url,nodes\nx,many\n")
    with pytest.raises(TaggerError, match="holds no rows of a fleet"):
        list(read_rows(path))
    with pytest.raises(TaggerError, match="there is no such file"):
        list(read_rows(tmp_path / f"no.{suffix}"))
