"""`splice`: a module that was optimised, quantised or rewritten by itself, put back into the file it is from."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from onnx import helper

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import insist_on_no_data_file, same_file
from onnx_tagger.files.filecopy import permissions_of
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.files.saving import save
from onnx_tagger.files.whole import read_whole
from onnx_tagger.hierarchy.globs import select
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.model.arguments import choice_of, insist_on, path_of
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.metadata import Source, Tag, clear_node, own_tag, props_of, write_node
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.passes.folding.renaming import outer_reads, rename
from onnx_tagger.workflows.cutting.cut import Choice, Cut, Opened
from onnx_tagger.workflows.cutting.joining import free_prefix, in_order, join_functions, matched, reconciled
from onnx_tagger.workflows.cutting.layouts import inside_name, to_blocked, to_plain
from onnx_tagger.workflows.cutting.naming import border_names
from onnx_tagger.workflows.cutting.records import record_json
from onnx_tagger.workflows.cutting.region import BACK, FUSED, NotExtractedError
from onnx_tagger.workflows.cutting.relative import absolute_tag


@dataclass(frozen=True)
class Splice:
    """What putting a module back came to.

    Attributes
    ----------
    model, module, part : str
    file : Path
    removed, added : int
        Nodes.
    inputs, outputs : dict
        What the part calls each tensor at its border, to what the model calls it.
    errors : dict or None
        Output of the model to how far it is from that of the original, as a share of its size; None if not verified.
    tolerance : float or None
        How far it may be.
    """

    model: str
    module: str
    part: str
    file: Path
    removed: int
    added: int
    inputs: dict[str, str]
    outputs: dict[str, str]
    errors: dict[str, float] | None = None
    tolerance: float | None = None

    def __repr__(self) -> str:
        return brief(self, self.module, f"{self.removed} -> {counted(self.added, 'node')}")

    @property
    def ok(self) -> bool:
        """Whether the model gives what it did, within the tolerance, as far as that was tried."""
        return self.errors is None or all(error <= (self.tolerance or 0.0) for error in self.errors.values())

    def to_json(self) -> str:
        """All of it, for a machine."""
        return record_json(self)


@collector_paused()
def splice(
    model: str | os.PathLike[str],
    module: str,
    part: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    call: int | None = None,
    fused: str = "include",
    back: str = "refuse",
    map: MapSource | None = None,  # noqa: A002 - the option's name everywhere
    verify: bool = False,
    inputs: str | os.PathLike[str] | None = None,
) -> Splice:
    """Put a file in the place of a module of another one.

    Parameters
    ----------
    model : path
        A file with tags.
    module : str
        The path or tag of the module whose nodes are replaced.
    part : path
        What was made of the file that `extract` wrote. Its inputs and outputs are matched by name, then by order and
        type. Its tags are seen from the module; nodes without any get the module's.
    output : path
        The file to write.
    call, fused, back
        As the module was extracted.
    map : HierarchyMap or path, optional
        The map, for a file whose own metadata does not say enough.
    verify : bool
        Run both files without optimisation and compare their outputs.
    inputs : path, optional
        An ``.npz`` file to verify on; random values if left out.

    Returns
    -------
    Splice

    Raises
    ------
    TaggerError
        If a file cannot be read or written, the module cannot be cut so, or signatures or opsets do not fit.

    Examples
    --------
    >>> import tempfile
    >>> from onnx import helper
    >>> import onnx_tagger as ot
    >>> nodes = [helper.make_node("Relu", [x], [y], y) for x, y in ("xa", "ay")]
    >>> for node in nodes:
    ...     ot.write_tag(node, ot.Tag(node.name, f"/Net/ReLU.{node.name}", ot.Source.EXPORTED))
    >>> values = [helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = ot.save(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:])), f"{folder}/m.onnx")
    ...     _ = ot.extract(f"{folder}/m.onnx", "y", f"{folder}/part.onnx")
    ...     made = splice(f"{folder}/m.onnx", "y", f"{folder}/part.onnx", f"{folder}/back.onnx")
    >>> made.inputs, made.outputs
    ({'a/a': 'a'}, {'output': 'y'})
    """
    source, inner, place = path_of(model, "the model"), path_of(part, "the part"), path_of(output, "the output")
    insist_on(module, str, "the module", "a path or a tag, such as 'encoder.layer.0'")
    insist_on(call, (int, type(None)), "the call", "a number from 0, or None for all")
    choice = Choice(
        call, choice_of(fused, FUSED, "the way with fused nodes"), "torch", choice_of(back, BACK, "the way back")
    )
    permissions_of(place)
    for file in (source, inner):
        if same_file(place, file):
            raise TaggerError(f"{place}: is an input file; choose another output")
        insist_on_no_data_file(read_skeleton(file).external, file, place)
    opened = Opened.of(source, map)
    found = select(opened.tagged.modules, module)
    if len(found) > 1:
        raise TaggerError(f"{module!r} names {len(found)} modules, and one is replaced at a time; name one")
    path = found[0].path
    try:
        cut = opened.cut(path, choice)
    except NotExtractedError as error:
        raise NotExtractedError(f"{source}: {path or '(root)'} cannot be replaced: {error}") from error
    opened.ask_types(cut.names)
    whole, piece = read_whole(source), read_whole(inner)
    try:
        made = put_back(opened, cut, whole, piece)
    except TaggerError as error:
        raise TaggerError(f"{inner}: {error}") from error
    save(whole, place)
    spliced = Splice(str(source), path, str(inner), place, *made)
    return _verified(spliced, source, None if inputs is None else path_of(inputs, "the inputs")) if verify else spliced


def _verified(spliced: Splice, source: Path, inputs: Path | None) -> Splice:
    from onnx_tagger.runtime.parting import outputs_apart

    apart = outputs_apart(source, spliced.file, inputs)
    return replace(spliced, errors=apart.errors, tolerance=apart.tolerance)


def put_back(
    opened: Opened, cut: Cut, whole: onnx.ModelProto, piece: onnx.ModelProto
) -> tuple[int, int, dict[str, str], dict[str, str]]:
    """Put a part in the place of a module, in a model that is in memory.

    Parameters
    ----------
    opened : Opened
        The file that the model was read from.
    cut : Cut
        The module, whose border has types.
    whole, piece : onnx.ModelProto
        The model, which is changed, and the part, which is used up.

    Returns
    -------
    tuple
        Nodes removed, nodes added, and what inputs and outputs of the part stand for.

    Raises
    ------
    TaggerError
        If signatures or opsets do not fit.
    """
    region, types = cut.region, opened.types
    torch = border_names(region, opened.graph, opened.tags, "torch")
    named = {new: name for name, new in torch.items()}
    stored = {tensor.name for tensor in piece.graph.initializer}
    given = [value for value in piece.graph.input if value.name not in stored]
    takes = matched(given, region.inputs, types, named, "input")
    gives = matched(list(piece.graph.output), region.outputs, types, named, "output")
    reconciled(whole, piece)
    join_functions(whole, piece)
    _say_tags(opened, whole)
    new = _inserted(opened, cut, whole, piece, takes, gives)
    first = max(index for index in region.nodes if index not in region.copied)
    gone = set(region.nodes) - region.copied
    kept = [(index, node) for index, node in enumerate(whole.graph.node) if index not in gone]
    kept = _with_constants(whole, kept, new, gone)
    nodes = [node for _, node in kept] + new
    ranks = [float(index) for index, _ in kept] + [first + place / (len(new) + 1) for place in range(len(new))]
    passing = {name for index in region.copied for name in whole.graph.node[index].output if name}
    ordered = _read(in_order(nodes, ranks.__getitem__), passing, whole.graph)
    copies = onnx.GraphProto(node=ordered)
    removed = len(whole.graph.node) + len(new) - len(ordered)
    del whole.graph.node[:]
    whole.graph.node.extend(copies.node)
    _tidy(whole)
    return removed, len(new), takes, gives


def _say_tags(opened: Opened, whole: onnx.ModelProto) -> None:
    """Write the tags that a map or another convention says onto nodes that do not say their own."""
    for node, tag in zip(whole.graph.node, opened.tags, strict=True):
        if tag is not None and (not node.metadata_props or own_tag(props_of(node)) is None):
            clear_node(node, opened.also)
            write_node(node, tag, opened.also)


def _with_constants(
    whole: onnx.ModelProto,
    kept: list[tuple[int, onnx.NodeProto]],
    new: list[onnx.NodeProto],
    gone: set[int],
) -> list[tuple[int, onnx.NodeProto]]:
    """The nodes that stay, and those constants of the module that they read."""
    made_by = {name: index for index in gone for name in whole.graph.node[index].output if name}
    made = {name for node in new for name in node.output}
    found = dict(kept)
    pending = [node for _, node in kept]
    while pending:
        for name in pending.pop().input:
            index = made_by.get(name)
            if index is not None and index not in found and name not in made:
                found[index] = whole.graph.node[index]
                pending.append(found[index])
    return sorted(found.items())


def _read(nodes: list[onnx.NodeProto], passing: set[str], graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Nodes without those that only the module read, which make some tensors, by what is left."""
    wanted = {value.name for value in graph.output}
    found = []
    for node in reversed(nodes):
        made = {name for name in node.output if name}
        if made and made <= passing and wanted.isdisjoint(made):
            continue
        wanted.update(outer_reads(node))
        found.append(node)
    return found[::-1]


