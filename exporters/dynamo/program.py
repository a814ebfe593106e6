"""The dynamo export itself: from a model to an ONNX program, with what has to be done so that it succeeds."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import onnx_ir as ir
import torch
from torch.utils import _pytree as pytree

from onnx_tagger.errors import ExportError, TaggerError, first_sentence
from onnx_tagger.exporters.base import Request, insist_on_opset
from onnx_tagger.exporters.capture import Captured, direct_modules
from onnx_tagger.exporters.dynamo.adaptations import ADAPTATIONS, Adaptation
from onnx_tagger.exporters.interface import make_room, without_names
from onnx_tagger.exporters.quiet import torch_quiet
from onnx_tagger.exporters.recording.direct import calls_seen, hooks_apart
from onnx_tagger.exporters.recording.recording import quiet_run
from onnx_tagger.exporters.torchscript.flatcall import bound_names
from onnx_tagger.model.literals import literal_list
from onnx_tagger.model.metadata import TORCH_SCOPES

# The adaptations of one attempt.
Trial = tuple[Adaptation, ...]


def make_program(request: Request, captured: Captured, notes: list[str]) -> Any:
    """Export, with the adaptations that a model needs; each is told in `notes`.

    A model that torch cannot export is tried again with each adaptation that fits it. A model with
    control flow is exported in strict mode if that works: only there does torch keep the modules of what runs in
    branches and loops.

    Returns
    -------
    torch.onnx.ONNXProgram

    Raises
    ------
    ExportError
        With the first reason, in one line.
    """
    program, trial = _first_that_works(request, captured, notes)
    insist_on_opset(request, program.model.graph.opset_imports.get(""), " or newer, or for the strategy htp")
    if _blind_bodies(program):
        try:
            program = _export(request, captured, trial, strict=True)
        except Exception as error:  # noqa: BLE001 - the program at hand is a good one, less is known of its bodies
            notes.append(f"fx: the modules inside control flow are not known, strict export fails: {_reason(error)}")
        else:
            notes.append("fx: exported in strict mode, which alone tells the modules inside control flow")
    make_room(program.model, request.input_names, request.output_names)
    return program


def _first_that_works(request: Request, captured: Captured, notes: list[str]) -> tuple[Any, Trial]:
    """Export as the model is, then with each adaptation, then with more and more of them."""
    try:
        return _export(request, captured, ()), ()
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
            program = _export(request, captured, trial)
        except Exception as error:  # noqa: BLE001 - the next trial, or all reasons together
            failures.append(f"with {what}: {_reason(error)}")
            continue
        notes.append(f"fx: exported with {what}, since: {_reason(first)}")
        return program, trial
    others = "".join(f" ({failure})" for failure in failures if _reason(first) not in failure)
    raise ExportError(f"torch.export cannot do it: {_reason(first)}{others}") from first


def _export(request: Request, captured: Captured, trial: Trial, *, strict: bool = False) -> Any:
    """Export with the adaptations of a trial."""
    with ExitStack() as stack:
        for adaptation in trial:
            request = stack.enter_context(adaptation.applied(request))
        return _program(request, captured, strict)


def _program(request: Request, captured: Captured, strict: bool) -> Any:
    options: dict[str, Any] = {}
    shapes = _dynamic_shapes(request) if request.dynamic else request.dynamic_shapes
    if shapes is not None:
        options["dynamic_shapes"] = shapes
    if request.opset is not None:
        options["opset_version"] = request.opset
    for names in ("input_names", "output_names"):
        if getattr(request, names):
            options[names] = list(getattr(request, names))
    direct = direct_modules(request.model, captured.calls)
    args, kwargs = request.args, dict(request.kwargs)
    if shapes is not None:
        args, kwargs = _own_tensors((args, kwargs))
    with quiet_run(request.model), calls_seen(direct), hooks_apart(request.model), torch_quiet(request.debug):
        model: Any = request.model
        if strict:
            # Names of dimensions are for the ONNX file, which takes them from the shapes that it is given again.
            model = torch.export.export(model, args, kwargs=kwargs, strict=True, dynamic_shapes=without_names(shapes))
        program = torch.onnx.export(model, args, kwargs=kwargs, dynamo=True, verbose=request.debug, **options)
    if program is None:
        raise ExportError("torch.onnx.export returned no program")
    return program


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

    def open_dims(leaf: object) -> object:
        if not isinstance(leaf, torch.Tensor):
            return None
        left = [i for i, size in enumerate(leaf.shape) if size != 1 or not request.closed_ones]
        return dict.fromkeys(left, torch.export.Dim.AUTO)

    names = bound_names(request.model, request.args, request.kwargs)
    values = (*request.args, *request.kwargs.values())
    return {name: pytree.tree_map(open_dims, value) for name, value in zip(names, values, strict=True)}


def _reason(error: BaseException) -> str:
    """The first sentence of the innermost cause."""
    seen: set[int] = set()
    while error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    return f"{type(error).__name__}: {first_sentence(error)}"
