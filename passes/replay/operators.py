"""Which ONNX operators an ATen operation is written as: what both exporters of torch make of it, at any opset.

A hint only: it says which nodes may do an operation's work, never that a node does. Measured over the zoo, on modules
that do one operation; see `benchmarks/accuracy.py`. What is not listed is known by its name (``aten::relu`` and
``Relu``); of an operation that no operator is called after, nothing is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import onnx

# They move values and compute none: any operation may need some.
MOVES = frozenset(
    {
        "Cast",
        "CastLike",
        "Expand",
        "Flatten",
        "Identity",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)

# Of these, those that only change in which order or shape all of a tensor's values are stored.
LAYOUTS = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"})

# Operators that change how a tensor is stored and not what it says; tools insert them.
CONVERTERS = frozenset(
    {"Cast", "CastLike", "QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ReorderInput", "ReorderOutput"}
)

# Operators that make small integers and saturate doing so.
_SATURATING = frozenset({"QGemm", "QuantizeLinear"})

# Operators that hold what they read within bounds: a quantiser that saturates does that by itself.
CLAMPS = frozenset({"Clip", "Relu"})

# Operators that tools drop without anything taking their place: nobody does their work.
DROPPABLE = frozenset({"Identity", "Dropout"})

# What they make is what they read, at most stored in another way.
SAME_VALUE = CONVERTERS | DROPPABLE

# Operators that multiply by a weight: tools work another factor or a summand into it, and what comes behind.
LINEAR = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})

# Operators that scale and shift: with constants, tools work them into the weights of what comes before or behind.
AFFINE = frozenset({"Add", "BatchNormalization", "Div", "Mul", "Sub"})

# Operators that do first what one of another name does.
_BEGINS_WITH = {"FusedGemm": "MatMul", "Gemm": "MatMul", "QGemm": "MatMul"}

_NORM = "ReduceMean*2 Sub Sqrt / Pow Mul*3 Add*2 Div Reciprocal"
_RMS = "ReduceMean Sqrt / Pow Mul*3 Add Div Reciprocal"
_ATTENTION = (
    "Attention | MultiHeadAttention | GroupQueryAttention | Softmax MatMul / MatMul FusedMatMul*2 Mul*3 Div Sqrt*3 "
    "Add*2 Where*4 IsNaN Transpose*4 Reshape*6 Cast*4 Slice Shape ConstantOfShape Trilu And Equal Sub Gather Concat"
)
_FAKE_QUANTIZED = "QuantizeLinear DequantizeLinear / Clip Cast"
_RESIZE = "Resize / Concat Shape Slice"
_PAD = "Pad / ConstantOfShape Concat Reshape*2 Slice Transpose Cast"
_RECURRENT = "/ Squeeze*3 Concat*3 Transpose*2 Slice*6 Unsqueeze*4 Expand*2 Shape"

# Ways of writing an operation, separated by "|": what each always has, then what it may have. "*2" stands for two.
_WAYS = {
    "_adaptive_avg_pool2d": "GlobalAveragePool | AveragePool | ReduceMean",
    "_embedding_bag": "Gather / Loop Slice Unsqueeze ReduceSum ReduceMean ReduceMax Concat Cast Mul Shape",
    "_grouped_mm": "MatMul / Loop Scan Concat",
    "_native_batch_norm_legit_no_training": "BatchNormalization",
    "_native_multi_head_attention": _ATTENTION + " Gemm*4",
    "_prelu_kernel": "PRelu",
    "_scaled_dot_product_attention_math": _ATTENTION,
    "_scaled_dot_product_efficient_attention": _ATTENTION,
    "_scaled_dot_product_flash_attention": _ATTENTION,
    "_scaled_dot_product_flash_attention_for_cpu": _ATTENTION,
    "_unsafe_view": "Reshape",
    "_weight_norm_interface": "ReduceL2 Mul / Div | Pow*2 ReduceSum Mul / Abs Div",
    "addbmm": "MatMul / ReduceSum Add Mul*2",
    "addcdiv": "Div Mul Add",
    "addcmul": "Mul Add / Mul",
    "addmm": "FusedGemm | FusedMatMul / Add | Gemm | MatMul / Add Mul*2 Transpose",
    "alias": "Identity",
    "amax": "ReduceMax",
    "amin": "ReduceMin",
    "any": "ReduceMax / Cast*2 Greater Not Equal | ReduceSum / Cast*2 Greater",
    "all": "ReduceMin / Cast*2 Not*2",
    "arange": "Range / Cast",
    "argmax": "ArgMax",
    "argmin": "ArgMin",
    "as_strided": "Gather / Slice Reshape Add",
    "avg_pool1d": "AveragePool / Pad Squeeze Unsqueeze",
    "avg_pool2d": "AveragePool / Pad",
    "avg_pool3d": "AveragePool / Pad",
    "baddbmm": "MatMul / Add Mul*2",
    "bitwise_and": "And | BitwiseAnd",
    "bitwise_not": "Not | BitwiseNot",
    "bitwise_or": "Or | BitwiseOr",
    "bitwise_xor": "Xor | BitwiseXor",
    "bmm": "FusedMatMul | MatMul | Einsum",
    "cat": "Concat",
    "ceil": "Ceil",
    "celu": "Celu | Elu",
    "clamp": "Clip | Max | Min | Max Min",
    "clamp_max": "Clip | Min",
    "clamp_min": "Clip | Max",
    # What a product of complex numbers is called here: torch calls it like any other.
    "complex_mul": "Mul*4 Sub Add / Concat Slice*2 Gather*4 Split Unsqueeze*4 Squeeze*4 Reshape*4",
    "constant_pad_nd": _PAD,
    "convolution": "FusedConv | Conv / Add | ConvTranspose / Add",
    "_convolution": "Conv / Add | ConvTranspose / Add",
    "conv2d": "Conv / Add",
    "cumsum": "CumSum",
    "diagonal": "Gather | EyeLike Mul ReduceSum",
    "div": "Div / Floor | Mul | Reciprocal / Mul",
    "elu": "Elu | Selu / Mul*2",
    "embedding": "Gather",
    "eq": "Equal",
    "erfc": "Erf Sub",
    "expm1": "Exp Sub",
    "eye": "EyeLike / ConstantOfShape",
    "fake_quantize_per_channel_affine": _FAKE_QUANTIZED,
    "fake_quantize_per_channel_affine_cachemask": _FAKE_QUANTIZED,
    "fake_quantize_per_tensor_affine": _FAKE_QUANTIZED,
    "fake_quantize_per_tensor_affine_cachemask": _FAKE_QUANTIZED,
    "_fake_quantize_per_tensor_affine_cachemask_tensor_qparams": _FAKE_QUANTIZED,
    "_fake_quantize_learnable_per_tensor_affine": _FAKE_QUANTIZED,
    "_fake_quantize_learnable_per_channel_affine": _FAKE_QUANTIZED,
    "fft_rfft": "DFT",
    "_fft_r2c": "DFT / Unsqueeze Slice Mul",
    "_fft_c2r": "DFT / Slice Mul Concat",
    "_fft_c2c": "DFT / Mul",
    "floor_divide": "Div / Floor",
    "fmod": "Mod",
    "full": "ConstantOfShape | Expand",
    "full_like": "ConstantOfShape / Shape | Expand / Shape",
    "gather": "GatherElements",
    "ge": "GreaterOrEqual | Less Not",
    "gelu": "FastGelu | BiasGelu | QuickGelu | Gelu | Erf Mul*2 / Div Add | Tanh Mul*4 Add*2 / Pow",
    "glu": "Sigmoid Mul / Split",
    "grid_sampler_2d": "GridSample",
    "gt": "Greater",
    "hardsigmoid": "HardSigmoid | Add Clip Div",
    "hardswish": "HardSwish | HardSigmoid Mul | Add Clip Div Mul",
    "hardtanh": "Clip",
    "histc": "ReduceSum / Greater Less GreaterOrEqual LessOrEqual And Cast Sub Div Floor Equal Where",
    "index": "Gather | GatherND / Transpose Concat | GatherElements / Where NonZero Shape Add Mul",
    "index_add": "ScatterElements",
    "index_copy": "ScatterElements",
    "index_fill": "ScatterElements",
    "index_put": "ScatterND / Where Concat Add",
    "index_select": "Gather",
    "isnan": "IsNaN",
    "isinf": "IsInf",
    "le": "LessOrEqual | Greater Not",
    "leaky_relu": "LeakyRelu",
    "lerp": "Sub Mul Add",
    "linalg_vector_norm": "ReduceL2 | ReduceL1 | Abs Pow*2 ReduceSum | Mul ReduceSum Sqrt | Abs ReduceMax",
    "linear": "Gemm | MatMul / Add Transpose",
    "linspace": "Range / Mul Add Sub Div",
    "log10": "Log Div",
    "log1p": "Log Add",
    "log2": "Log Div",
    "_log_softmax": "LogSoftmax",
    "logical_and": "And",
    "logical_not": "Not",
    "logical_or": "Or",
    "logical_xor": "Xor",
    "logsumexp": "ReduceLogSumExp",
    "lstm": "LSTM " + _RECURRENT,
    "gru": "GRU " + _RECURRENT,
    "lt": "Less",
    "masked_fill": "Where",
    "masked_scatter": "ScatterND / Where NonZero | ScatterElements / Where NonZero",
    "masked_select": "GatherND NonZero | Compress",
    "max": "ReduceMax | Max | TopK | ReduceMax ArgMax",
    "maximum": "Max",
    "max_pool1d": "MaxPool / Pad",
    "max_pool2d_with_indices": "MaxPool / Pad",
    "max_pool3d_with_indices": "MaxPool / Pad",
    "mean": "ReduceMean | GlobalAveragePool",
    "min": "ReduceMin | Min | TopK | ReduceMin ArgMin",
    "minimum": "Min",
    "mish": "Mish | Softplus Tanh Mul",
    "mkldnn_rnn_layer": "LSTM " + _RECURRENT + " | GRU " + _RECURRENT + " | RNN " + _RECURRENT,
    "mm": "FusedMatMul | MatMul | Gemm",
    "mv": "MatMul | Gemm",
    "native_batch_norm": "BatchNormalization | InstanceNormalization | Sub Sqrt Div / Mul*2 Add*2 Unsqueeze*4",
    "native_group_norm": "GroupNormalization | InstanceNormalization / Mul Add Shape | " + _NORM,
    "native_layer_norm": "SkipLayerNormalization | EmbedLayerNormalization | LayerNormalization | " + _NORM,
    "_fused_rms_norm": "RMSNormalization | SimplifiedLayerNormalization | " + _RMS,
    "rms_norm": "RMSNormalization | SimplifiedLayerNormalization | " + _RMS,
    "ne": "Equal Not",
    "new_ones": "ConstantOfShape | Expand",
    "new_zeros": "ConstantOfShape | Expand",
    "nonzero": "NonZero / Transpose",
    "ones": "ConstantOfShape | Expand",
    "ones_like": "ConstantOfShape / Shape | Expand / Shape",
    "one_hot": "OneHot",
    "pixel_shuffle": "DepthToSpace",
    "pixel_unshuffle": "SpaceToDepth",
    "prod": "ReduceProd",
    "reciprocal": "Reciprocal | Div",
    "reflection_pad2d": _PAD,
    "relu6": "Clip | Relu Min",
    "remainder": "Mod",
    "repeat": "Tile / Expand | Expand",
    "repeat_interleave": "Expand / Reshape Unsqueeze | Tile / Reshape Unsqueeze | Loop",
    "replication_pad2d": _PAD,
    "roll": "Concat*2 / Slice*4",
    "rsqrt": "Sqrt Reciprocal | Sqrt Div | Pow",
    "rsub": "Sub / Mul",
    "scatter": "ScatterElements",
    "scatter_add": "ScatterElements",
    "scatter_reduce": "ScatterElements",
    "select_scatter": "ScatterElements | Where / Unsqueeze",
    "silu": "Sigmoid Mul | Swish",
    "slice_scatter": "ScatterND / Range Concat | ScatterElements / Range Concat",
    "softplus": "Softplus / Mul Div | Exp Log Add",
    "sort": "TopK",
    "split": "Split | Slice*4",
    "split_with_sizes": "Split | Slice*4",
    "stack": "Concat / Unsqueeze*4",
    "std": "ReduceMean*2 Sub Sqrt / Mul Pow Div",
    "sum": "ReduceSum",
    "t": "Transpose",
    "tile": "Tile | Expand",
    "topk": "TopK",
    "tril": "Trilu",
    "triu": "Trilu",
    "unbind": "Split / Squeeze*4 | Gather*4",
    "unfold": "Gather / Concat Slice*4 | Concat / Slice*4",
    "im2col": "Gather*2 / Pad Transpose Reshape Range Add*2 Mul",
    "upsample_bilinear2d": _RESIZE,
    "upsample_bicubic2d": _RESIZE,
    "upsample_linear1d": _RESIZE,
    "upsample_nearest1d": _RESIZE,
    "upsample_nearest2d": _RESIZE,
    "var": "ReduceMean*2 Sub / Mul*2 Pow Div",
    "var_mean": "ReduceMean*2 Sub / Mul*2 Pow Div",
    "zeros": "ConstantOfShape | Expand",
    "zeros_like": "ConstantOfShape / Shape | Expand / Shape",
    # Views: what a file holds of them only moves values.
    "chunk": "Split | Slice*4",
    "detach": "Identity",
    "expand": "Expand",
    "flatten": "Flatten | Reshape",
    "narrow": "Slice",
    "permute": "Transpose",
    "select": "Gather | Slice / Squeeze",
    "slice": "Slice",
    "squeeze": "Squeeze",
    "transpose": "Transpose",
    "unsafe_split": "Split | Slice*4",
    "unsqueeze": "Unsqueeze | Reshape",
    "view": "Reshape | Flatten",
}

# The ATen operations of which something is known.
OPERATIONS = frozenset(_WAYS)


@dataclass(frozen=True)
class Way:
    """One way of writing an operation.

    Attributes
    ----------
    most : mapping
        How many nodes of each operator there may be.
    always : frozenset of str
        The operators of the nodes that are always there.
    """

    most: Mapping[str, int]
    always: frozenset[str]

    def holds(self, counts: Mapping[str, int]) -> bool:
        """Whether nodes of these operators, and so many of each, may all be of this way."""
        return all(self.most.get(operator, 0) >= count for operator, count in counts.items())


@cache
def ways_of(operation: str) -> tuple[Way, ...]:
    """How an ATen operation may be written in ONNX; empty if nothing is known.

    Parameters
    ----------
    operation : str
        ATen name without namespace and overload; a trailing underscore (in place) is left out of account.

    Examples
    --------
    >>> [dict(way.most) for way in ways_of("silu")], ways_of("of_my_own")
    ([{'Sigmoid': 1, 'Mul': 1}, {'Swish': 1}], ())
    """
    listed = _WAYS.get(operation) or _WAYS.get(operation.rstrip("_"))
    listed = listed or _by_name().get(operation.strip("_").replace("_", ""))
    ways = [way.partition("/") for way in listed.split("|")] if listed is not None else []
    return tuple(Way(_counts(f"{always} {further}"), frozenset(_counts(always))) for always, _, further in ways)


@cache
def writes(operation: str) -> frozenset[str]:
    """The operators that may do part of an ATen operation's work; empty if nothing is known.

    Examples
    --------
    >>> sorted(writes("silu"))
    ['Mul', 'Sigmoid', 'Swish']
    """
    return frozenset(operator for way in ways_of(operation) for operator in way.most)


def _counts(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in text.split():
        name, _, count = part.partition("*")
        found[name] = found.get(name, 0) + int(count or 1)
    return found


@cache
def composite(operator: str) -> bool:
    """Whether an ONNX operator does what several ATen operations do, as far as is known: no single one is written so.

    Examples
    --------
    >>> composite("SkipSimplifiedLayerNormalization"), composite("Softmax")
    (True, False)
    """
    known = {part for listed in _WAYS.values() for part in listed.replace("/", "|").split("|")}
    parts = {word.partition("*")[0] for part in known for word in part.split()}
    return operator not in parts and operator not in _by_name().values()


@cache
def _by_name() -> dict[str, str]:
    """Operators of the ONNX standard by their names in small letters."""
    return {schema.name.lower(): schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain}


def saturates(operator: str) -> bool:
    """Whether an operator, with or without its domain, gives back small integers, cut off at their bounds.

    Examples
    --------
    >>> saturates("com.microsoft::QLinearAdd"), saturates("QuantizeLinear"), saturates("MatMulInteger")
    (True, True, False)
    """
    op_type = operator.rpartition("::")[2]
    return op_type in _SATURATING or op_type.startswith("QLinear")


def begins_with(operator: str, other: str) -> bool:
    """Whether an operator is another one or, as the names say, does the work of it and more.

    Examples
    --------
    >>> begins_with("FusedConv", "Conv"), begins_with("Gemm", "MatMul"), begins_with("Conv", "Add")
    (True, True, False)
    """
    return other in operator or _BEGINS_WITH.get(operator) == other


@cache
def standard(operator: str) -> bool:
    """Whether an operator is one of the ONNX standard, which does what that says; a tool's own may do anything.

    Examples
    --------
    >>> standard("Conv"), standard("com.microsoft::FusedConv")
    (True, False)
    """
    return onnx.defs.has(operator)
