"""What a node's tag is worth beside the truth, and the counts of a whole file. How truth is found is `judging`'s."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Literal

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.graph import Op
from onnx_tagger.model.metadata import Tag

Verdict = Literal["right", "ancestor", "wrong", "untagged"]

CONSTANT = "a constant, or made of constants alone"
SHAPE = "shape arithmetic"
PASSES = "passes its input through"
VIEW = "only a view makes this value"

# Nodes that compute nothing from what the model was given.
IDLE = (CONSTANT, SHAPE, PASSES, VIEW)


@dataclass(frozen=True)
class Candidate:
    """One answer to the question whose work a node does; several values alike give several answers.

    Attributes
    ----------
    ran : frozenset of str
        The modules that made the value.
    modules : frozenset of str
        These, and the modules of all operations before them whose values exist nowhere in the file.
    calls : frozenset of str
        The calls in which they did, as far as modules are called more than once.
    """

    ran: frozenset[str]
    modules: frozenset[str]
    calls: frozenset[str] = frozenset()


@dataclass
class Judgement:
    """How a file's tags stand beside the truth.

    Attributes
    ----------
    nodes : int
        All nodes of the file.
    verdicts : Counter
        ``right``, ``ancestor``, ``wrong`` and ``untagged`` among the testable nodes.
    alone : int
        Nodes that are right by their tag alone, not only by an origin.
    enclosed : int
        These, and the nodes that do the work of several modules and whose tag is the innermost that encloses them.
    said, true, agreed : int
        Modules that the testable nodes name, those whose work they do, and how many are in both.
    calls : Counter
        ``right``, ``wrong`` and ``missing`` among the testable nodes of a module that is called more than once.
    auxiliary : Counter
        ``consistent``, ``partial`` (some readers lie in a module that is named) and ``inconsistent`` (none does) among
        the constants and shape arithmetic whose readers are known.
    inner : int
        Testable nodes whose own value no ATen operation makes: they are judged by the one operation that they serve.
    vague : int
        Testable nodes whose value several modules made, any of which counts as right.
    untestable : Counter
        Reason to number of nodes that could not be judged.
    details : list of str
        A line for each node that is not right in every respect.
    """

    nodes: int = 0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    alone: int = 0
    enclosed: int = 0
    said: int = 0
    true: int = 0
    agreed: int = 0
    calls: Counter[str] = field(default_factory=Counter)
    auxiliary: Counter[str] = field(default_factory=Counter)
    inner: int = 0
    vague: int = 0
    untestable: Counter[str] = field(default_factory=Counter)
    details: list[str] = field(default_factory=list)

    @property
    def testable(self) -> int:
        """Number of nodes that could be judged."""
        return sum(self.verdicts.values())

    @property
    def computing(self) -> int:
        """Number of nodes that compute something, testable or not."""
        return self.nodes - sum(self.untestable[reason] for reason in IDLE)

    @property
    def precision(self) -> float:
        """Share of the named modules that are true, 1 if none is named."""
        return self.agreed / self.said if self.said else 1.0

    @property
    def recall(self) -> float:
        """Share of the true modules that are named, 1 if there are none."""
        return self.agreed / self.true if self.true else 1.0

    def add(self, other: Judgement) -> None:
        """Add another file's counts."""
        self.nodes += other.nodes
        self.verdicts.update(other.verdicts)
        self.alone += other.alone
        self.enclosed += other.enclosed
        self.said += other.said
        self.true += other.true
        self.agreed += other.agreed
        self.calls.update(other.calls)
        self.auxiliary.update(other.auxiliary)
        self.inner += other.inner
        self.vague += other.vague
        self.untestable.update(other.untestable)
        self.details.extend(other.details)

    def node(self, op: Op, tag: Tag | None, candidates: Sequence[Candidate], tree: HierarchyMap) -> None:
        """Count a testable node.

        Parameters
        ----------
        op : Op
            The node.
        tag : Tag or None
            What is said of it.
        candidates : sequence of Candidate
            One or more.
        tree : HierarchyMap
            The model's modules.
        """
        ran = frozenset[str]().union(*(candidate.ran for candidate in candidates))
        verdict = _verdict(tag, ran, tree)
        self.verdicts[verdict] += 1
        self.vague += len(ran) > 1
        if verdict != "right":
            self._note(verdict, op, tag, f"ran in {_listed(ran)}")
        best = _best(frozenset(tag.modules) if tag is not None else frozenset(), candidates)
        if tag is not None:
            self.alone += tag.module in ran
            self.enclosed += any(_stands_for(tag.module, candidate, tree) for candidate in candidates)
        self._origins(op, tag, best[0].modules, verdict)
        self._call(op, tag, best)

    def _origins(self, op: Op, tag: Tag | None, true: frozenset[str], verdict: Verdict) -> None:
        said = frozenset(tag.modules) if tag is not None else frozenset[str]()
        self.said += len(said)
        self.true += len(true)
        self.agreed += len(said & true)
        if verdict == "right" and said != true:
            self._note("origins", op, tag, f"does the work of {_listed(true)}")

    def _call(self, op: Op, tag: Tag | None, best: Sequence[Candidate]) -> None:
        true = frozenset[str]().union(*(candidate.calls for candidate in best))
        said = frozenset(tag.call) if tag is not None else frozenset[str]()
        if not true or (not said and any(not candidate.calls for candidate in best)):
            return
        found = "right" if said & true else "wrong" if said else "missing"
        self.calls[found] += 1
        if found != "right":
            self._note(f"call {found}", op, tag, f"ran in the call {_listed(true)}")

    def beside(
        self, op: Op, tag: Tag | None, made: frozenset[str], readers: Collection[frozenset[str]], tree: HierarchyMap
    ) -> None:
        """Count a constant or a piece of shape arithmetic, which should name the module of each reader, or enclose it.

        Parameters
        ----------
        op : Op
            The node.
        tag : Tag or None
            What is said of it.
        made : frozenset of str
            The modules that made this very value in the run: one of them may be named whoever reads it.
        readers : collection of frozenset of str
            The modules of each reader of which they are known.
        tree : HierarchyMap
            The model's modules.
        """
        named = {tag.module, *tag.origins} if tag is not None else set()
        fits = [any(tree.encloses(name, module) for name in named for module in reader) for reader in readers]
        if named & made or (fits and all(fits)):
            self.auxiliary["consistent"] += 1
        elif fits:
            found = "partial" if any(fits) else "inconsistent"
            self.auxiliary[found] += 1
            self._note(found, op, tag, f"read by {_listed(frozenset[str]().union(*readers))}")

    def _note(self, kind: str, op: Op, tag: Tag | None, truth: str) -> None:
        said = "nothing"
        if tag is not None:
            words = [_listed(tag.modules) if tag.module in tag.modules else f"{tag.module!r} of {_listed(tag.modules)}"]
            words += [f"call {_listed(tag.call)}"] if kind.startswith("call") and tag.call else []
            said = f"{', '.join(words)} ({tag.source.label})"
        self.details.append(f"{kind}: {op.label} {op.node.name}: says {said}, {truth}")


def _listed(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


def _verdict(tag: Tag | None, ran: frozenset[str], tree: HierarchyMap) -> Verdict:
    if tag is None:
        return "untagged"
    if ran & set(tag.modules):
        return "right"
    return "ancestor" if any(tree.encloses(tag.module, module) for module in ran) else "wrong"


def _stands_for(module: str, candidate: Candidate, tree: HierarchyMap) -> bool:
    several = len(candidate.modules) > 1
    return module in candidate.ran or (several and module == tree.enclosing(candidate.modules))


def _best(said: frozenset[str], candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that agree best with what is said, by precision and recall; the smallest first."""

    def agreement(candidate: Candidate) -> float:
        return 2 * len(said & candidate.modules) / (len(said) + len(candidate.modules))

    top = max(agreement(candidate) for candidate in candidates)
    best = [candidate for candidate in candidates if agreement(candidate) == top]
    return sorted(best, key=lambda candidate: (len(candidate.modules), sorted(candidate.modules)))