def _inserted(
    opened: Opened,
    cut: Cut,
    whole: onnx.ModelProto,
    piece: onnx.ModelProto,
    takes: dict[str, str],
    gives: dict[str, str],
) -> list[onnx.NodeProto]:
    """The nodes of a part under names that are free in the model, tagged as the model's; its weights are added."""
    graph, channels = piece.graph, opened.channels(cut)
    names = {name for node in whole.graph.node for name in (node.name, *node.output)}
    names |= {tensor.name for tensor in whole.graph.initializer} | {value.name for value in whole.graph.input}
    prefix = free_prefix(cut.module or "root", names)
    new_names = {name: inside_name(prefix + t) if t in channels else t for name, t in takes.items()}
    nodes = [to_plain(t, new_names[name], channels[t]) for name, t in takes.items() if t in channels]
    new_names |= _join_weights(whole, graph, prefix)
    for node in graph.node:
        new_names |= {name: prefix + name for name in node.output if name and name not in new_names}
    behind = []
    for name, tensor in gives.items():
        target = inside_name(prefix + tensor) if tensor in channels else tensor
        if new_names.get(name, "").startswith(prefix) and not _is_stored(graph, name):
            new_names[name] = target
        else:  # an input or a weight, or what is another output already
            behind.append(helper.make_node("Identity", [new_names[name]], [target], target))
        if tensor in channels:
            behind.append(to_blocked(target, tensor))
    for node in graph.node:
        rename(node, new_names)
        node.name = prefix + node.name if node.name in names else node.name
    nodes += [*graph.node, *behind]
    for node in nodes:
        _tag(opened, cut, node)
    return nodes


