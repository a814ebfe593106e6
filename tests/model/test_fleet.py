"""Jobs and rows: what makes a row stand, and what makes it old."""

from __future__ import annotations

import msgspec

from onnx_tagger.model.findings import UNREADABLE
from onnx_tagger.model.fleet import LONGEST, Job, Row, Stamp
from onnx_tagger.version import version


def test_a_jobs_key_is_of_what_changes_rows() -> None:
    job = Job(ask="check")
    assert job.key == Job(ask="check", seconds=1.0, megabytes=100).key
    assert (
        len({job.key, Job(ask="stats").key, Job(ask="check", max_root=1).key, Job(ask="check", hierarchy="m").key}) == 4
    )
    assert msgspec.json.decode(msgspec.json.encode(job), type=Job) == job


def test_a_row_stands_for_its_job_version_and_stamp() -> None:
    job = Job(ask="check")
    row = Row(url="a", size=1, mtime="t", tool=version(), job=job.key)
    assert row.holds_for(job)
    assert row.stamp == Stamp(1, None, "t")
    assert not row.holds_for(Job(ask="stats"))
    assert not msgspec.structs.replace(row, tool="0").holds_for(job)
    assert not msgspec.structs.replace(row, mtime=None).holds_for(job)
    assert not msgspec.structs.replace(row, size=None).holds_for(job)


def test_what_is_ok() -> None:
    assert Row(url="a").ok
    assert not Row(url="a", error="no").ok
    assert not Row(url="a", by_rule={"OT001": 1}).ok


def test_a_file_of_which_nothing_can_be_told() -> None:
    row = Row(url="a")
    row.fail("why " * 1000)
    assert row.by_rule == {UNREADABLE.id: 1}
    assert row.error is not None
    assert len(row.error) < LONGEST + 100 < 4000
