"""The report: one shape, coverage that never rounds up, limits that compare counts, phases that failed."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from onnx_tagger.model.report import Limits, PassTiming, Phase, Report, count_tags, peak_rss_mb, shown_share

SHAPE = {
    "ok",
    "nodes",
    "tagged",
    "coverage",
    "by_source",
    "by_graph",
    "by_evidence",
    "evidence_by_source",
    "untagged",
    "failures",
    "fused",
    "tags",
    "origins",
    "strategy",
    "fallbacks",
    "notes",
    "verified",
    "compared",
    "kinship",
    "weights",
    "passes",
    "phases",
    "peak_rss_mb",
}


def counted(nodes: int, tagged: int, **by_source: int) -> Report:
    report = Report(nodes=nodes, tagged=tagged, untagged=[f"main#{i} Add" for i in range(nodes - tagged)])
    report.by_source.update(by_source)
    return report


def test_shape_is_the_one_of_the_design() -> None:
    shape = Report().as_dict()
    assert set(shape) == SHAPE
    assert shape["by_source"] == {"exported": 0, "matched": 0, "aligned": 0, "named": 0, "inherited": 0, "root": 0}
    assert [key for key, value in shape.items() if value is None] == [
        "strategy",
        "verified",
        "compared",
        "kinship",
        "weights",
        "peak_rss_mb",
    ]
    assert json.loads(Report().to_json()) == shape


def test_an_empty_graph_is_covered() -> None:
    report = Report()
    report.judge(Limits())
    assert (report.nodes, report.coverage, report.ok) == (0, 100.0, True)


@pytest.mark.parametrize(
    ("nodes", "tagged", "smallest", "ok"),
    [
        (10, 10, 100.0, True),
        (1_000_000, 999_999, 100.0, False),
        (10_000, 9_999, 99.99, True),
        (10_000, 9_998, 99.99, False),
        (3, 2, 66.7, False),
        (3, 2, 66.6, True),
        (10, 0, 0.0, True),
    ],
)
def test_limits_compare_counts(nodes: int, tagged: int, smallest: float, ok: bool) -> None:
    report = counted(nodes, tagged)
    report.judge(Limits(min_coverage=smallest))
    assert report.ok is ok
    assert len(report.failures) == (not ok)


def test_failures_name_nodes() -> None:
    report = counted(8, 1)
    report.judge(Limits())
    assert report.failures == [
        "7 of 8 nodes have no tag, at least 100 % must: main#0 Add, main#1 Add, main#2 Add, main#3 Add, main#4 Add, ..."
    ]


@pytest.mark.parametrize(
    ("limits", "failures"),
    [
        (Limits(max_root=2), 0),
        (Limits(max_root=1), 1),
        (Limits(max_root=2, max_inherited=3), 0),
        (Limits(max_root=2, max_inherited=2), 1),
        (Limits(), 1),
        (Limits(max_inherited=0), 2),
    ],
)
def test_limits_of_sources(limits: Limits, failures: int) -> None:
    report = counted(5, 5, root=2, inherited=3)
    report.judge(limits)
    assert len(report.failures) == failures
    assert report.ok is (failures == 0)


def test_phases_are_timed_also_when_they_fail() -> None:
    report = Report()
    with pytest.raises(ValueError, match="no"), report.phase("read"):
        raise ValueError("no")
    assert [phase.name for phase in report.phases] == ["read"]
    assert report.phases[0].seconds >= 0


def test_shares_of_phases_sum_to_one() -> None:
    passes = [PassTiming("match", 1.23456, 7, nodes=10), PassTiming("align", 0.5, 0)]
    report = Report(phases=[Phase("a", 1.0), Phase("b", 3.0)], passes=passes)
    shape = report.as_dict()
    assert shape["phases"] == [
        {"name": "a", "seconds": 1.0, "share": 0.25},
        {"name": "b", "seconds": 3.0, "share": 0.75},
    ]
    assert shape["passes"] == [
        {"name": "match", "ms": 1.235, "changed": 7, "us_per_node": 123.456},
        {"name": "align", "ms": 0.5, "changed": 0, "us_per_node": None},
    ]


def test_split_shows_the_sources() -> None:
    assert counted(4, 3, exported=2, root=1).split() == "75.0 % of 4 nodes tagged (exported 2, root 1)"
    assert Report().split() == "100 % of 0 nodes tagged"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 3, "0.0 %"),
        (1, 3, "33.3 %"),
        (2, 3, "66.6 %"),
        (999_999, 1_000_000, "99.9 %"),
        (3, 3, "100 %"),
        (0, 0, "100 %"),
    ],
)
def test_shown_shares_round_down(part: int, whole: int, text: str) -> None:
    assert shown_share(part, whole) == text


def test_count_tags() -> None:
    assert list(count_tags(["/b", "/a", "/b"]).items()) == [("/a", 1), ("/b", 2)]


def test_peak_memory_is_megabytes() -> None:
    peak = peak_rss_mb()
    assert peak is None or 5 < peak < 100_000


@pytest.mark.skipif(sys.platform != "linux", reason="the figure of the program itself is Linux's")
def test_peak_memory_is_not_the_parent_s() -> None:
    held = bytearray(400_000_000)
    held[::4096] = b"x" * len(held[::4096])
    code = "from onnx_tagger.model.report import peak_rss_mb; print(peak_rss_mb())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 300 < peak_rss_mb()
