"""What a file and a map share besides values: names, sizes, operators, and how many layers each has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from onnx_tagger.hierarchy.map import HierarchyMap, Parameter, SavedGraph
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.kinship import architecture
from onnx_tagger.workflows.kinship.stored import stored_weights

# Rows and columns of the matrices of a layer.
LAYER = ((16, 16), (16, 16), (16, 32))


def file_of(shapes: Sequence[tuple[int, ...]], prefix: str = "weight") -> onnx.ModelProto:
    """A chain of nodes that each read a weight."""
    nodes, stored, last = [], [], "x"
    for at, shape in enumerate(shapes):
        name = f"{prefix}{at}"
        nodes.append(helper.make_node("MatMul", [last, name], [f"t{at}"]))
        stored.append(numpy_helper.from_array(np.random.default_rng(at).standard_normal(shape).astype("f4"), name))
        last = f"t{at}"
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    return helper.make_model(helper.make_graph(nodes, "g", [value], [], stored))


def map_of(layers: dict[str, int], first: Sequence[tuple[int, ...]] = ()) -> HierarchyMap:
    """A map with stacks of layers; the first layer of each stack may have more matrices."""
    rows = [ModuleRow("", "Net")]
    parameters = []
    for stack, count in layers.items():
        rows.append(ModuleRow(stack, "ModuleList"))
        for at in range(count):
            rows.append(ModuleRow(f"{stack}.{at}", "Layer"))
            for number, shape in enumerate((*LAYER, *(first if at == 0 else ()))):
                name = f"{stack}.{at}.w{number}"
                digest = f"{len(parameters) + 1:016x}"
                parameters.append(Parameter(name, f"{stack}.{at}", shape, "float32", (digest, digest)))
    tree = HierarchyMap.from_rows(rows)
    return HierarchyMap(tree.modules, tuple(parameters))


def layers_of(shapes: Sequence[tuple[int, ...]], tree: HierarchyMap) -> dict[str, tuple[int, int]]:
    stored = stored_weights(Context(file_of(shapes), tree))
    return architecture.layers(stored, tree, tree.parameters)


@pytest.mark.parametrize(("there", "expected"), [(2, (3, 2)), (3, None), (4, (3, 4)), (6, (3, 6))])
def test_counts_the_layers_of_a_stack(there: int, expected: tuple[int, int] | None) -> None:
    assert layers_of(LAYER * there, map_of({"layers": 3})) == ({"layers": expected} if expected else {})


def test_stacks_of_equal_sizes_change_alike() -> None:
    tree = map_of({"encoder": 2, "decoder": 2})
    assert layers_of(LAYER * 2, tree) == {"encoder": (2, 1), "decoder": (2, 1)}
    assert layers_of(LAYER * 6, tree) == {"encoder": (2, 3), "decoder": (2, 3)}


def test_a_table_of_the_first_layer_alone_does_not_matter() -> None:
    assert layers_of((*LAYER * 3, (7, 9)), map_of({"layers": 2}, first=[(7, 9)])) == {"layers": (2, 3)}


def test_a_table_that_a_tool_has_computed_in_advance_does_not_matter() -> None:
    tree = map_of({"encoder": 1, "decoder": 2}, first=[(7, 9)])
    # Layers were added, and of their tables of positions nothing is left.
    assert layers_of(LAYER * 5, tree) == {"encoder": (1, 2), "decoder": (2, 3)}
    # Where more is missing than that, the layers are others.
    assert layers_of(((16, 16),) * 24, tree) == {}


def test_joined_matrices_count_as_their_parts() -> None:
    stored = stored_weights(
        Context(file_of([(16, 48), (16, 16), (5, 7)]), HierarchyMap.from_rows([ModuleRow("", "M")]))
    )
    assert architecture.sizes_in(stored, {256}) == {256: 4, 35: 1}


def test_other_sizes_are_no_layers() -> None:
    assert layers_of([(8, 8)] * 12, map_of({"layers": 3})) == {}


@pytest.mark.parametrize(
    ("name", "specific"),
    [
        ("encoder.layer.0.query.weight", True),
        ("/encoder/layer.0/query/MatMul_output_0", True),
        ("linear_3", False),
        ("onnx::MatMul_307", False),
        ("/MatMul_1_output_0", False),
        ("a.b", False),
    ],
)
def test_specific_names(name: str, specific: bool) -> None:
    assert architecture.is_specific(name) is specific


def test_names_of_parameters_count_only_for_as_many_values() -> None:
    tree = map_of({"layers": 1})
    ctx = Context(file_of(LAYER, "layers.0.w"), tree)
    told = architecture.names(ctx, tree)
    assert told is not None
    assert told.bits == 10.0
    other = Context(file_of([(3, 5)] * 3, "layers.0.w"), tree)
    assert architecture.names(other, tree) is None


def test_operators_are_compared_through_what_only_moves() -> None:
    plain = file_of(LAYER)
    tags = [HierarchyMap.from_rows([ModuleRow("", "M")]).tag("", Source.EXPORTED)] * 3
    tree = HierarchyMap(HierarchyMap.from_rows([ModuleRow("", "M")]).modules, graph=SavedGraph.of(walk(plain), tags))
    moved = file_of(LAYER)
    moved.graph.node.insert(1, helper.make_node("Transpose", ["t0"], ["moved"]))
    moved.graph.node[2].input[0] = "moved"
    assert architecture.structure(Context(moved, tree), tree) == (1.0, 3)


def test_shapes_are_compared_in_order_of_use() -> None:
    tree = map_of({"layers": 2})
    stored = stored_weights(Context(file_of(LAYER * 2), tree))
    assert architecture.shapes(stored, tree.parameters) == (1.0, 6)
    share, count = architecture.shapes(list(reversed(stored)), tree.parameters)
    assert share < 1
    assert count == 6
