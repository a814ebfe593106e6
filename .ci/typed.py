"""A script of a user, checked by `mypy --strict` against the installed wheel in `.ci/run`: are the types there?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import onnx_tagger as ot
from onnx_tagger.passes.base import Context, Pass, Touches

if TYPE_CHECKING:
    from typing_extensions import assert_type


class Nothing(Pass):
    """A pass of somebody else's."""

    name = "nothing"
    touches = Touches.NOTHING

    def run(self, ctx: Context) -> int:
        """Change nothing."""
        return len(ctx.ops) * 0


def main(model: Path, target: Path) -> None:
    """Use what the README shows."""
    report = ot.check(model, min_coverage=99.5)
    again = ot.retag(model, None, target, passes=[Nothing()])
    tagged = ot.read(target)
    if TYPE_CHECKING:
        assert_type(report, ot.Report)
        assert_type(report.coverage, float)
        assert_type(again.by_source, dict[str, int])
        assert_type(tagged, ot.Tagged)
        assert_type(tagged.table(["nodes"]), ot.ModuleTable)
    try:
        ot.check(model, min_coverge=3)  # type: ignore[call-arg]
    except ot.TaggerError as error:
        print(error)
