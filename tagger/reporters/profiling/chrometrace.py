"""A profile in the trace event format, which Perfetto (ui.perfetto.dev) and chrome://tracing open.

Complete events ("ph": "X") nest by time on one thread; see *Trace Event Format*, section "Complete Events".
"""

from __future__ import annotations

import json
from typing import TextIO

from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.reporters.profiling.timeline import Span, spans_of

# Digits of a microsecond: a nanosecond.
_DIGITS = 3


def render(profile: Profile, out: TextIO) -> None:
    """Write one run as a trace: a slice for each module, and in it one for each kernel."""
    events: list[dict[str, object]] = [
        {"ph": "M", "pid": 1, "tid": 1, "name": "process_name", "args": {"name": profile.model}},
        {"ph": "M", "pid": 1, "tid": 1, "name": "thread_name", "args": {"name": "one run, without gaps"}},
    ]
    events += [_event(span) for span in spans_of(profile)]
    json.dump({"displayTimeUnit": "ns", "traceEvents": events, "otherData": dict(profile.settings)}, out)
    out.write("\n")


def _event(span: Span) -> dict[str, object]:
    args: dict[str, object] = {}
    kernel, module = span.kernel, span.module
    if kernel is not None:
        args = {"op": kernel.op, "provider": kernel.provider, "node": kernel.node, "runs": kernel.count}
        if kernel.tag is not None:
            args |= {"module": kernel.tag.module, "tag": kernel.tag.tag, "source": kernel.tag.source.label}
    elif module is not None:
        args = {"module": module.path, "tag": module.tag, "class": module.cls}
    start, end = round(span.start, _DIGITS), round(span.end, _DIGITS)
    return {
        "ph": "X",
        "pid": 1,
        "tid": 1,
        "cat": "module" if kernel is None else "kernel",
        "name": span.name,
        "ts": start,
        "dur": round(end - start, _DIGITS),
        "args": args,
    }
