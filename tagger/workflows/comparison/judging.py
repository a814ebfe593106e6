"""Whose fault it is: the errors of tensors by module, which modules no tensor shows, and the sentences that say so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from msgspec import structs

from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.comparison.comparison import (
    ACCUMULATED,
    LOCAL,
    TENSORS,
    TOLERANCE,
    Comparison,
    Kind,
    TensorError,
    finite,
)
from onnx_tagger.measures.comparison.recorded import Recording
from onnx_tagger.measures.measure import Column, Measure
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.workflows.comparison.borders import Borders, module_of
from onnx_tagger.workflows.comparison.feeding import modules_of
from onnx_tagger.workflows.comparison.running import Trial

# How much further than a tensor's own error an output may be off by all errors together.
_TOGETHER = 100.0

# What a person reads of a list in one sentence.
_SHOWN = 3


@dataclass(frozen=True)
class Judged:
    """What one trial came to.

    Attributes
    ----------
    tensors : list of TensorError
    hidden : dict
        Module that ran and that no tensor shows, to why.
    covered : float
        Share of the tagged nodes from which a compared tensor is computed, 0 to 100.
    outputs : list of str
        Outputs of the file that are off although no tensor is by itself.
    notes : list of str
    """

    tensors: list[TensorError]
    hidden: dict[str, str]
    covered: float
    outputs: list[str]
    notes: list[str]


def judged(trial: Trial) -> Judged:
    """Judge the tensors and modules of a trial that has run."""
    chosen, borders = trial.pairing.chosen, trial.borders
    serving = borders.served(list(chosen))
    fused: dict[str, set[str]] = defaultdict(set)
    served_modules: dict[str, list[str]] = defaultdict(list)
    for place, points in serving.items():
        for call in borders.work[place].calls:
            for point in points:
                fused[point].add(module_of(call))
                served_modules[module_of(call)].append(point)
    tensors = [_tensor(trial, name, fused[name]) for name in chosen if name in trial.local]
    shown = {error.tensor: error.module for error in tensors}
    hidden = dict(_hidden(trial.recording, borders, shown, served_modules))
    tagged = [place for place, work in enumerate(borders.work) if work.calls]
    covered = 100.0 * sum(bool(serving.get(place)) for place in tagged) / len(tagged) if tagged else 0.0
    outputs = [name for name in chosen if name in borders.outputs and _drifted(trial, name)]
    notes = [] if borders.outputs & set(chosen) else ["none of the file's outputs is known to the reference"]
    return Judged(tensors, hidden, covered, [] if any(e.differs for e in tensors) else outputs, notes)


def _drifted(trial: Trial, name: str) -> bool:
    """Whether an output is off by more than the coarsest numbers in the file explain."""
    coarsest = max(trial.tolerances.allowed(other) for other in trial.pairing.chosen)
    return trial.accumulated[name] > _TOGETHER * coarsest


def _tensor(trial: Trial, name: str, modules: Collection[str]) -> TensorError:
    last = trial.borders.work[trial.borders.makers[name]].last
    call = last if last is not None else _port_of(trial, name)
    module = module_of(call)
    return TensorError(
        name,
        module,
        call,
        finite(trial.local[name]),
        finite(trial.accumulated[name]),
        trial.tolerances.allowed(name),
        _kind(trial.tolerances.kind(name)),
        sorted(path for path in modules if path != module),
        name in trial.wild,
        trial.differs(name),
        _coarsest(trial, name) if trial.differs(name) else "",
    )


def _coarsest(trial: Trial, name: str) -> str:
    """The first tensor in front of another one whose steps are too coarse for its numbers; empty if there is none."""
    found = trial.tolerances.rounded_before(name) & set(trial.coarse)
    return min(found, key=lambda each: trial.borders.ranks.get(each, -1), default="")


def _kind(name: str) -> Kind:
    kinds: tuple[Kind, ...] = ("float64", "float32", "float16", "bfloat16", "quantised")
    return next(kind for kind in kinds if kind == name)


def _port_of(trial: Trial, name: str) -> str:
    """The innermost call that gave the value of a tensor whose maker has no tag; the root if none did."""
    value = trial.pairing.chosen[name].value
    calls = [port.call for port in trial.recording.ports if port.value == value and port.side == "out"]
    return max(calls, key=lambda call: call.count("."), default="")


def _hidden(
    recording: Recording, borders: Borders, shown: Mapping[str, str], served: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, str]]:
    """The modules that ran and that no tensor shows, and why."""
    seen = set(shown.values())
    around = {prefix for path in seen for prefix in _prefixes(path)}
    ways = _ways(recording)
    bodies = {module_of(call): scope for call, scope in borders.hidden.items()}
    for module in modules_of(recording):
        if module in seen:
            continue
        with_fault = list(dict.fromkeys(shown[p] for p in served.get(module, ()) if p in shown))
        if with_fault:
            yield module, f"not visible: fused with {_listed(with_fault)}"
        elif module in bodies:
            yield module, f"not visible: its nodes are in {bodies[module]}, whose tensors are not exposed"
        elif module in around:
            # Its own work is none; what lies in it is shown.
            continue
        elif module in served or any(module_of(c) == module for work in borders.work for c in work.calls):
            yield module, "not visible: the reference knows no tensor that is computed of its nodes"
        elif ways.get(module, False):
            yield module, "not visible: it hands on what it takes"
        else:
            yield module, "not visible: no node of the file does its work"


def _prefixes(path: str) -> Iterator[str]:
    yield ""
    parts = path.split(".")
    yield from (".".join(parts[:end]) for end in range(1, len(parts)))


def _ways(recording: Recording) -> dict[str, bool]:
    """Modules to whether all that they give is what they took."""
    sides: dict[str, dict[str, set[int]]] = defaultdict(lambda: {"in": set(), "out": set()})
    for port in recording.ports:
        sides[module_of(port.call)][port.side].add(port.value)
    return {module: both["out"] <= both["in"] for module, both in sides.items()}


def _listed(names: Sequence[str]) -> str:
    shown = [name or "(root)" for name in names[:_SHOWN]]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(shown) + more


# --- several trials ---


def merged(several: Sequence[Judged]) -> Judged:
    """The worst of several samples."""
    first, *others = several
    if not others:
        return first
    tensors = {error.tensor: error for error in first.tensors}
    for other in others:
        for error in other.tensors:
            known = tensors.get(error.tensor)
            tensors[error.tensor] = error if known is None else _worse(known, error)
    hidden = {m: why for m, why in first.hidden.items() if all(m in other.hidden for other in others)}
    outputs = list(dict.fromkeys(name for each in several for name in each.outputs))
    return Judged(list(tensors.values()), hidden, min(each.covered for each in several), outputs, first.notes)


def _worse(one: TensorError, other: TensorError) -> TensorError:
    worst = max(one, other, key=lambda error: error.excess)
    sides = [one.accumulated, other.accumulated]
    accumulated = None if None in sides else max(side for side in sides if side is not None)
    return structs.replace(worst, accumulated=accumulated)


def comparison_of(found: Judged, tree: ModuleTree, blank: Comparison) -> Comparison:
    """A comparison of what was found.

    Parameters
    ----------
    found : Judged
    tree : ModuleTree
    blank : Comparison
        What was compared, without results.
    """
    return replace(
        blank,
        tensors=tuple(found.tensors),
        modules=table_of_tensors(found.tensors, tree),
        hidden=found.hidden,
        covered=found.covered,
        failures=tuple(failures(found)),
        notes=tuple(found.notes),
    )


def table_of_tensors(tensors: Sequence[TensorError], tree: ModuleTree) -> ModuleTable:
    """The table by module: each tensor counts at the module whose work it shows."""
    known = {module.path: module.tag for module in tree.root.below()}
    tags = [
        Tag(error.module, known[error.module] or "", Source.EXPORTED) if error.module in known else None
        for error in tensors
    ]
    worst = [float("inf") if error.local is None else error.local for error in tensors]
    summed = [float("inf") if error.accumulated is None else error.accumulated for error in tensors]
    measures = [
        Measure(Column(LOCAL, rule="max", worse="higher"), worst),
        Measure(Column(ACCUMULATED, rule="max", worse="higher"), summed),
        Measure(Column(TOLERANCE, rule="max"), [error.tolerance for error in tensors]),
        Measure(Column(TENSORS), [1.0] * len(tensors)),
    ]
    return ModuleTable.of(tree, tags, measures)


def failures(found: Judged) -> Iterable[str]:
    """A sentence for each module that differs, the first one first."""
    worst: dict[str, TensorError] = {}
    for error in found.tensors:
        if error.differs and (error.module not in worst or worst[error.module].excess < error.excess):
            worst[error.module] = error
    for error in worst.values():
        yield sentence(error)
    if not worst:
        for name in found.outputs:
            yield (
                f"the output {name!r} is off although no module is by itself: small errors add up, or one lies where "
                "no tensor shows it"
            )


def sentence(error: TensorError) -> str:
    """What a person has to know of a tensor that differs."""
    off = "has NaN or infinite numbers that the reference has not" if error.wild else _off(error)
    more = f"; fused with {_listed(error.fused)}" if error.fused else ""
    why = (
        f"; the range of {error.coarse!r} is taken up by a few numbers, and the others get lost" if error.coarse else ""
    )
    return f"{error.module or '(root)'}: {off}, at the tensor {error.tensor!r}{more}{why}"


def _off(error: TensorError) -> str:
    if error.local is None:
        return "is off beyond measure"
    return f"is off by {error.local:.1e} by itself (at most {error.tolerance:.1e} is allowed for {error.kind})"
