"""Truth by execution: which module really computed what each ONNX node computes.

The eager model runs with every `forward` wrapped under a `TorchDispatchMode` that keeps, for each ATen operation, the
innermost module and the value. The ONNX file runs in onnxruntime with its tensors exposed and optimisation off. Values
that agree tie a node to the modules that made them; the node's tag is judged by those.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import nn
from torch.utils import _pytree as pytree

from onnx_tagger.errors import require
from onnx_tagger.exporters.capture import CallLog, WorkMode, is_view, named_modules, quiet_run, recorded
from onnx_tagger.exporters.flatcall import flatten_call
from onnx_tagger.graph import Op, walk
from onnx_tagger.hierarchy import HierarchyMap
from onnx_tagger.metadata import Tag, own_tag, props_of

Values = npt.NDArray[Any]
Verdict = Literal["right", "ancestor", "wrong", "untagged"]

# Kernels differ in the order of their sums.
_RELATIVE = 2e-3
_ABSOLUTE = 2e-5

# Fewer distinct values than this say nothing about who computed them: masks, zeros, ones.
_DISTINCT = 4


@dataclass(frozen=True, slots=True)
class Observation:
    """One float tensor that an ATen operation made.

    Attributes
    ----------
    module : str
        Canonical path of the innermost module whose forward was running.
    operator : str
        Name of the ATen operation.
    view : bool
        Whether the operation only looks at its input's memory in another way.
    values : numpy.ndarray
        Sorted, flat.
    """

    module: str
    operator: str
    view: bool
    values: Values


@dataclass
class Judgement:
    """How a file's tags stand beside the truth.

    Attributes
    ----------
    nodes : int
        All nodes of the file.
    verdicts : Counter
        ``right``, ``ancestor``, ``wrong`` and ``untagged`` among the testable nodes.
    alone : int
        Nodes that are right by their tag alone, not only by an origin.
    untestable : Counter
        Reason to number of nodes that could not be judged.
    details : list of str
        A line for each testable node that is not right.
    """

    nodes: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    alone: int = 0
    untestable: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    @property
    def testable(self) -> int:
        """Number of nodes that could be judged."""
        return sum(self.verdicts.values())

    def add(self, other: Judgement) -> None:
        """Add another file's counts."""
        self.nodes += other.nodes
        self.verdicts.update(other.verdicts)
        self.alone += other.alone
        self.untestable.update(other.untestable)
        self.details.extend(other.details)


class _Recorder(WorkMode):  # type: ignore[no-untyped-call]
    """Keeps what each ATen operation makes, with the module that runs."""

    def __init__(self, log: CallLog) -> None:
        super().__init__(log)
        self.found: list[Observation] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        view = is_view(func)
        for tensor in pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.numel() > 1:
                # A copy, since later in-place operations change what is kept.
                values = np.sort(tensor.detach().to(torch.float32).reshape(-1).numpy().copy())
                self.found.append(Observation(self.log.current, str(func), view, values))
        return out


def observe(model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]) -> list[Observation]:
    """Run the eager model and record every float tensor with the module that made it.

    Attention runs as separate operations, so that what is inside can be compared.
    """
    log = CallLog()
    recorder = _Recorder(log)
    with (
        quiet_run(model),
        torch.compiler.set_stance("force_eager"),
        recorded(named_modules(model), log),
        torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH),
        recorder,
    ):
        model(*args, **kwargs)
    return recorder.found


def tensors_of(path: str | os.PathLike[str], feeds: Mapping[str, Values]) -> dict[str, Values]:
    """Run an ONNX file without optimisation and return every tensor of its main graph.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    """
    require("onnxruntime", "ort", "truth by execution")
    import onnxruntime as ort

    model = onnx.load(os.fspath(path))
    stated = {value.name for value in model.graph.output}
    names = [name for node in model.graph.node for name in node.output if name]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in stated)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    wanted = [value.name for value in session.get_outputs()]
    known = {value.name for value in session.get_inputs()}
    found = session.run(wanted, {name: value for name, value in feeds.items() if name in known})
    return {name: value for name, value in zip(wanted, found, strict=True) if isinstance(value, np.ndarray)}


