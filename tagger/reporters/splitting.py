"""Stages for people: what each holds, takes and gives, and what goes past a stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from onnx_tagger.measures.shown import shown
from onnx_tagger.reporters.terminal import Screen, counted

if TYPE_CHECKING:
    from onnx_tagger.workflows.splitting.splitting import BorderTensor, Split

# Skip connections that are listed.
_LISTED = 8


def show_split(screen: Screen, made: Split) -> None:
    """Print a row for each stage, skip connections, and what verifying showed."""
    headers = ["stage", "holds", "nodes", "hoisted", "bytes", "takes", "bytes in"]
    if made.by is not None:
        headers.append({"bytes": "weights", "flops": "flops", "time": "µs"}[made.by])
    rows = []
    for stage in made.stages:
        border = [one for one in stage.inputs if one.source is not None]
        row = [stage.file, stage.holds, str(stage.nodes), str(stage.hoisted), str(stage.size), str(len(border))]
        row.append(_bytes(border))
        if stage.cost is not None:
            row.append(shown(round(stage.cost, 1)))
        rows.append(row)
    screen.table(headers, rows, numbers=tuple(range(2, len(headers))))
    lines = [f"skip: {name} from stage {a} to stage {b}" for name, a, b in made.skips[:_LISTED]]
    if len(made.skips) > _LISTED:
        lines.append(f"and {len(made.skips) - _LISTED} more; stages.json lists all")
    if made.verified is not None:
        outputs = counted(len(made.outputs), "output")
        lines.append(
            f"verified: the chained stages are bit-equal to the whole ({outputs})"
            if made.verified
            else f"differ from the whole: {', '.join(made.different)}"
        )
    screen.lines(lines)


def _bytes(tensors: Sequence[BorderTensor]) -> str:
    known = [one.bytes for one in tensors if one.bytes is not None]
    unknown = len(tensors) - len(known)
    return f"{sum(known)} + {unknown} unknown" if unknown else str(sum(known))
