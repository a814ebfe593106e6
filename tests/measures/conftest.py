"""A tree of six modules, and tags for six nodes in it: one fused, one without a tag."""

import pytest

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.model.metadata import Source, Tag

ROWS = [
    ModuleRow("", "Net"),
    ModuleRow("enc", "Enc"),
    ModuleRow("enc.layers", "ModuleList", tagged=False, keyed=True),
    ModuleRow("enc.layers.0", "Layer"),
    ModuleRow("enc.layers.1", "Layer"),
    ModuleRow("head", "Linear"),
]
MAP = HierarchyMap.from_rows(ROWS)


@pytest.fixture(name="tree")
def _tree() -> ModuleTree:
    return ModuleTree(MAP)


@pytest.fixture(name="tags")
def _tags() -> list[Tag | None]:
    """Two nodes in layer 0, one in layer 1, one fused of both, one in the root, one without a tag."""
    return [
        MAP.tag("enc.layers.0", Source.EXPORTED),
        MAP.tag("enc.layers.0", Source.MATCHED),
        MAP.tag("enc.layers.1", Source.EXPORTED),
        MAP.tag("enc", Source.ALIGNED, ("enc.layers.0", "enc.layers.1")),
        MAP.tag("", Source.EXPORTED),
        None,
    ]
