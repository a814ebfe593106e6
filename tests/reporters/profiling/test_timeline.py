"""A run on a time line, and the two formats that are written of it, each against what its viewer asks for."""

import json
from io import StringIO

import jsonschema
import pytest

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.kernel import Kernel
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.metadata import Source
from onnx_tagger.reporters.profiling import chrometrace, speedscope
from onnx_tagger.reporters.profiling.timeline import spans_of

# What "Trace Event Format" asks of complete and of metadata events in its JSON object form.
_TRACE = {
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "traceEvents": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["ph", "pid", "tid", "name"],
                "properties": {
                    "ph": {"enum": ["X", "M"]},
                    "pid": {"type": "integer"},
                    "tid": {"type": "integer"},
                    "name": {"type": "string"},
                    "cat": {"type": "string"},
                    "ts": {"type": "number", "minimum": 0},
                    "dur": {"type": "number", "minimum": 0},
                    "args": {"type": "object"},
                },
                "if": {"properties": {"ph": {"const": "X"}}},
                "then": {"required": ["ts", "dur", "cat"]},
            },
        },
    },
}

# The part of https://www.speedscope.app/file-format-schema.json that evented profiles are of.
_SPEEDSCOPE = {
    "type": "object",
    "required": ["$schema", "shared", "profiles"],
    "properties": {
        "$schema": {"const": "https://www.speedscope.app/file-format-schema.json"},
        "name": {"type": "string"},
        "exporter": {"type": "string"},
        "activeProfileIndex": {"type": "number"},
        "shared": {
            "type": "object",
            "required": ["frames"],
            "properties": {
                "frames": {
                    "type": "array",
                    "items": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}},
                }
            },
        },
        "profiles": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type", "name", "unit", "startValue", "endValue", "events"],
                "properties": {
                    "type": {"const": "evented"},
                    "unit": {"enum": ["bytes", "microseconds", "milliseconds", "nanoseconds", "none", "seconds"]},
                    "startValue": {"type": "number"},
                    "endValue": {"type": "number"},
                    "events": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["type", "frame", "at"],
                            "properties": {
                                "type": {"enum": ["O", "C"]},
                                "frame": {"type": "integer"},
                                "at": {"type": "number"},
                            },
                            "additionalProperties": False,
                        },
                    },
                },
            },
        },
    },
}


MAP = HierarchyMap.from_rows(
    [
        ModuleRow("", "Net"),
        ModuleRow("enc", "Enc"),
        ModuleRow("enc.layers", "ModuleList", tagged=False, keyed=True),
        ModuleRow("enc.layers.0", "Layer"),
        ModuleRow("enc.layers.1", "Layer"),
    ]
)


@pytest.fixture(name="profile")
def _profile() -> Profile:
    """Two kernels in layer 0, one in layer 1, one of both, one of the root, one without a module, and layer 0 again."""
    tree = ModuleTree(MAP)
    paths = ["enc.layers.0", "enc.layers.0", "enc.layers.1", "enc", "", None]
    tags = [None if path is None else MAP.tag(path, Source.MATCHED) for path in paths]
    kernels = [Kernel(f"k{at}", "Add", "CPU", (at + 1.0,), tag, f"main#{at}") for at, tag in enumerate(tags)]
    kernels.append(Kernel("back", "Mul", "CPU", (0.5,), tags[0]))
    return Profile("net.onnx", "test", tree, tuple(kernels))


def written(render: object, profile: Profile) -> dict[str, object]:
    out = StringIO()
    render.render(profile, out)  # type: ignore[attr-defined]
    found: dict[str, object] = json.loads(out.getvalue())
    return found


def test_spans_nest_and_follow_each_other(profile: Profile) -> None:
    spans = spans_of(profile)
    texts = [f"{'  ' * span.depth}{span.name} {span.start:g}-{span.end:g}" for span in spans]
    assert texts == [
        "Net 0-15",
        "  Enc enc 0-10",
        "    Layer.0 enc.layers.0 0-3",
        "      k0 0-1",
        "      k1 1-3",
        "    Layer.1 enc.layers.1 3-6",
        "      k2 3-6",
        "    k3 6-10",
        "  k4 10-15",
        "(no module) 15-21",
        "  k5 15-21",
        "Net 21-21.5",
        "  Enc enc 21-21.5",
        "    Layer.0 enc.layers.0 21-21.5",
        "      back 21-21.5",
    ]


def test_a_trace_is_what_the_format_asks_for(profile: Profile) -> None:
    found = written(chrometrace, profile)
    jsonschema.validate(found, _TRACE)
    events = [event for event in found["traceEvents"] if event["ph"] == "X"]  # type: ignore[attr-defined]
    assert len(events) == len(spans_of(profile))
    kernels = [event for event in events if event["cat"] == "kernel"]
    assert sum(event["dur"] for event in kernels) == pytest.approx(21.5)
    assert kernels[3]["args"]["module"] == "enc"
    # Slices of one thread nest: none begins in another one and ends behind it.
    for one in events:
        for other in events:
            inside = one["ts"] < other["ts"] < one["ts"] + one["dur"]
            assert not inside or other["ts"] + other["dur"] <= one["ts"] + one["dur"] + 1e-9


def test_speedscope_is_what_its_schema_asks_for(profile: Profile) -> None:
    found = written(speedscope, profile)
    jsonschema.validate(found, _SPEEDSCOPE)
    (run,) = found["profiles"]  # type: ignore[misc]
    stack: list[int] = []
    last = 0.0
    for event in run["events"]:
        assert event["at"] >= last
        last = event["at"]
        if event["type"] == "O":
            stack.append(event["frame"])
        else:
            assert stack.pop() == event["frame"]
    assert stack == []
    assert last == run["endValue"] == 21.5
    names = [frame["name"] for frame in found["shared"]["frames"]]  # type: ignore[index]
    assert names[:3] == ["Net", "Enc enc", "Layer.0 enc.layers.0"]


def test_nothing_ran() -> None:
    empty = Profile("net.onnx", "test", ModuleTree(MAP), ())
    assert spans_of(empty) == []
    jsonschema.validate(written(chrometrace, empty), _TRACE)
    jsonschema.validate(written(speedscope, empty), _SPEEDSCOPE)
