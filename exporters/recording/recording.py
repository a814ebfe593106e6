"""What happens during a run: which modules are called, in which order, and how their calls lie in each other.

The run wraps each module's `forward`, since hooks miss a direct `.forward()`. The operations are
`dispatched`'s, the map that is made of both `capture`'s.
"""

from __future__ import annotations

import functools
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from threading import RLock
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import nn

from onnx_tagger.exporters.recording.forwards import forwards_wrapped
from onnx_tagger.exporters.recording.kept import Kept
from onnx_tagger.hierarchy.map import Operation
from onnx_tagger.model.collector import collector_paused


class CallLog:
    """Every call of a module's `forward`, in order.

    During the run calls are only taken down; how they lie in each other is worked out behind it.

    Attributes
    ----------
    calls : list of (str, int)
        Each call's module path, and the number of the call that was running when it began, -1 if none was.
    running : list of int
        Numbers of the calls that run, the innermost last, behind a -1.
    direct : set of str
        Paths of modules whose `forward` was called by itself and not through the module.
    trace : list
        Operations in order: number of the call, operator, whether it is a view, names of the weights read, positions
        of the operations whose results it took.
    written : list of torch.Tensor
        Tensors of the model's that the run wrote to, in place.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.running = [-1]
        self.direct: set[str] = set()
        self.trace: list[tuple[int, str, bool, tuple[str, ...], tuple[int, ...]]] = []
        self.written: list[torch.Tensor] = []
        self._nesting: _Nesting | None = None

    def enter(self, path: str) -> None:
        """Note that a call begins."""
        self.calls.append((path, self.running[-1]))
        self.running.append(len(self.calls) - 1)

    def leave(self) -> None:
        """Note that the innermost call ends."""
        self.running.pop()

    def path(self, call: int) -> str:
        """Path of the module of a call, the root's of -1."""
        return self.calls[call][0] if call >= 0 else ""

    def counts(self) -> dict[str, int]:
        """How often each module was called, in order of first call."""
        return {path: len(calls) for path, calls in self._nested().by_path.items()}

    def operations(self) -> Iterator[Operation]:
        """The operations with the call that each belongs to; only complete once the run is over."""
        known: dict[int, tuple[str, tuple[str, ...]]] = {}
        for call, operator, view, weights, reads in self.trace:
            if call not in known:
                known[call] = self.path(call), self.label_of(call)
            path, label = known[call]
            yield Operation(path, operator, view, weights, label, reads)

    def label(self, path: str, index: int) -> tuple[str, ...]:
        """What `label_of` gives for the `index`-th call of a module; empty if there was none."""
        calls = self._nested().by_path.get(path, ())
        return self.label_of(calls[index]) if index < len(calls) else ()

    def label_of(self, call: int) -> tuple[str, ...]:
        """The path of a call's module, with ``@k`` behind each module called more than once.

        Empty if no module on the path was called more than once in one call of the module around it.
        """
        nesting = self._nested()
        if call < 0 or not nesting.repeated:
            return ()
        path, marks = self.calls[call][0], {}
        while call >= 0 and self.calls[call][0]:
            outer, within = nesting.outer[call], self.calls[call][0]
            if (outer, within) in nesting.repeated:
                marks[within] = nesting.number[call]
            call = outer
        if not marks:
            return ()
        parts, done = [], ""
        for part in path.split("."):
            done = f"{done}.{part}" if done else part
            parts.append(f"{part}@{marks[done]}" if done in marks else part)
        return (".".join(parts),)

    def _nested(self) -> _Nesting:
        if self._nesting is None or len(self._nesting.outer) < len(self.calls):
            self._nesting = _Nesting(self.calls)
        return self._nesting


class _Nesting:
    """How calls lie in each other.

    Attributes
    ----------
    by_path : dict
        Module path to the numbers of its calls, in order.
    outer : list of int
        For each call the innermost one running of a module that the called one lies in; -1 if there is none, and for
        the root's first call: what the root's hooks call, which run around its forward, is called in the same run.
    number : list of int
        For each call how many of its module came before it in the outer one.
    repeated : set of (int, str)
        Outer calls and paths of modules called in them more than once.
    """

    def __init__(self, calls: Sequence[tuple[str, int]]) -> None:
        self.by_path: dict[str, list[int]] = {}
        self.outer: list[int] = []
        self.number: list[int] = []
        self.repeated: set[tuple[int, str]] = set()
        counts: dict[tuple[int, str], int] = {}
        root = -1
        for call, (path, outer) in enumerate(calls):
            while outer >= 0 and not _lies_in(path, calls[outer][0]):
                outer = calls[outer][1]
            if outer == root:
                outer = -1
            if root < 0 and not path:
                root = call
            number = counts.get((outer, path), 0)
            if number:
                self.repeated.add((outer, path))
            counts[outer, path] = number + 1
            self.by_path.setdefault(path, []).append(call)
            self.outer.append(outer)
            self.number.append(number)


def _lies_in(path: str, outer: str) -> bool:
    return not outer or path.startswith(outer + ".")


def named_modules(model: nn.Module) -> dict[nn.Module, str]:
    """Canonical path of every module: the first name in the order of `named_modules`."""
    return {module: path for path, module in model.named_modules()}


# Whose turn it is to run or export a model.
_TURN = RLock()


