"""Which operations of a captured run compute with complex numbers, which ONNX lacks: files hold their parts.

Torch calls a product of complex numbers like any other; what it is written as is in `operators`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from onnx_tagger.hierarchy.map import HierarchyMap, Operation

# Operations that make complex numbers of real ones, by a view and otherwise, and those that make such of such.
_AS_COMPLEX = "view_as_complex"
_MAKE_COMPLEX = frozenset({"polar", "complex", "_fft_r2c"})
_KEEP_COMPLEX = frozenset({"add", "sub", "mul", "div", "_fft_c2c", "cat", "stack", "index"})


def named_trace(tree: HierarchyMap) -> Sequence[Operation]:
    """The trace with products of complex numbers under a name of their own: ONNX has none, and writes out their parts.

    What makes complex numbers, and the parameters that are such, tell. A view shows in what reads the same result.
    """
    weights = {parameter.name for parameter in tree.parameters if parameter.dtype.startswith("complex")}
    seen, found = set[int](), list(tree.trace)
    for place, step in enumerate(tree.trace):
        if step.operator == _AS_COMPLEX:
            seen.update(step.reads)
        elif step.operator in _MAKE_COMPLEX:
            seen.add(place)
        elif not step.view and (not weights.isdisjoint(step.weights) or _all_in(step.reads, seen)):
            if step.operator == "mul":
                found[place] = step._replace(operator="complex_mul")
            seen.update({place} if step.operator in _KEEP_COMPLEX else ())
    return found


def _all_in(reads: Sequence[int], seen: Collection[int]) -> bool:
    return bool(reads) and all(before in seen for before in reads)
