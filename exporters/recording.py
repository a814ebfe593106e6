"""What happens during a run: which modules are called, in which order, and which operations they run.

The run wraps each module's `forward` on the instance, since hooks miss a direct `.forward()`; a dispatch mode sees the
operations. The map that is made of it is `capture`'s.
"""

from __future__ import annotations

import functools
import inspect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from onnx_tagger.exporters.forwards import forwards_replaced
from onnx_tagger.hierarchy import Operation


@dataclass
class CallLog:
    """Every call of a module's `forward`, in order.

    Attributes
    ----------
    order : dict
        Module path to its position among the modules in order of first call.
    frames : dict
        Module path to one entry for each call: the enclosing call and the number of this call in it.
    trace : list
        Operations in order: module and number of its call, operator, whether it is a view, names of the weights read,
        positions of the operations whose results it took.
    direct : set
        Paths of modules whose `forward` was called by itself and not through the module.
    """

    order: dict[str, int] = field(default_factory=dict)
    frames: dict[str, list[tuple[tuple[str, int], int]]] = field(default_factory=lambda: defaultdict(list))
    direct: set[str] = field(default_factory=set)
    trace: list[tuple[tuple[str, int], str, bool, tuple[str, ...], tuple[int, ...]]] = field(default_factory=list)
    _stack: list[tuple[str, int]] = field(default_factory=list)
    _counts: Counter[tuple[tuple[str, int], str]] = field(default_factory=Counter)

    def enter(self, path: str) -> None:
        """Note that a call begins."""
        self.order.setdefault(path, len(self.order))
        outer = next((frame for frame in reversed(self._stack) if _lies_in(path, frame[0])), ("", 0))
        number = self._counts[outer, path]
        self._counts[outer, path] += 1
        self._stack.append((path, len(self.frames[path])))
        self.frames[path].append((outer, number))

    def operation(
        self, operator: str, *, view: bool, weights: tuple[str, ...] = (), reads: tuple[int, ...] = ()
    ) -> None:
        """Note an operation of the innermost module that runs."""
        self.trace.append((self.frame, operator, view, weights, reads))

    def operations(self) -> Iterator[Operation]:
        """The operations with the call that each belongs to; only complete once the run is over."""
        labels: dict[tuple[str, int], tuple[str, ...]] = {}
        for frame, operator, view, weights, reads in self.trace:
            if frame not in labels:
                labels[frame] = self.label(*frame)
            yield Operation(frame[0], operator, view, weights, labels[frame], reads)

    @property
    def current(self) -> str:
        """Path of the innermost module that runs, the root's if none does."""
        return self._stack[-1][0] if self._stack else ""

    @property
    def frame(self) -> tuple[str, int]:
        """Path of the innermost module that runs and the number of its call, as `label` takes them."""
        return self._stack[-1] if self._stack else ("", 0)

    def leave(self) -> None:
        """Note that the innermost call ends."""
        self._stack.pop()

    def label(self, path: str, index: int) -> tuple[str, ...]:
        """The path of the `index`-th call of a module, with ``@k`` behind each module called more than once.

        Empty if no module on the path was called more than once in one call of the module around it.
        """
        if index >= len(self.frames.get(path, ())):
            return ()
        marks: dict[str, int] = {}
        frame = (path, index)
        while frame[0]:
            outer, number = self.frames[frame[0]][frame[1]]
            if self._counts[outer, frame[0]] > 1:
                marks[frame[0]] = number
            frame = outer
        if not marks:
            return ()
        parts, done = [], ""
        for part in path.split("."):
            done = f"{done}.{part}" if done else part
            parts.append(f"{part}@{marks[done]}" if done in marks else part)
        return (".".join(parts),)


def _lies_in(path: str, outer: str) -> bool:
    return not outer or path.startswith(outer + ".")


def named_modules(model: nn.Module) -> dict[nn.Module, str]:
    """Canonical path of every module: the first name in the order of `named_modules`."""
    return {module: path for path, module in model.named_modules()}


# They move values and compute none; exporters write most of them as nothing.
_COPIES = frozenset({"aten::clone", "aten::_to_copy", "aten::copy_", "aten::contiguous", "aten::lift_fresh_copy"})


def is_view(func: Any) -> bool:
    """Whether an ATen operation only looks at its input's memory in another way."""
    returns: Sequence[Any] = func._schema.returns if isinstance(func, torch._ops.OpOverload) else ()
    return bool(returns) and returns[0].alias_info is not None and not returns[0].alias_info.is_write


class WorkMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes each operation in a log, under the module that runs, with the weights that it reads.

    Of control flow it sees the result alone: what runs in branches and loops is out of a mode's sight.
    """

    supports_higher_order_operators = True

    def __init__(self, log: CallLog, model: nn.Module | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.log = log
        self.weights = _storages(model) if model is not None else {}
        # Who wrote last what is in memory at an address: of a tensor that is being read, its maker.
        self.makers: dict[int, int] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation, then note it."""
        read = [address for argument in args for address in _addresses(argument)]
        reads = sorted({self.makers[address] for address in read if address in self.makers})
        out = func(*args, **(kwargs or {}))
        schema = getattr(func, "_schema", None)
        if schema is None or schema.name not in _COPIES:
            view = is_view(func)
            if not view:
                self.makers.update(dict.fromkeys(_addresses(out), len(self.log.trace)))
            name = schema.name.rpartition("::")[2] if schema is not None else str(func)
            weights = dict.fromkeys(weight for address in read for weight in self.weights.get(address, ()))
            self.log.operation(name, view=view, weights=tuple(weights), reads=tuple(reads))
        else:
            self._copied(args[1] if schema.name == "aten::copy_" and len(args) > 1 else args[0], out)
        return out

    def _copied(self, original: Any, copy: Any) -> None:
        """A copy says what its original says; where nobody made that, nobody made the copy."""
        maker = next((self.makers[address] for address in _addresses(original) if address in self.makers), None)
        for address in _addresses(copy):
            if maker is None:
                self.makers.pop(address, None)
            else:
                self.makers[address] = maker


def _addresses(value: Any) -> list[int]:
    """Where in memory the tensors lie that an operation takes or makes; lists may hold some."""
    values = value if isinstance(value, (list, tuple)) else (value,)
    return [tensor.untyped_storage().data_ptr() for tensor in values if type(tensor) in _PLAIN]


# Tensors that have memory of their own to look at, as those of a tracer have not.
_PLAIN = (torch.Tensor, nn.Parameter)


def _storages(model: nn.Module) -> dict[int, list[str]]:
    """Address of each parameter's and buffer's memory to its names."""
    found: dict[int, list[str]] = defaultdict(list)
    for path, module in model.named_modules():
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if type(tensor) in _PLAIN and tensor.layout == torch.strided and tensor.numel():
                found[tensor.untyped_storage().data_ptr()].append(f"{path}.{name}" if path else name)
    found.pop(0, None)
    return found


@contextmanager
def quiet_run(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, plain attention code, random state put back; all restored at the end."""
    modes = [(module, module.training) for module in model.modules()]
    # The fast path of MultiheadAttention and TransformerEncoder skips the forward of what they hold.
    fastpath = torch.backends.mha.get_fastpath_enabled()
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.no_grad())
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            model.eval()
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fastpath)
            for module, training in modes:
                module.training = training


@contextmanager
def recorded(paths: Mapping[nn.Module, str], log: CallLog) -> Iterator[None]:
    """Wrap the forward of every module on its instance, and take the wrappers off again."""
    compiled: dict[nn.Module, str] = {
        module: path for module, path in paths.items() if isinstance(module, torch.jit.ScriptModule)
    }
    with ExitStack() as stack:
        for handle in _compiled_hooks(compiled, log) if compiled else ():
            stack.callback(handle.remove)
        replace = stack.enter_context(forwards_replaced())
        for module, path in paths.items():
            if module not in compiled and has_forward(module):
                announced: list[bool] = []
                handle = module.register_forward_pre_hook(lambda *_, announced=announced: announced.append(True))
                stack.callback(handle.remove)
                replace(module, _wrapped(module.forward, path, log, announced))
        yield


def _compiled_hooks(compiled: Mapping[nn.Module, str], log: CallLog) -> Iterator[torch.utils.hooks.RemovableHandle]:
    """Note calls of compiled modules: they take neither attributes nor hooks of their own, but heed global ones."""

    def enter(module: nn.Module, *_: object) -> None:
        if module in compiled:
            log.enter(compiled[module])

    def leave(module: nn.Module, *_: object) -> None:
        if module in compiled:
            log.leave()

    yield torch.nn.modules.module.register_module_forward_pre_hook(enter)
    yield torch.nn.modules.module.register_module_forward_hook(leave, always_call=True)


def _wrapped(forward: Callable[..., Any], path: str, log: CallLog, announced: list[bool]) -> Callable[..., Any]:
    """A forward that notes its calls, also those that no call of the module announced, and keeps its signature."""

    @functools.wraps(forward)
    def noted(*args: Any, **kwargs: Any) -> Any:
        if not announced:
            log.direct.add(path)
        announced.clear()
        log.enter(path)
        try:
            return forward(*args, **kwargs)
        finally:
            log.leave()

    try:
        noted.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        # A forward made in C has no signature to keep.
        return noted
    return noted


def has_forward(module: nn.Module) -> bool:
    """Whether a module's class, or the module itself, defines `forward`."""
    if isinstance(module, torch.jit.ScriptModule):
        return True
    own = getattr(type(module), "forward", None)
    return (own is not None and own is not nn.Module.forward) or "forward" in module.__dict__
