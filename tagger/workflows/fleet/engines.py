"""Who does the tasks of a fleet: processes of this machine, or Dask or Ray, which know of other machines.

Each engine takes tasks and gives rows as they come, with so many tasks at a time as it can do and a few waiting.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from queue import Full, Queue
from typing import Any

from onnx_tagger.errors import TaggerError, first_sentence, require
from onnx_tagger.model.fleet import Job, Task
from onnx_tagger.workflows.fleet.keeper import Keeper

# A task with its row as JSON, None if nothing is new.
Done = tuple[Task, bytes | None]
Engine = Callable[[Iterator[Task], Job, int, str | None], Iterator[Done]]

# Tasks that one message to Dask or Ray holds, and messages for each worker that are under way.
_CHUNK, _AHEAD = 16, 3


def rows_of(job: Job, tasks: Sequence[Task]) -> list[Done]:
    """Do tasks one after the other, in a process that stays for the next ones; for any engine that can call a function.

    Parameters
    ----------
    job : Job
    tasks : sequence of Task

    Returns
    -------
    list of (Task, bytes or None)
        Each with its row as JSON, None if nothing is new.
    """
    held = _HELD.__dict__
    keeper = held.get("keeper")
    if keeper is None or keeper.job != job:
        if keeper is not None:
            keeper.close()
        keeper = held["keeper"] = Keeper(job)
    return [(task, keeper.do(task)) for task in tasks]


_HELD = threading.local()


def in_processes(tasks: Iterator[Task], job: Job, jobs: int, address: str | None) -> Iterator[Done]:
    """So many processes of this machine, each kept by a thread."""
    if address is not None:
        raise TaggerError(f"{address}: processes are of this machine; give --address with --engine dask or ray")
    crew = _Crew(tasks, job, jobs)
    try:
        yield from crew.done()
    finally:
        crew.stop()


class _Crew:
    """Threads that each keep a process and take the next task when it is free."""

    def __init__(self, tasks: Iterator[Task], job: Job, jobs: int) -> None:
        self._tasks, self._turn, self._stopped = tasks, threading.Lock(), threading.Event()
        self._found: Queue[Done | BaseException | None] = Queue(4 * jobs)
        self._keepers = [Keeper(job) for _ in range(jobs)]
        self._threads = [threading.Thread(target=self._work, args=[keeper], daemon=True) for keeper in self._keepers]

    def done(self) -> Iterator[Done]:
        """What was done, as it comes."""
        for thread in self._threads:
            thread.start()
        ended = 0
        while ended < len(self._threads):
            value = self._found.get()
            if isinstance(value, BaseException):
                raise value
            if value is None:
                ended += 1
            else:
                yield value

    def stop(self) -> None:
        """End all processes, whatever they are at."""
        self._stopped.set()
        for keeper in self._keepers:
            keeper.close()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def _work(self, keeper: Keeper) -> None:
        try:
            while (task := self._next()) is not None:
                self._put((task, keeper.do(task)))
        except BaseException as error:  # noqa: BLE001 - raised by who takes what was done
            self._put(error)
        self._put(None)

    def _next(self) -> Task | None:
        with self._turn:
            return None if self._stopped.is_set() else next(self._tasks, None)

    def _put(self, value: Done | BaseException | None) -> None:
        while not self._stopped.is_set():
            with suppress(Full):
                self._found.put(value, timeout=0.2)
                return


def in_dask(tasks: Iterator[Task], job: Job, jobs: int, address: str | None) -> Iterator[Done]:
    """Workers of a Dask scheduler, or of a cluster of this machine; what a lost one had is done by another."""
    require("distributed", "fleet", "the engine dask")
    from distributed import Client, LocalCluster, as_completed

    local = address is None
    cluster = LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None) if local else None
    try:
        with _connected(lambda: Client(cluster if local else address), "dask", address) as client:
            workers = max(1, sum(client.nthreads().values()))
            chunks = _chunks(tasks)
            waiting = as_completed(
                [client.submit(rows_of, job, chunk, pure=False) for chunk in islice(chunks, _AHEAD * workers)]
            )
            for future in waiting:
                yield from future.result()
                for chunk in islice(chunks, 1):
                    waiting.add(client.submit(rows_of, job, chunk, pure=False))
    finally:
        if cluster is not None:
            cluster.close()


def in_ray(tasks: Iterator[Task], job: Job, jobs: int, address: str | None) -> Iterator[Done]:
    """Workers of a Ray cluster, or of this machine; what a lost one had is done by another."""
    require("ray", "fleet", "the engine ray")
    import ray

    options: dict[str, Any] = (
        {"include_dashboard": False, "num_cpus": jobs} if address is None else {"address": address}
    )
    with _connected(lambda: ray.init(log_to_driver=False, logging_level="ERROR", **options), "ray", address):
        remote = ray.remote(max_retries=5)(rows_of)
        workers = max(1, int(ray.cluster_resources().get("CPU", jobs)))
        chunks = _chunks(tasks)
        waiting = [remote.remote(job, chunk) for chunk in islice(chunks, _AHEAD * workers)]
        try:
            while waiting:
                ready, waiting = ray.wait(waiting)
                yield from ray.get(ready[0])
                waiting += [remote.remote(job, chunk) for chunk in islice(chunks, 1)]
        finally:
            ray.shutdown()


def _connected(connect: Callable[[], Any], engine: str, address: str | None) -> Any:
    try:
        return connect()
    except (OSError, ValueError, RuntimeError, TimeoutError) as error:
        where = f"{address}: " if address is not None else ""
        raise TaggerError(
            f"{where}the engine {engine} cannot be reached ({type(error).__name__}: {first_sentence(str(error))}); "
            "check the address and that its versions fit"
        ) from error


def _chunks(tasks: Iterator[Task]) -> Iterator[list[Task]]:
    while chunk := list(islice(tasks, _CHUNK)):
        yield chunk


ENGINES: dict[str, Engine] = {"process": in_processes, "dask": in_dask, "ray": in_ray}
