"""Which call of which module each FX node was made in, noted on the node while torch traces the model.

The stack of modules that torch keeps on each node says less than happened. It passes by a module whose `forward` is
called by itself, takes what a hook computes for its module's work, drops the stacks of what runs under `torch.autocast`
or `torch.no_grad`, has none for a compiled child, and misnumbers calls of a module within itself. So the forwards are
wrapped, and the innermost one that runs is written into the field ``custom`` of a node's `meta`, which torch carries
through its passes and no exporter writes into a file. Where dynamo reads a model's code, torch's annotation does it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import fx, nn
from torch._higher_order_ops.wrap import wrap_with_autocast, wrap_with_set_grad_enabled
from torch.fx import traceback
from torch.fx.proxy import TracerBase

from onnx_tagger.exporters.recording.forwards import forwards_wrapped
from onnx_tagger.exporters.recording.recording import CallLog, compiled_noted, named_modules, plain_modules
from onnx_tagger.exporters.recording.wrapped import wrapped

# The number of a call, or of what dynamo has read the path of a module.
_KEY = "onnx_tagger"

# Torch's own way to mark nodes; older releases lack it.
_annotate: Callable[[dict[str, Any]], Any] = getattr(traceback, "annotate", lambda _: nullcontext())

# Torch puts what these regions hold in line by calling it, which leaves the region's stack on each of its nodes.
_REGIONS = (type(wrap_with_set_grad_enabled), type(wrap_with_autocast))


class Followed:
    """What was noted during an export.

    Attributes
    ----------
    log : CallLog
        The calls of the modules, for as many runs as torch has made of the model.
    """

    def __init__(self) -> None:
        self.log = CallLog()

    def call(self, node: fx.Node) -> tuple[str, int | None] | None:
        """The path of the module in whose forward a node was made, and which of its calls that was, from 0.

        The number is None where it was not counted; all is None where nothing was noted.
        """
        found = node.meta.get("custom", {}).get(_KEY)
        if isinstance(found, str):
            return found, None
        return (self.log.path(found), self._numbers[found]) if isinstance(found, int) else None

    @functools.cached_property
    def _numbers(self) -> Sequence[int]:
        """For each call how many of its module came before it in the same run of the model."""
        numbers: list[int] = []
        counts: dict[str, int] = {}
        for path, outer in self.log.calls:
            if not path and outer < 0 and "" in counts:
                counts.clear()
            numbers.append(counts.get(path, 0))
            counts[path] = numbers[-1] + 1
        return numbers


@contextmanager
def calls_followed(model: nn.Module) -> Iterator[Followed]:
    """Have the nodes that torch makes of a model, while the block runs, say in which call they were made."""
    paths, followed = named_modules(model), Followed()
    log = followed.log

    def noting(create_node: Callable[..., fx.Node]) -> Callable[..., fx.Node]:
        def noted(tracer: TracerBase, *args: Any, **kwargs: Any) -> fx.Node:
            node = create_node(tracer, *args, **kwargs)
            # A tracer that keeps no stack traces what another one has read before: a branch, a body, a decomposition.
            if log.running[-1] >= 0 and getattr(tracer, "module_stack", None):
                node.meta["custom"] = {**node.meta.get("custom", {}), _KEY: log.running[-1]}
            return node

        return noted

    with ExitStack() as stack:
        stack.enter_context(compiled_noted(paths, log))
        stack.enter_context(forwards_wrapped(plain_modules(paths), functools.partial(_following, log=log)))
        stack.enter_context(wrapped(TracerBase, "create_node", noting))
        for region in _REGIONS:
            stack.enter_context(wrapped(region, "__call__", _node_by_node))
        yield followed


def _following(function: Callable[..., Any], homes: Mapping[int, str], log: CallLog) -> Callable[..., Any]:
    """A forward that notes its calls in a log or, where dynamo reads it, on the nodes themselves."""

    def following(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        if torch.compiler.is_dynamo_compiling():
            # By the number alone: reading the module out of a mapping would change the names that dynamo has for it.
            place = homes.get(id(self))
            if place is None:
                return function(self, *args, **kwargs)
            with _annotate({_KEY: place}):
                return function(self, *args, **kwargs)
        path = homes.get(id(self.__dict__))
        if path is None:
            return function(self, *args, **kwargs)
        log.enter(path)
        try:
            return function(self, *args, **kwargs)
        finally:
            log.leave()

    return following


def _node_by_node(call: Callable[..., Any]) -> Callable[..., Any]:
    """Have a region run its graph node by node while torch traces it, so that each keeps what is known of it."""

    def called(region: object, *args: Any, **kwargs: Any) -> Any:
        if traceback.has_preserved_node_meta():
            args = tuple(fx.Interpreter(arg).run if isinstance(arg, fx.GraphModule) else arg for arg in args)
        return call(region, *args, **kwargs)

    return called
