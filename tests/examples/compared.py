"""A comparison as reporters take it: one module that differs, one that is off before, one that nothing shows."""

from __future__ import annotations

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.comparison.comparison import Comparison, Suspect, TensorError
from onnx_tagger.workflows.comparison.judging import Judged, failures, table_of_tensors

TREE = ModuleTree(
    HierarchyMap.from_rows([ModuleRow("", "Net"), *(ModuleRow(p, p[-1].upper()) for p in ("a", "a.x", "b", "c"))])
)


def comparison(*, bad: bool = True) -> Comparison:
    """`a.x` differs, or nothing does; `c` is not visible."""
    local = 0.05 if bad else 1e-7
    tensors = [
        TensorError("t|1", "a.x", "a.x", local, local, 1e-5, "float32", differs=bad),
        TensorError("t2", "a", "a", 1e-7, local, 1e-5, "float32", ["c"]),
        TensorError("t3", "b", "b", 0.0, None, 1e-5, "float32"),
    ]
    judged = Judged(tensors, {"c": "not visible: fused with a"}, 98.5, [], ["a note"])
    return Comparison(
        "Net",
        "m.onnx",
        "sqnr",
        1e-5,
        1,
        tuple(tensors),
        table_of_tensors(tensors, TREE),
        judged.hidden,
        judged.covered,
        tuple(failures(judged)),
        ("a note",),
        (Suspect("a.x", "main#4 MatMul", "mm", "t0"),) if bad else (),
    )
