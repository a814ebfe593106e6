"""What quantising each module costs: by injecting its noise, or by quantising it alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from onnx_tagger.errors import TaggerError, require
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.measures.quantising import ModuleNoise, Sensitivity
from onnx_tagger.model.arguments import path_of
from onnx_tagger.runtime.calibration import Calibration, inputs_of
from onnx_tagger.runtime.quantising.injecting import injected
from onnx_tagger.runtime.quantising.noise import Noise, decibels, noise
from onnx_tagger.runtime.quantising.quantisers import Way, quantise
from onnx_tagger.workflows.checking import Target
from onnx_tagger.workflows.quantising.choosing import Quantisable, Subject, by_module

How = Literal["inject", "each"]
HOWS: tuple[How, ...] = ("inject", "each")


def sensitivity(
    model: Target,
    data: str | Sequence[Mapping[str, object]],
    *,
    hierarchy: MapSource | None = None,
    how: How = "inject",
    only: Sequence[str] = (),
    keep: Sequence[str] = (),
    depth: int | None = None,
    per_channel: bool = False,
    method: str = "minmax",
) -> Sensitivity:
    """Measure what quantising each module to 8 bits costs.

    Parameters
    ----------
    model : path
        A tagged float file.
    data : str or sequence of dicts
        What to calibrate and measure on: an ``.npz`` file, a folder of them, ``file.py:function`` that gives dicts of
        input name to array, ``random:SPEC.json``, or such dicts.
    hierarchy : HierarchyMap, path or None
        The map, for a file without tags of its own.
    how : {"inject", "each"}
        Add each module's noise to the float file, or quantise the modules one at a time, which takes longer.
    only, keep : sequence of str
        Patterns of the modules to look at, and of those to leave out.
    depth : int, optional
        Add modules up at so many parts of their path.
    per_channel : bool
        A scale for each output channel of a weight.
    method : str
        ``minmax``, ``entropy`` or ``percentile``.

    Returns
    -------
    Sensitivity
        Noise is a share of the outputs' signal, added up over the outputs; the costliest module comes first.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If the file has no tags, a pattern names no module, or the data do not fit.
    """
    require("onnxruntime", "ort", "measuring what quantising costs")
    source = path_of(model, "the model")
    if how not in HOWS:
        raise TaggerError(f"{how!r} is no way to measure: give {' or '.join(HOWS)}")
    read_skeleton(source)  # what is wrong with it is said before anything is made
    with TemporaryDirectory(prefix="onnx-tagger-") as name:
        folder = Path(name)
        subject = Subject.of(source, folder, hierarchy)
        samples = Calibration(data, inputs_of(subject.model.graph), source)
        count = sum(1 for _ in samples)
        nodes = subject.chosen(only, keep)
        sensed = Sensing(subject, samples, folder, Way(True, per_channel=per_channel, method=method))
        groups = _grouped(nodes, depth)
        found = sensed.injected(groups) if how == "inject" else sensed.alone(groups)
        whole = sensed.all_noise(nodes)
    return Sensitivity(
        model=source.name,
        data=samples.described,
        how=how,
        samples=count,
        modules=rows_of(groups, found),
        all_sqnr=whole.sqnr,
        predicted_sqnr=decibels(sum(each.share for each in found.values())),
        notes=tuple(samples.notes(count)),
    )


def rows_of(groups: dict[str, list[Quantisable]], found: dict[str, Noise]) -> tuple[ModuleNoise, ...]:
    """Modules with their noise, the costliest first."""
    whole = sum(each.share for each in found.values()) or 1.0
    rows = [
        ModuleNoise(
            module=module,
            nodes=len(groups[module]),
            weights=sum(node.weights for node in groups[module]),
            noise=each.share,
            sqnr=each.sqnr,
            share=each.share / whole,
        )
        for module, each in found.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.noise, row.module)))


def _grouped(nodes: Iterable[Quantisable], depth: int | None) -> dict[str, list[Quantisable]]:
    found: dict[str, list[Quantisable]] = {}
    for module, group in by_module(nodes).items():
        found.setdefault(module if depth is None else ".".join(module.split(".")[:depth]), []).extend(group)
    return found


class Sensing:
    """A file, samples and a folder for what is made of the file; ranges are calibrated once.

    Parameters
    ----------
    subject : Subject
    samples : Calibration
    folder : Path
    way : Way
        A static one.
    """

    def __init__(self, subject: Subject, samples: Calibration, folder: Path, way: Way) -> None:
        self.subject, self.samples, self.folder, self.way = subject, samples, folder, way
        self.cache = folder / f"ranges-{way.method}.json"
        self._made: dict[frozenset[str], Path] = {}

    def quantised(self, nodes: Sequence[Quantisable]) -> Path:
        """The file with some nodes quantised."""
        key = frozenset(node.name for node in nodes)
        if key not in self._made:
            target = self.folder / f"quantised-{len(self._made)}.onnx"
            names = [node.name for node in nodes]
            quantise(self.subject.path, target, names, self.way, self.samples, self.cache, self.subject.kept(nodes))
            self._made[key] = target
        return self._made[key]

    def all_noise(self, nodes: Sequence[Quantisable]) -> Noise:
        """The noise with all of them quantised."""
        return noise(self.subject.path, [self.quantised(nodes)], self.samples)[0]

    def injected(self, groups: dict[str, list[Quantisable]]) -> dict[str, Noise]:
        """The noise of each module, from one file in which all are quantised."""
        nodes = [node for group in groups.values() for node in group]
        names = {module: [node.name for node in group] for module, group in groups.items()}
        return injected(self.subject.path, self.quantised(nodes), names, self.samples)

    def alone(self, groups: dict[str, list[Quantisable]]) -> dict[str, Noise]:
        """The same by quantising one module at a time."""
        found = {}
        for module, group in groups.items():
            found[module] = noise(self.subject.path, [self.quantised(group)], self.samples)[0]
            self._made.pop(frozenset(node.name for node in group)).unlink()
        return found
