"""What a command did, in one shape for `--report`, `stats --json` and `check --format json`."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from onnx_tagger.model.evidence import Evidence
from onnx_tagger.model.metadata import Source
from onnx_tagger.model.texts import brief, brief_fields, counted, html_list, html_table

# Where `Report.weak` holds the nodes whose evidence is too weak.
WEAK_EVIDENCE = "evidence"


@dataclass(frozen=True, slots=True)
class PassTiming:
    """One run of one pass: its name, milliseconds, how many nodes it changed, and of how many."""

    name: str
    ms: float
    changed: int
    nodes: int = 0

    __repr__ = brief_fields

    def as_dict(self) -> dict[str, object]:
        """The run as plain values; without nodes there are no microseconds per node."""
        each = round(self.ms * 1e3 / self.nodes, 3) if self.nodes else None
        return {"name": self.name, "ms": round(self.ms, 3), "changed": self.changed, "us_per_node": each}


@dataclass(frozen=True, slots=True)
class FusedNode:
    """A node that a fusion wrote in place of others.

    Attributes
    ----------
    by : str
        Name of the pass.
    output : str
        The tensor that it makes.
    op : str
        Its operator.
    replaced : tuple of str
        The operators of the nodes whose place it took.
    module : str or None
        Its module.
    origins : tuple of str
        The modules whose work it does.
    """

    by: str
    output: str
    op: str
    replaced: tuple[str, ...]
    module: str | None = None
    origins: tuple[str, ...] = ()

    __repr__ = brief_fields

    def as_dict(self) -> dict[str, object]:
        """The record as plain values."""
        return {
            "pass": self.by,
            "output": self.output,
            "op": self.op,
            "replaced": list(self.replaced),
            "module": self.module,
            "origins": list(self.origins),
        }


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a command and its wall time in seconds."""

    name: str
    seconds: float

    __repr__ = brief_fields


@dataclass(frozen=True, slots=True)
class Limits:
    """What coverage must hold; limits compare counts.

    Attributes
    ----------
    min_coverage : float
        Smallest share of tagged nodes, 0 to 100.
    max_root : int
        Largest number of nodes with the source `root`.
    max_inherited : int or None
        Largest number of nodes with the source `inherited`; None for no limit.
    max_named : int or None
        Largest number of nodes with the source `named`; None for no limit.
    min_evidence : Evidence or None
        What each tag must rest on at least, by what the node says; None for no limit.
    """

    min_coverage: float = 100.0
    max_root: int = 0
    max_inherited: int | None = None
    max_named: int | None = None
    min_evidence: Evidence | None = None

    __repr__ = brief_fields


