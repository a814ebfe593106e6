"""What changed between two profiles: for people, for machines, for CI, and for comments; the first is a table."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import asdict
from io import StringIO
from typing import TextIO

from onnx_tagger.measures.profiling.change import Change, ProfileChange
from onnx_tagger.reporters.github import annotation
from onnx_tagger.reporters.jsonform import safe
from onnx_tagger.reporters.junit import xml_text
from onnx_tagger.reporters.markdown import escaped
from onnx_tagger.reporters.terminal import Screen, counted

FORMS = ("text", "json", "junit", "github", "markdown")
_COMMAND = "onnx-tagger profile-diff"

# Rows that a person reads where nothing is sure.
_SHOWN = 10


def show_change(screen: Screen, change: ProfileChange, form: str) -> None:
    """Print what changed in one of the `FORMS`."""
    if form == "text":
        _show(screen, change)
        return
    out = StringIO()
    _RENDERERS[form](change, out)
    screen.raw(out.getvalue())


def headline(change: ProfileChange) -> str:
    """A sentence: how many modules are slower for sure, and what that says of the whole."""
    whole = change.whole
    slower = len([row for row in change.slower if row is not whole])
    faster = len([row for row in change.faster if row is not whole])
    limit = f"by more than {100 * change.floor:g} %"
    found = f"{counted(slower, 'module')} slower {limit} for sure, {faster} faster"
    return f"{change.after.model}: {found}; the whole {_ratio(whole)}, {_WORDS[whole.verdict]}"


_WORDS = {
    "slower": "slower for sure",
    "faster": "faster for sure",
    "same": "the same",
    "unsure": "not sure",
    "only before": "only before",
    "only after": "only after",
}


def _word(row: Change) -> str:
    """The verdict; of one that was only sure beside the rest of the model, with that."""
    return _WORDS[row.verdict].replace(" for sure", " than the rest for sure") if row.relative else _WORDS[row.verdict]


def _name(row: Change) -> str:
    return "(no module)" if row.module is None else row.module or "(root)"


def _ratio(row: Change) -> str:
    """The ratio with its interval."""
    if row.ratio is None:
        return "-"
    return f"x{row.ratio:.3f} ({row.low or 0:.3f} to {row.high or 0:.3f})"


def sentence(row: Change) -> str:
    """What became of one module."""
    return f"{_name(row)}: {row.before:.4g} -> {row.after:.4g} µs, {_ratio(row)}, {_word(row)}"


def _show(screen: Screen, change: ProfileChange) -> None:
    """The whole, what differs for sure, and of the rest what won or lost most."""
    ordered = [change.whole, *(row for row in _sorted(change) if row is not change.whole)]
    sure = sum(row.verdict in ("slower", "faster") for row in ordered)
    kept = ordered[: 1 + max(_SHOWN, sure)]
    rows = [[_name(row), f"{row.before:.1f}", f"{row.after:.1f}", _ratio(row), _word(row)] for row in kept]
    screen.table(("module", "µs before", "µs after", "ratio (95 %)", "verdict"), rows, numbers=(1, 2, 3))
    if len(kept) < len(ordered):
        screen.note(f"{len(ordered) - len(kept)} more rows, none of which differs for sure; --format json has all")
    screen.lines([""])
    screen.styled(headline(change), "red" if change.slower else "green")
    for note in change.notes:
        screen.note(f"note: {note}")


def _sorted(change: ProfileChange) -> list[Change]:
    """Those that differ for sure first, then by the time that they won or lost."""
    return sorted(change.rows, key=lambda row: (row.verdict not in ("slower", "faster"), -abs(row.after - row.before)))


def _json(change: ProfileChange, out: TextIO) -> None:
    value = {
        "ok": not change.slower,
        "before": change.before.model,
        "after": change.after.model,
        "max_slowdown": change.floor,
        "sessions": [change.before.sessions, change.after.sessions],
        "modules": [asdict(row) for row in change.rows],
        "slower": [row.module for row in change.slower],
        "faster": [row.module for row in change.faster],
        "notes": list(change.notes),
    }
    out.write(safe(json.dumps(value, ensure_ascii=False, indent=1)) + "\n")


def _junit(change: ProfileChange, out: TextIO) -> None:
    slower = set(map(id, change.slower))
    suite = ET.Element(
        "testsuite",
        name=xml_text(f"{_COMMAND} {change.after.model}"),
        tests=str(len(change.rows)),
        failures=str(len(slower)),
        errors="0",
        skipped="0",
    )
    for row in change.rows:
        case = ET.SubElement(suite, "testcase", classname="onnx-tagger.profile", name=xml_text(_name(row)), time="0")
        if id(row) in slower:
            failure = ET.SubElement(case, "failure", message=xml_text(sentence(row)), type="onnx-tagger.slower")
            failure.text = xml_text(sentence(row))
    ET.indent(suite)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suite, encoding="unicode") + "\n")


def _github(change: ProfileChange, out: TextIO) -> None:
    file = change.after.model
    for row in change.slower:
        out.write(annotation("error", file, _COMMAND, sentence(row)))
    out.write(annotation("error" if change.slower else "notice", file, f"{_COMMAND}: summary", headline(change)))


def _markdown(change: ProfileChange, out: TextIO) -> None:
    out.write(
        f"{escaped(headline(change))}\n\n| module | µs before | µs after | ratio (95 %) | verdict |\n|-|-:|-:|-:|-|\n"
    )
    for row in _sorted(change):
        cells = (_name(row), f"{row.before:.1f}", f"{row.after:.1f}", _ratio(row), _word(row))
        out.write(f"| {' | '.join(map(escaped, cells))} |\n")
    out.writelines(f"\n{escaped(note)}\n" for note in change.notes)


_RENDERERS = {"json": _json, "junit": _junit, "github": _github, "markdown": _markdown}
