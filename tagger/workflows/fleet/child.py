"""The process that does the files of a `Keeper`: a job on the first line of stdin, then a task a line; rows on stdout.

Run as ``python -m onnx_tagger.workflows.fleet.child``. It ends with its stdin, so it never outlives who started it.
"""

from __future__ import annotations

import os
import sys
from typing import BinaryIO

import msgspec

from onnx_tagger.model.fleet import Job, Stamp, Task

# What a line of stdout is, by its first byte: a file's stamp, its row, or that nothing is new.
STAMP, ROW, SAME = b"b", b"r", b"s"


def main() -> None:
    """Do tasks until there are no more."""
    from onnx_tagger.workflows.fleet.one import row_of

    rows = _taken_stdout()
    job = msgspec.json.decode(sys.stdin.buffer.readline(), type=Job)
    bound_memory(job.megabytes)
    read, encode = msgspec.json.Decoder(Task).decode, msgspec.json.Encoder().encode

    def tell(kind: bytes, value: bytes = b"") -> None:
        rows.write(kind + value + b"\n")
        rows.flush()

    def begun(stamp: Stamp) -> None:
        tell(STAMP, encode(stamp))

    for line in sys.stdin.buffer:
        row = row_of(job, read(line), begun)
        tell(SAME) if row is None else tell(ROW, encode(row))


def _taken_stdout() -> BinaryIO:
    """Stdout for rows alone: what others print goes to stderr."""
    rows = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return rows


def bound_memory(megabytes: int) -> None:
    """Let the process hold so much, where the system can see to that."""
    try:
        import resource
    except ImportError:  # Windows
        return
    kind = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    _, most = resource.getrlimit(kind)
    wanted = megabytes * 10**6
    limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    resource.setrlimit(kind, (limit, most))


if __name__ == "__main__":
    main()