@contextmanager
def quiet_run(model: nn.Module, modules: Iterable[nn.Module] | None = None) -> Iterator[Kept]:
    """Evaluation mode, no gradients, plain attention code; all restored at the end, with what the model's code changes.

    That is the random state, attributes, and the tensors that whoever runs the model has kept by what is yielded. One
    thread at a time: these are the process's, as is what is replaced of torch while the block runs.

    Parameters
    ----------
    model : torch.nn.Module
    modules : iterable of torch.nn.Module, optional
        What its `modules()` gives, if the caller has asked for it.
    """
    with _TURN, ExitStack() as stack:
        modules = list(modules if modules is not None else model.modules())
        modes = [(module, module.training) for module in modules]
        # The fast path of MultiheadAttention and TransformerEncoder skips the forward of what they hold.
        fastpath = torch.backends.mha.get_fastpath_enabled()
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.callback(random.setstate, random.getstate())
        stack.callback(np.random.set_state, np.random.get_state())
        stack.enter_context(torch.no_grad())
        kept: Kept | None = None
        try:
            torch.backends.mha.set_fastpath_enabled(False)
            if any(training for _, training in modes):
                model.eval()
            kept = Kept(modules)
            yield kept
        finally:
            if kept is not None:
                kept.restore()
            torch.backends.mha.set_fastpath_enabled(fastpath)
            for module, training in modes:
                # Modules are slow to set attributes on.
                if module.training is not training:
                    module.training = training


@contextmanager
def recorded(paths: Mapping[nn.Module, str], log: CallLog) -> Iterator[None]:
    """Wrap the forward of every module, and take the wrappers off again."""
    with ExitStack() as stack:
        stack.enter_context(compiled_noted(paths, log))
        callers = _callers()
        if callers is not None:
            around = functools.partial(_noted, log=log, callers=callers)
        else:
            around = functools.partial(_noted_if_announced, log=log, announced=stack.enter_context(announced_calls()))
        with collector_paused():
            stack.enter_context(forwards_wrapped(plain_modules(paths), around))
        yield


def plain_modules(paths: Mapping[nn.Module, str]) -> dict[nn.Module, str]:
    """Those modules that have a forward and are not compiled."""
    kinds = {kind: issubclass(kind, torch.jit.ScriptModule) for kind in {type(module) for module in paths}}
    return {module: path for module, path in paths.items() if not kinds[type(module)]}


@contextmanager
def compiled_noted(paths: Mapping[nn.Module, str], log: CallLog) -> Iterator[None]:
    """Note calls of compiled modules: they take neither wrappers nor hooks of their own, but heed global ones."""
    compiled: dict[nn.Module, str] = {m: path for m, path in paths.items() if isinstance(m, torch.jit.ScriptModule)}
    with ExitStack() as stack:
        for handle in _compiled_hooks(compiled, log) if compiled else ():
            stack.callback(handle.remove)
        yield


def _compiled_hooks(compiled: Mapping[nn.Module, str], log: CallLog) -> Iterator[torch.utils.hooks.RemovableHandle]:
    def enter(module: nn.Module, *_: object) -> None:
        if module in compiled:
            log.enter(compiled[module])

    def leave(module: nn.Module, *_: object) -> None:
        if module in compiled:
            log.leave()

    yield torch.nn.modules.module.register_module_forward_pre_hook(enter)
    yield torch.nn.modules.module.register_module_forward_hook(leave, always_call=True)


def _noted(
    function: Callable[..., Any], homes: Mapping[int, str], log: CallLog, callers: frozenset[CodeType]
) -> Callable[..., Any]:
    """A forward that notes its calls, also those that no call of the module made."""
    calls, running, direct = log.calls, log.running, log.direct

    def noted(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        path = homes.get(id(self.__dict__))
        if path is None:
            return function(self, *args, **kwargs)
        if sys._getframe(1).f_code not in callers:
            direct.add(path)
        # What `enter` and `leave` do: calling them takes as long as all else here.
        calls.append((path, running[-1]))
        running.append(len(calls) - 1)
        try:
            return function(self, *args, **kwargs)
        finally:
            running.pop()

    return noted


def _callers() -> frozenset[CodeType] | None:
    """The code that calls a module's forward in a call of the module: hooks would tell at the cost of a slower call.

    None if other libraries have put code of theirs in its place, of which nobody knows what calls the forward.
    """
    kind, torchs = nn.Module, vars(nn.modules.module)
    steps = (kind._call_impl, kind._slow_forward, kind._wrapped_call_impl, kind.__call__)
    if any(getattr(step, "__globals__", None) is not torchs for step in steps):
        return None
    called, slow = kind._call_impl.__code__, kind._slow_forward.__code__
    return frozenset((called, slow, *(inner for inner in called.co_consts if isinstance(inner, CodeType))))


@contextmanager
def announced_calls() -> Iterator[set[int]]:
    """Yield what holds each module, by the `id` of its ``__dict__``, from when it is called until it is taken out."""
    announced: set[int] = set()
    # One hook for all modules: one on each costs more than all else that is done for it.
    hook = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, _: announced.add(id(module.__dict__))
    )
    try:
        yield announced
    finally:
        hook.remove()


def _noted_if_announced(
    function: Callable[..., Any], homes: Mapping[int, str], log: CallLog, announced: set[int]
) -> Callable[..., Any]:
    """What `_noted` makes, for where it is a hook that tells that a call of the module made this one."""

    def noted(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        number = id(self.__dict__)
        path = homes.get(number)
        if path is None:
            return function(self, *args, **kwargs)
        if number in announced:
            announced.discard(number)
        else:
            log.direct.add(path)
        log.enter(path)
        try:
            return function(self, *args, **kwargs)
        finally:
            log.leave()

    return noted


def has_forward(module: nn.Module) -> bool:
    """Whether a module's class, or the module itself, defines `forward`."""
    return _defines_forward(type(module)) or "forward" in module.__dict__


def _defines_forward(made: type[nn.Module]) -> bool:
    own = getattr(made, "forward", None)
    return issubclass(made, torch.jit.ScriptModule) or (own is not None and own is not nn.Module.forward)
