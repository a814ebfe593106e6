"""Keeping a model as it is found while its code runs: buffers, parameters and attributes that a `forward` changes.

Attributes are compared when the run is over. Tensors that are written in place are copied before the first operation
writes to them, so that a run that writes to none copies none.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import cached_property
from operator import is_
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

# Containers whose contents are put back, too; what lies deeper stays as it is left.
_CONTAINERS: frozenset[type[Any]] = frozenset((dict, OrderedDict, defaultdict, list, set, deque))

# Where in its arguments an operation writes: position and name.
Writes = tuple[tuple[int, str], ...]


def writes_of(func: Any) -> Writes:
    """The arguments that an ATen operation writes to."""
    schema = getattr(func, "_schema", None)
    arguments = schema.arguments if schema is not None else ()
    return tuple((i, a.name) for i, a in enumerate(arguments) if a.alias_info is not None and a.alias_info.is_write)


def storage_address(tensor: torch.Tensor) -> int:
    """Where in memory a tensor's storage begins, 0 for one that has none to look at."""
    try:
        return tensor.untyped_storage().data_ptr()
    except RuntimeError:
        return 0


class Kept:
    """A model as it was found.

    Parameters
    ----------
    modules : iterable of torch.nn.Module
        All modules of the model.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._modules = list(modules)
        self._found = [_Found(module) for module in self._modules]
        self._values: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    @property
    def written(self) -> list[torch.Tensor]:
        """The tensors that were written in place, or kept on suspicion."""
        return [tensor for tensor, _ in self._values.values()]

    def keep(self, tensors: Iterable[torch.Tensor]) -> None:
        """Copy tensors that are going to be written; what is copied already stays as it is."""
        for tensor in tensors:
            if id(tensor) not in self._values:
                self._values[id(tensor)] = tensor, tensor.detach().clone()

    def keep_written(self, writes: Writes, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Copy those of the model's tensors that lie where an operation is about to write."""
        for index, name in writes:
            written = args[index] if index < len(args) else kwargs.get(name)
            for tensor in written if isinstance(written, (list, tuple)) else (written,):
                if isinstance(tensor, torch.Tensor) and (address := storage_address(tensor)):
                    self.keep(self._tensors.get(address, ()))

    def restore_values(self) -> None:
        """Write back what tensors held; they are kept further."""
        with torch.no_grad():
            for tensor, value in self._values.values():
                # One that was given another shape in place cannot be written back.
                if tensor.shape == value.shape:
                    tensor.copy_(value)

    def restore(self) -> None:
        """Put back values and attributes; a module that has become one of another class stays as it has become."""
        self.restore_values()
        for module, found in zip(self._modules, self._found, strict=True):
            if type(module) is found.kind:
                found.put_back(vars(module))

    @cached_property
    def _tensors(self) -> dict[int, list[torch.Tensor]]:
        """The tensors that the modules held, by where their storage begins."""
        tensors: dict[int, list[torch.Tensor]] = {}
        for module, found in zip(self._modules, self._found, strict=True):
            # A compiled module gives its tensors on asking alone.
            asked = (*module.parameters(recurse=False), *module.buffers(recurse=False))
            for tensor in {id(tensor): tensor for tensor in (*asked, *found.tensors())}.values():
                if address := storage_address(tensor):
                    tensors.setdefault(address, []).append(tensor)
        return tensors


class KeepingMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Has tensors kept before operations write to them, for runs that no other mode watches.

    What runs in branches and loops is out of a mode's sight; torch lets nothing be written there.
    """

    supports_higher_order_operators = True

    def __init__(self, kept: Kept) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kept = kept

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Keep what the operation writes to, then run it."""
        if writes := writes_of(func):
            self.kept.keep_written(writes, args, kwargs or {})
        return func(*args, **(kwargs or {}))


class _Found:
    """A module's attributes and what the containers among them held; most modules have a dozen empty ones."""

    __slots__ = ("attributes", "empty", "filled", "kind")

    def __init__(self, module: nn.Module) -> None:
        self.kind = type(module)
        self.attributes = dict(vars(module))
        containers = [value for value in self.attributes.values() if type(value) in _CONTAINERS]
        self.empty = [container for container in containers if not container]
        self.filled = [(container, copy(container)) for container in containers if container]

    def tensors(self) -> Iterator[torch.Tensor]:
        """The tensors among attributes and in containers."""
        for values in (self.attributes, *(held for _, held in self.filled)):
            for value in values.values() if isinstance(values, dict) else values:
                if isinstance(value, torch.Tensor):
                    yield value

    def put_back(self, attributes: dict[str, Any]) -> None:
        """Give a module the attributes that it had, each container with what it held."""
        if any(self.empty):
            for container in self.empty:
                container.clear()
        for container, held in self.filled:
            if not _same(container, held):
                container.clear()
                (container.extend if isinstance(container, (list, deque)) else container.update)(held)
        if not _same(attributes, self.attributes):
            attributes.clear()
            attributes.update(self.attributes)


def _same(one: Any, other: Any) -> bool:
    """Whether two containers of one kind hold the same objects in the same order, mappings under the same keys."""
    if len(one) != len(other):
        return False
    if isinstance(one, dict):
        return list(one) == list(other) and all(map(is_, one.values(), other.values()))
    return all(map(is_, one, other))
