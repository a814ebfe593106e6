"""The dynamo export itself: from a model to an ONNX program, with what has to be done so that it succeeds."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import onnx_ir as ir
import torch
from torch import nn
from torch.utils import _pytree as pytree

from onnx_tagger.errors import ExportError, TaggerError, one_line
from onnx_tagger.exporters.base import Request, insist_on_opset
from onnx_tagger.exporters.dynamo.adaptations import ADAPTATIONS, Adaptation
from onnx_tagger.exporters.dynamo.followed import Followed, calls_followed
from onnx_tagger.exporters.interface import make_room, shapes_by_name, without_names
from onnx_tagger.exporters.quiet import torch_quiet
from onnx_tagger.exporters.recording.forwards import forwards_wrapped
from onnx_tagger.exporters.recording.recording import quiet_run
from onnx_tagger.exporters.torchscript.flatcall import bound_arguments, parameters_of
from onnx_tagger.model.literals import literal_list
from onnx_tagger.model.metadata import TORCH_SCOPES

# The adaptations of one attempt.
Trial = tuple[Adaptation, ...]

# Which dimensions are left open, as torch takes it.
Shapes = Mapping[str, Any] | Sequence[Any] | None

# A `torch.onnx.ONNXProgram`, and what was noted while it was made.
Made = tuple[Any, Followed]


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
    insist_on_opset(request, made[0].model.graph.opset_imports.get(""), " or newer, or for the strategy htp")
    if _blind_bodies(made[0]):
        try:
            made = _export(request, trial, strict=True)
        except Exception as error:  # noqa: BLE001 - the program at hand is a good one, less is known of its bodies
            notes.append(f"fx: the modules inside control flow are not known, strict export fails: {_reason(error)}")
        else:
            notes.append("fx: exported in strict mode, which alone tells the modules inside control flow")
    make_room(made[0].model, request.input_names, request.output_names)
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
    asked = shapes_by_name(request)
    with (
        quiet_run(request.model),
        _keywords_named(request, asked),
        calls_followed(request.model) as followed,
        torch_quiet(request.debug),
    ):
        shapes = _dynamic_shapes(request) if request.dynamic else asked
        args, kwargs = request.args, dict(request.kwargs)
        if shapes is not None:
            args, kwargs = _own_tensors((args, kwargs))
        model: Any = request.model
        if strict:
            # Names of dimensions are for the ONNX file, which takes them from the shapes that it is given again.
            model = torch.export.export(model, args, kwargs=kwargs, strict=True, dynamic_shapes=without_names(shapes))
        # Without keywords torch takes the last argument for them, if that is a dictionary.
        last: tuple[Any, ...] = ({},) if args and isinstance(args[-1], dict) and not kwargs else ()
        program = torch.onnx.export(
            model, (*args, *last), kwargs=kwargs, dynamo=True, verbose=request.debug, **_options(request, shapes)
        )
    if program is None:
        raise ExportError("torch.onnx.export returned no program")
    return program, followed


def _options(request: Request, shapes: Shapes) -> dict[str, Any]:
    """What `torch.onnx.export` is told besides the call."""
    options: dict[str, Any] = {}
    if shapes is not None:
        options["dynamic_shapes"] = shapes
    if request.opset is not None:
        options["opset_version"] = request.opset
    for names in ("input_names", "output_names"):
        if getattr(request, names):
            options[names] = list(getattr(request, names))
    return options


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

    bound = bound_arguments(request.model, request.args, request.kwargs)
    return {name: pytree.tree_map(open_dims, value, is_leaf=_is_object) for name, value in bound.items()}


def _is_object(value: object) -> bool:
    """Whether torch takes a value apart as it was told to by others."""
    return type(value) in pytree.SUPPORTED_NODES and type(value) not in pytree.BUILTIN_TYPES


@contextmanager
def _keywords_named(request: Request, shapes: Shapes) -> Iterator[None]:
    """Have the model's forward name what it takes as ``**kwargs``: torch cannot leave the shapes of those open.

    Unless it is to leave none of them open, by `shapes`, which are those that the user has asked for.
    """
    parameters = parameters_of(request.model)
    kept = [p for p in parameters.values() if p.kind is not p.VAR_KEYWORD]
    named = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in request.kwargs if n not in parameters]

    def naming(function: Callable[..., Any], _: Mapping[int, str]) -> Callable[..., Any]:
        def called(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
            return function(self, *args, **kwargs)

        first = inspect.Parameter("bound_module", inspect.Parameter.POSITIONAL_ONLY)
        called.__signature__ = inspect.Signature([first, *kept, *named])  # type: ignore[attr-defined]
        return called

    told = isinstance(shapes, Mapping) and any(parameter.name in shapes for parameter in named)
    if not (named and request.dynamic) and not told:
        yield
        return
    with forwards_wrapped({request.model: ""}, naming):
        yield


def _reason(error: BaseException) -> str:
    """The first sentence of the innermost cause."""
    seen: set[int] = set()
    while error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    return one_line(error)
