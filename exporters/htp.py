"""The htp strategy (hierarchical trace-and-project): the TorchScript exporter, its scopes projected on the module tree.

While it traces, TorchScript pushes a scope for every module call and derives node names from the part behind ``::``.
The part before is free: there we put which module it is and which call, so that a scope says exactly where a node came
from and the exported bytes stay what they would have been. Six private functions of torch's exporter are wrapped
for the time of the export: `_setup_trace_module_map`, to put marks into scopes, `_jit_pass_onnx_function_substitution`,
to keep them through scripted functions, `_trace_and_get_graph_from_model`, to put back what the model has changed of
itself before its state is read, `_create_jit_graph` and `_model_to_graph`, to read the graph as it was traced and as it
is written, `Graph._export_onnx`, to have values apart from the model. Threads take turns at it.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import nn
from torch.jit._trace import TracerWarning
from torch.utils import _pytree as pytree

from onnx_tagger.errors import ExportError, TaggerError, first_sentence, one_line
from onnx_tagger.exporters.base import (
    Exported,
    Request,
    insist_on_names,
    insist_on_opset,
    parameter_owners,
    pass_through,
)
from onnx_tagger.exporters.capture import Captured, direct_modules
from onnx_tagger.exporters.interface import input_names_of, open_axes
from onnx_tagger.exporters.quiet import torch_quiet, user_frame
from onnx_tagger.exporters.recording.direct import calls_seen
from onnx_tagger.exporters.recording.forwards import forwards_wrapped
from onnx_tagger.exporters.recording.kept import Kept
from onnx_tagger.exporters.recording.recording import named_modules, quiet_run
from onnx_tagger.exporters.recording.wrapped import wrapped as _wrapped
from onnx_tagger.exporters.torchscript.flatcall import FlatCall, flatten_call, structures_known
from onnx_tagger.exporters.torchscript.traced import Mark, Traced, calls_marked, with_mark
from onnx_tagger.files.filled import filled
from onnx_tagger.files.onnxfile import Skeleton, read_skeleton, write_spliced
from onnx_tagger.files.scratch import scratch_folder
from onnx_tagger.files.wire import MAX_MESSAGE, MemoryReader
from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph
from onnx_tagger.model.graph import Op, Walk, bodies, walk
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.model.report import Report

# What torch writes in place of values that it hands out.
_PLACEHOLDER = b"__EXTERNAL"

# TorchScript can write into memory only what protobuf can hold in one message.
_EMBED_BYTES = 1_800_000_000


class HtpExporter:
    """Exports through `torch.onnx.export(dynamo=False)`."""

    name = "htp"

    def export(self, request: Request, captured: Captured) -> Exported:
        """Export, tag and save a model.

        Parameters
        ----------
        request : Request
        captured : Captured
            The model's usage map.

        Returns
        -------
        Exported

        Raises
        ------
        ExportError
            If torch cannot export the model.
        """
        report = Report()
        notes: list[str] = []
        size = sum(p.numel() * p.element_size() for p in (*request.model.parameters(), *request.model.buffers()))
        with scratch_folder(request.path) as folder:
            target = folder / request.path.name if size > _EMBED_BYTES else None
            with report.phase("export"):
                try:
                    made, traced = _traced(request, target, captured, notes)
                    if isinstance(made, MemoryReader) and made.size > MAX_MESSAGE:
                        # What the exporter folds may be larger than the weights that it is made of.
                        made, traced = _traced(request, folder / request.path.name, captured, notes)
                except TaggerError:
                    raise
                except Exception as error:
                    raise ExportError(f"the TorchScript exporter cannot do it: {one_line(error)}") from error
            skeleton = read_skeleton(made)
            _insist(request, skeleton)
            hierarchy = captured.hierarchy
            if request.annotate is not None:
                with report.phase("tag"):
                    hierarchy = _annotate(skeleton, request, captured, traced)
            with report.phase("save"):
                proved = write_spliced(skeleton, request.path, verify_bytes=request.verify_bytes)
        return Exported(request.path, hierarchy, report.phases, notes, proved)


def _insist(request: Request, skeleton: Skeleton) -> None:
    """Refuse a graph that has another opset or other names than asked for."""
    model = skeleton.model
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    insist_on_opset(request, opset, "")
    insist_on_names(request.input_names, [value.name for value in model.graph.input], "input")
    insist_on_names(request.output_names, [value.name for value in model.graph.output], "output")


def _traced(
    request: Request, target: Path | None, captured: Captured, notes: list[str]
) -> tuple[Path | MemoryReader, Traced]:
    """Export into memory, or to `target`; return where the file is and what was traced."""
    call = flatten_call(request.model, request.args, request.kwargs)
    if call.opaque:
        held = ", ".join(f"{name!r} is a {kind}" for name, kind in call.opaque.items())
        raise ExportError(
            f"the tensors of an input would become constants: {held}, which torch cannot take apart; pass them in "
            "tensors, lists, tuples, dicts or dataclasses, or register the class with torch.utils._pytree"
        )
    buffer = io.BytesIO()
    # The exporter takes a stream, too, which its annotation does not say.
    into: Any = buffer if target is None else str(target)
    options: dict[str, Any] = {}
    if request.opset is not None:
        options["opset_version"] = request.opset
    if axes := open_axes(request):
        options["dynamic_axes"] = axes
    if request.output_names:
        options["output_names"] = list(request.output_names)
    names = input_names_of(request.model, request.args, request.kwargs, request.input_names)
    insist_on_names(request.input_names, names, "input")
    with (
        structures_known(captured.structures),
        quiet_run(request.model) as kept,
        calls_seen(direct_modules(request.model, captured.calls)),
        _positional(request.model, call, captured.structures),
        _marked(request.model, _written_back(kept, captured)) as traced,
        _values_apart(target is None) as values,
        _quiet(request.debug),
        _told(notes),
    ):
        torch.onnx.export(
            request.model,
            tuple(call.tensors),
            into,
            input_names=names,
            dynamo=False,
            verbose=request.debug,
            **options,
        )
    if target is not None:
        return target, traced
    return filled(buffer.getbuffer(), {name: memoryview(data) for name, data in values.items()}, _PLACEHOLDER), traced


@contextmanager
def _values_apart(apart: bool) -> Iterator[dict[str, bytes]]:
    """Have torch hand out the initializers' values by name instead of writing them into the model that it serializes.

    It can do that, and copies them once for it; a model with its values it copies when it serializes, hands out, parses
    in search of functions and writes it. If they are not to be `apart`, nothing is changed.
    """
    if not apart:
        yield {}
        return
    values: dict[str, bytes] = {}

    def deferring(export: Callable[..., Any]) -> Callable[..., Any]:
        def deferred(graph: Any, initializers: Any, opset: Any, axes: Any, defer: bool, *options: Any) -> Any:
            model, given, *rest = export(graph, initializers, opset, axes, True, *options)
            values.update(given)
            return model, {}, *rest

        return deferred

    with _wrapped(torch._C.Graph, "_export_onnx", deferring):
        yield values


@contextmanager
def _quiet(debug: bool) -> Iterator[None]:
    """Keep torch's warnings out of our streams, and the graph that it prints on stdout when it fails.

    Its switch for that log does not work: the exporter turns the log on whatever it was told.
    """
    with torch_quiet(debug):
        if debug:
            yield
            return
        with _wrapped(torch._C, "_jit_onnx_log", lambda _: lambda *_: None):
            yield


@contextmanager
def _told(notes: list[str]) -> Iterator[None]:
    """Have the tracer's warnings become notes, each once, with the line of the model's code that it is about."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, TracerWarning):
            shown(message, category, filename, lineno, file, line)
            return
        found = user_frame()
        place = f"{found.f_code.co_filename}:{found.f_lineno}" if found is not None else f"{filename}:{lineno}"
        note = f"htp: {place}: {first_sentence(str(message))}"
        if note not in notes:
            notes.append(note)

    with warnings.catch_warnings():
        shown = warnings.showwarning
        warnings.simplefilter("always", TracerWarning)
        warnings.showwarning = show
        yield


