"""What an eager run really did: every tensor that an ATen operation made, the module that ran, and what it was made of.

Every `forward` is wrapped, and a `TorchDispatchMode` sees the operations. Tensors are known by identity, so what it has
seen is kept alive; an operation that writes in place makes a new version. Comparing with a file is `judging`'s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from onnx_tagger.exporters.recording.dispatched import is_view
from onnx_tagger.exporters.recording.kept import KeepingMode, writes_of
from onnx_tagger.exporters.recording.recording import CallLog, named_modules, quiet_run, recorded
from onnx_tagger.exporters.torchscript.flatcall import held_tensors

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Observation:
    """One tensor: one that an operation made, or one that was there before.

    Attributes
    ----------
    module : str
        Canonical path of the innermost module whose forward was running.
    operator : str
        Name of the ATen operation without overload; empty for a tensor that no operation made.
    view : bool
        Whether the operation only looks at its input's memory in another way.
    values : numpy.ndarray or None
        In order, in its shape; None for what numpy has no numbers for.
    inputs : tuple of int
        Positions of the observations of the tensors that it was made of.
    data : bool
        Whether it depends on what the model was given, and not on its weights and constants alone.
    call : tuple of str
        Which call of the module it was; empty if no module on the path is called more than once.
    """

    module: str
    operator: str
    view: bool
    values: Values | None
    inputs: tuple[int, ...] = ()
    data: bool = False
    call: tuple[str, ...] = ()


def observe(model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]) -> list[Observation]:
    """Run the eager model and record every tensor with the module that made it.

    Attention runs as separate operations, so that what is inside can be compared.

    Parameters
    ----------
    model : torch.nn.Module
    args, kwargs
        What its `forward` takes.

    Returns
    -------
    list of Observation
        In the order in which they were made; `Observation.inputs` are positions in it.
    """
    log = CallLog()
    recorder = _Recorder(log, held_tensors((args, kwargs)))
    with (
        quiet_run(model) as kept,
        torch.compiler.set_stance("force_eager"),
        recorded(named_modules(model), log),
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        recorder,
        KeepingMode(kept),
    ):
        model(*args, **kwargs)
    return list(recorder.observations())


@dataclass(slots=True)
class _Made:
    """An observation while the calls are not yet numbered."""

    running: int
    operator: str
    view: bool
    values: Values | None
    inputs: tuple[int, ...]
    data: bool


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps what each ATen operation makes, the module that runs, and what the operation read.

    Of control flow it sees the result alone: what runs in branches and loops is out of a mode's sight.
    """

    supports_higher_order_operators = True

    def __init__(self, log: CallLog, given: Iterable[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.log = log
        self.given = {_memory(tensor) for tensor in given}
        self.made: list[_Made] = []
        self.latest: dict[int, int] = {}
        # Memory to what was written into it: a write through one view is seen by all others.
        self.writes: dict[int, list[int]] = defaultdict(list)
        self.alive: list[torch.Tensor] = []

    def observations(self) -> Iterator[Observation]:
        """What was made, with the calls; only complete once the run is over."""
        labels: dict[int, tuple[str, ...]] = {}
        for made in self.made:
            if made.running not in labels:
                labels[made.running] = self.log.label_of(made.running)
            path, call = self.log.path(made.running), labels[made.running]
            yield Observation(path, made.operator, made.view, made.values, made.inputs, made.data, call)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation, then keep what it made and wrote."""
        kwargs = kwargs or {}
        read = [place for tensor in _tensors((args, kwargs)) for place in self._places(tensor)]
        out = func(*args, **kwargs)
        name, written = _name(func), list(_written(func, args, kwargs))
        inputs = tuple(dict.fromkeys(read))
        data = not _reads_shapes_only(name) and any(self.made[place].data for place in inputs)
        for tensor in {id(tensor): tensor for tensor in (*_tensors(out), *written)}.values():
            self._keep(tensor, _Made(self.log.running[-1], name, is_view(func), _numbers(tensor), inputs, data))
        for tensor in written:
            place = self.latest[id(tensor)]
            if tensor._base is not None:
                whole = (*self._places(tensor._base), place)
                numbers = _numbers(tensor._base)
                place = self._keep(tensor._base, _Made(self.log.running[-1], name, False, numbers, whole, data))
            self.writes[_memory(tensor)].append(place)
        return out

    def _places(self, tensor: torch.Tensor) -> list[int]:
        """Where a tensor's values come from: the operation that made it, and later writes into its memory."""
        place = self.latest.get(id(tensor))
        if place is None:
            # There before the operation: an input of the model, a weight or a constant.
            data = _memory(tensor) in self.given
            place = self._keep(tensor, _Made(-1, "", True, _numbers(tensor), (), data))
        later = [write for write in self.writes.get(_memory(tensor), ()) if write > place] if self.writes else []
        return [place, *later]

    def _keep(self, tensor: torch.Tensor, made: _Made) -> int:
        self.made.append(made)
        self.alive.append(tensor)
        self.latest[id(tensor)] = len(self.made) - 1
        return len(self.made) - 1


def _tensors(tree: object) -> Iterator[torch.Tensor]:
    return (leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, torch.Tensor))


def _name(func: Any) -> str:
    schema = getattr(func, "_schema", None)
    return schema.name.rpartition("::")[2] if schema is not None else str(func)


def _reads_shapes_only(name: str) -> bool:
    """Whether an operation takes no number of the tensor that it is called with."""
    return name.endswith("_like") or name.startswith("new_") or name in ("fill_", "zero_")


def _written(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Iterator[torch.Tensor]:
    """The arguments that an operation writes to."""
    for index, name in writes_of(func):
        yield from _tensors(args[index] if index < len(args) else kwargs.get(name))


def _memory(tensor: torch.Tensor) -> int:
    """The address of a tensor's memory, 0 for one that has none to look at."""
    if tensor.layout != torch.strided or type(tensor) not in (torch.Tensor, nn.Parameter):
        return 0
    return tensor.untyped_storage().data_ptr()


def _numbers(tensor: torch.Tensor) -> Values | None:
    """A copy of a tensor's values, since later operations may write in place."""
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex() or not tensor.numel():
        return None
    if tensor.device.type != "cpu":
        return None
    plain = tensor.detach()
    return np.array((plain.to(torch.float32) if plain.is_floating_point() else plain).numpy())
