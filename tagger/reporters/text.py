"""A verdict for people: whether the check holds, then the first nodes and limits that fall short."""

from __future__ import annotations

from typing import TextIO

from onnx_tagger.model.verdict import Verdict
from onnx_tagger.reporters.terminal import printable, shortened

# What a person reads; the machine-readable forms hold more.
_SHOWN = 20


def render(verdict: Verdict, out: TextIO) -> None:
    """Write the headline, the limits that do not hold, and the first nodes that fall short, a line each."""
    lines = [verdict.headline]
    lines += [f"  {sentence}" for sentence in verdict.broken]
    lines += [f"  {text}" for text in verdict.single[:_SHOWN]]
    if len(verdict.single) > _SHOWN:
        lines.append(f"  and {len(verdict.single) - _SHOWN} more nodes; --format json lists all")
    out.writelines(f"{printable(shortened(line))}\n" for line in lines)
