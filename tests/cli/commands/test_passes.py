"""The command passes: ours and those of others, broken ones too."""

import re

import pytest

from examples.tiny import Run


def test_passes(run: Run) -> None:
    code, out, _ = run("passes")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert code == 0
    assert {"match", "align", "inherit", "inject", "coverage"} <= set(lines)
    assert re.search(r"onnx-tagger +tags +merge='enclosing', weights=True, .*Tag what", lines["align"])


def test_a_broken_plug_in_is_a_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from onnx_tagger.passes import registry

    entry = EntryPoint("lost", "no_such_module:Lost", registry.GROUP)
    known = registry.registered() | {"lost": registry.Registered("lost", "someone", entry)}
    monkeypatch.setattr(registry, "registered", lambda: known)
    code, out, _ = run("passes")
    assert code == 0
    assert "broken: pass 'lost' of someone cannot be imported" in out
    assert "align" in out