def feeds_of(
    path: str | os.PathLike[str], model: nn.Module, args: Sequence[object], kwargs: Mapping[str, object]
) -> dict[str, Values]:
    """The call's tensors under the file's input names: by name where the names agree, else by position."""
    call = flatten_call(model, args, kwargs)
    proto = onnx.load(os.fspath(path), load_external_data=False)
    stored = {tensor.name for tensor in proto.graph.initializer}
    names = [value.name for value in proto.graph.input if value.name not in stored]
    by_name = dict(zip(call.names, call.tensors, strict=True))
    if not set(names) <= set(by_name):
        by_name = dict(zip(names, call.tensors, strict=False))
    return {name: tensor.detach().numpy() for name, tensor in by_name.items()}


def judge(
    path: str | os.PathLike[str],
    hierarchy: HierarchyMap,
    observations: Iterable[Observation],
    feeds: Mapping[str, Values],
) -> Judgement:
    """Judge the tags of a file by what was observed.

    Parameters
    ----------
    path : path
        A tagged ONNX file.
    hierarchy : HierarchyMap
        The model's map.
    observations : iterable of Observation
        From `observe`, with the same inputs.
    feeds : mapping
        Input name to value.
    """
    values = tensors_of(path, feeds)
    by_size: dict[int, list[Observation]] = defaultdict(list)
    for observation in observations:
        by_size[observation.values.size].append(observation)
    result = Judgement()
    sorted_values = {name: _flat(value) for name, value in values.items()}
    stored = _stored(path)
    for op in walk(onnx.load(os.fspath(path), load_external_data=False)).ops:
        result.nodes += 1
        modules, reason = _modules(op, sorted_values, stored, by_size)
        if reason:
            result.untestable[reason] += 1
            continue
        _judge_one(op, own_tag(props_of(op.node)), modules, hierarchy, result)
    return result


def _stored(path: str | os.PathLike[str]) -> dict[str, Values]:
    found = {}
    for tensor in onnx.load(os.fspath(path)).graph.initializer:
        flat = _flat(onnx.numpy_helper.to_array(tensor))
        if flat is not None:
            found[tensor.name] = flat
    return found


def _flat(value: Values) -> Values | None:
    if value.dtype.kind != "f" or value.size < 2:
        return None
    flat: Values = np.sort(value.astype(np.float32).reshape(-1))
    return flat


def _modules(
    op: Op,
    values: Mapping[str, Values | None],
    stored: Mapping[str, Values],
    by_size: Mapping[int, Sequence[Observation]],
) -> tuple[set[str], str]:
    """The modules that made a node's values, or why they cannot be known."""
    if op.scope.owner is not None or op.scope.name != "main":
        return set(), "in a body or function"
    flat = [found for name in op.node.output if (found := values.get(name)) is not None]
    if not flat:
        return set(), "no float tensor of two or more values"
    out = flat[0]
    if not np.isfinite(out).all() or np.unique(out).size < _DISTINCT:
        return set(), "too few distinct or infinite values"
    inputs = [found for name in op.node.input if (found := values.get(name, stored.get(name))) is not None]
    if any(_equal(out, other) for other in inputs):
        return set(), "passes its input through"
    alike = [seen for seen in by_size.get(out.size, ()) if _equal(out, seen.values)]
    if not alike:
        return set(), "no ATen operation makes this value"
    modules = {seen.module for seen in alike if not seen.view}
    return modules, "" if modules else "only a view makes this value"


def _equal(one: Values, other: Values) -> bool:
    if one.size != other.size:
        return False
    scale = float(np.abs(other[np.isfinite(other)]).max(initial=0.0))
    return bool(np.allclose(one, other, rtol=_RELATIVE, atol=_ABSOLUTE * max(scale, 1e-3)))


def _judge_one(op: Op, tag: Tag | None, modules: set[str], tree: HierarchyMap, result: Judgement) -> None:
    truth = ", ".join(sorted(modules))
    verdict: Verdict
    if tag is None:
        verdict = "untagged"
    elif modules & set(tag.modules):
        verdict = "right"
        result.alone += tag.module in modules
    elif any(tree.encloses(tag.module, module) for module in modules):
        verdict = "ancestor"
    else:
        verdict = "wrong"
    result.verdicts[verdict] += 1
    if verdict != "right":
        said = f"{tag.module!r} ({tag.source.label})" if tag is not None else "nothing"
        result.details.append(f"{verdict}: {op.label} {op.node.name}: says {said}, ran in {truth!r}")