@dataclass
class Report:
    """Counts, sources, timings and what fell short.

    Attributes
    ----------
    ok : bool
        Whether the limits hold; `failures` says in sentences why not.
    nodes, tagged : int
        Counted nodes (main graph, bodies, functions that are called), and those with a tag.
    by_source, by_graph : dict
        Tagged nodes by source; all counted nodes by graph, body and function.
    by_evidence : dict
        Tagged nodes by what their tags rest on, the strongest class first; of a file that was only read, those that
        say so.
    evidence_by_source : dict
        The same for each source that occurs.
    untagged : list of str
        Ids of nodes without a tag, such as ``main/If_3.then_branch#4 Add``.
    weak : dict
        Source to ids of nodes, for the sources that a limit may name; not part of the JSON.
    names : dict
        Id to the node's own name, for the nodes that fall short; not part of the JSON.
    modules : dict
        Id to the path of the module that the node is, or says to be, in, for the nodes that fall short; not part of
        the JSON.
    tags : dict
        Tag to number of nodes.
    origins : int
        Nodes that do the work of several modules.
    strategy : str or None
        The export strategy that was taken.
    fallbacks : list of str
        Sentences about what was not done in the first way, and about carriers that contradict each other.
    notes : list of str
        Sentences that passes have to say; see `Context.notes`.
    verified : dict or None
        What running both files showed.
    compared : dict or None
        How far an exported file's outputs are from the model's on the example inputs: their number (`outputs`), the
        largest difference as a share of the output's scale (None if there is no such number), the tolerance, and
        whether all are within it (`agrees`).
    kinship : dict or None
        Whether the map is of the file's model: `verdict`, `relation`, `bits`, `likelihood` and `evidence`.
    weights : dict or None
        What was proved to be stored as before: the tensors' number, bytes and digest.
    fused : list of FusedNode
        Nodes that fusions wrote in place of others.
    passes, phases : list
        Timings.
    peak_rss_mb : float or None
        Largest memory of the process so far, in megabytes (10**6 bytes).
    """

    ok: bool = True
    nodes: int = 0
    tagged: int = 0
    by_source: dict[str, int] = field(default_factory=lambda: {source.label: 0 for source in Source})
    by_graph: dict[str, int] = field(default_factory=dict)
    by_evidence: dict[str, int] = field(default_factory=lambda: {each.label: 0 for each in Evidence})
    evidence_by_source: dict[str, dict[str, int]] = field(default_factory=dict)
    untagged: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    weak: dict[str, list[str]] = field(default_factory=dict, repr=False)
    names: dict[str, str] = field(default_factory=dict, repr=False)
    modules: dict[str, str] = field(default_factory=dict, repr=False)
    tags: dict[str, int] = field(default_factory=dict)
    origins: int = 0
    strategy: str | None = None
    fallbacks: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    verified: dict[str, object] | None = None
    compared: dict[str, object] | None = None
    kinship: dict[str, object] | None = None
    weights: dict[str, object] | None = None
    fused: list[FusedNode] = field(default_factory=list)
    passes: list[PassTiming] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    peak_rss_mb: float | None = None

    def __repr__(self) -> str:
        return brief(self, "ok" if self.ok else counted(len(self.failures), "failure"), self.split())

    def _repr_html_(self) -> str:
        """A small table of counts, for a notebook."""
        counts = [("nodes", self.nodes), ("tagged", self.tagged), ("coverage", shown_share(self.tagged, self.nodes))]
        sources = [(name, count) for name, count in self.by_source.items() if count]
        lists = {"failures": self.failures, "fallbacks": self.fallbacks, "notes": self.notes, "tags": list(self.tags)}
        table = html_table("Report: ok" if self.ok else "Report: failed", [*counts, *sources])
        return table + "".join(html_list(name, texts) for name, texts in lists.items() if texts)

    @property
    def coverage(self) -> float:
        """Share of counted nodes with a tag, 0 to 100; 100 for an empty graph."""
        return 100.0 * self.tagged / self.nodes if self.nodes else 100.0

    def judge(self, limits: Limits) -> None:
        """Set `ok` and append a sentence to `failures` for each limit that does not hold."""
        missing = self.nodes - self.tagged
        if self.tagged * 100 < limits.min_coverage * self.nodes:
            self.failures.append(
                f"{missing} of {self.nodes} nodes have no tag, at least {limits.min_coverage:g} % must: "
                f"{_first(self.untagged)}"
            )
        root = self.by_source[Source.ROOT.label]
        if root > limits.max_root:
            first = _first(self.weak.get(Source.ROOT.label, ()))
            self.failures.append(f"{root} nodes got only the root as fallback, at most {limits.max_root} may: {first}")
        inherited = self.by_source[Source.INHERITED.label]
        if limits.max_inherited is not None and inherited > limits.max_inherited:
            first = _first(self.weak.get(Source.INHERITED.label, ()))
            self.failures.append(f"{inherited} nodes inherited their tag, at most {limits.max_inherited} may: {first}")
        named = self.by_source[Source.NAMED.label]
        if limits.max_named is not None and named > limits.max_named:
            first = _first(self.weak.get(Source.NAMED.label, ()))
            self.failures.append(
                f"{named} nodes have their tag from names alone, at most {limits.max_named} may: {first}"
            )
        if limits.min_evidence is not None and (weak := self.weak.get(WEAK_EVIDENCE)):
            self.failures.append(
                f"{len(weak)} nodes have tags that rest on less than {limits.min_evidence.label!r}, or do not say on "
                f"what (retag --evidence writes it): {_first(weak)}"
            )
        self.ok = not self.failures

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a block and add it to `phases`, also when it fails."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.phases.append(Phase(name, time.perf_counter() - start))

    def as_dict(self) -> dict[str, object]:
        """The report as plain values; what does not apply is None."""
        whole = sum(phase.seconds for phase in self.phases)
        return {
            "ok": self.ok,
            "nodes": self.nodes,
            "tagged": self.tagged,
            "coverage": self.coverage,
            "by_source": self.by_source,
            "by_graph": self.by_graph,
            "by_evidence": self.by_evidence,
            "evidence_by_source": self.evidence_by_source,
            "untagged": self.untagged,
            "failures": self.failures,
            "tags": self.tags,
            "origins": self.origins,
            "strategy": self.strategy,
            "fallbacks": self.fallbacks,
            "notes": self.notes,
            "verified": self.verified,
            "compared": self.compared,
            "kinship": self.kinship,
            "weights": self.weights,
            "fused": [each.as_dict() for each in self.fused],
            "passes": [step.as_dict() for step in self.passes],
            "phases": [
                {"name": p.name, "seconds": round(p.seconds, 6), "share": round(p.seconds / whole, 4) if whole else 0.0}
                for p in self.phases
            ],
            "peak_rss_mb": self.peak_rss_mb,
        }

    def to_json(self) -> str:
        """The report as JSON text."""
        return json.dumps(self.as_dict(), ensure_ascii=False, indent=1)

    def split(self) -> str:
        """Coverage with its split by source, in a line."""
        parts = [f"{name} {count}" for name, count in self.by_source.items() if count]
        return f"{shown_share(self.tagged, self.nodes)} of {self.nodes} nodes tagged" + (
            f" ({', '.join(parts)})" if parts else ""
        )


def _first(ids: Sequence[str], count: int = 5) -> str:
    """The first ids of a list, for a sentence."""
    return ", ".join(ids[:count]) + (", ..." if len(ids) > count else "")


def shown_share(part: int, whole: int) -> str:
    """A percentage for people, rounded down so that 100 % means all.

    Examples
    --------
    >>> shown_share(9999, 10000), shown_share(2, 2), shown_share(99999, 100000)
    ('99.9 %', '100 %', '99.9 %')
    """
    if part >= whole:
        return "100 %"
    return f"{int(1000 * part / whole) / 10:.1f} %"


def peak_rss_mb() -> float | None:
    """Peak resident memory of this process in megabytes, or None where the platform does not tell."""
    # Linux hands the other figure down from the parent process, this one is of the program itself.
    with suppress(OSError, ValueError, StopIteration):
        with Path("/proc/self/status").open(encoding="ascii") as stream:
            peak_kib = next(line for line in stream if line.startswith("VmHWM:")).split()[1]
        return round(int(peak_kib) * 1024 / 1e6, 1)
    try:
        import resource
    except ImportError:
        return None
    import sys

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts kibibytes, macOS bytes.
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)


def count_tags(tags: Iterable[str]) -> dict[str, int]:
    """Tag to number of nodes, in order of the tag."""
    return dict(sorted(Counter(tags).items()))
