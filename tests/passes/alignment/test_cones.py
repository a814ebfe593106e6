"""Cones: what the saved graph computes for a tensor, back to what is still there, moved or not."""

from __future__ import annotations

from onnx_tagger.hierarchy.map import HierarchyMap, SavedGraph, SavedNode
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.model.graph import MAIN
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.alignment.cones import Cones
from onnx_tagger.passes.analyses.saved import SavedIndex

TREE = HierarchyMap.from_rows([ModuleRow("", "M")])


def work(saved: str, alive: str, *outputs: str) -> set[int]:
    """Positions behind some outputs, for nodes of lines such as ``Op x -> y`` and names that exist."""
    nodes = []
    for line in saved.split(";"):
        head, _, made = line.partition("->")
        op, *inputs = head.split()
        tag = TREE.tag("", Source.EXPORTED)
        nodes.append(SavedNode(MAIN, "", op, tuple(inputs), tuple(made.split()), tag))
    index = SavedIndex(SavedGraph(nodes, ("in",), (), {}))
    return set(Cones(index, {(MAIN, name) for name in alive.split()}).work((MAIN, name) for name in outputs))


def test_a_cone_ends_at_what_exists() -> None:
    assert work("A in -> a; B a -> b; C b -> c", "in a c", "c") == {1, 2}


def test_what_nobody_works_at_counts_only_alone() -> None:
    assert work("Identity in -> a; B a -> b", "in b", "b") == {1}
    assert work("Identity in -> a", "in a", "a") == {0}


def test_what_exists_moved_exists() -> None:
    """A tool transposes before the scale, not behind it: the sum reads what the file has in another shape."""
    saved = "MatMul in -> a; Transpose a -> t; Exp a -> b"
    assert work(saved, "in t b", "b") == {2}
    assert work(saved, "in b", "b") == {0, 2}


def test_what_makes_a_moved_tensor_makes_what_was_moved() -> None:
    assert work("MatMul in -> a; Transpose a -> t", "in t", "t") == {0, 1}


def test_a_copy_in_another_type_exists() -> None:
    assert work("Gather in -> e; Cast e -> c; Cast e -> d; Pow d -> p", "in c p", "p") == {3}


def test_sizes_are_not_made_of_what_is_measured() -> None:
    assert work("Gather in -> e; Shape e -> s; Gather s k -> n; Exp n -> o", "in k o", "o") == {1, 2, 3}


def test_a_tensor_that_the_saved_graph_does_not_make_has_no_cone() -> None:
    assert work("A in -> a", "in", "other") == set()
