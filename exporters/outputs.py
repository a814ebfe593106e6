"""What the model itself computes on its example inputs, to compare an exported file with."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy.typing as npt
import torch
from torch import nn
from torch.utils import _pytree as pytree

from onnx_tagger.exporters.interface import array_of
from onnx_tagger.exporters.recording.recording import quiet_run


@contextmanager
def runs_of(
    model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]
) -> Iterator[Iterator[list[npt.NDArray[Any]]]]:
    """Yield an iterator that runs the model for each step and gives the tensors that it returns, in order.

    A random model gives other values at each step. Model, inputs and random state are as they were at the end.

    Parameters
    ----------
    model : torch.nn.Module
    args, kwargs
        What its `forward` takes.
    """

    def runs() -> Iterator[list[npt.NDArray[Any]]]:
        while True:
            # Caches given as inputs are filled in place.
            try:
                given = copy.deepcopy((tuple(args), dict(kwargs)))
            except (TypeError, RuntimeError):
                given = tuple(args), dict(kwargs)
            with warnings.catch_warnings():
                # They have been told when the model was captured.
                warnings.simplefilter("ignore")
                found = model(*given[0], **given[1])
            yield [array_of(leaf) for leaf in pytree.tree_leaves(found) if isinstance(leaf, torch.Tensor)]

    with quiet_run(model), torch.compiler.set_stance("force_eager"), _buffers_kept(model):
        yield runs()


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    """Put back what the model's buffers are and hold."""
    kept = [(module, dict(module._buffers)) for module in model.modules() if module._buffers]
    held = {id(b): (b, b._version, b.clone()) for _, buffers in kept for b in buffers.values() if b is not None}
    try:
        yield
    finally:
        for module, buffers in kept:
            module._buffers.update(buffers)
        for buffer, version, values in held.values():
            if buffer._version != version:
                buffer.copy_(values)
