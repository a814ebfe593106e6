"""What recording a run costs beside the bare run, and what digests of weights cost beside reading them.

python benchmarks/capturing.py
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import Series, interleaved, machine, processor_seconds, quiet, table
from subjects import EXPORTED
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from onnx_tagger.exporters.capture import capture
from onnx_tagger.exporters.recording.recording import quiet_run
from onnx_tagger.hierarchy.digest import value_digests


def in_empty_mode(model: nn.Module, kwargs: dict[str, Any]) -> Callable[[], object]:
    """The bare run in a mode that sees each operation."""

    def run() -> tuple[float, float]:
        with quiet_run(model), Empty():
            start, used = time.perf_counter(), processor_seconds()
            model(**kwargs)
            return time.perf_counter() - start, processor_seconds() - used

    return run


def many_modules(count: int = 1000) -> tuple[nn.Module, dict[str, Any]]:
    """A chain of as many modules that do next to nothing: what recording itself costs stands out."""
    return nn.Sequential(*(nn.ReLU() for _ in range(count))).eval(), {"input": torch.zeros(1, 8)}


def bare(model: nn.Module, kwargs: dict[str, Any]) -> Callable[[], object]:
    """The bare run, timed within what any caller sets up."""

    def run() -> tuple[float, float]:
        with quiet_run(model):
            start, used = time.perf_counter(), processor_seconds()
            model(**kwargs)
            return time.perf_counter() - start, processor_seconds() - used

    return run


class Empty(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Runs each operation and notes nothing: no recording of operations costs less."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def forwards() -> None:
    """The rows of the forward."""
    rows = []
    for name, build in [*list(EXPORTED.items())[:2], ("1000 ReLU modules", many_modules)]:
        with quiet():
            model, kwargs = build()
        modules = sum(1 for _ in model.modules())
        ways: dict[str, Callable[[], object]] = {
            "bare": bare(model, kwargs),
            "empty mode": in_empty_mode(model, kwargs),
            "map": lambda model=model, kwargs=kwargs: capture(model, (), kwargs, digests=False),
        }
        times = interleaved(ways, rounds=15, warm_up=3)
        more = times["map"].busy.minus(times["bare"].busy)
        rows.append(
            (
                f"{name}, {modules} modules",
                times["bare"].shown(".4f"),
                times["map"].over(times["bare"]).shown(),
                times["map"].busy.over(times["bare"].busy).shown(),
                times["empty mode"].busy.over(times["bare"].busy).shown(),
                Series(tuple(1e6 * value / modules for value in more.values)).shown(".1f"),
            )
        )
    head = ("model", "bare, s", "ratio", "processor seconds", "of an empty dispatch mode", "ms more per 1000 modules")
    table("forward with map ÷ bare forward", head, rows)


def digests() -> None:
    """The row of the digests: reading the weights with numpy is what nobody can go below."""
    rows = []
    values = np.random.default_rng(0).standard_normal(25_000_000).astype(np.float32)
    with tempfile.TemporaryDirectory(prefix="onnx-tagger-") as folder:
        path = Path(folder) / "weights.npy"
        np.save(path, values)
        for kind in (np.float32, np.float16):
            np.save(path, values.astype(kind))
            held = np.load(path)
            ways: dict[str, Callable[[], object]] = {
                "read": lambda: np.load(path),
                "digests": lambda held=held: value_digests(held),
                "sum": lambda held=held: held.sum(),
            }
            times = interleaved(ways)
            rows.append(
                (
                    f"{held.nbytes / 1e6:.0f} MB of {held.dtype}",
                    *(times[name].shown(".3f") for name in ways),
                    times["digests"].over(times["read"]).shown(),
                )
            )
    head = ("weights", "`numpy.load`, s", "digests, s", "`sum`, s", "digests ÷ read")
    table("digests of values ÷ reading the weights with numpy", head, rows)


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    print(machine())
    forwards()
    digests()


if __name__ == "__main__":
    main()
