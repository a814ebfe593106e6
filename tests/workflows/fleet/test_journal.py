"""Rows as they come: what was written out is there again, and what was not is cut off."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.fleet import Row
from onnx_tagger.workflows.fleet.journal import Journal


def line(url: str, nodes: int) -> bytes:
    return msgspec.json.encode(Row(url=url, nodes=nodes))


def test_rows_are_there_again_the_last_one_counts(tmp_path: Path) -> None:
    with Journal(tmp_path / "r.part") as journal:
        for nodes, url in enumerate("aba"):
            journal.add(line(url, nodes), url)
    with Journal(tmp_path / "r.part") as journal:
        assert len(journal) == 2
        assert [(row.url, row.nodes) for row in journal.rows("bxa")] == [("b", 1), ("a", 2)]
        assert journal.row("x") is None
        journal.add(line("x", 9), "x")
        found = journal.row("x")
        assert found is not None
        assert found.nodes == 9
        assert "x" in journal


def test_half_a_row_at_the_end_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "r.part"
    path.write_bytes(line("a", 1) + b"\n" + line("b", 2)[:10])
    with Journal(path) as journal:
        assert [row.url for row in journal.rows("ab")] == ["a"]
        journal.add(line("b", 3), "b")
    assert path.read_bytes() == line("a", 1) + b"\n" + line("b", 3) + b"\n"


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.part"
    path.write_bytes(b"notes\n")
    with pytest.raises(TaggerError, match="is no journal of a fleet at byte 0"):
        Journal(path)
    assert path.read_bytes() == b"notes\n"


def test_two_runs_do_not_write_one_journal(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with Journal(tmp_path / "r.part"), pytest.raises(TaggerError, match="another run is writing it"):
        Journal(tmp_path / "r.part")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TaggerError, match="cannot be written"):
        Journal(tmp_path / "no" / "r.part")
