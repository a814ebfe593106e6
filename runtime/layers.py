"""Profiles that other runtimes wrote, read as layers: OpenVINO's and TensorRT's, neither of which is imported.

Which node a layer is, is the matter of `onnx_tagger.workflows.profiling.attributing`. onnxruntime's own profile is read
by `events`.

References: benchmark_app's reports (OpenVINO's documentation of the tool), and trtexec's ``--exportProfile`` and
``--exportLayerInfo`` (TensorRT Developer Guide, "Layer Information and Profiling").
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.model.limits import advice, input_limits
from onnx_tagger.model.texts import brief_fields

OPENVINO_FORMAT = "onnx-tagger/openvino-profile"
"""What the JSON calls itself that the documented snippet writes."""

FORMATS = ("ort", "openvino", "trt")

_ONNX_LAYER = re.compile(r"\[ONNX Layer: (.*?)\](?=$|[\x1e\x1f]|\[ONNX Layer: )", re.DOTALL)
_REFORMAT = re.compile(r"Reformatting CopyNode for (?:Input|Output) Tensor \d+ to (.*)")
_FOREIGN = re.compile(r"\{ForeignNode\[(.*?)\.\.\.(.*?)\]\}")


@dataclass(frozen=True, slots=True)
class Layer:
    """What a runtime executed as one.

    Attributes
    ----------
    name, kind : str
        As the runtime calls it, and what it is.
    us : tuple of float
        Microseconds, one number for each run that was recorded.
    originals : tuple of str
        Texts in each of which names of nodes of the file stand, parted by commas in OpenVINO's.
    inputs : tuple of str
        Layers whose results it reads, executed or not.
    near : tuple of str
        Names of nodes that it only converts something for.
    executor : str
        The kernel that was chosen.
    """

    name: str
    kind: str
    us: tuple[float, ...]
    originals: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    executor: str = ""

    __repr__ = brief_fields


def text_of(path: Path) -> str:
    """The text of a profile, within the limit for JSON.

    Raises
    ------
    TaggerError
        If it cannot be read.
    """
    most = input_limits().map_bytes
    try:
        with path.open("rb") as stream:
            data = stream.read(most + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TaggerError(f"{path}: cannot be read ({reason}); give the file of a profile") from None
    if len(data) > most:
        raise TaggerError(f"{path}: holds more than {most} bytes; {advice('map_bytes')}")
    return data.decode("utf-8-sig", "replace")


def format_of(text: str, path: Path) -> str:
    """Which runtime wrote a profile: ``ort``, ``openvino`` or ``trt``.

    Raises
    ------
    TaggerError
        If none of those.
    """
    begin = text[:4096].lstrip()
    if begin.startswith("layerName;") or f'"{OPENVINO_FORMAT}"' in begin:
        return "openvino"
    if begin.startswith("["):
        if re.search(r'"cat"\s*:', begin):
            return "ort"
        if re.search(r'"(count|timeMs|averageMs)"\s*:', begin):
            return "trt"
    raise TaggerError(
        f"{path}: is no profile of onnxruntime, OpenVINO or TensorRT as docs/attribute.md has them; "
        "say what wrote it with --format"
    )


def openvino_layers(text: str, path: Path) -> list[Layer]:
    """The layers of an OpenVINO profile: the JSON of the documented snippet, or a report of benchmark_app.

    Raises
    ------
    TaggerError
        If it is neither.
    """
    if not text.lstrip().startswith("{"):
        return _of_report(text, path)
    found = []
    for entry in _entries(_decoded(text, path), "layers", path):
        times = entry.get("us", [])
        if not isinstance(times, list) or not all(_is_time(time) for time in times):
            raise TaggerError(f"{path}: the times of a layer are no numbers; write the profile again")
        inputs = entry.get("inputs", [])
        found.append(
            Layer(
                str(entry.get("name", "")),
                str(entry.get("type", "")),
                tuple(map(float, times)),
                (str(entry.get("originals", "")),),
                tuple(map(str, inputs)) if isinstance(inputs, list) else (),
                executor=str(entry.get("exec", "")),
            )
        )
    return found


def _of_report(text: str, path: Path) -> list[Layer]:
    """benchmark_app's ``detailed_counters`` or ``average_counters``: one section a request, milliseconds."""
    times: dict[str, list[float]] = {}
    facts: dict[str, tuple[str, str]] = {}
    for row in csv.DictReader(text.splitlines(), delimiter=";"):
        name, took = row.get("layerName"), row.get("realTime (ms)")
        if not name or name in ("layerName", "Total") or took is None:
            continue
        kind, executor = str(row.get("layerType") or ""), str(row.get("execType") or "")
        try:
            milliseconds = float(took)
        except ValueError:
            raise TaggerError(f"{path}: {took[:40]!r} is no time in milliseconds; write the report again") from None
        if "NOT_RUN" not in str(row.get("execStatus")).upper() and "OPTIMIZED_OUT" not in str(row.get("execStatus")):
            times.setdefault(name, []).append(1e3 * milliseconds)
            facts[name] = kind, executor
    if not times:
        raise TaggerError(f"{path}: holds no layer that ran; write it with benchmark_app -pc -report_type")
    return [Layer(name, facts[name][0], tuple(us), (name,), executor=facts[name][1]) for name, us in times.items()]


def tensorrt_layers(text: str, path: Path, info: Path | None = None) -> list[Layer]:
    """The layers of a profile that trtexec exported, with the nodes that the exported layer information names.

    Raises
    ------
    TaggerError
        If either file cannot be read as such.
    """
    entries = _decoded(text, path)
    if not isinstance(entries, list):
        raise TaggerError(f"{path}: is no list of layers; give what trtexec --exportProfile writes")
    metadata = _metadata(info) if info is not None else {}
    found = []
    for entry in entries:
        if not isinstance(entry, dict) or "name" not in entry:
            continue  # the count of runs
        took = entry.get("medianMs", entry.get("averageMs"))
        if not isinstance(took, (int, float)) or not _is_time(took):
            raise TaggerError(f"{path}: a layer has no averageMs; give what trtexec --exportProfile writes")
        name = str(entry["name"])
        originals, near = _nodes_of(name, metadata.get(name, ""))
        found.append(Layer(name, "", (1e3 * float(took),), originals, near=near))
    return found


def _metadata(path: Path) -> dict[str, str]:
    layers = _entries(_decoded(text_of(path), path), "Layers", path)
    return {str(layer.get("Name", "")): str(layer.get("Metadata", "")) for layer in layers}


def _nodes_of(name: str, metadata: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The nodes that a layer is made of, and those that it only serves."""
    if said := tuple(_ONNX_LAYER.findall(metadata)):
        return said, ()
    if reformat := _REFORMAT.match(name):
        return (), tuple(reformat[1].split(" + "))
    if foreign := _FOREIGN.match(name):
        return (), (foreign[1], foreign[2])
    return tuple(re.sub(r"^(?:PWN\()+|\)+$", "", part) for part in name.split(" + ")), ()


def _decoded(text: str, path: Path) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TaggerError(f"{path}: is no JSON ({first_sentence(str(error))}); write the profile again") from None


def _entries(found: object, key: str, path: Path) -> Sequence[Mapping[str, object]]:
    layers = found.get(key) if isinstance(found, dict) else None
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise TaggerError(f"{path}: holds no list {key!r} of layers; see docs/attribute.md for how it is written")
    return layers


def _is_time(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")
