"""A whole run over a fleet: what was known before, who does the rest, and one table at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.fleet import Job, Task
from onnx_tagger.model.fleetsummary import Summary
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.model.urls import shown_place
from onnx_tagger.workflows.fleet.engines import ENGINES
from onnx_tagger.workflows.fleet.journal import Journal
from onnx_tagger.workflows.fleet.tables import form_of, read_rows, write_rows


def run_fleet(
    urls: Sequence[str],
    job: Job,
    output: Path,
    *,
    jobs: int | None = None,
    engine: str = "process",
    address: str | None = None,
    resume: bool = False,
    progress: Callable[[int, int], object] = lambda done, of: None,
) -> Summary:
    """Do a job with many files, and write a row for each.

    Parameters
    ----------
    urls : sequence of str
        Files and URLs, each once.
    job : Job
    output : Path
        ``.parquet``, ``.csv`` or ``.jsonl``; written whole at the end. Until then the rows are beside it, in a file
        with ``.part`` behind its name.
    jobs : int, optional
        Processes at a time; by default as many as this process may use cores.
    engine : str
        ``process``, ``dask`` or ``ray``.
    address : str, optional
        Of a Dask scheduler or a Ray cluster; by default one of this machine is made.
    resume : bool
        Keep the rows of files that have the same size and ETag or mtime, if they are of the same job and version.
    progress : callable, optional
        Told how many files are done, and of how many.

    Returns
    -------
    Summary

    Raises
    ------
    TaggerError
        If there are rows of a run that was broken off and it is not resumed, or the output cannot be written.
    """
    if engine not in ENGINES:
        raise TaggerError(f"{engine!r} is no engine: {advice_on(engine, list(ENGINES), 'give process, dask or ray')}")
    form_of(output)
    _insist_on_folder(job, output)
    part = output.with_name(output.name + ".part")
    if part.exists() and part.stat().st_size and not resume:
        raise TaggerError(
            f"{part}: holds the rows of a run that was broken off; go on with it by --resume, or remove the file"
        )
    with Journal(part) as journal:
        if resume:
            _take_over(journal, output)
        done, of = 0, len(urls)
        found = ENGINES[engine](_tasks(urls, job, journal, resume), job, jobs or _cores(), address)
        with closing(found):  # type: ignore[type-var]
            for task, line in found:
                if line is not None:
                    journal.add(line, shown_place(task.url))
                done += 1
                progress(done, of)
        write_rows(output, journal.rows(map(shown_place, urls)))
        summary = Summary.of(journal.rows(map(shown_place, urls)))
        journal.remove()
    return summary


def _tasks(urls: Sequence[str], job: Job, journal: Journal, resume: bool) -> Iterator[Task]:
    for url in urls:
        row = journal.row(shown_place(url)) if resume else None
        yield Task(url, row.stamp if row is not None and row.holds_for(job) else None)


def _take_over(journal: Journal, output: Path) -> None:
    """Add the rows of an earlier run that came to its end; those of one that was broken off since are newer."""
    import msgspec

    if output.exists():
        for row in read_rows(output):
            if row.url not in journal:
                journal.add(msgspec.json.encode(row), row.url)


def _insist_on_folder(job: Job, output: Path) -> None:
    if job.ask == "retag" and job.into is None:
        raise TaggerError("no folder is named for the tagged files; give --into DIR")
    try:
        for folder in (output.parent, *([Path(job.into)] if job.into is not None else ())):
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TaggerError(f"{error.filename}: cannot be made a folder ({error.strerror}); name another one") from error


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def summary_of(path: Path) -> Summary:
    """What the rows of a file add up to.

    Parameters
    ----------
    path : Path
        What `run_fleet` has written.

    Raises
    ------
    TaggerError
        If it is no such file.
    """
    return Summary.of(read_rows(path))