@contextmanager
def _positional(model: nn.Module, call: FlatCall, structures: Sequence[type]) -> Iterator[None]:
    """Let the exporter call the model with the tensors alone, in order: it passes nothing by keyword.

    What the model calls of itself while it runs has the model's own arguments.
    """
    running = False

    def positional(function: Callable[..., Any], homes: Mapping[int, str]) -> Callable[..., Any]:
        def forward(self: nn.Module, *given: Any, **keywords: Any) -> Any:
            nonlocal running
            if running or id(self.__dict__) not in homes:
                return function(self, *given, **keywords)
            args, kwargs = call.rebuild(given)
            running = True
            try:
                result = function(self, *args, **kwargs)
                # The exporter knows no dataclasses; of all else it makes what it always does.
                return tuple(t for t in pytree.tree_leaves(result) if t is not None) if structures else result
            finally:
                running = False

        return forward

    with forwards_wrapped({model: ""}, positional):
        yield


class _CallMap(dict[nn.Module, str]):
    """Torch's module-to-scope map, which adds module and call number to a scope each time it is asked for one."""

    def __init__(self, scopes: Mapping[nn.Module, str], numbers: Mapping[nn.Module, int]) -> None:
        super().__init__(scopes)
        self.numbers = numbers
        self.calls: dict[int, int] = {}

    def get(self, key: nn.Module, default: Any = None) -> Any:
        scope = super().get(key, default)
        number = self.numbers.get(key)
        if scope is None or number is None:
            return scope
        call = self.calls.get(number, 0)
        self.calls[number] = call + 1
        return with_mark(scope, (number, call))


