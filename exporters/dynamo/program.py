"""The dynamo export itself: from a model to an ONNX program, with what has to be done so that it succeeds."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import onnx_ir as ir
import torch
from torch import nn
from torch.export import _trace as torch_tracing
from torch.utils import _pytree as pytree

from onnx_tagger.errors import ExportError, TaggerError
from onnx_tagger.exporters.base import Request
from onnx_tagger.exporters.capture import first_sentence
from onnx_tagger.exporters.dynamo.adaptations import ADAPTATIONS, Adaptation
from onnx_tagger.exporters.dynamo.followed import Followed, calls_followed
from onnx_tagger.exporters.recording.forwards import forwards_wrapped
from onnx_tagger.exporters.recording.recording import quiet_run
from onnx_tagger.exporters.torchscript.flatcall import bound_names
from onnx_tagger.model.dialects import literal_list
from onnx_tagger.model.metadata import TORCH_SCOPES

# The adaptations of one attempt.
Trial = tuple[Adaptation, ...]

# A `torch.onnx.ONNXProgram`, and what was noted while it was made.
Made = tuple[Any, Followed]

_NOISY = ("torch.onnx", "torch._export", "torch.export", "onnxscript", "onnx_ir")


def make_program(request: Request, notes: list[str]) -> Made:
    """Export, with the adaptations that a model needs; each is told in `notes`.

    A model that torch cannot export is tried again with each adaptation that fits it. A model with
    control flow is exported in strict mode if that works: only there does torch keep the modules of what runs in
    branches and loops.

    Returns
    -------
    tuple of (torch.onnx.ONNXProgram, Followed)
        The program and what is known of the calls that its nodes were made in.

    Raises
    ------
    ExportError
        With the first reason, in one line.
    """
    made, trial = _first_that_works(request, notes)
    if _blind_bodies(made[0]):
        try:
            made = _export(request, trial, strict=True)
        except Exception as error:  # noqa: BLE001 - the program at hand is a good one, less is known of its bodies
            notes.append(f"fx: the modules inside control flow are not known, strict export fails: {_reason(error)}")
        else:
            notes.append("fx: exported in strict mode, which alone tells the modules inside control flow")
    return made


def _first_that_works(request: Request, notes: list[str]) -> tuple[Made, Trial]:
    """Export as the model is, then with each adaptation, then with more and more of them."""
    try:
        return _export(request, ()), ()
    except TaggerError:
        raise
    except Exception as error:  # noqa: BLE001 - torch raises anything; what is told is this first reason
        first = error
    fitting = [adaptation for adaptation in ADAPTATIONS if adaptation.fits(request)]
    trials: list[Trial] = [(adaptation,) for adaptation in fitting]
    trials.extend(tuple(fitting[:count]) for count in range(2, len(fitting) + 1))
    failures: list[str] = []
    for trial in trials:
        what = " and ".join(adaptation.told(request) for adaptation in trial)
        try:
            made = _export(request, trial)
        except Exception as error:  # noqa: BLE001 - the next trial, or all reasons together
            failures.append(f"with {what}: {_reason(error)}")
            continue
        notes.append(f"fx: exported with {what}, since: {_reason(first)}")
        return made, trial
    others = "".join(f" ({failure})" for failure in failures if _reason(first) not in failure)
    raise ExportError(f"torch.export cannot do it: {_reason(first)}{others}") from first


def _export(request: Request, trial: Trial, *, strict: bool = False) -> Made:
    """Export with the adaptations of a trial."""
    with ExitStack() as stack:
        for adaptation in trial:
            request = stack.enter_context(adaptation.applied(request))
        return _program(request, strict)


def _program(request: Request, strict: bool) -> Made:
    options: dict[str, Any] = {}
    if request.opset is not None:
        options["opset_version"] = request.opset
    args, kwargs = request.args, dict(request.kwargs)
    if request.dynamic:
        args, kwargs = _own_tensors((args, kwargs))
    with quiet_run(request.model), _keywords_named(request), calls_followed(request.model) as followed, _quiet():
        shapes: dict[str, Any] = {"dynamic_shapes": _dynamic_shapes(request)} if request.dynamic else {}
        model: Any = request.model
        if strict:
            model = torch.export.export(model, args, kwargs=kwargs, strict=True, **shapes)
        # Without keywords torch takes the last argument for them, if that is a dictionary.
        last: tuple[Any, ...] = ({},) if args and isinstance(args[-1], dict) and not kwargs else ()
        program = torch.onnx.export(
            model, (*args, *last), kwargs=kwargs, dynamo=True, verbose=False, **options, **({} if strict else shapes)
        )
    if program is None:
        raise ExportError("torch.onnx.export returned no program")
    return program, followed


def _own_tensors(inputs: Any) -> Any:
    """The same inputs as tensors of our own: torch marks open dimensions on them, and leaves the marks if it fails."""
    own: dict[int, torch.Tensor] = {}

    def other(leaf: object) -> object:
        return own.setdefault(id(leaf), leaf.detach()) if isinstance(leaf, torch.Tensor) else leaf

    return pytree.tree_map(other, inputs)


def _blind_bodies(program: Any) -> bool:
    """Whether nodes in bodies do not say which module they are of."""
    return any(
        node.graph is not program.model.graph and len(literal_list(node.metadata_props.get(TORCH_SCOPES)) or ()) < 2
        for node in ir.traversal.RecursiveGraphIterator(program.model.graph)
    )


def _dynamic_shapes(request: Request) -> dict[str, Any]:
    """Every dimension of every tensor is left to torch, which fixes those that the model needs fixed."""

    def open_dims(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            left = [i for i, size in enumerate(value.shape) if size != 1 or not request.closed_ones]
            return dict.fromkeys(left, torch.export.Dim.AUTO)
        known = pytree.SUPPORTED_NODES.get(type(value))
        # Of an object that it can take apart torch wants a list, in place of another such object.
        if known is not None and type(value) not in pytree.BUILTIN_TYPES:
            return pytree.tree_map(open_dims, list(known.flatten_fn(value)[0]), is_leaf=_is_object)
        return None

    return {name: pytree.tree_map(open_dims, value, is_leaf=_is_object) for name, value in _bound(request).items()}


def _is_object(value: object) -> bool:
    """Whether torch takes a value apart as it was told to by others."""
    return type(value) in pytree.SUPPORTED_NODES and type(value) not in pytree.BUILTIN_TYPES


def _bound(request: Request) -> dict[str, Any]:
    """The arguments by parameter as `torch.export` wants them: those of ``*args`` as one."""
    try:
        signature = inspect.signature(request.model.forward)
    except (TypeError, ValueError):
        names = bound_names(request.model, request.args, request.kwargs)
        return dict(zip(names, (*request.args, *request.kwargs.values()), strict=True))
    return signature.bind(*request.args, **request.kwargs).arguments


@contextmanager
def _keywords_named(request: Request) -> Iterator[None]:
    """Have the model's forward name what it takes as ``**kwargs``: torch cannot leave the shapes of those open."""
    try:
        signature = inspect.signature(request.model.forward)
    except (TypeError, ValueError):
        signature = inspect.Signature()
    kept = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    named = [
        inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in request.kwargs if n not in signature.parameters
    ]

    def naming(function: Callable[..., Any], _: Mapping[int, str]) -> Callable[..., Any]:
        def called(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            return function(self, *args, **kwargs)

        first = inspect.Parameter("bound_module", inspect.Parameter.POSITIONAL_ONLY)
        called.__signature__ = inspect.Signature([first, *kept, *named])  # type: ignore[attr-defined]
        return called

    if not request.dynamic or not named:
        yield
        return
    with forwards_wrapped({request.model: ""}, naming):
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's progress and deprecation notes out of our streams, and the graph that it prints when it fails."""
    tracing: Any = torch_tracing
    loggers = [logging.getLogger(name) for name in (*_NOISY, *_below(_NOISY))]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            # The name that its module finds in place of the builtin.
            tracing.print = lambda *_, **__: None
            yield
        finally:
            tracing.__dict__.pop("print", None)
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _below(names: tuple[str, ...]) -> list[str]:
    """Loggers that exist below the given ones: some set a level of their own."""
    prefixes = tuple(name + "." for name in names)
    return [name for name in logging.Logger.manager.loggerDict if name.startswith(prefixes)]


def _reason(error: BaseException) -> str:
    """The first sentence of the innermost cause."""
    seen: set[int] = set()
    while error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    return f"{type(error).__name__}: {first_sentence(error)}"
