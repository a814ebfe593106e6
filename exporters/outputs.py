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
from onnx_tagger.exporters.recording.kept import KeepingMode
from onnx_tagger.exporters.recording.recording import quiet_run
from onnx_tagger.exporters.torchscript.flatcall import structures_in, structures_known


@contextmanager
def runs_of(
    model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]
) -> Iterator[Iterator[list[npt.NDArray[Any]]]]:
    """Yield an iterator that runs the model for each step and gives the tensors that it returns, in order.

    Each run begins with the model as it is: what a run writes into buffers is put back behind it. A random model gives
    other values at each step. Model, inputs and random state are as they were at the end.

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
            with warnings.catch_warnings(), KeepingMode(kept):
                # They have been told when the model was captured.
                warnings.simplefilter("ignore")
                found = model(*given[0], **given[1])
            with structures_known(structures_in(found)):
                leaves = pytree.tree_leaves(found)
            arrays = [array_of(leaf) for leaf in leaves if isinstance(leaf, torch.Tensor)]
            kept.restore()
            yield arrays

    with quiet_run(model) as kept, torch.compiler.set_stance("force_eager"):
        yield runs()
