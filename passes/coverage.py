"""The gate: how many nodes have a tag, how it was found, and which fall short."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from operator import attrgetter

from onnx_tagger.errors import CoverageError
from onnx_tagger.model.evidence import BY_SOURCE, Evidence
from onnx_tagger.model.graph import Scope
from onnx_tagger.model.metadata import Source
from onnx_tagger.model.report import WEAK_EVIDENCE, Limits, count_tags
from onnx_tagger.passes.base import Context, Pass, Touches


@dataclass(frozen=True)
class Coverage(Pass):
    """Count tagged nodes by source, graph and tag into the report, and judge them by the limits.

    Parameters
    ----------
    enforce : bool
        Raise if a limit does not hold.
    min_coverage : float
        Smallest share of tagged nodes, 0 to 100.
    max_root : int
        Largest number of nodes whose tag is a fallback to the root.
    max_inherited : int or None
        Largest number of nodes with an inherited tag.
    max_named : int or None
        Largest number of nodes whose tag their names alone say.
    min_evidence : Evidence or None
        What each tag must rest on at least.
    assume : bool
        Take what a tag's source says for evidence where nothing else is known; else only what is noted counts.

    Raises
    ------
    CoverageError
        With `enforce`, naming the nodes that fall short.
    """

    name = "coverage"
    again_after = Touches.TAGS | Touches.TOPOLOGY

    enforce: bool = False
    min_coverage: float = 100.0
    max_root: int = 0
    max_inherited: int | None = None
    max_named: int | None = None
    min_evidence: Evidence | None = None
    assume: bool = True

    def run(self, ctx: Context) -> int:
        """Fill the report; return 0, since nothing is changed."""
        report, tags = ctx.report, ctx.tags
        counted = ctx.walk.counted
        found = [tag for tag in map(tags.get, counted) if tag is not None]
        sources = Counter(map(attrgetter("source"), found))
        report.nodes = len(counted)
        report.tagged = len(found)
        report.by_source = {source.label: sources[source] for source in Source}
        filled = sorted((scope for scope in ctx.walk.scopes if scope.called and scope.ops), key=_first)
        report.by_graph = {}
        for scope in filled:
            # Functions of two domains may have one name here.
            report.by_graph[scope.name] = report.by_graph.get(scope.name, 0) + len(scope.ops)
        report.untagged = [op.label for op in counted if op not in tags] if len(found) < len(counted) else []
        report.tags = count_tags(map(attrgetter("tag"), found))
        report.origins = sum(len(each) > 1 for each in map(attrgetter("origins"), found))
        report.failures = []
        report.weak = {
            source.label: [op.label for op in counted if op in tags and tags[op].source is source]
            if sources[source]
            else []
            for source in (Source.NAMED, Source.INHERITED, Source.ROOT)
        }
        report.weak[WEAK_EVIDENCE] = self._count_evidence(ctx)
        report.names = {
            op.label: op.node.name
            for op in counted
            if op.node.name and (op not in tags or tags[op].source in (Source.NAMED, Source.INHERITED, Source.ROOT))
        }
        report.modules = {
            op.label: tags[op].module
            for op in counted
            if op in tags and tags[op].source in (Source.NAMED, Source.INHERITED, Source.ROOT)
        }
        report.judge(Limits(self.min_coverage, self.max_root, self.max_inherited, self.max_named, self.min_evidence))
        for scope in ctx.walk.scopes:
            if not scope.called and scope.owner is None:
                note = f"{scope.name} is never called: its {len(scope.ops)} nodes are not counted"
                if note not in report.fallbacks:
                    report.fallbacks.append(note)
        if self.enforce and not report.ok:
            raise CoverageError("; ".join(report.failures))
        return 0

    def _count_evidence(self, ctx: Context) -> list[str]:
        """Count what tags rest on into the report, and return the ids of nodes for which that is too little."""
        report, tags, known = ctx.report, ctx.tags, ctx.evidence
        assumed = BY_SOURCE if self.assume else {}
        pairs = [
            (tags[op].source, known.get(op, assumed.get(tags[op].source))) if op in tags else (None, None)
            for op in ctx.walk.counted
        ]
        counts = Counter(pairs)
        by_source: dict[str, dict[str, int]] = {}
        report.by_evidence = {each.label: 0 for each in Evidence}
        for (source, evidence), count in sorted(counts.items(), key=str):
            if source is not None and evidence is not None:
                report.by_evidence[evidence.label] += count
                by_source.setdefault(source.label, {})[evidence.label] = count
        report.evidence_by_source = by_source
        least = self.min_evidence
        if least is None:
            return []
        labels = zip(ctx.walk.counted, pairs, strict=True)
        return [op.label for op, (_, evidence) in labels if evidence is None or evidence > least]


def _first(scope: Scope) -> int:
    """The position of a scope's first node in the walk."""
    return scope.ops[0].id
