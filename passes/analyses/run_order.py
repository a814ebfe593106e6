"""In which order nodes run, as far as the data flow says it: what a module tree is sorted by where no run was captured.

Exporters write constants and shared weights first, whoever reads them, so the position in the file does not say it.
"""

from __future__ import annotations

from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.base import Analysis, Context


class RunOrder(Analysis[list[int]]):
    """A rank for each op, smaller for one that runs earlier; those that depend on no input of a graph come last."""

    requires = (DataFlow,)

    def compute(self, ctx: Context) -> list[int]:
        """Rank the ops that depend on an input in topological order, which is that of the file if it is sorted."""
        flow = ctx.get(DataFlow)
        depends = [False] * len(ctx.ops)
        for op in flow.order:
            for key in flow.inputs[op]:
                maker = flow.producer.get(key)
                if key not in flow.stored if maker is None else depends[maker]:
                    depends[op] = True
                    break
            else:
                depends[op] = any(depends[maker] for maker, _ in flow.given.get(op, ()))
        ranks = [0] * len(depends)
        for rank, op in enumerate(sorted(flow.order, key=lambda op: not depends[op])):
            ranks[op] = rank
        return ranks
