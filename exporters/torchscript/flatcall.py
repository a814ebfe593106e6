"""The tensors of a call, with the names that they have in the exported file."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
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
    opaque : dict of str to str
        Name of each parameter to the type of an object in it whose tensors nobody can take out: they are no inputs.
    """

    names: list[str]
    tensors: list[torch.Tensor]
    rebuild: Callable[[Sequence[torch.Tensor]], tuple[tuple[Any, ...], dict[str, Any]]]
    opaque: dict[str, str] = dataclasses.field(default_factory=dict)


def parameters_of(model: nn.Module) -> Mapping[str, inspect.Parameter]:
    """The parameters of a model's forward by name; none if it is made in C without a signature."""
    try:
        return inspect.signature(model.forward).parameters
    except (TypeError, ValueError):
        return {}


def bound_names(model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]) -> list[str]:
    """The parameter name of each argument, positional ones first."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    positional = [name for name, parameter in parameters_of(model).items() if parameter.kind in kinds]
    return [positional[i] if i < len(positional) else f"input_{i}" for i in range(len(args))] + list(kwargs)


def bound_arguments(model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]) -> dict[str, Any]:
    """The arguments by parameter as `torch.export` wants them: those of ``*args`` as one, those of ``**kwargs`` too."""
    parameters = parameters_of(model)
    if not parameters:
        return dict(zip(bound_names(model, args, kwargs), (*args, *kwargs.values()), strict=True))
    return inspect.Signature([*parameters.values()]).bind(*args, **kwargs).arguments


def flatten_call(model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]) -> FlatCall:
    """List the tensors of a call, also those in dataclasses; everything else is kept as a constant."""
    known = structures_in((args, kwargs))
    names: list[str] = []
    opaque: dict[str, str] = {}
    leaves: list[object] = []
    specs = []
    for name, value in zip(bound_names(model, args, kwargs), (*args, *kwargs.values()), strict=True):
        with structures_known(known):
            found, spec = pytree.tree_flatten(value)
        tensors = sum(isinstance(leaf, torch.Tensor) for leaf in found)
        number = 0
        for leaf in found:
            if isinstance(leaf, torch.Tensor):
                names.append(name if tensors == 1 else f"{name}_{number}")
                number += 1
            elif next(held_tensors(leaf), None) is not None:
                opaque[name] = type(leaf).__name__
        leaves.extend(found)
        specs.append((spec, len(found)))

    def rebuild(tensors: Sequence[torch.Tensor]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        source = iter(tensors)
        filled = [next(source) if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        values, at = [], 0
        with structures_known(known):
            for spec, size in specs:
                values.append(pytree.tree_unflatten(filled[at : at + size], spec))
                at += size
        return tuple(values[: len(args)]), dict(zip(kwargs, values[len(args) :], strict=True))

    return FlatCall(names, [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)], rebuild, opaque)


def structures_in(values: object) -> list[type]:
    """The dataclasses in arguments or results that torch does not know yet, those that hold others first."""
    found: dict[type, None] = {}
    stack = pytree.tree_leaves(values)
    while stack:
        value = stack.pop()
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            found[type(value)] = None
            stack.extend(pytree.tree_leaves([getattr(value, each.name) for each in dataclasses.fields(value)]))
    return list(found)


_numbers = count()


@contextmanager
def structures_known(kinds: Iterable[type]) -> Iterator[None]:
    """Have torch take dataclasses apart while the block runs, as it does tuples; what it knew stays as it was."""
    with ExitStack() as stack:
        for kind in kinds:
            if kind not in pytree.SUPPORTED_NODES:
                _register(kind)
                stack.callback(pytree._deregister_pytree_node, kind)
        yield


def _register(kind: type) -> None:
    """Tell torch to take a dataclass apart into all of its fields: in its own way it leaves out those that are None."""
    names = [field.name for field in dataclasses.fields(kind) if field.init]

    def flatten(value: Any) -> tuple[list[Any], Any]:
        return [getattr(value, name) for name in names], names

    def with_keys(value: Any) -> tuple[list[Any], Any]:
        return [(pytree.GetAttrKey(name), getattr(value, name)) for name in names], names

    def unflatten(values: Iterable[Any], _: Any) -> Any:
        return kind(**dict(zip(names, values, strict=True)))

    name = f"onnx_tagger.{next(_numbers)}"
    pytree._private_register_pytree_node(
        kind, flatten, unflatten, serialized_type_name=name, flatten_with_keys_fn=with_keys
    )


def held_tensors(thing: object, depth: int = 6) -> Iterator[torch.Tensor]:
    """The tensors that an argument is or holds, in containers and in objects such as caches; modules hold none."""
    if isinstance(thing, torch.Tensor):
        yield thing
        return
    inner: Iterable[object] = ()
    if isinstance(thing, Mapping):
        inner = thing.values()
    elif isinstance(thing, (list, tuple, set)):
        inner = thing
    elif not isinstance(thing, (type, nn.Module)):
        inner = (*getattr(thing, "__dict__", {}).values(), *_slots(thing))
    for value in inner if depth else ():
        yield from held_tensors(value, depth - 1)


def _slots(thing: object) -> Iterator[object]:
    """What an object holds in places that its class declares."""
    for kind in type(thing).__mro__:
        names = vars(kind).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            yield getattr(thing, name, None)
