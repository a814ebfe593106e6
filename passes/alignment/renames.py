"""What tools put behind names: hints as to which tensor a node or a tensor of another name is, and no more.

One table for all of them. No tag rests on a name alone: what a name says is used as a cut point only where the saved
graph has that tensor, and a region that contradicts it decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Suffix:
    """What a tool puts behind a name.

    Attributes
    ----------
    tool : str
        Which tool.
    text : str
        What it puts there.
    means : str
        What the thing is that bears the longer name.
    """

    tool: str
    text: str
    means: str


# Behind the name of a tensor to name the node that makes it.
NODES = (Suffix("onnxruntime, NCHWc layout", "_nchwc", "the node that makes the tensor in blocks"),)

# Behind the name of a tensor to name another one of the same meaning.
TENSORS = (Suffix("onnxruntime's quantiser", "_quantized", "the tensor in small integers"),)

# Behind the name of a stored tensor to name what is stored in its place.
STORED = (
    Suffix("onnxruntime's quantiser", "_quantized", "the weight in small integers"),
    Suffix("onnxruntime's 4-bit quantiser", "_Q4", "the weight in blocks of four bits"),
    Suffix("onnxruntime's 4-bit quantiser", "_Q8", "the weight in blocks of eight bits"),
)

# Behind the name of a tensor to name what converters make of it.
CONVERTED = (
    Suffix("onnxruntime's quantiser", "_QuantizeLinear_Output", "the tensor in small integers"),
    Suffix("onnxruntime's quantiser", "_DequantizeLinear_Output", "the tensor, rounded"),
    Suffix("onnxruntime's quantiser", "_QuantizeLinear", "the tensor in small integers"),
    Suffix("onnxruntime's quantiser", "_DequantizeLinear", "the tensor, rounded"),
)


def called_after(name: str, table: tuple[Suffix, ...]) -> Iterator[str]:
    """The names that a name was made of by a table's suffixes.

    Examples
    --------
    >>> list(called_after("relu_1_nchwc", NODES)), list(called_after("relu_1", NODES))
    (['relu_1'], [])
    """
    for suffix in table:
        if name.endswith(suffix.text):
            yield name.removesuffix(suffix.text)
