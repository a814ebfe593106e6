"""A file quantised by module: what is asked for, what was made, and whether it meets its targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_tagger.errors import TaggerError, require
from onnx_tagger.files.filecopy import permissions_of
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.scratch import scratch_folder
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.measures.quantising import ModulePrecision, Quantized, Variant
from onnx_tagger.model.arguments import path_of
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.runtime.calibration import Calibration, inputs_of
from onnx_tagger.runtime.metrics import Metric
from onnx_tagger.runtime.quantising.noise import decibels, noise, running
from onnx_tagger.runtime.quantising.quantisers import FORMATS, METHODS, Way, quantise
from onnx_tagger.workflows.carrying import carry
from onnx_tagger.workflows.checking import Target
from onnx_tagger.workflows.quantising.choosing import Subject, by_module
from onnx_tagger.workflows.quantising.sensing import Sensing


@dataclass(frozen=True)
class Wish:
    """What a quantised file is to be.

    Attributes
    ----------
    static : bool
    form : str
    methods : tuple of str
        Tried in turn; the best is taken.
    per_channel : bool
    only, keep : tuple of str
        Patterns of modules.
    min_sqnr : float or None
        Least signal to noise in decibels.
    max_drop : float or None
        What the metric may lose at most.
    metric : str or None
    """

    static: bool
    form: str = "qdq"
    methods: tuple[str, ...] = ("minmax",)
    per_channel: bool = False
    only: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    min_sqnr: float | None = None
    max_drop: float | None = None
    metric: str | None = None

    def insist(self, data: object) -> None:
        """Raise if it contradicts itself."""
        for name, known, what in ((self.form, FORMATS, "format"), *((m, METHODS, "method") for m in self.methods)):
            if name not in known:
                raise TaggerError(f"{name!r} is no {what}: {advice_on(name, known, f'give {chr(44).join(known)}')}")
        if self.static and data is None:
            raise TaggerError("static quantisation needs data to calibrate on; give --calibrate DATA, or --dynamic")
        if self.min_sqnr is not None and data is None:
            raise TaggerError("a least signal to noise is measured on data; give --calibrate DATA")
        if (self.max_drop is None) != (self.metric is None):
            raise TaggerError("a largest drop is one of a metric; give both --max-drop X and --metric FILE.py:FN")
        if not self.static and len(self.methods) > 1:
            raise TaggerError("methods of calibration are for static quantisation; leave --methods out with --dynamic")


def quantize(
    model: Target,
    target: Target,
    *,
    data: str | Sequence[Mapping[str, object]] | None = None,
    dynamic: bool = False,
    hierarchy: MapSource | None = None,
    form: str = "qdq",
    methods: Sequence[str] = ("minmax",),
    per_channel: bool = False,
    only: Sequence[str] = (),
    keep: Sequence[str] = (),
    min_sqnr: float | None = None,
    max_drop: float | None = None,
    metric: str | None = None,
) -> Quantized:
    """Quantise the modules of a file to 8 bits with onnxruntime, and tag the result.

    Parameters
    ----------
    model : path
        A tagged float file.
    target : path
        The file to write.
    data : str or sequence of dicts, optional
        What to calibrate and measure on; see `sensitivity`. Static quantisation needs it.
    dynamic : bool
        Choose ranges of activations when the file runs.
    hierarchy : HierarchyMap, path or None
        The map, for a file without tags of its own.
    form : {"qdq", "qoperator"}
    methods : sequence of str
        ``minmax``, ``entropy``, ``percentile``: all are tried, and the one with the least noise is taken.
    per_channel : bool
        A scale for each output channel of a weight.
    only, keep : sequence of str
        Patterns of the modules to quantise, and of those to leave as they are.
    min_sqnr : float, optional
        Least signal to noise of the outputs, in decibels. Modules are left as they are, the costliest first, until it
        is met.
    max_drop : float, optional
        What the metric may lose at most, met in the same way.
    metric : str, optional
        ``FILE.py:FN``; a function of `run` and `samples`; see `onnx_tagger.runtime.metrics`.

    Returns
    -------
    Quantized
        `ok` says whether the targets are met; what could be made is written in any case.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    TaggerError
        If the file has no tags, a pattern names no module, the data do not fit, or onnxruntime cannot.
    """
    require("onnxruntime", "ort", "quantising")
    source, place = path_of(model, "the model"), path_of(target, "the target")
    wish = Wish(not dynamic, form, tuple(methods), per_channel, tuple(only), tuple(keep), min_sqnr, max_drop, metric)
    wish.insist(data)
    read_skeleton(source)  # what is wrong with it is said before anything is made
    permissions_of(place)
    with scratch_folder(place) as folder:
        subject = Subject.of(source, folder, hierarchy)
        samples = Calibration(data, inputs_of(subject.model.graph), source) if data is not None else None
        search = _Search(subject, samples, folder, wish)
        made = search.best()
        report = carry(source, place, lambda _, out: out.write_bytes(made.read_bytes()), hierarchy=hierarchy)
    return Quantized(
        model=source.name,
        output=str(place),
        data=samples.described if samples is not None else None,
        modules=search.precisions(),
        variants=tuple(search.variants),
        metric_before=search.metric_before,
        bytes_before=source.stat().st_size,
        mended=search.mended,
        coverage=report.coverage,
        failures=tuple(search.failures),
        notes=tuple(samples.notes(sum(1 for _ in samples))) if samples is not None else (),
    )


class _Search:
    """Tries variants, from all modules that may be quantised to fewer of them, until the targets are met."""

    def __init__(self, subject: Subject, samples: Calibration | None, folder: Path, wish: Wish) -> None:
        self.subject, self.samples, self.folder, self.wish = subject, samples, folder, wish
        self.nodes = subject.chosen(wish.only, wish.keep)
        self.variants: list[Variant] = []
        self.failures: list[str] = []
        self.mended = 0
        self.metric_before = self._measured(subject.path)

    def best(self) -> Path:
        """The file that meets the targets, or the last one that was tried."""
        way, path, variant = self._by_method()
        kept: list[str] = []
        costly = self._costly(way) if self._missed(variant) else []
        while self._missed(variant) and costly:
            more = self._enough(costly, variant)
            kept, costly = kept + [module for module, _ in costly[:more]], costly[more:]
            if not costly:
                break
            self.nodes = [node for node in self.nodes if node.module not in kept]
            predicted = decibels(sum(share for _, share in costly))
            path, variant = self._made(way, tuple(kept), predicted)
            self.variants.append(variant)
        self.failures = self._missed(variant)
        return path

    def precisions(self) -> tuple[ModulePrecision, ...]:
        """How the nodes of each module compute that could be quantised."""
        quantised = {node.name for node in self.nodes}
        found = []
        for module, group in by_module(self.subject.nodes).items():
            inside = [node for node in group if node.name in quantised]
            found.append(ModulePrecision(module, "int8" if inside else "fp32", len(group)))
        return tuple(found)

    def _by_method(self) -> tuple[Way, Path, Variant]:
        """All modules, by the method with the least noise."""
        best: tuple[Way, Path, Variant] | None = None
        failed: TaggerError | None = None
        for method in self.wish.methods:
            way = Way(self.wish.static, self.wish.form, method, self.wish.per_channel)
            try:
                path, variant = self._made(way, (), None)
            except TaggerError as error:
                failed = error
                self.variants.append(Variant(way=_shown(way), error=str(error)))
                continue
            self.variants.append(variant)
            if best is None or (variant.sqnr or 0.0) > (best[2].sqnr or 0.0):
                best = way, path, variant
        if best is None:
            assert failed is not None
            raise failed
        if self.variants[-1] is not best[2]:
            self.variants.remove(best[2])
            self.variants.append(best[2])
        return best

    def _made(self, way: Way, kept: tuple[str, ...], predicted: float | None) -> tuple[Path, Variant]:
        path = self.folder / f"{way.method}-{len(kept)}.onnx"
        self.mended = quantise(
            self.subject.path,
            path,
            [node.name for node in self.nodes],
            way,
            self.samples,
            self.folder / f"ranges-{way.method}.json",
            self.subject.kept(self.nodes),
        )
        found = noise(self.subject.path, [path], self.samples)[0].sqnr if self.samples is not None else None
        value = self._measured(path)
        return path, Variant(
            way=_shown(way),
            kept=kept,
            sqnr=found,
            predicted=predicted,
            metric=value,
            bytes=path.stat().st_size,
        )

    def _measured(self, path: Path) -> float | None:
        """What the metric says of a file."""
        if self.wish.metric is None:
            return None
        inputs = inputs_of(self.subject.model.graph)
        return Metric(self.wish.metric)(running(path), inputs, self.samples if self.samples is not None else ())

    def _missed(self, variant: Variant) -> list[str]:
        """Sentences on the targets that a variant misses."""
        found = []
        wish = self.wish
        if wish.min_sqnr is not None and variant.sqnr is not None and variant.sqnr < wish.min_sqnr:
            found.append(f"signal to noise is {variant.sqnr:.1f} dB, at least {wish.min_sqnr:g} dB are asked for")
        if wish.max_drop is not None and variant.metric is not None and self.metric_before is not None:
            drop = self.metric_before - variant.metric
            if drop > wish.max_drop:
                found.append(f"the metric drops by {drop:.4g}, at most {wish.max_drop:g} is allowed")
        return found

    def _costly(self, way: Way) -> list[tuple[str, float]]:
        """Modules with their noise as a share of the signal, the costliest first."""
        if self.samples is None:
            raise TaggerError("which modules cost most is measured on data; give --calibrate DATA")
        sensing = Sensing(self.subject, self.samples, self.folder, Way(True, "qdq", way.method, way.per_channel))
        found = sensing.injected(by_module(self.nodes))
        return sorted(((module, each.share) for module, each in found.items()), key=lambda item: -item[1])

    def _enough(self, costly: Sequence[tuple[str, float]], variant: Variant) -> int:
        """How many modules have to stay as they are by what is predicted; one at least."""
        if self.wish.min_sqnr is None:
            return 1
        allowed = 10 ** (-self.wish.min_sqnr / 10)
        left = sum(share for _, share in costly)
        for count, (_, share) in enumerate(costly, 1):
            left -= share
            if left <= allowed:
                return count
        return len(costly)


def _shown(way: Way) -> str:
    parts = ["static", way.form, way.method] if way.static else ["dynamic"]
    return " ".join([*parts, *(["per channel"] if way.per_channel else [])])
