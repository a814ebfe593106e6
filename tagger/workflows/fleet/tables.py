"""Rows of a fleet as a file: Parquet, CSV or JSON lines, by suffix. Written whole or not at all, read bit by bit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from onnx_tagger.errors import TaggerError, require
from onnx_tagger.files.filecopy import Output, replacing
from onnx_tagger.model.fleet import Row
from onnx_tagger.model.suggestions import advice_on

# Rows that are turned into columns at a time.
_GROUP = 1000

_COLUMNS = Row.__struct_fields__

# Columns whose cells are JSON where cells are text.
_NESTED = ("by_source", "modules", "by_rule", "findings")


def form_of(path: Path) -> str:
    """``parquet``, ``csv`` or ``jsonl``, by a file's suffix.

    Raises
    ------
    TaggerError
        If the suffix is another one.
    MissingExtraError
        If it is Parquet, and what writes that is not installed.
    """
    suffix = path.suffix.lower().lstrip(".")
    if suffix not in _WRITERS:
        advice = advice_on(suffix, list(_WRITERS), "name R.parquet, R.csv or R.jsonl")
        raise TaggerError(f"{path}: rows are written as Parquet, CSV or JSON lines, by suffix: {advice}")
    if suffix == "parquet":
        require("pyarrow", "fleet", f"{path}: Parquet")
    return suffix


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows to a file, whole or not at all."""
    form = form_of(path)
    with replacing(path.resolve()) as output:
        _WRITERS[form](output, rows)


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, a few of which are held.

    Raises
    ------
    TaggerError
        If it is no such file.
    """
    form = form_of(path)
    try:
        yield from _READERS[form](path)
    except FileNotFoundError:
        raise TaggerError(f"{path}: there is no such file; give what fleet -o has written") from None
    except (msgspec.MsgspecError, ValueError, KeyError, csv.Error, OSError) as error:
        raise TaggerError(f"{path}: holds no rows of a fleet ({error}); give what fleet -o has written") from error


def _write_jsonl(output: Output, rows: Iterable[Row]) -> None:
    encode = msgspec.json.Encoder().encode
    for row in rows:
        output.write(encode(row) + b"\n")


def _read_jsonl(path: Path) -> Iterator[Row]:
    decode = msgspec.json.Decoder(Row).decode
    with path.open("rb") as stream:
        yield from (decode(line) for line in stream)


def _write_csv(output: Output, rows: Iterable[Row]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        writer.writerow([_cell(name, value) for name, value in msgspec.to_builtins(row).items()])
        output.write(text.getvalue().encode())
        text.seek(0)
        text.truncate()
    output.write(text.getvalue().encode())


def _cell(name: str, value: Any) -> object:
    if name in _NESTED:
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else value


def _read_csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8", newline="") as stream:
        for cells in csv.DictReader(stream):
            known = {name: json.loads(text) if name in _NESTED else text for name, text in cells.items() if text != ""}
            yield msgspec.convert(known, Row, strict=False)


def _write_parquet(output: Output, rows: Iterable[Row]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(pa)
    iterator = iter(rows)
    with pq.ParquetWriter(_Sink(output), schema, compression="zstd") as writer:
        while group := list(islice(iterator, _GROUP)):
            writer.write_table(pa.Table.from_pylist([_for_arrow(row) for row in group], schema=schema))


def _for_arrow(row: Row) -> dict[str, Any]:
    known: dict[str, Any] = msgspec.to_builtins(row)
    for name in ("by_source", "modules", "by_rule"):
        known[name] = list(known[name].items())
    return known


def _schema(pa: Any) -> Any:
    counts = pa.map_(pa.string(), pa.int64())
    finding = pa.struct([(name, pa.string()) for name in ("rule", "says", "node", "module")])
    kinds = {
        **dict.fromkeys(("size", "opset", "nodes", "tagged"), pa.int64()),
        **dict.fromkeys(("coverage", "seconds"), pa.float64()),
        **dict.fromkeys(("by_source", "modules", "by_rule"), counts),
        "findings": pa.list_(finding),
    }
    return pa.schema([(name, kinds.get(name, pa.string())) for name in _COLUMNS])


def _read_parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(_GROUP):
            for known in batch.to_pylist():
                for name in ("by_source", "modules", "by_rule"):
                    known[name] = dict(known[name] or ())
                yield msgspec.convert(known, Row)


class _Sink(io.RawIOBase):
    """An output as the stream that pyarrow writes to."""

    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output, self._at = output, 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: Any) -> int:
        self._output.write(bytes(data))
        self._at += len(data)
        return len(data)


_WRITERS: dict[str, Callable[[Output, Iterable[Row]], None]] = {
    "parquet": _write_parquet,
    "csv": _write_csv,
    "jsonl": _write_jsonl,
}
_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "parquet": _read_parquet,
    "csv": _read_csv,
    "jsonl": _read_jsonl,
}
