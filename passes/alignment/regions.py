"""What a tool has changed, region by region; each is compared with what the saved graph computes between its tensors.

`correspondence` finds the tensors that are the same, `cones` what lies behind one, and `assignment` which saved nodes
each new node of a region stands for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

import onnx

from onnx_tagger.hierarchy.map import HierarchyMap, Merge
from onnx_tagger.model.evidence import Evidence, taken_over
from onnx_tagger.model.graph import Op, operator
from onnx_tagger.model.metadata import Source, Tag
from onnx_tagger.passes.alignment.assignment import MOST_NODES, Kind, NewNode, OldNode, assign
from onnx_tagger.passes.alignment.cones import Cones
from onnx_tagger.passes.alignment.correspondence import Correspondence
from onnx_tagger.passes.alignment.twins import twins_among
from onnx_tagger.passes.analyses.saved import FamilyName, family_of
from onnx_tagger.passes.analyses.sizes import Idle, saved_idle
from onnx_tagger.passes.base import Context
from onnx_tagger.passes.replay.operators import CONVERTERS, MOVES, standard

# A region of more modules is no correspondence: its nodes are left to the passes that say so.
MOST_ORIGINS = 64

# So many converters in a row are looked behind.
_MOST_CONVERTERS = 8

# They do no work: see `_kind`.
_NO_WORK = MOVES | CONVERTERS


class Regions:
    """What a tool has changed, region by region."""

    def __init__(self, ctx: Context, tree: HierarchyMap, same: Correspondence, merge: Merge) -> None:
        self.ops, self.tags, self.tree, self.merge = ctx.ops, ctx.tags, tree, merge
        self.same, self.flow, self.index = same, same.flow, same.index
        self.nodes = self.index.graph.nodes
        self.ctx, self.cones = ctx, Cones(self.index, same.alive)
        # The saved tags, numbered; nodes that do the work of the same ones share their own.
        self.said: list[Tag] = []
        self.alike: dict[Tag, int] = {}
        self.numbers: dict[int, int] = {}
        self.merged: dict[frozenset[int], Tag | None] = {}

    @cached_property
    def idle(self) -> list[bool]:
        """Which ops compute no data."""
        return self.ctx.get(Idle)

    @cached_property
    def saved_idle(self) -> list[bool]:
        """Which saved nodes compute no data."""
        return saved_idle(self.index)

    def place_all(self) -> None:
        """Tag region by region, then the converters between them."""
        converters = self.converters()
        changed = [i for i in self.same.order if self.ops[i] not in self.tags and i not in converters]
        left: list[int] = []
        for region in self.regions(changed):
            if len(region) > 1 or not self.place_alone(region[0]):
                left += region
        if left:
            # Names tell no more of these.
            self.same.compare({self.ops[index] for index in (*left, *converters)})
            self.cones.renew()
            converters = self.converters()
            among = set(left)
            for region in self.regions([i for i in self.same.order if i in among and i not in converters]):
                if len(region) > 1 or not self.place_alone(region[0]):
                    self.place(region)
            self.leave_open(left)
        self.convert(converters)

    def leave_open(self, left: Sequence[int]) -> None:
        """Give ops that nothing tells apart, though the saved ones are several modules', what encloses all of these."""
        for twins in twins_among(self.same, left):
            tags = [tag for index in twins if (tag := self.tags.get(self.ops[index])) is not None]
            if len({tag.modules for tag in tags}) > 1:
                around = self.tree.enclosing(path for tag in tags for path in tag.modules)
                tag = self.tree.tag(around, max(tag.source for tag in tags))
                for index in twins:
                    self.tags[self.ops[index]], self.ctx.evidence[self.ops[index]] = tag, Evidence.UNDECIDED

    def convert(self, converters: Mapping[int, Tag]) -> None:
        """Tag converters, which come in topological order."""
        for index, tag in converters.items():
            # What is converted may be made by a node that does more than the saved maker did, or other work.
            key = self.flow.inputs[index][0]
            maker, named = self.flow.producer.get(key), (self.same.families[key[0]], key[1])
            made = self.tags.get(self.ops[maker]) if maker is not None else None
            if made is not None and set(tag.modules) <= set(made.modules):
                # It converts the last result of a maker that does more, and does no work of the others.
                tag = tag.worse(made.source)
            elif made is not None and (maker in converters or self.same.key(*named) != named):
                tag = made
            self.tags[self.ops[index]] = tag.worse(Source.ALIGNED)
            rests = self.ctx.rests_on(self.ops[maker]) if maker is not None and made is not None else Evidence.NAME
            self.ctx.evidence[self.ops[index]] = taken_over(max(rests, Evidence.NAME), tag.source)

    def converters(self) -> dict[int, Tag]:
        """The inserted converters of which it is known what they convert, with the tag of what makes that."""
        found: dict[int, Tag] = {}
        for index in self.flow.order:
            op = self.ops[index]
            if op in self.tags or op.node.op_type not in CONVERTERS or not self.flow.inputs[index]:
                continue
            key = self.flow.inputs[index][0]
            known = self.same.key(self.same.families[key[0]], key[1])
            if self.same.known(op) not in ([], [known]) or self._named(op) is not None:
                continue
            maker = self.flow.producer.get(key)
            tag = (found.get(maker) or self.tags.get(self.ops[maker])) if maker is not None else None
            saved = self.index.by_output.get(known)
            if saved is not None and self.nodes[saved].tag is not None:
                tag = self.nodes[saved].tag
            elif known[0] and tag is not None and maker is not None and self.ops[maker].node.op_type not in CONVERTERS:
                tag = None
            if tag is not None:
                found[index] = tag
        return found

    def regions(self, changed: Sequence[int]) -> Iterable[list[int]]:
        """Some ops, grouped by the tensors that only the new graph has; each group in their order."""
        position = {index: place for place, index in enumerate(changed)}
        groups = self._groups(self._links(position))
        for index in changed:
            group = groups.get(index)
            if group is None:
                yield [index]
            elif group:
                yield sorted(group, key=position.__getitem__)
                group.clear()

    def _links(self, changed: Mapping[int, object]) -> list[tuple[int, int]]:
        """The pairs of some ops between which a tensor runs that only the new graph has."""
        producer, found = self.flow.producer, []
        for index in changed:
            for key in self.flow.inputs[index]:
                maker = producer.get(key)
                if maker is None or maker not in changed:
                    continue
                if self.same.key(self.same.families[key[0]], key[1]) not in self.index.by_output:
                    found.append((maker, index))
        return found

    @staticmethod
    def _groups(links: Sequence[tuple[int, int]]) -> dict[int, set[int]]:
        """Each linked op with all to which links lead from it."""
        near: dict[int, list[int]] = {}
        for one, other in links:
            near.setdefault(one, []).append(other)
            near.setdefault(other, []).append(one)
        # networkx has this, too, but its import would take a third of the time that re-tagging a small file takes.
        found: dict[int, set[int]] = {}
        for start in near:
            if start in found:
                continue
            group, stack = {start}, [start]
            while stack:
                more = set(near[stack.pop()]) - group
                group |= more
                stack += more
            found.update(dict.fromkeys(group, group))
        return found

    def place_alone(self, index: int) -> bool:
        """Tag an op that makes saved tensors of saved tensors; False if names do not tell, or contradict each other."""
        op = self.ops[index]
        outputs = self.same.known(op)
        if not outputs:
            return False
        saved: Collection[int] = self.cones.work(outputs)
        if len(saved) > 1 and not self.idle[index]:
            saved = [place for place in saved if not self.saved_idle[place]] or saved
        if len(saved) > 1:
            if op.node.op_type in _NO_WORK or self.idle[index]:
                # A move that makes the same as before by itself does not do what came before that.
                return False
            saved = [place for place in saved if self.nodes[place].op not in _NO_WORK]
            same = [place for place in saved if self.nodes[place].op == operator(op.node)]
            if not saved or (same and len(saved) > 1) or "Pad" in {self.nodes[place].op for place in saved}:
                return False
        return self._tag_with(op, saved)

    def _tag_with(self, op: Op, saved: Iterable[int]) -> bool:
        """Tag an op that does the work of saved nodes, if it is known whose that is."""
        self._tag(op, self._tag_of(saved))
        return op in self.tags

    def _tag_of(self, saved: Iterable[int]) -> Tag | None:
        """The tag of a node that does the work of saved nodes, one object for all of the same modules."""
        numbers: set[int] = set()
        for place in saved:
            tag = self.nodes[place].tag
            if tag is not None:
                # Most equal tags are one object, which is asked for faster than what it holds.
                number = self.numbers.get(id(tag))
                numbers.add(self._number(tag) if number is None else number)
        said = frozenset(numbers)
        if said not in self.merged:
            self.merged[said] = self._merged([self.said[number] for number in said])
        return self.merged[said]

    def _number(self, tag: Tag) -> int:
        """A number for a tag, equal for equal ones."""
        number = self.numbers[id(tag)] = self.alike.setdefault(tag, len(self.said))
        if number == len(self.said):
            self.said.append(tag)
        return number

    def place(self, region: Sequence[int]) -> None:
        """Tag the ops of a region with the saved nodes whose work they do."""
        outputs = {index: self.same.known(self.ops[index]) for index in region}
        whole = self.cones.work_of_all([key for keys in outputs.values() for key in keys])
        if max(len(region), len(whole)) > MOST_NODES:
            work = [place for place in whole if _kind(self.nodes[place].op, self.saved_idle[place]) is Kind.WORK]
            tag = self._tag_of(work or whole)
            for index in region:
                self._tag(self.ops[index], tag)
            return
        cones = {key: self.cones.work([key]) for keys in outputs.values() for key in keys}
        saved = sorted(frozenset[int]().union(*cones.values()))
        local = {position: place for place, position in enumerate(saved)}
        members = {index: place for place, index in enumerate(region)}
        may = self._may(region, outputs, {key: sum(1 << local[at] for at in cone) for key, cone in cones.items()})
        new = [self._new(index, members, local, may[index]) for index in region]
        old = [self._old(position, local) for position in saved]
        for index, does in zip(region, assign(new, old), strict=True):
            named = self._named(self.ops[index])
            # A node that leads to no known tensor may still be known by its name: no region contradicts it.
            alone = [named] if named is not None and not does else []
            self._tag_with(self.ops[index], [saved[place] for place in does] or alone)

    def _may(
        self, region: Sequence[int], outputs: Mapping[int, Sequence[FamilyName]], cones: Mapping[FamilyName, int]
    ) -> dict[int, int]:
        """For each op of a region the saved nodes, as bits, that compute what its results go into; else all of them."""
        found = dict.fromkeys(region, 0)
        for index in reversed(region):
            for key in outputs[index]:
                found[index] |= cones[key]
            for maker in self.flow.producers(index):
                if maker in found:
                    found[maker] |= found[index]
        whole = 0
        for cone in cones.values():
            whole |= cone
        return {index: mask or whole for index, mask in found.items()}

    def _new(self, index: int, members: Mapping[int, int], local: Mapping[int, int], may: int) -> NewNode:
        """An op of a region, as the assignment takes it."""
        op = self.ops[index]
        made = frozenset(local[at] for key in self.same.known(op) if (at := self.index.by_output[key]) in local)
        node = NewNode(
            operator(op.node),
            _kind(op.node.op_type, self.idle[index]),
            self._sources(index, members),
            frozenset().union(*self.same.weights(op).values()),
            may,
            made,
            op.node.op_type in CONVERTERS,
            len(op.node.output) > 1,
            _pads(op.node),
            self.idle[index],
            self.same.altered(op),
            standard(operator(op.node)) and self.same.plain(op),
        )
        named = self._named(op)
        if named is not None and named in local:
            node.does.update({local[named]} if not made or local[named] in made else ())
        return node

    def _sources(self, index: int, members: Mapping[int, int]) -> list[int]:
        """The ops of a region whose results an op reads, be they converted on the way by one that is tagged apart."""
        found: list[int] = []
        for maker in self.flow.producers(index):
            for _ in range(_MOST_CONVERTERS):
                keys = self.flow.inputs[maker] if self.ops[maker].node.op_type in CONVERTERS else ()
                before = self.flow.producer.get(keys[0]) if maker not in members and keys else None
                if before is None:
                    break
                maker = before
            found += [members[maker]] if maker in members else []
        return found

    def _named(self, op: Op) -> int | None:
        """Position of the saved node of the same name and operator."""
        found = self.index.by_name.get((op.scope.family, op.node.name))
        return found if found is not None and self.nodes[found].op == operator(op.node) else None

    def _old(self, position: int, local: Mapping[int, int]) -> OldNode:
        """A saved node of a region, as the assignment takes it."""
        node = self.nodes[position]
        family = family_of(node.scope)
        makers = (self.index.by_output.get((family, name)) for name in node.inputs)
        return OldNode(
            node.op,
            _kind(node.op, self.saved_idle[position]),
            [local[maker] for maker in makers if maker is not None and maker in local],
            frozenset().union(*self.same.saved_weights(node).values()),
        )

    def _merged(self, tags: Sequence[Tag]) -> Tag | None:
        """The tag of a node that does the work of nodes of these; None if there are none, or too many modules."""
        if not tags:
            return None
        merged = self.tree.merged(tags, best=Source.ALIGNED)
        return merged if len(merged.origins) <= MOST_ORIGINS else None

    def _tag(self, op: Op, tag: Tag | None) -> None:
        if tag is None:
            return
        last = self._output_tag(op) if self.merge == "output" else None
        if last is not None and last.module != tag.module:
            # What is not the root's any more has not its source, either.
            source = min(tag.source, Source.INHERITED) if last.module else tag.source
            tag = self.tree.tag(last.module, max(source, last.source), tag.modules, tag.call)
        self.tags[op] = tag
        self.ctx.evidence[op] = taken_over(self._rests_on(op, tag), tag.source)

    def _rests_on(self, op: Op, tag: Tag) -> Evidence:
        """What tells whose work an op does: names, a weight that it reads, or what lies around it."""
        known, named = self.same.known(op), self._named(op)
        if known and self.same.by_structure.isdisjoint(known):
            return Evidence.NAME
        said = self.nodes[named].tag if named is not None else None
        if said is not None and set(said.modules) <= set(tag.modules):
            return Evidence.NAME
        return Evidence.WEIGHT if self.same.weights(op) else Evidence.STRUCTURE

    def _output_tag(self, op: Op) -> Tag | None:
        """The tag of the saved node whose output this op makes."""
        known = self.same.known(op)
        return self.nodes[self.index.by_output[known[0]]].tag if known else None


def _kind(op_type: str, idle: bool) -> Kind:
    """What a node is for."""
    if idle or (op_type in CONVERTERS and op_type not in MOVES):
        return Kind.IDLE
    return Kind.MOVE if op_type in MOVES else Kind.WORK


def _pads(node: onnx.NodeProto) -> bool:
    """Whether a node pads what it reads, itself or on the way."""
    return node.op_type == "Pad" or any(
        attribute.name == "pads" and any(attribute.ints) for attribute in node.attribute
    )
