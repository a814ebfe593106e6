"""Replacing the `forward` of modules for a while, and putting back what was there."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from types import FunctionType, MethodType
from typing import Any

from torch import nn

Forward = Callable[..., Any]

# Given a function that takes a module and its arguments, and the paths of the modules that it is the forward of, by the
# `id` of the module and of its `__dict__`: what is called in its place, with the same arguments.
Around = Callable[[Forward, Mapping[int, str]], Forward]


@contextmanager
def forwards_replaced() -> Iterator[Callable[[nn.Module, Forward], None]]:
    """Yield a function that replaces a module's forward on the instance; all are restored in the end."""
    missing = object()
    before: list[tuple[nn.Module, object]] = []

    def replace(module: nn.Module, forward: Forward) -> None:
        before.append((module, module.__dict__.get("forward", missing)))
        # Past `__setattr__`, which some modules guard.
        module.__dict__["forward"] = forward

    try:
        yield replace
    finally:
        for module, forward in reversed(before):
            if forward is missing:
                del module.__dict__["forward"]
            else:
                module.__dict__["forward"] = forward


@contextmanager
def forwards_wrapped(paths: Mapping[nn.Module, str], around: Around) -> Iterator[None]:
    """Wrap the forward of modules where it is defined, which is in their classes.

    Nothing is added to a module, so its own code finds in it what it always does. A module that stands in for another
    one and shares its ``__dict__``, as those of torch's tracer do, is taken for that one. Only a forward that a module
    holds itself is replaced on the instance. A forward that a subclass overrides and calls is not wrapped for it.

    Parameters
    ----------
    paths : mapping
        Module to path; modules without a forward are left alone.
    around : callable
        Makes the wrapper of a function.
    """
    homes: dict[type, dict[int, str]] = {}
    with ExitStack() as stack:
        replace = stack.enter_context(forwards_replaced())
        for module, path in paths.items():
            known = dict.fromkeys((id(module), id(module.__dict__)), path)
            owner = None if "forward" in module.__dict__ else _owner(type(module))
            if owner is nn.Module or not callable(module.forward):
                continue
            if owner is None:
                wrapper = _like(around(_unbound(module.forward), known), module.forward)
                replace(module, MethodType(wrapper, module))
            else:
                homes.setdefault(owner, {}).update(known)
        for owner, known in homes.items():
            original = vars(owner)["forward"]
            wrapper = functools.wraps(original)(around(original, known))
            stack.callback(_restore, owner, original, wrapper)
            # Past the metaclass, which may guard it.
            type.__setattr__(owner, "forward", wrapper)
            # Whoever has put a wrapper over ours keeps it: ours does nothing anymore.
            stack.callback(known.clear)
        yield


def _restore(owner: type, original: Forward, wrapper: Forward) -> None:
    if vars(owner).get("forward") is wrapper:
        type.__setattr__(owner, "forward", original)


def _owner(made: type) -> type | None:
    """The class that defines the forward of a class; None if that is no plain function, so that it binds otherwise."""
    owner = next(base for base in made.__mro__ if "forward" in vars(base))
    return owner if isinstance(vars(owner)["forward"], FunctionType) or owner is nn.Module else None


def _unbound(forward: Forward) -> Forward:
    """A function that takes the module first, which its forward holds already."""

    def unbound(_: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return forward(*args, **kwargs)

    return unbound


def _like(wrapper: Forward, forward: Forward) -> Forward:
    """Have a wrapper that is to be bound look like a forward that is bound already, but for a signature of its own."""
    own = vars(wrapper).get("__signature__")
    functools.update_wrapper(wrapper, forward)
    if own is not None:
        wrapper.__signature__ = own  # type: ignore[attr-defined]
        return wrapper
    # One made in C may have no signature to keep.
    with suppress(TypeError, ValueError):
        signature = inspect.signature(forward)
        first = inspect.Parameter("bound_module", inspect.Parameter.POSITIONAL_ONLY)
        parameters = [first, *signature.parameters.values()]
        wrapper.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return wrapper
