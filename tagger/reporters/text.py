"""A verdict for people: whether the check holds, then the first nodes and limits that fall short."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from onnx_tagger.model.findings import RULES
from onnx_tagger.model.gated import Gated, Judged
from onnx_tagger.model.texts import counted
from onnx_tagger.model.verdict import Verdict
from onnx_tagger.reporters.terminal import printable, shortened

# What a person reads; the machine-readable forms hold more.
_SHOWN = 20
_SHOWN_OF_MANY = 5


def render(verdict: Verdict, out: TextIO) -> None:
    """Write the headline, the limits that do not hold, and the first nodes that fall short, a line each."""
    lines = [verdict.headline]
    lines += [f"  {sentence}" for sentence in verdict.broken]
    lines += [f"  {text}" for text in verdict.single[:_SHOWN]]
    if len(verdict.single) > _SHOWN:
        lines.append(f"  and {len(verdict.single) - _SHOWN} more nodes; --format json lists all")
    out.writelines(f"{printable(shortened(line))}\n" for line in lines)


def render_many(gated: Gated, out: TextIO) -> None:
    """Write a line for each file, the first findings of each, and a table of the rules that are broken."""
    lines = [line for file in gated.files for line in lines_of(file)]
    out.writelines(f"{printable(shortened(line))}\n" for line in [*lines, *closing_of(gated)])


def lines_of(file: Judged) -> list[str]:
    """The line of a file, and its first findings."""
    found = [f"  {each.rule.id} {each.says}" for each in file.findings[:_SHOWN_OF_MANY]]
    if len(file.findings) > _SHOWN_OF_MANY:
        found.append(f"  and {len(file.findings) - _SHOWN_OF_MANY} more; --format json lists all")
    return [file.headline, *found]


def findings_only(gated: Gated) -> Iterator[str]:
    """A line for each finding, with its file."""
    for each in gated.findings:
        yield f"{each.file}: {each.rule.id} {each.says}"


def closing_of(gated: Gated) -> list[str]:
    """The lines at the end: all files in one, and how often each rule is broken."""
    names = {rule.id: rule.name for rule in RULES}
    files = {
        rule: sum(any(each.rule.id == rule for each in f.findings) for f in gated.files) for rule in gated.by_rule()
    }
    table = [
        f"  {rule}  {names[rule]:<18}{counted(count, 'finding'):>14} in {counted(files[rule], 'file')}"
        for rule, count in gated.by_rule().items()
    ]
    return [gated.headline, *table, *gated.notes]
