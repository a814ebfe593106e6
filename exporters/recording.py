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
        outer = ("", 0)
        for frame in reversed(self._stack):
            if _lies_in(path, frame[0]):
                outer = frame
                break
        number = self._counts.get((outer, path), 0)
        self._counts[outer, path] = number + 1
        frames = self.frames[path]
        self._stack.append((path, len(frames)))
        frames.append((outer, number))

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


@dataclass(frozen=True, slots=True)
class _Kind:
    """What is known of an ATen operation by itself: its name, whether it is a view, and the argument that it copies."""

    name: str
    view: bool
    copied: int | None

    @classmethod
    def of(cls, func: Any) -> _Kind:
        """Look an operation up."""
        schema = getattr(func, "_schema", None)
        if schema is None:
            return cls(str(func), is_view(func), None)
        copied = int(schema.name == "aten::copy_") if schema.name in _COPIES else None
        return cls(schema.name.rpartition("::")[2], is_view(func), copied)


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

    def __init__(self, log: CallLog, model: nn.Module | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.log = log
        self.weights = _storages(model) if model is not None else {}
        self._kinds: dict[Any, _Kind] = {}
        self._steps: list[tuple[tuple[str, int], _Kind, list[int], list[int]]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operation, then note where it read and wrote."""
        kind = self._kinds.get(func)
        if kind is None:
            kind = self._kinds[func] = _Kind.of(func)
        read = _addresses(args if kind.copied is None else args[: kind.copied + 1][-1:])
        out = func(*args, **kwargs) if kwargs else func(*args)
        self._steps.append((self.log.frame, kind, read, _addresses((out,))))
        return out

    def __exit__(self, *error: Any) -> None:
        """Give the log its operations."""
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        # Who wrote last what is in memory at an address: of a tensor that is being read, its maker.
        makers: dict[int, int] = {}
        for frame, kind, read, made in self._steps:
            before = {makers[address] for address in read if address in makers}
            if kind.copied is not None:
                # A copy says what its original says; where nobody made that, nobody made the copy.
                _copied(makers, next((makers[address] for address in read if address in makers), None), made)
                continue
            if not kind.view:
                makers.update(dict.fromkeys(made, len(self.log.trace)))
            weights = dict.fromkeys(weight for address in read for weight in self.weights.get(address, ()))
            self.log.trace.append((frame, kind.name, kind.view, tuple(weights), tuple(sorted(before))))
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
            found.append(value.untyped_storage().data_ptr())
        elif isinstance(value, (list, tuple)):
            found += [tensor.untyped_storage().data_ptr() for tensor in value if type(tensor) in _PLAIN]
    # All empty tensors lie nowhere.
    return [address for address in found if address]


# Tensors that have memory of their own to look at, as those of a tracer have not.
_PLAIN = frozenset({torch.Tensor, nn.Parameter})


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
            if any(training for _, training in modes):
                model.eval()
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fastpath)
            for module, training in modes:
                # Modules are slow to set attributes on.
                if module.training is not training:
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
        # One hook for all modules: one on each costs more than all else that is done for it.
        announced: set[int] = set()
        hook = torch.nn.modules.module.register_module_forward_pre_hook(lambda module, _: announced.add(id(module)))
        stack.callback(hook.remove)
        replace = stack.enter_context(forwards_replaced())
        signatures: dict[object, inspect.Signature | None] = {}
        for module, path in paths.items():
            if module not in compiled and has_forward(module):
                noted = _wrapped(module.forward, path, log, announced, id(module))
                signature = _signature(module.forward, signatures)
                if signature is not None:
                    noted.__signature__ = signature  # type: ignore[attr-defined]
                replace(module, noted)
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


def _wrapped(
    forward: Callable[..., Any], path: str, log: CallLog, announced: set[int], number: int
) -> Callable[..., Any]:
    """A forward that notes its calls, also those that no call of the module announced."""

    @functools.wraps(forward)
    def noted(*args: Any, **kwargs: Any) -> Any:
        if number in announced:
            announced.discard(number)
        else:
            log.direct.add(path)
        log.enter(path)
        try:
            return forward(*args, **kwargs)
        finally:
            log.leave()

    return noted


def _signature(forward: Callable[..., Any], known: dict[object, inspect.Signature | None]) -> inspect.Signature | None:
    """The signature of a forward, which those of one class share; None for one made in C, which has none to keep."""
    key = getattr(forward, "__func__", None)
    if key is None or key not in known:
        try:
            known[key] = inspect.signature(forward)
        except (TypeError, ValueError):
            known[key] = None
    return known[key]


def has_forward(module: nn.Module) -> bool:
    """Whether a module's class, or the module itself, defines `forward`."""
    if isinstance(module, torch.jit.ScriptModule):
        return True
    own = getattr(type(module), "forward", None)
    return (own is not None and own is not nn.Module.forward) or "forward" in module.__dict__
