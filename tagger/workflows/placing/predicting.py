"""What onnxruntime's layer assignment does with annotations: which rule each node goes by.

After `LayeringRuleMatcher` and `LayeringIndex` in ``onnxruntime/core/framework/layering_annotations.cc`` (1.31): of the
beginnings that fit an annotation the leftmost rule wins, also over a longer one, and any of them wins over ``=``.
A node in a body that no rule fits goes where its owner goes. Local functions are inlined before, and their nodes have
the annotation of the call, or none, whatever they carried in the function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx_tagger.model.graph import Walk, callee, functions_in_call_order
from onnx_tagger.workflows.placing.rules import Rule


class Matcher:
    """Finds the rule that an annotation goes by.

    Parameters
    ----------
    rules : sequence of Rule
        In the order of the setting.

    Examples
    --------
    >>> rules = [Rule("cpu", "", annotations=("/N/",)), Rule("gpu", "", annotations=("/N/A/",))]
    >>> matcher = Matcher(rules)
    >>> matcher("/N/A/"), matcher("/M/")
    (0, None)
    """

    def __init__(self, rules: Sequence[Rule]) -> None:
        self._beginnings: dict[str, int] = {}
        self._exact: dict[str, int] = {}
        for place, rule in enumerate(rules):
            known = self._exact if rule.exact else self._beginnings
            for text in rule.annotations:
                known.setdefault(text, place)
        self._lengths = sorted({len(text) for text in self._beginnings})
        self._found: dict[str, int | None] = {}

    def __call__(self, annotation: str) -> int | None:
        """The position of the rule, or None; an empty annotation has none."""
        if annotation not in self._found:
            self._found[annotation] = self._match(annotation) if annotation else None
        return self._found[annotation]

    def _match(self, annotation: str) -> int | None:
        starts = (annotation[:length] for length in self._lengths if length <= len(annotation))
        fitting = [self._beginnings[start] for start in starts if start in self._beginnings]
        return min(fitting) if fitting else self._exact.get(annotation)


def predicted(walk: Walk, annotations: Mapping[int, str], rules: Sequence[Rule]) -> dict[int, int]:
    """The rule that each node goes by.

    Parameters
    ----------
    walk : Walk
    annotations : mapping
        Op id to its annotation, of the nodes that have one.
    rules : sequence of Rule

    Returns
    -------
    dict
        Op id to the position of a rule; nodes that no rule covers are left out, and so are nodes of functions whose
        calls go by different rules.
    """
    matcher = Matcher(rules)
    found: dict[int, int] = {}
    for op in walk.ops:  # owners stand before their bodies
        rule = matcher(annotations.get(op.id, ""))
        if rule is None and op.scope.owner is not None:
            rule = found.get(op.scope.owner.id)
        if rule is not None:
            found[op.id] = rule
    if walk.functions:
        _by_calls(walk, found)
    return found


def _by_calls(walk: Walk, found: dict[int, int]) -> None:
    """Put the nodes of functions where their calls go, callers first."""
    by_family: dict[str, list[int]] = {}
    for op in walk.ops:
        by_family.setdefault(op.scope.family, []).append(op.id)
    for key in functions_in_call_order(walk):
        rules = {found.get(call.id) for call in walk.calls[key]}
        rule = rules.pop() if len(rules) == 1 else None
        for index in by_family.get(walk.functions[key].name, ()):
            found.pop(index, None)
            if rule is not None:
                found[index] = rule


def inlined(walk: Walk) -> set[int]:
    """Ids of the nodes that call a local function, in whose place onnxruntime puts the function's nodes."""
    return {op.id for op in walk.ops if walk.functions and callee(op.node) in walk.functions}
