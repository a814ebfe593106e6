"""A placement as text: long lists are cut, unknown sizes are said."""

import pytest

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.table import ModuleTable
from onnx_tagger.reporters.placing import show_placement
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.workflows.placing.crossing import Crossing
from onnx_tagger.workflows.placing.placing import Placed, Placement
from onnx_tagger.workflows.placing.rules import Rule


def test_lists_are_cut_and_sizes_that_are_open_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    rule = Rule("gpu", "layers.*", annotations=tuple(f"/N/L.{k}/" for k in range(5)))
    crossing = (Crossing("gpu", None, ("a", "b"), 8, 1), Crossing(None, "gpu", ("c",), 0, 1))
    table = ModuleTable.of(ModuleTree(HierarchyMap.from_rows([ModuleRow("", "N")])), [], [])
    bare = tuple((f"m{k}", 1) for k in range(12))
    placement = Placement("m.onnx", "s", (Placed(rule, 5, 0, 0),), {0: "gpu"}, crossing, table, bare, 1, 13)
    show_placement(Screen(), placement, "option")
    out = capsys.readouterr().out
    assert "/N/L.0/, /N/L.1/ and 3 more" in out
    assert "8 and 1 unknown" in out
    assert "m7 1 and 4 more modules" in out
    assert out.startswith("option = s\n")
