"""The verdict whether a map is of a file's model: what is asked first, and how much has to be asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import attrgetter

from onnx_tagger.hierarchy.map import HierarchyMap, Parameter
from onnx_tagger.model import metadata
from onnx_tagger.model.metadata import Source
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.kinship import architecture
from onnx_tagger.workflows.kinship.rows import Rows
from onnx_tagger.workflows.kinship.stored import StoredWeight, read, stored_weights
from onnx_tagger.workflows.kinship.verdict import ENOUGH, Evidence, Kinship
from onnx_tagger.workflows.kinship.weights import Fit, Found, KnownWeights

# Gives the weights of a map that lists none: all of them, or those of some names.
ReadParameters = Callable[[Collection[str] | None], Sequence[Parameter]]

# How many weights are read in any case, how many if one of those is not plainly the map's, and the runs of weights in a
# row that are read if even then more of them are not.
_FIRST = (3, 10)
_NEARLY_ALL = 0.8
_RUNS, _RUN = 12, 3

# So many say enough, and a weight that says nothing, as a bias of zeros, lets the next in size be read.
_FEW = 3
_TRIES = 5

_EXACT = (Fit.SAME, Fit.ROUNDED, Fit.JOINED)
_KNOWN = (*_EXACT, Fit.CLOSE)

# What a model without weights shares with another one: that is rare.
_NO_WEIGHTS = 4.0

# Where weights could tell and were not asked, what is alike in all models of an architecture must not decide.
_MOST_OF_STRUCTURE = 8.0

# How much a weight by itself may say where the others cannot be compared.
_ENOUGH_OF_SOME, _ONE_WEIGHT = 2, 8.0

# Outputs that agree about their means, by the numbers that are compared: the wider the tolerance, the less it says.
_SAME_OUTPUTS = {"float32": 20.0, "float16": 10.0, "quantised": 4.0}

# Two weights that are none of the map's are no accident.
_AGAINST = 2

# Of files of their own model the map knows all but one weight in nine, or all but three.
_PART, _FEW_UNKNOWN = 0.2, 4

OF_MODEL = "the file is of the map's model"
TRAINED = "the file is of the map's model, trained further"
UNSEEN = "the file is of the map's model by all that can be seen without its weights"
OTHER_WEIGHTS = "the file has the architecture of the map's model, but the weights of another seed or training"
UNSURE = "it cannot be told whether the file is of the map's model"
PART = "some weights of the file are the map's and others are not, as in another version of the model"
STRANGER = "the file is of another model than the map"


class Judge:
    """Collects evidence on a file and a map, as much as the verdict needs.

    Parameters
    ----------
    ctx : Context
        With the map in it; its tags are not looked at, and its metadata must be as the file's.
    tree : HierarchyMap
        The map.
    parameters : callable, optional
        Gives the weights of the map, if it was made of a tagged file.
    listed : callable, optional
        Gives the same without their values.
    verified : mapping, optional
        What running the file and the map's own showed, as the report has it.
    """

    def __init__(
        self,
        ctx: Context,
        tree: HierarchyMap,
        parameters: ReadParameters | None = None,
        listed: Callable[[], Sequence[Parameter]] | None = None,
        verified: Mapping[str, object] | None = None,
    ) -> None:
        self.verified = verified
        self.ctx, self.tree = ctx, tree
        self.stored = stored_weights(ctx)
        self.found: dict[str, Found] = {}
        self.known = KnownWeights(tree.parameters if parameters is None else ())
        self._parameters, self._listed = parameters, listed
        self.notes: list[str] = []

    def verdict(self) -> Kinship:
        """Read as few weights as will do, and give the verdict."""
        self._read_weights()
        weights = self.weights()
        evidence = [each for each in (weights, self._lineage(), self._run()) if each is not None]
        if sum(each.bits for each in evidence) >= ENOUGH:
            return self._of_kin(evidence)
        known = weights is not None and weights.bits > 0
        return self._without_weights(evidence, against=not known and len(self.unknown_weights) >= _AGAINST)

    # --- weights ------------------------------------------------------------------------------------------------------

    def _read_weights(self) -> None:
        """Compare a few weights, and many if those are not all plainly the map's."""
        if not self.stored or not self._can_compare:
            return
        for count in _FIRST:
            if self._plain(count):
                return
        self._read_all()
        self._compare(self._runs())

    def _read_all(self) -> None:
        """Read all the weights of a tagged file that is the map, of which some were read before."""
        if self._parameters is not None:
            self.found.clear()
            self.known = KnownWeights(self._parameters(None))
            self._parameters = None

    def _plain(self, count: int) -> bool:
        """Compare one weight of each of some parts of the file, and say whether those are plainly the map's."""
        first = [found for group in self._groups(count) if (found := self._telling(group)) is not None]
        if self._parameters is not None:
            self.known = KnownWeights(self._parameters({weight.name for weight, _ in first}))
        for weight, values in first:
            self.found[weight.name] = self.known.compare(weight, values)
        exact = sum(each.fit in _EXACT for each in self.found.values())
        return exact >= _FEW and exact > _NEARLY_ALL * len(self.found)

    def _groups(self, count: int) -> Iterator[Sequence[StoredWeight]]:
        """Weights of so many parts of the file, one of each size: of each group one should say something."""
        floats = [weight for weight in self.stored if not weight.rounded]
        step = max(1, -(-len(floats) // count))
        for start in range(0, len(floats), step):
            by_size = {weight.size: weight for weight in reversed(floats[start : start + step])}
            yield [by_size[size] for size in sorted(by_size)][:_TRIES]

    def _telling(self, weights: Sequence[StoredWeight]) -> tuple[StoredWeight, Rows] | None:
        """The first of some weights that is no constant, with its values."""
        for weight in weights:
            values = read(self.ctx, weight)
            if values is not None and values.tell:
                return weight, values
        return None

    def _runs(self) -> list[StoredWeight]:
        """Runs of weights in order of use, or all of them if they are few."""
        if len(self.stored) <= _RUNS * _RUN:
            return self.stored
        step = len(self.stored) / _RUNS
        return [weight for at in range(_RUNS) for weight in self.stored[int(at * step) : int(at * step) + _RUN]]

    def _compare(self, weights: Sequence[StoredWeight]) -> None:
        unknown: list[tuple[Found, str]] = []
        for weight in weights:
            if weight.name in self.found:
                continue
            values = read(self.ctx, weight) if self.known.parameters else None
            found = self.known.compare(weight, values)
            self.found[weight.name] = found
            if found.fit is Fit.UNKNOWN and values is not None and not weight.rounded:
                unknown.append((found, values.digest))
        for found in self.known.split(unknown):
            self.found[found.weight.name] = found

    @property
    def _can_compare(self) -> bool:
        """Whether weights may be read and the map has some."""
        return self.ctx.reads_values and bool(self._listed or self._parameters or self.tree.parameters)

    @property
    def _could_compare(self) -> bool:
        """Whether the map's model has weights that could be compared, by all that the map says."""
        stored = self.tree.graph.initializers if self.tree.graph is not None else ()
        return bool(self.tree.parameters or self._listed is not None or stored)

    def weights(self) -> Evidence | None:
        """What all the weights say that were read."""
        counts = {fit: self._count(fit) for fit in Fit}
        known, telling = sum(counts[fit] for fit in _KNOWN), len(self.found) - counts[Fit.MUTE]
        if not telling:
            return None
        kinds = ", ".join(f"{counts[fit]} {fit.value}" for fit in _KNOWN if counts[fit])
        says = f"the map knows {known} of {telling} weights that were compared" + (f" ({kinds})" if kinds else "")
        bits = sum(each.bits for each in self.found.values())
        if known < _ENOUGH_OF_SOME and not self.known.sketched:
            # What is rounded says nothing to such a map, and one table may be in two models.
            bits = min(bits, _ONE_WEIGHT)
        return Evidence("weights", says, bits)

    def _count(self, fit: Fit) -> int:
        return sum(each.fit is fit for each in self.found.values())

    @property
    def unknown_weights(self) -> list[str]:
        """Names of the weights that are none of the map's, of those that were compared."""
        return [name for name, each in self.found.items() if each.fit is Fit.UNKNOWN]

    # --- the rest -----------------------------------------------------------------------------------------------------

    def _lineage(self) -> Evidence | None:
        """What the file itself says of the map that it was tagged from."""
        model, digest = self.ctx.model, self.tree.digest
        said = metadata.model_value(model, metadata.MAP)
        if not said or not digest or metadata.model_value(model, metadata.FORCED):
            return None
        if said == digest:
            return Evidence("lineage", "the file carries the digest of this map", 20.0)
        says = f"the file carries the digest of another map ({said})"
        self.notes.append(f"{says} and was tagged from this one, by what both have in common")
        return Evidence("lineage", says, -4.0)

    def _run(self) -> Evidence | None:
        """What it is worth that the file computes what the map's own file does, if both were run."""
        if self.verified is None or not self.verified.get("outputs_agree"):
            return None
        kind = str(self.verified.get("kind"))
        says = f"it gives the same outputs as {self.verified.get('original')} within the tolerance of {kind}"
        return Evidence("verified", says, _SAME_OUTPUTS.get(kind, 0.0))

    def _of_kin(self, evidence: list[Evidence]) -> Kinship:
        """The verdict for a file that has the map's weights."""
        # Convolutions and vectors may be close since a normalisation was folded into them; matrices are left alone.
        plain = [each for each in self.found.values() if not each.weight.rounded and len(each.weight.shape) == 2]
        close = sum(each.fit is Fit.CLOSE for each in plain)
        same = sum(each.fit in _EXACT for each in plain)
        relation = TRAINED if close > same and close >= _FEW else OF_MODEL
        if relation is TRAINED:
            self.notes.append(f"{relation}: its weights are close to the map's and not the same")
        counts = self._layers()
        if counts:
            stacks = ", ".join(f"{there} layers in {path!r}, not {here}" for path, (here, there) in counts.items())
            relation = f"the file has weights of the map's model and another number of layers: {stacks}"
            self.notes.append(relation)
        beyond = not counts and self._beyond_map()
        unknown, telling = len(self.unknown_weights), len(self.found) - self._count(Fit.MUTE)
        part = beyond or (unknown >= _FEW_UNKNOWN and unknown >= _PART * telling)
        more = any(there > here for here, there in counts.values())
        if part and not counts:
            relation = PART
        # More weights may have been read since.
        rest = [each for each in evidence if each.kind != "weights"]
        told = [each for each in (self.weights(), *rest) if each is not None]
        return Kinship("doubt" if more or part else "kin", relation, tuple(told), tuple(self.notes))

    def _layers(self) -> dict[str, tuple[int, int]]:
        """Stacks of another number of layers, of those that sizes suggest the ones that the weights confirm."""
        listed = self._listed() if self._listed is not None else self.known.parameters
        counts = architecture.layers(self.stored, self.tree, listed)
        if not counts:
            return {}
        self._read_all()
        self._compare(self._runs())
        unknown = len(self.unknown_weights)
        return {
            path: (here, there)
            for path, (here, there) in counts.items()
            if (unknown >= _AGAINST if there > here else self._missing(path) >= here - there)
        }

    def _beyond_map(self) -> bool:
        """Whether the file has more matrices than the map of some sizes, and the map does not know those of them."""
        listed = self._listed() if self._listed is not None else self.known.parameters
        in_map = architecture.sizes_of(listed)
        more = architecture.sizes_in(self.stored, in_map)
        more.subtract(in_map)
        sizes = {size for size, count in more.items() if count > 0 and size in in_map}
        if sum(more[size] for size in sizes) < _AGAINST:
            return False
        self._read_all()
        self._compare(self._runs())
        # A tool makes a few anew, and convolutions into which a normalisation was folded are often not known again.
        matrices = (weight for weight in self.stored if len(weight.shape) == 2 and weight.size in sizes)
        unknown = set(self.unknown_weights)
        return sum(weight.name in unknown for weight in matrices) >= _FEW_UNKNOWN

    def _missing(self, path: str) -> int:
        """How many layers of a stack have no weight among those that were found."""
        found = {name for each in self.found.values() for name in each.names}
        start = f"{path}." if path else ""
        layers: dict[str, bool] = {}
        for parameter in self.known.parameters:
            if parameter.owner.startswith(start):
                layer = parameter.owner[len(start) :].partition(".")[0]
                layers[layer] = layers.get(layer, False) or parameter.name in found
        return sum(not seen for seen in layers.values())

    def _without_weights(self, evidence: list[Evidence], *, against: bool) -> Kinship:
        """The verdict where weights cannot be compared, or speak against the map."""
        ctx, tree = self.ctx, self.tree
        # Tags that were forced on the file say nothing for the map that they are of.
        forced = bool(metadata.model_value(ctx.model, metadata.FORCED))
        named = [architecture.names(ctx, tree), None if forced else architecture.metadata(ctx, tree)]
        like = architecture.Likeness.of(ctx, tree, self.stored, self.known.parameters)
        structure = like.evidence
        if not self.stored and not tree.parameters:
            evidence.append(Evidence("weights", "neither file nor map has any", _NO_WEIGHTS))
        elif self._could_compare and not self._can_compare:
            most = max(_MOST_OF_STRUCTURE, like.worth_of_nodes)
            structure = Evidence(structure.kind, structure.says, min(structure.bits, most))
        evidence += [each for each in (*named, structure) if each is not None]
        if against:
            same = like.same or any(each is not None and each.bits >= ENOUGH / 2 for each in named)
            # What all models of an architecture share does not make up for weights that are others.
            told = [each if each.bits < 0 else Evidence(each.kind, each.says, 0.0) for each in evidence]
            return Kinship("doubt" if same else "stranger", OTHER_WEIGHTS if same else STRANGER, tuple(told))
        bits = sum(each.bits for each in evidence)
        if bits >= ENOUGH:
            if not any(named) and self.stored:
                self.notes.append(f"{UNSEEN}: {structure.says}")
            return Kinship("kin", UNSEEN, tuple(evidence), tuple(self.notes))
        return Kinship("doubt" if bits > 0 else "stranger", UNSURE if bits > 0 else STRANGER, tuple(evidence))


# A file that was optimised has hardly a node that nothing in the map speaks for.
_MANY = 0.1
_SHOWN = 3


def note_of_part(ctx: Context, judge: Judge) -> str | None:
    """A sentence if a map is of another version of the model and speaks for a part of the file alone.

    Parameters
    ----------
    ctx : Context
        With its tags found.
    judge : Judge
        Of the same file and map.
    """
    sources = Counter(map(attrgetter("source"), ctx.tags.values()))
    alone = sources[Source.INHERITED] + sources[Source.ROOT] + len(ctx.ops) - len(ctx.tags)
    exported = ctx.hierarchy is not None and ctx.hierarchy.graph is not None
    unknown, weights = judge.unknown_weights, judge.weights()
    rounded = any(weight.rounded for weight in judge.stored)
    if not exported or rounded or alone < _MANY * len(ctx.ops) or not unknown or weights is None:
        return None
    first = ", ".join(unknown[:_SHOWN])
    more = ", ..." if len(unknown) > _SHOWN else ""
    return (
        f"{weights.says}, not {first}{more}: it may be of another version of this model; "
        f"{alone} of {len(ctx.ops)} nodes were tagged by their neighbours alone"
    )
