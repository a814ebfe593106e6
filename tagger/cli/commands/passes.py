"""`onnx-tagger passes`: the passes that retag can run."""

from __future__ import annotations

from onnx_tagger.cli.app import screen_of_run


def command() -> None:
    """List the passes that retag --pass can run, with their options."""
    from onnx_tagger.passes.registry import registered
    from onnx_tagger.reporters.passes import pass_row

    rows = [pass_row(found) for found in registered().values()]
    screen_of_run().table(("name", "owner", "touches", "options", "does"), rows)