def _written_back(kept: Kept, captured: Captured) -> Callable[[], None]:
    """Keep what the model writes to in place; returns what is called once it was traced, before its state is read."""
    kept.keep(captured.calls.written)
    return kept.restore


@contextmanager
def _marked(model: nn.Module, once_traced: Callable[[], None]) -> Iterator[Traced]:
    """Have scopes carry module and call while exporting; yields what is filled with the traced graph."""
    from torch.onnx._internal.torchscript_exporter import utils

    numbers = {module: index for index, module in enumerate(named_modules(model))}
    traced = Traced()

    def mark(_: object) -> None:
        found = torch.jit._trace._trace_module_map
        if found is not None:
            torch.jit._trace._trace_module_map = _CallMap(found, numbers)

    # The graph lives until the file is written and is changed until then, so its nodes are read at the end.
    kept: list[Any] = []
    with (
        _wrapped(utils, "_setup_trace_module_map", _followed_by(mark)),
        _wrapped(utils, "_trace_and_get_graph_from_model", _followed_by(lambda _: once_traced())),
        _wrapped(utils, "_create_jit_graph", _followed_by(lambda made: traced.read_operations(made[0], len(made[1])))),
        _wrapped(utils, "_model_to_graph", _followed_by(lambda made: kept.append(made[0]))),
        _wrapped(torch._C, "_jit_pass_onnx_function_substitution", calls_marked),
    ):
        yield traced
        if kept:
            traced.read_nodes(kept[-1])


