"""A profile in the format of speedscope (speedscope.app), by its schema: frames, and when each was entered and left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import TextIO

from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.reporters.profiling.timeline import Span, spans_of
from onnx_tagger.version import version

SCHEMA = "https://www.speedscope.app/file-format-schema.json"


def render(profile: Profile, out: TextIO) -> None:
    """Write one run as an evented profile: modules call modules, and these call operators."""
    frames: dict[str, int] = {}
    spans = spans_of(profile)
    events = list(_events(spans, frames))
    value = {
        "$schema": SCHEMA,
        "exporter": f"onnx-tagger@{version()}",
        "name": profile.model,
        "activeProfileIndex": 0,
        "shared": {"frames": [{"name": name} for name in frames]},
        "profiles": [
            {
                "type": "evented",
                "name": profile.model,
                "unit": "microseconds",
                "startValue": 0,
                "endValue": max((span.end for span in spans), default=0),
                "events": events,
            }
        ],
    }
    json.dump(value, out)
    out.write("\n")


def _events(spans: Iterable[Span], frames: dict[str, int]) -> Iterator[dict[str, object]]:
    """Entering and leaving, each exactly at the time of what it encloses or follows."""
    open_spans: list[tuple[Span, int]] = []
    for span in spans:
        while len(open_spans) > span.depth:
            yield _left(*open_spans.pop())
        name = span.name if span.kernel is None else span.kernel.op
        frame = frames.setdefault(name, len(frames))
        yield {"type": "O", "frame": frame, "at": span.start}
        open_spans.append((span, frame))
    while open_spans:
        yield _left(*open_spans.pop())


def _left(span: Span, frame: int) -> dict[str, object]:
    return {"type": "C", "frame": frame, "at": span.end}
