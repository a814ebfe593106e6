"""What a single name says: the scope in a node's or tensor's name, the owner in a parameter's, a doc string's scope.

Which modules these are, together, is put together by `tree`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

import onnx

from onnx_tagger.model.metadata import MAX_PARTS


class Step(NamedTuple):
    """One level of a scope: how it is spelled, and the name of the class if that is said."""

    name: str
    class_name: str = ""


Scope = tuple[Step, ...]

# An attribute, or the keys of containers behind it: `query`, `layer.0`, `blocks.down.0`. Odd keys may hold a hyphen.
_LEVEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*")
# What a node of an operator is called, with what numbers, outputs and tools append to it.
_WORK = re.compile(r"([A-Z][A-Za-z0-9]*)(?:[_:.].*)?")
# A dotted attribute path that ends with the parameter's own attribute; a tool's suffix belongs to that.
_PARAMETER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*\.[A-Za-z_]\w*")
# Names with dots that number things and name no attribute, such as Paddle's `p2o.Add.0`.
_NUMBERING = re.compile(r"(^|\.)([A-Z][A-Za-z]*)\.[0-9]+(\.|$)")
_DOC_SCOPE = re.compile(r"\bscope: ([^\n#]{1,4096})")
_OLD_STEP = re.compile(r"([A-Za-z_]\w*)\[([^\[\]/]*)\]")
_NEW_STEP = re.compile(r"([A-Za-z_][\w.<>]*)::([^/]*)")

# What onnxruntime puts in front of a node's name when it fuses an activation into it.
_FUSED = "fused "

# Levels that a tool puts behind the name of the node that it made another one of, such as `/MatMulAddFusion`.
_MOST_BEHIND = 2


def scope_of_name(name: str, op_type: str = "") -> Scope | None:
    """The scope in a node's name or in that of a tensor which it makes; None if there is none.

    Parameters
    ----------
    name : str
        As TorchScript gives it (``/encoder/layer.0/query/MatMul``), as TensorFlow does (``model/dense/MatMul``), or
        what a tool has made of such a name.
    op_type : str
        The node's operator, which a name may end with even if ONNX does not have it.

    Examples
    --------
    >>> [step.name for step in scope_of_name("/encoder/layer.0/query/MatMul/MatMulAddFusion")]
    ['encoder', 'layer.0', 'query']
    >>> scope_of_name("/Add_12_output_0"), scope_of_name("Constant_12"), scope_of_name("onnx::MatMul_307")
    ((), None, None)
    """
    if "/" not in name or name.count("/") + name.count(".") > MAX_PARTS:
        return None
    parts = name.removeprefix(_FUSED).split("/")
    rooted = not parts[0]
    levels = parts[1:] if rooted else parts
    for behind in range(min(_MOST_BEHIND + 1, len(levels))):
        place = len(levels) - 1 - behind
        if _is_work(levels[place], op_type if not behind else ""):
            scope = levels[:place]
            if (scope or rooted) and all(map(_LEVEL.fullmatch, scope)):
                return tuple(Step(level) for level in scope)
            return None
    return None


def _is_work(level: str, op_type: str) -> bool:
    """Whether a level is what a node is called, and no module."""
    if op_type and (level == op_type or level.startswith(f"{op_type}_")):
        return True
    found = _WORK.fullmatch(level)
    return found is not None and _is_operator(found.group(1))


# What TensorFlow calls its own operators, as far as ONNX has no operator of the name.
_FOREIGN_OPERATORS = frozenset({"BiasAdd", "FusedBatchNormV3", "Conv2D", "MatMulV2", "BatchMatMulV2", "AddV2", "Rsqrt"})


@lru_cache(4096)
def _is_operator(name: str) -> bool:
    return name in _FOREIGN_OPERATORS or onnx.defs.has(name)


def owner_of_parameter(name: str) -> str | None:
    """The module path in the name of a stored tensor; None if it is not a parameter's name, or the root's.

    Examples
    --------
    >>> owner_of_parameter("encoder.layer.0.attention.self.query.weight")
    'encoder.layer.0.attention.self.query'
    >>> [owner_of_parameter(name) for name in ("weight", "val_12", "onnx::MatMul_307", "dense/kernel:0", "p2o.Add.0")]
    [None, None, None, None, None]
    """
    if name.count(".") > MAX_PARTS or not _PARAMETER.fullmatch(name) or _NUMBERING.search(name):
        return None
    return name.rpartition(".")[0]


def scope_of_doc(text: str) -> Scope | None:
    """The scope that torch's exporters wrote into doc strings, with the classes; None if there is none.

    Examples
    --------
    >>> scope_of_doc("%3 : Float(1) = onnx::Conv(%1), scope: Net/Conv2d[first] # net.py:3:0")
    (Step(name='', class_name='Net'), Step(name='first', class_name='Conv2d'))
    >>> scope_of_doc("onnx::Gemm(%1), scope: net.Net::/torch.nn.modules.linear.Linear::fc")
    (Step(name='', class_name='Net'), Step(name='fc', class_name='Linear'))
    """
    if "scope: " not in text:
        return None
    found = _DOC_SCOPE.search(text)
    if found is None or found.group(1).count("/") > MAX_PARTS:
        return None
    levels = found.group(1).strip().split("/")
    pattern = _NEW_STEP if "::" in levels[0] else _OLD_STEP
    steps = []
    for place, level in enumerate(levels):
        said = pattern.fullmatch(level)
        if said is None:
            if place or not level.isidentifier():
                return None
            steps.append(Step("", level))
            continue
        name = said.group(2)
        if name and not _LEVEL.fullmatch(name):
            return None
        steps.append(Step(name, said.group(1).rpartition(".")[2]))
    return tuple(steps) if not steps[0].name else None