def _is_stored(graph: onnx.GraphProto, name: str) -> bool:
    return any(tensor.name == name for tensor in graph.initializer)


def _join_weights(whole: onnx.ModelProto, graph: onnx.GraphProto, prefix: str) -> dict[str, str]:
    """Add a part's weights to a model, but for those that it has; what they are called there."""
    mine = {tensor.name: tensor for tensor in whole.graph.initializer}
    found: dict[str, str] = {}
    for tensor in graph.initializer:
        known = mine.get(tensor.name)
        if known is not None and _equal(known, tensor):
            found[tensor.name] = tensor.name
            continue
        found[tensor.name] = prefix + tensor.name
        added = whole.graph.initializer.add()
        added.CopyFrom(tensor)
        added.name = found[tensor.name]
    return found


def _equal(one: onnx.TensorProto, other: onnx.TensorProto) -> bool:
    if one.data_type != other.data_type or one.dims != other.dims:
        return False
    a, b = onnx.TensorProto(), onnx.TensorProto()
    if one.HasField("raw_data") and other.HasField("raw_data"):
        return bool(one.raw_data == other.raw_data)
    for made, tensor in ((a, one), (b, other)):
        made.CopyFrom(tensor)
        made.ClearField("doc_string")
    return bool(a == b)


def _tag(opened: Opened, cut: Cut, node: onnx.NodeProto) -> None:
    tag = own_tag(props_of(node)) if node.metadata_props else None
    found = tag if tag is not None else Tag("", "", Source.INHERITED)
    clear_node(node, opened.also)
    write_node(node, absolute_tag(found, cut.module, opened.tree), opened.also)


def _tidy(model: onnx.ModelProto) -> None:
    """Take out weights that nobody reads any more, and types of tensors that are gone."""
    read = {name for node in model.graph.node for name in outer_reads(node)}
    read |= {value.name for value in model.graph.output}
    made = {name for node in model.graph.node for name in node.output}
    # In place of a slice, which would copy each weight.
    for place in reversed(range(len(model.graph.initializer))):
        if model.graph.initializer[place].name not in read:
            del model.graph.initializer[place]
    for place in reversed(range(len(model.graph.value_info))):
        if model.graph.value_info[place].name not in made:
            del model.graph.value_info[place]