def _followed_by(look: Callable[[Any], None]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A wrapper that shows what a function has returned."""

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def shown(*args: Any, **kwargs: Any) -> Any:
            result = function(*args, **kwargs)
            look(result)
            return result

        return shown

    return wrap


def _annotate(skeleton: Skeleton, request: Request, captured: Captured, traced: Traced) -> HierarchyMap:
    """Tag the exported graph with what its scopes say."""
    walked = walk(skeleton.model)
    tree = captured.hierarchy
    paths = list(named_modules(request.model).values())
    marks = {node.outputs: node.mark for node in traced.nodes}
    absorbed = traced.absorbers()
    said: list[Tag | None] = []
    for op in walked.ops:
        outputs = tuple(op.node.output)
        tag = _project(marks.get(outputs), paths, captured)
        more = [found for mark in absorbed.get(outputs, ()) if (found := _project(mark, paths, captured)) is not None]
        said.append(tree.merged([tag, *more], request.merge) if tag is not None and more else tag)
    _name_parameters(walked, said, tree)
    _place_unmarked(walked, said, request, tree)
    _share_constants(walked, said, request, tree)
    pass_through(walked, said, tree)
    graph = SavedGraph.of(walked, said, parameter_owners(tree))
    assert request.annotate is not None
    return request.annotate(skeleton.model, replace(tree, graph=graph))


def _project(mark: Mark | None, paths: list[str], captured: Captured) -> Tag | None:
    """The module and call that a mark means."""
    if mark is None:
        return None
    number, call = mark
    path = captured.hierarchy.chain(paths[number])[-1]
    return captured.hierarchy.tag(path, Source.EXPORTED, call=captured.calls.label(path, call))


def _name_parameters(walked: Walk, said: list[Tag | None], tree: HierarchyMap) -> None:
    """A node that stands for a de-duplicated parameter bears its name: it is its owner's, if only that reads it."""
    owners = {parameter.name: parameter.owner for parameter in tree.parameters}
    readers = _readers(walked)
    for op in walked.scopes[0].ops:
        if said[op.id] is not None or len(op.node.output) != 1:
            continue
        owner = owners.get(op.node.output[0])
        if owner is None:
            continue
        tags = {said[reader] for reader in readers.get(op.node.output[0], ())}
        if {tag.module if tag is not None else None for tag in tags} == {owner}:
            said[op.id] = tree.tag(owner, Source.EXPORTED)


def _place_unmarked(walked: Walk, said: list[Tag | None], request: Request, tree: HierarchyMap) -> None:
    """Nodes that the exporter makes while it writes an operation may have no scope: they are of what reads them.

    Equal constants are shared, so one may be of several modules; a node that data reaches must be of one.
    """
    constant = {name for scope in walked.scopes for name in scope.initializer_names}
    readers = _readers(walked)
    loose: list[tuple[Op, int]] = []
    for op in walked.ops:
        if said[op.id] is not None or any(bodies(op.node)):
            continue
        fixed = all(name in constant for name in op.node.input if name)
        if fixed:
            constant.update(op.node.output)
        loose.append((op, len(walked.ops) if fixed else 1))
    returned = set(walked.scopes[0].output_names)
    for op, most in reversed(loose):
        found = [said[reader] for name in op.node.output for reader in readers.get(name, ())]
        tags = [tag for tag in dict.fromkeys(found) if tag is not None]
        known = len(tags) == len(set(found)) and (most > 1 or returned.isdisjoint(op.node.output))
        if known and 0 < len(tags) <= most:
            said[op.id] = tree.merged(tags, request.merge)


def _share_constants(walked: Walk, said: list[Tag | None], request: Request, tree: HierarchyMap) -> None:
    """Of equal constants the exporter keeps one, under the scope that came first: it is of all modules that read it."""
    readers = _readers(walked)
    for op in walked.ops:
        own = said[op.id]
        if op.node.op_type != "Constant" or own is None:
            continue
        tags = {said[reader] for name in op.node.output for reader in readers.get(name, ())} - {own, None}
        if tags:
            others = sorted((tag for tag in tags if tag is not None), key=lambda tag: (tag.module, tag.call))
            said[op.id] = tree.merged([*others, own], request.merge)


def _readers(walked: Walk) -> dict[str, list[int]]:
    """Tensor name to the ids of the nodes that read it, the owner of a body those that it returns.

    TorchScript's names are unique in a file.
    """
    readers: dict[str, list[int]] = {}
    for scope in walked.scopes:
        if scope.owner is not None:
            for name in scope.output_names:
                readers.setdefault(name, []).append(scope.owner.id)
    for op in walked.ops:
        for name in op.node.input:
            if name:
                readers.setdefault(name, []).append(op.id)
    return readers
