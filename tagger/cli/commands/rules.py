"""`onnx-tagger rules`: what a check insists on."""

from __future__ import annotations

from onnx_tagger.cli.app import screen_of_run
from onnx_tagger.cli.options import AsJson


def command(as_json: AsJson = False) -> None:
    """List the rules of check: id, name, what is wrong where one is broken, and what to do then."""
    import json

    from onnx_tagger.model.findings import RULES

    screen = screen_of_run()
    if as_json:
        rows = [{"id": each.id, "name": each.name, "says": each.says, "advice": each.advice} for each in RULES]
        screen.raw(json.dumps(rows, indent=1))
        return
    for each in RULES:
        screen.lines([f"{each.id}  {each.name}", f"       {each.says}", f"       {each.advice}"])
