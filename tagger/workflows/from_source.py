"""Work on a model that is given by its source, as the command line has it: load it, then export, capture or measure.

Each function here can be pickled with its arguments, for `isolation`, and loads torch only when it is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from onnx_tagger.model.report import Report
from onnx_tagger.workflows import exporting

if TYPE_CHECKING:
    from onnx_tagger.exporters.sources.loading import Source

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Given:
    """A source as it was given.

    Attributes
    ----------
    source : str
    inputs : Path or None
        A file that describes its inputs.
    seed : int
    """

    source: str
    inputs: Path | None = None
    seed: int = 0

    def load(self, tell: exporting.Progress) -> Source:
        """Load the model and its inputs."""
        from onnx_tagger.exporters.sources.loading import load_source

        tell("load the model")
        return load_source(self.source, inputs=self.inputs, seed=self.seed)


def export_source(
    given: Given, target: Path, shapes: Path | None, options: Mapping[str, Any], tell: exporting.Progress
) -> Report:
    """Export a source; `shapes` is a file of open dimensions, `options` are those of `exporting.export`."""
    loaded = given.load(tell)
    found = None
    if shapes is not None:
        from onnx_tagger.exporters.sources.shapespec import read_shapes

        found = read_shapes(shapes, loaded.model, loaded.args, loaded.kwargs)
    made = exporting.export(
        loaded.model, loaded.args, target, kwargs=loaded.kwargs, dynamic_shapes=found, progress=tell, **options
    )
    return made.report


def capture_source(given: Given, target: Path, tell: exporting.Progress) -> tuple[Report, int, int]:
    """Save the map of a source; the report, and how many modules and parameters the map has."""
    loaded = given.load(tell)
    tell("run it")
    report = Report()
    hierarchy = exporting.capture(loaded.model, loaded.args, kwargs=loaded.kwargs, report=report)
    with report.phase("save map"):
        hierarchy.save(target)
    return report, len(hierarchy.modules), len(hierarchy.parameters)


def measure_source(measure: Callable[..., _Made], given: Given, tell: exporting.Progress) -> _Made:
    """Load a source and pass it, with its inputs, to what measures it."""
    loaded = given.load(tell)
    return measure(loaded.model, loaded.args, kwargs=loaded.kwargs, progress=tell)
