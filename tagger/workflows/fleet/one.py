"""What is done with one file of a fleet; it runs in the process of a `Keeper`."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache
from pathlib import Path, PurePosixPath

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.onnxfile import Skeleton, read_opened
from onnx_tagger.files.sources import open_place
from onnx_tagger.hierarchy.loading import load_map
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.fleet import LONGEST, MOST_FINDINGS, Found, Job, Row, Stamp, Task
from onnx_tagger.model.gated import Judged
from onnx_tagger.model.report import Limits, Report
from onnx_tagger.model.texts import shortened
from onnx_tagger.model.urls import Place, Url, place_of, shown_place
from onnx_tagger.version import version
from onnx_tagger.workflows.checking import check_skeleton, count, read_tags
from onnx_tagger.workflows.gating import judged

_MAIN_DOMAINS = ("", "ai.onnx")


@collector_paused()
def row_of(job: Job, task: Task, begun: Callable[[Stamp], object] = lambda _: None) -> Row | None:
    """Do what a job asks of a file.

    Parameters
    ----------
    job : Job
    task : Task
    begun : callable, optional
        Told the file's stamp before it is read.

    Returns
    -------
    Row or None
        None if the file has the stamp at which nothing is new. What is wrong with a file is in its row.
    """
    start = time.perf_counter()
    row = Row(url=shown_place(task.url), tool=version(), job=job.key)
    try:
        place = place_of(task.url, "the model")
        with open_place(place) as reader:
            stamp = stamp_of(place, reader.size, getattr(reader, "version", (None, None)))
            if stamp == task.known and stamp.tells:
                return None
            row.size, row.etag, row.mtime = stamp.size, stamp.etag, stamp.mtime
            begun(stamp)
            skeleton = read_opened(reader, place)
        _of_model(row, skeleton)
        _JOBS[job.ask](job, place, skeleton, row)
    except (TaggerError, OSError) as error:
        row.fail(str(error))
    except MemoryError:
        row.fail(f"it takes more than {job.megabytes} MB; allow more with --memory, or leave the file out")
    row.seconds = round(time.perf_counter() - start, 6)
    return row


def stamp_of(place: Place, size: int, version_: tuple[str | None, str | None]) -> Stamp:
    """What a file is known again by."""
    if isinstance(place, Url):
        return Stamp(size, *version_)
    changed = place.stat().st_mtime_ns
    when = datetime.fromtimestamp(changed // 10**9, timezone.utc)
    return Stamp(size, None, f"{when:%Y-%m-%dT%H:%M:%S}.{changed % 10**9:09d}Z")


def _of_model(row: Row, skeleton: Skeleton) -> None:
    model = skeleton.model
    row.producer = " ".join(filter(None, (model.producer_name, model.producer_version))) or None
    row.opset = next((each.version for each in model.opset_import if each.domain in _MAIN_DOMAINS), None)


def _of_report(row: Row, report: Report) -> None:
    row.nodes, row.tagged, row.coverage = report.nodes, report.tagged, report.coverage
    row.by_source = {source: number for source, number in report.by_source.items() if number}
    row.modules = dict(sorted(report.tags.items()))
    roots = {tag.split("/")[1] for tag in report.tags}
    row.architecture = roots.pop() if len(roots) == 1 else None


def _check(job: Job, place: Place, skeleton: Skeleton, row: Row) -> None:
    limits, report = Limits(job.min_coverage, job.max_root, job.max_inherited, job.max_named), Report()
    tree = _map(job.hierarchy) if job.hierarchy is not None else None
    check_skeleton(skeleton, tree, limits, report, allow_forced=job.allow_forced)
    _of_report(row, report)
    _of_findings(row, judged(row.url, report, limits, job.left_out))


def _of_findings(row: Row, found: Judged) -> None:
    row.by_rule = dict(sorted(Counter(each.rule.id for each in found.findings).items()))
    row.findings = [
        Found(each.rule.id, shortened(each.says, LONGEST), each.node, each.module)
        for each in found.findings[:MOST_FINDINGS]
    ]


def _stats(job: Job, place: Place, skeleton: Skeleton, row: Row) -> None:
    tree = _map(job.hierarchy) if job.hierarchy is not None else None
    _of_report(row, count(read_tags(skeleton.model, tree)))


def _retag(job: Job, place: Place, skeleton: Skeleton, row: Row) -> None:
    from onnx_tagger.workflows.retagging import retag  # which other jobs do without

    target = _target(job, row.url, ".onnx")
    _of_report(row, retag(place, job.hierarchy if job.hierarchy is not None else _beside(place), target))
    row.output = str(target)


def _infer(job: Job, place: Place, skeleton: Skeleton, row: Row) -> None:
    from onnx_tagger.workflows.inferring import map_of

    tree = map_of(skeleton.model)
    if tree is None:
        raise TaggerError(f"{row.url}: neither its metadata nor its names say a module")
    _of_report(row, count(read_tags(skeleton.model, tree)))
    if job.into is not None:
        target = _target(job, row.url, ".hierarchy.json")
        tree.save(target)
        row.output = str(target)


_JOBS = {"check": _check, "stats": _stats, "retag": _retag, "infer": _infer}


@lru_cache(1)
def _map(source: str) -> HierarchyMap:
    return load_map(source)


def _beside(place: Place) -> str | None:
    """The map that lies beside a local file; None if there is none."""
    if isinstance(place, Url):
        return None
    found = place.with_suffix(".hierarchy.json")
    return str(found) if found.is_file() else None


def _target(job: Job, url: str, suffix: str) -> Path:
    """Where a file's result goes: a name of its own for each URL, in one folder."""
    assert job.into is not None
    stem = PurePosixPath(url.replace("\\", "/").split("?")[0]).name.removesuffix(".onnx") or "model"
    return Path(job.into) / f"{stem}-{hashlib.sha256(url.encode()).hexdigest()[:8]}{suffix}"
