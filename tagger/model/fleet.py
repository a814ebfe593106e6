"""What is asked of the files of a fleet, and the row that each of them gives. Nothing is read or run here."""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from onnx_tagger.model.texts import brief_fields, shortened
from onnx_tagger.version import version

Ask = Literal["check", "stats", "retag", "infer"]

# Findings that a row spells out; `by_rule` counts all of them. So long may their sentences be.
MOST_FINDINGS = 20
LONGEST = 2000


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with each file.

    Attributes
    ----------
    ask : str
        ``check``, ``stats``, ``retag`` or ``infer``.
    hierarchy : str or None
        The map for all files; None for the one beside each, or what the file says itself.
    into : str or None
        The local folder that `retag` writes files to and `infer` maps.
    min_coverage, max_root, max_inherited, max_named
        The limits of `check`; see `Limits`.
    left_out : tuple of str
        Ids of rules that do not count.
    allow_forced : bool
        Let tags pass that rest on a map that was taken by force.
    seconds : float
        Time that one file may take.
    megabytes : int
        Memory that the process of one file may hold, in units of 10**6 bytes.
    """

    ask: Ask
    hierarchy: str | None = None
    into: str | None = None
    min_coverage: float = 100.0
    max_root: int = 0
    max_inherited: int | None = None
    max_named: int | None = None
    left_out: tuple[str, ...] = ()
    allow_forced: bool = False
    seconds: float = 300.0
    megabytes: int = 4000

    __repr__ = brief_fields

    @property
    def key(self) -> str:
        """The same for jobs whose rows are the same, by whatever version; how long a file may take is no part of it."""
        parts = [f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in _BOUNDS]
        return f"{self.ask}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"


_BOUNDS = ("seconds", "megabytes")

# The rule of findings for such a file, which takes longer to import than a fleet's driver may wait.
_UNREADABLE = "OT006"


class Found(msgspec.Struct, frozen=True):
    """A finding as a row has it: the rule's id, the node, its module and a sentence."""

    rule: str
    says: str
    node: str = ""
    module: str | None = None

    __repr__ = brief_fields


class Stamp(msgspec.Struct, frozen=True):
    """What a file is known again by without reading it.

    Attributes
    ----------
    size : int
        Bytes.
    etag : str or None
        What the server calls the version.
    mtime : str or None
        When it was changed last, as the file system or the server says.
    """

    size: int
    etag: str | None = None
    mtime: str | None = None

    __repr__ = brief_fields

    @property
    def tells(self) -> bool:
        """Whether another version of the file would have another stamp."""
        return bool(self.etag or self.mtime)


class Row(msgspec.Struct, kw_only=True):
    """One file of a fleet.

    Attributes
    ----------
    url : str
        As it was given, without secrets.
    size, etag, mtime
        See `Stamp`; None where nothing could be read.
    tool, job : str
        The version of onnx-tagger and the job's key.
    producer : str or None
        Name and version of what wrote the file, by itself.
    opset : int or None
        Of the default domain.
    architecture : str or None
        Class of the root module, of a tagged file.
    nodes, tagged : int or None
    coverage : float or None
        0 to 100.
    by_source : dict
        Tagged nodes by source.
    modules : dict
        Tag to number of nodes.
    by_rule : dict
        Number of findings by rule.
    findings : list of Found
        The first of them.
    output : str or None
        The file that was written.
    error : str or None
        Why there is nothing to tell.
    seconds : float
        Wall time.
    """

    url: str
    size: int | None = None
    etag: str | None = None
    mtime: str | None = None
    tool: str = ""
    job: str = ""
    producer: str | None = None
    opset: int | None = None
    architecture: str | None = None
    nodes: int | None = None
    tagged: int | None = None
    coverage: float | None = None
    by_source: dict[str, int] = {}
    modules: dict[str, int] = {}
    by_rule: dict[str, int] = {}
    findings: list[Found] = []
    output: str | None = None
    error: str | None = None
    seconds: float = 0.0

    __repr__ = brief_fields

    @property
    def ok(self) -> bool:
        """Whether the file was read and nothing was found in it."""
        return self.error is None and not self.by_rule

    def fail(self, why: str) -> None:
        """Say that nothing can be told of the file."""
        self.error = shortened(why, LONGEST)
        self.by_rule = {_UNREADABLE: 1}

    @property
    def stamp(self) -> Stamp | None:
        """What the file was known by, None where that was not learnt."""
        return None if self.size is None else Stamp(self.size, self.etag, self.mtime)

    def holds_for(self, job: Job) -> bool:
        """Whether the row may stand if the file still has its stamp: it is of this job and this version of the tool."""
        stamp = self.stamp
        return self.job == job.key and self.tool == version() and stamp is not None and stamp.tells


class Task(msgspec.Struct, frozen=True):
    """A file to look at, and the stamp at which there is nothing new to find."""

    url: str
    known: Stamp | None = None

    __repr__ = brief_fields
