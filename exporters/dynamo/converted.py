"""What torch knew of nodes before it converted a graph to an older opset: onnx's converter drops all of it.

The converter keeps the names of the tensors whose nodes it takes over, and of those that it rewrites.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import onnx.version_converter

from onnx_tagger.model.graph import walk

# Tensor name to the node that makes it.
Makers = dict[str, onnx.NodeProto]


@contextmanager
def conversion_watched() -> Iterator[Makers]:
    """Yield what is filled with the nodes of each graph that is converted while the block runs, as they were before.

    Names that are not unique in the graph and its bodies are left out.
    """
    convert = onnx.version_converter.convert_version
    makers: Makers = {}

    def watching(model: onnx.ModelProto, *args: Any, **kwargs: Any) -> onnx.ModelProto:
        makers.clear()
        makers.update(_makers(model))
        return convert(model, *args, **kwargs)

    onnx.version_converter.convert_version = watching
    try:
        yield makers
    finally:
        onnx.version_converter.convert_version = convert


def _makers(model: onnx.ModelProto) -> Makers:
    found: Makers = {}
    twice: set[str] = set()
    for op in walk(model).ops:
        for name in op.node.output:
            if name in found:
                twice.add(name)
            elif name:
                found[name] = op.node
    return {name: node for name, node in found.items() if name not in twice}
