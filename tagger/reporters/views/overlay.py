"""A measure as node data for Model Explorer: a number for each node by its name, and the colours between them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from math import isnan
from typing import TextIO

from onnx_tagger.measures.fragment import title
from onnx_tagger.measures.measure import Measure
from onnx_tagger.reporters.jsonform import safe
from onnx_tagger.workflows.viewing import View, unique_names

# From one end of the scale to the other, readable for the colour-blind: Okabe and Ito's blue and vermilion, and white.
_LOW, _HIGH = "#56b4e9", "#d55e00"


def render(measure: Measure, names: Sequence[str], out: TextIO) -> None:
    """Write the overlay of a measure.

    Parameters
    ----------
    measure : Measure
        With a number, or none, for each node.
    names : sequence of str
        What each node is called in the graph that the overlay is laid over; a node without a name is left out, and of
        several with one name the first counts.
    out : TextIO
    """
    values: dict[str, dict[str, float]] = {}
    for name, value in zip(names, measure.numbers.tolist(), strict=True):
        if name and not isnan(value):
            values.setdefault(name, {"value": value})
    ends = ("#ffffff", _LOW) if measure.column.worse is None else ("#ffffff", _HIGH)
    if measure.column.worse == "lower":
        ends = ends[::-1]
    gradient = [{"stop": stop, "bgColor": colour} for stop, colour in enumerate(ends)]
    overlay = {"name": title(measure.column), "results": values, "gradient": gradient}
    out.write(safe(json.dumps(overlay, ensure_ascii=False)) + "\n")


def render_view(view: View, out: TextIO) -> None:
    """Write the measure that a file is shown by, for the graph that `modelexplorer` writes of it."""
    render(view.measure, unique_names(view.ops), out)
