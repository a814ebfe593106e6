"""Which ATen operations an ONNX operator may stand for, where values alone prove little: masks, indices, flags."""

from __future__ import annotations

# Operators that hand on a part of what they read.
TAKING = frozenset(("Split", "Slice", "Gather", "GatherElements", "GatherND"))

# Operators that multiply matrices, and operations on single numbers, which do no such thing.
PRODUCTS = frozenset(("MatMul", "Gemm", "Conv", "ConvTranspose"))
ARITHMETIC = frozenset(("add", "sub", "mul", "div"))

_ATEN: dict[str, str] = {
    "Abs": "abs",
    "Add": "add",
    "And": "logical_and bitwise_and __and__ mul",
    "ArgMax": "argmax max topk",
    "ArgMin": "argmin min",
    "Cast": "_to_copy to",
    "Ceil": "ceil",
    "Clip": "clamp clamp_min clamp_max clip",
    "Concat": "cat stack",
    "CumSum": "cumsum",
    "Div": "div floor_divide true_divide",
    "Equal": "eq",
    "Floor": "floor",
    "Gather": "index index_select embedding gather",
    "GatherElements": "gather take_along_dim",
    "GatherND": "index",
    "Greater": "gt",
    "GreaterOrEqual": "ge",
    "IsInf": "isinf",
    "IsNaN": "isnan",
    "Less": "lt",
    "LessOrEqual": "le",
    "Log": "log",
    "Max": "maximum max clamp clamp_min",
    "Min": "minimum min clamp clamp_max clamp_min",
    "Mod": "remainder fmod",
    "Mul": "mul",
    "Neg": "neg",
    "NonZero": "nonzero",
    "Not": "logical_not bitwise_not ne",
    "OneHot": "one_hot scatter",
    "Or": "logical_or bitwise_or __or__",
    "Pad": "constant_pad_nd pad",
    "Pow": "pow",
    "ReduceMax": "amax max any",
    "ReduceMin": "amin min all",
    "ReduceSum": "sum",
    "Round": "round",
    "ScatterElements": "scatter scatter_add",
    "ScatterND": "index_put _index_put_impl copy scatter select_scatter slice_scatter",
    "Sign": "sign",
    "Sub": "sub rsub",
    "Tile": "repeat",
    "TopK": "topk sort",
    "Trilu": "tril triu",
    "Where": "where masked_fill",
    "Xor": "logical_xor bitwise_xor __xor__",
}
_NAMES = {operator: frozenset(names.split()) for operator, names in _ATEN.items()}


def same_operator(operator: str, aten: str) -> bool:
    """Whether an ONNX operator computes what an ATen operation of this name does, in place or not.

    Examples
    --------
    >>> same_operator("Where", "masked_fill_"), same_operator("Where", "eq")
    (True, False)
    """
    name = aten if aten.endswith("__") else aten.removesuffix("_")
    return name in _NAMES.get(operator, ())
