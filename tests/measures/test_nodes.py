"""How many nodes a module has."""

from onnx_tagger.measures.measure import Measured
from onnx_tagger.measures.nodes import measure
from onnx_tagger.model.graph import Walk


def test_each_node_counts_once() -> None:
    ops: list[object] = [object(), object()]
    (found,) = measure(Measured(Walk([], [], {}, {}), ops, [None, None]))  # type: ignore[arg-type]
    assert (found.column.name, found.column.rule, list(found.values)) == ("nodes", "sum", [1, 1])
