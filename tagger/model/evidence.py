"""What a tag rests on: the classes of evidence that passes go by, in order of how much each is worth.

How a tag was found is its `Source`; several kinds of evidence may lead to tags of one source. How often each is right
is measured by `benchmarks/evidence.py`. Whose file it is has evidence of another kind: see `workflows.kinship`.
"""

from __future__ import annotations

from enum import IntEnum

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.keys import EVIDENCE
from onnx_tagger.model.metadata import Source, text_of


class Evidence(IntEnum):
    """What a tag rests on, the strongest first; a larger value is weaker.

    Attributes
    ----------
    EXPORTER
        The exporter said so on this node.
    STATED
        Other metadata of the node says so, or a scope in its name.
    NODE
        The map has the same node: operator, inputs and outputs.
    NAME
        The tensors that it makes, or the node itself, are called as in the map.
    WEIGHT
        It reads a weight that is known by its name or its values.
    STRUCTURE
        It does what the map's graph does between the same tensors.
    SPELLED
        The file's own names spell the module, and nothing else is known.
    RUN
        Its place among the operations of the captured run.
    NEIGHBOURS
        The tags of the nodes around it.
    UNDECIDED
        Several places fit equally well; the tag is the module around all of them.
    NONE
        Nothing: it is the root for want of anything else.
    """

    EXPORTER = 0
    STATED = 1
    NODE = 2
    NAME = 3
    WEIGHT = 4
    STRUCTURE = 5
    SPELLED = 6
    RUN = 7
    NEIGHBOURS = 8
    UNDECIDED = 9
    NONE = 10

    @property
    def label(self) -> str:
        """The word that is written, ``exporter`` to ``none``."""
        return self.name.lower()


EVIDENCES = {each.label: each for each in Evidence}

# What a tag of a source rests on at least, where no pass said more: the map itself holds no evidence.
BY_SOURCE = {
    Source.EXPORTED: Evidence.EXPORTER,
    Source.MATCHED: Evidence.NODE,
    Source.ALIGNED: Evidence.STRUCTURE,
    Source.NAMED: Evidence.SPELLED,
    Source.INHERITED: Evidence.NEIGHBOURS,
    Source.ROOT: Evidence.NONE,
}

# What the tag of a map's node is worth at best, once another node has got it.
_AT_BEST = BY_SOURCE | {Source.ALIGNED: Evidence.NAME}


def taken_over(evidence: Evidence, source: Source) -> Evidence:
    """The evidence for a tag that was taken from a node of the map, whose own source may be worse.

    Examples
    --------
    >>> taken_over(Evidence.NAME, Source.ALIGNED), taken_over(Evidence.NAME, Source.INHERITED)
    (<Evidence.NAME: 3>, <Evidence.NEIGHBOURS: 8>)
    """
    return max(evidence, _AT_BEST[source])


def evidence_class(name: str) -> Evidence:
    """The class of a name.

    Raises
    ------
    TaggerError
        If there is none.

    Examples
    --------
    >>> evidence_class("weight")
    <Evidence.WEIGHT: 4>
    """
    if not isinstance(name, str) or name not in EVIDENCES:
        raise TaggerError(f"unknown class of evidence {name!r}: choose from {', '.join(EVIDENCES)}")
    return EVIDENCES[name]


def written_evidence(node: onnx.NodeProto) -> Evidence | None:
    """The evidence that a node carries in our own key; None if it has none, or one that we do not know."""
    found = [text_of(entry.value) for entry in node.metadata_props if entry.key == EVIDENCE]
    return EVIDENCES.get(found[-1]) if found else None
