"""Which operations a run does: a dispatch mode takes down each with the memory that it reads and writes.

Under which module and call each runs is `recording`'s, the map that is made of it `capture`'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from onnx_tagger.exporters.recording.kept import Kept, Writes, writes_of
from onnx_tagger.exporters.recording.recording import CallLog

# They move values and compute none; exporters write most of them as nothing.
_COPIES = frozenset({"aten::clone", "aten::_to_copy", "aten::copy_", "aten::contiguous", "aten::lift_fresh_copy"})


def is_view(func: Any) -> bool:
    """Whether an ATen operation only looks at its input's memory in another way."""
    returns: Sequence[Any] = func._schema.returns if isinstance(func, torch._ops.OpOverload) else ()
    return bool(returns) and returns[0].alias_info is not None and not returns[0].alias_info.is_write


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is known of an ATen operation by itself.

    Attributes
    ----------
    name : str
    view : bool
    copied : int or None
        The argument that it copies, if that is all it does.
    fresh : bool
        Whether no operation made what it takes: it stands where numbers of Python's become a tensor.
    writes : tuple of (int, str)
        Position and name of the arguments that it writes to.
    """

    name: str
    view: bool
    copied: int | None
    fresh: bool
    writes: Writes

    @classmethod
    def of(cls, func: Any) -> _Kind:
        """Look an operation up."""
        schema = getattr(func, "_schema", None)
        if schema is None:
            return cls(str(func), is_view(func), None, False, ())
        copied = int(schema.name == "aten::copy_") if schema.name in _COPIES else None
        fresh = schema.name == "aten::lift_fresh"
        return cls(schema.name.rpartition("::")[2], is_view(func), copied, fresh, writes_of(func))


class WorkMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each operation in a log, under the module that runs, with the weights that it reads.

    Of control flow it sees the result alone: what runs in branches and loops is out of a mode's sight. During the run
    only addresses are taken down; who made what lay there is worked out behind it.
    """

    supports_higher_order_operators = True

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch guards each call against being compiled, which takes longer than all that is done here.

        Nothing is compiled while a run is recorded: `capture` sees to that.
        """
        return False

    def __init__(self, log: CallLog, paths: Mapping[nn.Module, str], kept: Kept) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.log, self.kept = log, kept
        self.weights = _storages(paths)
        self._kinds: dict[Any, _Kind] = {}
        self._steps: list[tuple[int, _Kind, list[int], list[int]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation, then note where it read and wrote."""
        kind = self._kinds.get(func)
        if kind is None:
            kind = self._kinds[func] = _Kind.of(func)
        read = _addresses(args if kind.copied is None else args[: kind.copied + 1][-1:])
        if kind.writes:
            self.kept.keep_written(kind.writes, args, kwargs or {})
        out = func(*args, **kwargs) if kwargs else func(*args)
        self._steps.append((self.log.running[-1], kind, read, _addresses((out,))))
        return out

    def settle(self) -> None:
        """Give the log its operations, once the run is over."""
        self.log.written = self.kept.written
        # Who wrote last what is in memory at an address: of a tensor that is being read, its maker.
        makers: dict[int, int] = {}
        trace, held = self.log.trace, self.weights
        for call, kind, read, made in self._steps:
            if kind.copied is not None:
                # A copy says what its original says; where nobody made that, nobody made the copy.
                _copied(makers, next((makers[address] for address in read if address in makers), None), made)
                continue
            if kind.fresh:
                # Its memory may have been another tensor's.
                _copied(makers, None, read)
            before = {makers[address] for address in read if address in makers}
            if not kind.view:
                for address in made:
                    makers[address] = len(trace)
            weights: dict[str, None] = {}
            for address in read:
                if address in held:
                    weights.update(held[address])
            trace.append((call, kind.name, kind.view, tuple(weights), tuple(sorted(before))))
        self._steps.clear()


def _copied(makers: dict[int, int], maker: int | None, made: Sequence[int]) -> None:
    for address in made:
        if maker is None:
            makers.pop(address, None)
        else:
            makers[address] = maker


def _addresses(values: Sequence[Any]) -> list[int]:
    """Where in memory the tensors lie that an operation takes or makes; lists among them may hold some."""
    found = []
    for value in values:
        if type(value) in _PLAIN:
            found.append(_address(value))
        elif isinstance(value, (list, tuple)):
            found += [_address(tensor) for tensor in value if type(tensor) in _PLAIN]
    # All empty tensors lie nowhere.
    return [address for address in found if address]


def _address(tensor: torch.Tensor) -> int:
    """Where the memory begins that a tensor and its views share; 0 if it has none, or in parts."""
    try:
        offset, start = int(tensor.storage_offset()), tensor.data_ptr()
        if not start:
            # One without elements says nothing of where it begins; its storage, of which asking takes longer, does.
            return tensor.untyped_storage().data_ptr()
        return start - offset * tensor.itemsize if offset else start
    except RuntimeError:
        return 0


# Tensors that have memory of their own to look at, as those of a tracer have not.
_PLAIN = frozenset({torch.Tensor, nn.Parameter})


def _storages(paths: Mapping[nn.Module, str]) -> dict[int, dict[str, None]]:
    """Address of the memory of each parameter and buffer that has elements to its names, which have no values."""
    found: dict[int, dict[str, None]] = defaultdict(dict)
    for module, path in paths.items():
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None and type(tensor) in _PLAIN and tensor.numel():
                found[_address(tensor)][f"{path}.{name}" if path else name] = None
    found.pop(0, None)
    return found
