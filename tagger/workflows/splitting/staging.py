"""Which stage each node is in: by the modules that stages are to hold, and what earlier stages need of later ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.braces import expanded, split_outside
from onnx_tagger.hierarchy.globs import under
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.model.metadata import Tag
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.workflows.splitting.maingraph import MainGraph

_EXAMPLE = "write 'embeddings | encoder.layer.{0..5} | **'"


@dataclass(frozen=True)
class Staging:
    """Nodes in stages.

    Attributes
    ----------
    stages : list of list of int
        Positions in the main graph, in an order in which they can run; each with the constants that it needs.
    names : list of str
        What each stage is to hold, in words.
    hoisted : list of int
        How many nodes of each stage belong to later ones by their modules, but are needed here.
    unasked : list of int
        How many belong to no stage by their modules, and are where what they read is made.
    """

    stages: list[list[int]]
    names: list[str]
    hoisted: list[int]
    unasked: list[int]

    def __repr__(self) -> str:
        return brief(self, counted(len(self.stages), "stage"))


def parse_stages(text: str) -> list[str]:
    """The stages of a text, parted by ``|``, each one or more patterns parted by commas.

    Raises
    ------
    TaggerError
        If there are fewer than two, or one is empty.

    Examples
    --------
    >>> parse_stages("embeddings | encoder.layer.{0,1} | **")
    ['embeddings', 'encoder.layer.{0,1}', '**']
    """
    parts = [part.strip() for part in split_outside(text, "|")]
    if len(parts) < 2:
        raise TaggerError(f"the stages {text!r} are fewer than two; {_EXAMPLE}")
    if not all(parts):
        raise TaggerError(f"the stages {text!r} have an empty one; {_EXAMPLE}")
    return parts


def wanted_stages(parts: Sequence[str], tree: ModuleTree) -> dict[str, int]:
    """The stage of each module that is named: the first whose patterns name it, or a module around it.

    Raises
    ------
    TaggerError
        If a pattern names no module; the message advises.
    """
    found: dict[str, int] = {}
    for place, part in enumerate(parts):
        patterns = [one.strip() for text in split_outside(part, ",") for one in expanded(text)]
        for path in under(tree, [pattern for pattern in patterns if pattern]):
            found.setdefault(path, place)
    return found


def staged_by_modules(graph: MainGraph, tags: Sequence[Tag | None], parts: Sequence[str], tree: ModuleTree) -> Staging:
    """Put nodes into stages.

    A node is in the stage of its module, but no later than any node that reads it: what an earlier stage needs is
    hoisted there. A node of no stage is where the last of what it reads is made.

    Parameters
    ----------
    graph : MainGraph
    tags : sequence of (Tag or None)
        One for each node.
    parts : sequence of str
        Patterns of each stage.
    tree : ModuleTree

    Raises
    ------
    TaggerError
        If a pattern names no module, or a stage gets no node.
    """
    wanted = wanted_stages(parts, tree)
    last = len(parts) - 1
    found = [(index, _asked(tag, wanted)) for index, tag in enumerate(tags)]
    asked = {index: place for index, place in found if place is not None}
    live = [index for index in graph.order if index not in graph.constant]
    latest = dict.fromkeys(live, last)
    for index in reversed(live):
        latest[index] = min(latest[index], asked.get(index, last))
        for maker in graph.makers(index):
            if maker in latest:
                latest[maker] = min(latest[maker], latest[index])
    stage: dict[int, int] = {}
    for index in live:
        earliest = max((stage[maker] for maker in graph.makers(index) if maker in stage), default=0)
        stage[index] = max(earliest, min(asked.get(index, earliest), latest[index]))
    hoisted, unasked = [0] * len(parts), [0] * len(parts)
    for index, place in stage.items():
        hoisted[place] += index in asked and place < asked[index]
        unasked[place] += index not in asked
    made = Staging(_with_constants(graph, live, stage, len(parts)), list(parts), hoisted, unasked)
    _insist_on_nodes(made, asked)
    return made


def staged_by_cuts(graph: MainGraph, cuts: Sequence[int]) -> Staging:
    """Put nodes into stages by positions in the order in which they run.

    Parameters
    ----------
    graph : MainGraph
    cuts : sequence of int
        Ascending positions in the order of the nodes that are no constants; each begins a stage.
    """
    live = [index for index in graph.order if index not in graph.constant]
    begins = [0, *cuts, len(live)]
    stage = {index: k for k in range(len(begins) - 1) for index in live[begins[k] : begins[k + 1]]}
    count = len(begins) - 1
    names = [f"stage {k}" for k in range(count)]
    return Staging(_with_constants(graph, live, stage, count), names, [0] * count, [0] * count)


def _asked(tag: Tag | None, wanted: dict[str, int]) -> int | None:
    """The stage that a node belongs to by its modules; the last of those whose work it does."""
    if tag is None:
        return None
    if tag.module in wanted and not tag.origins:
        return wanted[tag.module]
    return max((wanted[path] for path in tag.modules if path in wanted), default=wanted.get(tag.module))


def _with_constants(graph: MainGraph, live: Sequence[int], stage: dict[int, int], count: int) -> list[list[int]]:
    """The nodes of each stage in the order of the model, with the constants that they read."""
    members: list[set[int]] = [set() for _ in range(count)]
    for index in live:
        members[stage[index]].add(index)
    for chosen in members:
        pending = list(chosen)
        while pending:
            for maker in graph.makers(pending.pop()):
                if maker in graph.constant and maker not in chosen:
                    chosen.add(maker)
                    pending.append(maker)
    rank = {index: place for place, index in enumerate(graph.order)}
    return [sorted(chosen, key=rank.__getitem__) for chosen in members]


def _insist_on_nodes(made: Staging, asked: dict[int, int]) -> None:
    for place, (name, nodes) in enumerate(zip(made.names, made.stages, strict=True)):
        if not nodes:
            belong = sum(stage == place for stage in asked.values())
            why = (
                f"all {counted(belong, 'node')} of its modules are needed by earlier stages"
                if belong
                else "its modules have no nodes in the main graph but those of earlier stages"
            )
            raise TaggerError(f"stage {place} ({name!r}) would be empty: {why}; leave it out or put it earlier")
