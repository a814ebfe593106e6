"""The tensors of a call, with the names that they have in the exported file."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree


@dataclass(frozen=True)
class FlatCall:
    """A call as its tensors in order, and the way back.

    Attributes
    ----------
    names : list of str
        One for each tensor: the parameter's name in the signature, numbered where it holds several tensors.
    tensors : list of torch.Tensor
    rebuild : callable
        From a sequence of tensors to (args, kwargs).
    """

    names: list[str]
    tensors: list[torch.Tensor]
    rebuild: Callable[[Sequence[torch.Tensor]], tuple[tuple[Any, ...], dict[str, Any]]]


def bound_names(model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]) -> list[str]:
    """The parameter name of each argument, positional ones first."""
    try:
        parameters = inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return [f"input_{i}" for i in range(len(args))] + list(kwargs)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [name for name, parameter in parameters.items() if parameter.kind in kinds]
    return [positional[i] if i < len(positional) else f"input_{i}" for i in range(len(args))] + list(kwargs)


def flatten_call(model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]) -> FlatCall:
    """List the tensors of a call; everything else is kept as a constant."""
    names: list[str] = []
    leaves: list[object] = []
    specs = []
    for name, value in zip(bound_names(model, args, kwargs), (*args, *kwargs.values()), strict=True):
        found, spec = pytree.tree_flatten(value)
        count = sum(isinstance(leaf, torch.Tensor) for leaf in found)
        number = 0
        for leaf in found:
            if isinstance(leaf, torch.Tensor):
                names.append(name if count == 1 else f"{name}_{number}")
                number += 1
        leaves.extend(found)
        specs.append((spec, len(found)))

    def rebuild(tensors: Sequence[torch.Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        source = iter(tensors)
        filled = [next(source) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        values, at = [], 0
        for spec, size in specs:
            values.append(pytree.tree_unflatten(filled[at : at + size], spec))
            at += size
        return tuple(values[: len(args)]), dict(zip(kwargs, values[len(args) :], strict=True))

    return FlatCall(names, [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)], rebuild)
