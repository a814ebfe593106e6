"""What tagging adds to an export: seconds of a tagged export beside the bare one to a file.

    python benchmarks/exports.py [--rounds 7]

torch runs in one thread unless OMP_NUM_THREADS says otherwise.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from measure import ROUNDS, Series, interleaved, machine, processor_seconds, quiet, synced, table
from subjects import EXPORTED
from torch import nn

import onnx_tagger as ot
from onnx_tagger.exporters import capture

TARGET = {"fx": 1.03, "htp": 1.05}


def bare(strategy: str, model: Any, kwargs: dict[str, Any], path: Path) -> None:
    """The exporter by itself, until its file is on the disk."""
    if strategy == "fx":
        program = torch.onnx.export(model, (), kwargs=kwargs, dynamo=True, verbose=False)
        assert program is not None
        program.save(path)
    else:
        # It passes nothing by keyword, and this model takes nothing else.
        wrapped = ByPosition(model, list(kwargs)).eval()
        torch.onnx.export(wrapped, tuple(kwargs.values()), str(path), input_names=list(kwargs), dynamo=False)
    synced(path)


@contextmanager
def digests_clocked() -> Iterator[list[float]]:
    """The seconds, and those of the processor, that digests of weights take."""
    real, spent = capture.with_parameters, [0.0, 0.0]

    def clocked(*arguments: Any) -> Any:
        start, used = time.perf_counter(), processor_seconds()
        try:
            return real(*arguments)
        finally:
            spent[:] = time.perf_counter() - start, processor_seconds() - used

    capture.with_parameters = clocked
    try:
        yield spent
    finally:
        capture.with_parameters = real


class ByPosition(nn.Module):
    """A model that takes its inputs by position."""

    def __init__(self, model: nn.Module, names: list[str]) -> None:
        super().__init__()
        self.model, self.names = model, names

    def forward(self, *values: torch.Tensor) -> Any:
        return self.model(**dict(zip(self.names, values, strict=True)))


def measured(name: str, rounds: int) -> list[tuple[str, ...]]:
    """The rows of one model."""
    with quiet():
        model, kwargs = EXPORTED[name]()
    rows = []
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        for strategy, target in TARGET.items():
            phases: dict[str, list[float]] = {}
            ways = ways_of(strategy, model, kwargs, Path(folder), phases)
            with quiet():
                times = interleaved(ways, rounds)
            kept = {phase: Series(tuple(values[-rounds:])) for phase, values in phases.items()}
            spent = ", ".join(f"{phase} {series.median:.3f}" for phase, series in kept.items())
            wall, busy = times["tagged"].over(times["bare"]), times["tagged"].busy.over(times["bare"].busy)
            row = (times["bare"].shown(), wall.shown(".3f"), busy.shown(".3f"), f"{target:.2f}", spent)
            rows.append((f"{name}, {strategy}", *row))
            print(f"measured: {name}, {strategy}", file=sys.stderr, flush=True)
    return rows


def ways_of(
    strategy: str, model: Any, kwargs: dict[str, Any], folder: Path, phases: dict[str, list[float]]
) -> dict[str, Callable[[], object]]:
    """The bare export, and the tagged one less the digests of the weights."""

    def tagged() -> tuple[float, float]:
        start, used = time.perf_counter(), processor_seconds()
        with digests_clocked() as digests:
            made = ot.export(model, (), folder / "tagged.onnx", kwargs=kwargs, strategy=strategy)
        taken, work = time.perf_counter() - start, processor_seconds() - used
        for phase in made.report.phases:
            phases.setdefault(phase.name, []).append(phase.seconds)
        return taken - digests[0], work - digests[1]

    return {"bare": lambda: bare(strategy, model, kwargs, folder / "bare.onnx"), "tagged": tagged}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    print(f"{machine()}, torch {torch.__version__.partition('+')[0]} in {torch.get_num_threads()} threads")
    ratio = "tagged without digests ÷ bare"
    head = ("model, strategy", "bare, s", ratio, "processor seconds", "target", "phases of the tagged one, s")
    rows = [row for name in ("ResNet-50", "BERT-base") for row in measured(name, rounds)]
    table("tagged export ÷ bare export to a file", head, rows)


if __name__ == "__main__":
    main()
