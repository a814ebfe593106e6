"""A profile as node data of Model Explorer: a colour and the microseconds on each node of the graph.

The names are those of the nodes of the optimised model; where a runtime fused several nodes of the file into one, the
file's own nodes of that name are gone.
"""

from __future__ import annotations

import json
from typing import TextIO

from onnx_tagger.measures.profile import Profile

# From nothing to the slowest node, light to dark; fit for people who do not tell red from green.
_GRADIENT = [{"stop": 0, "bgColor": "#fff7ec"}, {"stop": 0.5, "bgColor": "#fc8d59"}, {"stop": 1, "bgColor": "#7f0000"}]


def render(profile: Profile, out: TextIO) -> None:
    """Write the microseconds of each node by its name."""
    results: dict[str, dict[str, float]] = {}
    for kernel in profile.kernels:
        value = results.get(kernel.name, {"value": 0.0})["value"] + kernel.mean
        results[kernel.name] = {"value": round(value, 3)}
    json.dump({"name": f"µs, {profile.model}", "results": results, "gradient": _GRADIENT}, out, ensure_ascii=False)
    out.write("\n")
