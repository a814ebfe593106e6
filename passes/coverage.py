"""The gate: how many nodes have a tag, how it was found, and which fall short."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from onnx_tagger.errors import CoverageError
from onnx_tagger.metadata import Source
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.report import Limits, count_tags


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

    def run(self, ctx: Context) -> int:
        """Fill the report; return 0, since nothing is changed."""
        report, tags = ctx.report, ctx.tags
        counted = ctx.walk.counted
        found = [tags[op] for op in counted if op in tags]
        sources = Counter(tag.source for tag in found)
        report.nodes = len(counted)
        report.tagged = len(found)
        report.by_source = {source.label: sources[source] for source in Source}
        report.by_graph = dict(Counter(op.scope.name for op in counted))
        report.untagged = [op.label for op in counted if op not in tags]
        report.tags = count_tags([tag.tag for tag in found])
        report.origins = sum(len(tag.origins) > 1 for tag in found)
        report.failures = []
        report.weak = {
            source.label: [op.label for op in counted if op in tags and tags[op].source is source]
            for source in (Source.INHERITED, Source.ROOT)
        }
        report.judge(Limits(self.min_coverage, self.max_root, self.max_inherited))
        for scope in ctx.walk.scopes:
            if not scope.called and scope.owner is None:
                note = f"{scope.name} is never called: its {len(scope.ops)} nodes are not counted"
                if note not in report.fallbacks:
                    report.fallbacks.append(note)
        if self.enforce and not report.ok:
            raise CoverageError("; ".join(report.failures))
        return 0
