"""What is done with one file, and what its row tells."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import helper

from examples.fleets import fleet_of
from examples.web import Web, serving
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.fleet import MOST_FINDINGS, Job, Row, Stamp, Task
from onnx_tagger.workflows.checking import stats
from onnx_tagger.workflows.fleet.one import row_of


def row(job: Job, url: str) -> Row:
    found = row_of(job, Task(url))
    assert found is not None
    return found


def test_check_and_stats_tell_what_the_commands_do(tmp_path: Path) -> None:
    tagged = fleet_of(tmp_path / "f", 2)[0]
    report = stats(tagged)
    for ask in ("check", "stats"):
        found = row(Job(ask=ask), tagged)  # type: ignore[arg-type]
        assert (found.nodes, found.tagged, found.modules) == (report.nodes, report.tagged, report.tags)
        assert found.by_source == {source: number for source, number in report.by_source.items() if number}
        assert found.architecture == next(iter(report.tags)).split("/")[1]
        assert found.opset is not None
        assert found.size == Path(tagged).stat().st_size
        assert found.mtime is not None
        assert found.ok


def test_the_stamp_is_told_before_the_file_is_read(tmp_path: Path) -> None:
    broken = fleet_of(tmp_path / "f", 2)[1]
    stamps: list[Stamp] = []
    found = row_of(Job(ask="check"), Task(broken), stamps.append)
    assert found is not None
    assert [found.stamp] == stamps
    assert found.error is not None
    assert found.holds_for(Job(ask="check"))


def test_many_findings_are_counted_and_the_first_are_spelled_out(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", [f"t{at}"], [f"t{at + 1}"]) for at in range(50)]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [])), tmp_path / "m.onnx")
    found = row(Job(ask="check"), str(tmp_path / "m.onnx"))
    assert found.by_rule == {"OT001": 50}
    assert len(found.findings) == MOST_FINDINGS
    assert found.findings[1].node == "main#1 Relu"
    assert not row(Job(ask="check", left_out=("OT001",)), str(tmp_path / "m.onnx")).by_rule


def test_retag_writes_a_file_of_its_own_for_each_url(tmp_path: Path) -> None:
    files = fleet_of(tmp_path / "f", 6)
    job = Job(ask="retag", into=str(tmp_path), hierarchy=str(tmp_path / "f" / "tiny.hierarchy.json"))
    found = row(job, files[4])
    assert found.output is not None
    assert Path(found.output).parent == tmp_path
    assert found.coverage == 100.0
    assert row(Job(ask="check"), found.output).ok
    assert row(job, files[0]).output != found.output


def test_retag_takes_the_map_beside_a_file(tmp_path: Path) -> None:
    fleet_of(tmp_path / "f", 2)
    (tmp_path / "f" / "plain.bin").rename(tmp_path / "f" / "tiny.onnx")
    found = row(Job(ask="retag", into=str(tmp_path)), str(tmp_path / "f" / "tiny.onnx"))
    assert found.coverage == 100.0
    assert set(found.by_source) == {"exported"} or "matched" in found.by_source or found.by_source


def test_infer_saves_maps(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"], "/blocks.0/act/Relu")
    onnx.save(helper.make_model(helper.make_graph([node], "g", [], [])), tmp_path / "m.onnx")
    found = row(Job(ask="infer", into=str(tmp_path)), str(tmp_path / "m.onnx"))
    assert found.by_source == {"named": 1}
    assert found.output is not None
    assert "blocks.0.act" in HierarchyMap.load(found.output).by_path
    assert row(Job(ask="infer"), str(tmp_path / "m.onnx")).output is None


def test_a_file_elsewhere_has_the_servers_etag(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    data = Path(fleet_of(tmp_path / "f", 2)[0]).read_bytes()
    with serving(Web({"m.onnx": data})) as web:
        url = web.url("m.onnx?token=secret1234")
        found = row(Job(ask="check"), url)
        assert (found.size, found.etag, found.ok) == (len(data), '"v1"', True)
        assert "secret1234" not in found.url
        assert row_of(Job(ask="check"), Task(url, found.stamp)) is None
        missing = row(Job(ask="check"), web.url("no.onnx"))
    assert "there is no such file" in str(missing.error)
    assert not missing.holds_for(Job(ask="check"))
