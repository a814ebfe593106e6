"""Keeping a model as it is found while its code runs: buffers, parameters and attributes that a `forward` changes.

Attributes are compared when the run is over. Tensors that are written in place are copied before the first operation
writes to them, so that a run that writes to none copies none.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

# Containers whose contents are put back, too; what lies deeper stays as it is left.
_CONTAINERS: tuple[type[Any], ...] = (dict, OrderedDict, defaultdict, list, set, deque)

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
        self._found = [(type(module), _contents(vars(module))) for module in self._modules]
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
        for module, (kind, found) in zip(self._modules, self._found, strict=True):
            if type(module) is kind:
                _put_back(vars(module), found)

    @cached_property
    def _tensors(self) -> dict[int, list[torch.Tensor]]:
        """The tensors that the modules held, by where their storage begins."""
        tensors: dict[int, list[torch.Tensor]] = {}
        for module, (_, found) in zip(self._modules, self._found, strict=True):
            # A compiled module gives its tensors on asking alone.
            asked = (*module.parameters(recurse=False), *module.buffers(recurse=False))
            for tensor in {id(tensor): tensor for tensor in (*asked, *_tensors_in(found.values()))}.values():
                if address := storage_address(tensor):
                    tensors.setdefault(address, []).append(tensor)
        return tensors


class KeepingMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Has tensors kept before operations write to them, for runs that no other mode watches."""

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


class _Contents:
    """A container and what it held."""

    __slots__ = ("container", "held")

    def __init__(self, container: Any) -> None:
        self.container = container
        self.held: dict[Any, Any] | list[Any] = dict(container) if isinstance(container, dict) else list(container)


def _contents(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes, containers among them with what they hold."""
    return {k: _Contents(v) if type(v) in _CONTAINERS else v for k, v in attributes.items()}


def _tensors_in(found: Iterable[Any]) -> Iterator[torch.Tensor]:
    for value in found:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, _Contents):
            held: Collection[Any] = value.held.values() if isinstance(value.held, dict) else value.held
            yield from (each for each in held if isinstance(each, torch.Tensor))


def _put_back(attributes: dict[str, Any], found: Mapping[str, Any]) -> None:
    """Give a module the attributes that it had, each container with what it held."""
    values = {}
    for name, value in found.items():
        if isinstance(value, _Contents):
            _refill(value)
            value = value.container
        values[name] = value
    if not _same(attributes, values):
        attributes.clear()
        attributes.update(values)


def _refill(contents: _Contents) -> None:
    """Have a container hold again what it held."""
    container, held = contents.container, contents.held
    if isinstance(held, dict):
        if not _same(container, held):
            container.clear()
            container.update(held)
    elif len(container) != len(held) or any(a is not b for a, b in zip(container, held, strict=True)):
        container.clear()
        (container.update if isinstance(container, set) else container.extend)(held)


def _same(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> bool:
    """Whether two mappings hold the same objects under the same keys, in the same order."""
    return len(one) == len(other) and all(
        key == name and one[key] is other[name] for key, name in zip(one, other, strict=True)
    )
