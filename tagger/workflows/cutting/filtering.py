"""The plain filter by tag: the nodes of some modules and not of others, for whoever wants a graph to look at."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import insist_on_no_data_file, same_file
from onnx_tagger.files.filecopy import permissions_of
from onnx_tagger.files.parts import Part, write_part
from onnx_tagger.hierarchy.globs import under
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.model.arguments import insist_on, names_of, path_of
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.metadata import Tag, encoded_entries, own_tag, props_of, text_of
from onnx_tagger.model.texts import brief, counted
from onnx_tagger.workflows.cutting.cut import Opened
from onnx_tagger.workflows.cutting.records import record_json
from onnx_tagger.workflows.cutting.region import NotExtractedError

# Nodes that a sentence names.
_NAMED = 3


@dataclass(frozen=True)
class Filtered:
    """What a filter left of a graph.

    Attributes
    ----------
    model : str
    file : Path or None
        None if nothing was written.
    nodes, dropped : int
        How many nodes were kept and left out.
    inputs, outputs : tuple of str
        Tensors that no kept node makes, and tensors that are read elsewhere or given back.
    unsafe : tuple of str
        What makes the result something that may not run, or computes something other than the model does.
    notes : tuple of str
        What else a reader has to know.
    """

    model: str
    file: Path | None
    nodes: int
    dropped: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    unsafe: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return brief(self, self.model, counted(self.nodes, "node"))

    @property
    def ok(self) -> bool:
        """Whether it was written."""
        return self.file is not None

    def to_json(self) -> str:
        """All of it, for a machine."""
        return record_json(self)


@collector_paused()
def filter_nodes(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    keep: Iterable[str] = (),
    drop: Iterable[str] = (),
    force: bool = False,
    map: MapSource | None = None,  # noqa: A002 - the option's name everywhere
) -> Filtered:
    """Write the nodes of some modules, or all but those of some, if what is left is safe to run.

    Parameters
    ----------
    model, output : path
        The file with tags, and the one to write.
    keep, drop : iterable of str
        Modules or patterns. Without `keep` all nodes are kept but those of `drop`.
    force : bool
        Write what is not safe, too, to look at it.
    map : HierarchyMap or path, optional
        The map, for a file whose own metadata does not say enough.

    Returns
    -------
    Filtered
        Its `file` is None if the result is not safe and `force` was not given.

    Raises
    ------
    TaggerError
        If a file cannot be read or written, a pattern names no module, or no node is left.
    """
    source, place = path_of(model, "the model"), path_of(output, "the output")
    insist_on(force, bool, "force", "True or False")
    kept, left = names_of(keep, "the modules to keep"), names_of(drop, "the modules to drop")
    if not kept and not left:
        raise TaggerError("nothing says which nodes; give modules to keep or to drop")
    permissions_of(place)
    opened = Opened.of(source, map)
    if same_file(place, source):
        raise TaggerError(f"{place}: is the input file; choose another output")
    insist_on_no_data_file(opened.skeleton.external, source, place)
    wanted = under(opened.tagged.modules, kept) if kept else None
    unwanted = under(opened.tagged.modules, left) if left else frozenset()
    chosen = {index for index, tag in enumerate(opened.tags) if _is_kept(tag, wanted, unwanted)}
    if not chosen:
        raise TaggerError(f"{source}: no node is left; choose other modules")
    return _written(opened, chosen, place, wanted, unwanted, force)


def _is_kept(tag: Tag | None, wanted: frozenset[str] | None, unwanted: frozenset[str]) -> bool:
    if tag is None:
        return wanted is None
    if any(path in unwanted for path in tag.modules):
        return False
    return wanted is None or any(path in wanted for path in tag.modules)


def _written(
    opened: Opened,
    chosen: set[int],
    place: Path,
    wanted: frozenset[str] | None,
    unwanted: frozenset[str],
    force: bool,
) -> Filtered:
    graph = opened.graph
    nodes = [index for index in graph.order if index in chosen]
    made = {name for index in nodes for name in graph.makes[index]}
    read = dict.fromkeys(name for index in nodes for name in graph.reads[index] if name not in made)
    inputs = [name for name in read if name not in graph.stored]
    readers = opened.cutter.readers
    outputs = [
        name
        for index in nodes
        for name in graph.makes[index]
        if name in graph.outputs or not set(readers.get(name, ())) <= chosen or not readers.get(name)
    ]
    unsafe = [*_split_nodes(opened, wanted, unwanted), *_untagged(opened, wanted), *_astray(opened, chosen)]
    types, lost = _types(opened, (*inputs, *outputs))
    unsafe += [f"the type of {name!r} at the border is not known" for name in lost]
    found = (tuple(inputs), tuple(outputs), tuple(unsafe), tuple(_notes(opened, inputs, outputs)))
    if unsafe and not force:
        return Filtered(str(opened.path), None, len(nodes), len(opened.tags) - len(nodes), *found)
    entries = {
        index: encoded_entries(tag)
        for index in nodes
        if (tag := opened.tags[index]) is not None and own_tag(props_of(opened.cutter.nodes[index])) is None
    }
    metadata = [(text_of(entry.key), text_of(entry.value)) for entry in opened.skeleton.model.metadata_props]
    stored = frozenset(name for name in read if name in graph.stored)
    ports = [[types.get(name, onnx.ValueInfoProto(name=name)) for name in names] for names in (inputs, outputs)]
    write_part(opened.skeleton, Part(nodes, stored, ports[0], ports[1], entries, metadata), place)
    return Filtered(str(opened.path), place, len(nodes), len(opened.tags) - len(nodes), *found)


def _types(opened: Opened, names: Iterable[str]) -> tuple[dict[str, onnx.ValueInfoProto], list[str]]:
    """The types that are known, and the tensors of which none is."""
    lost = []
    for name in names:
        try:
            opened.ask_types([name]) if name not in opened.types else None
        except TaggerError:
            lost.append(name)
    return opened.types, lost


def _split_nodes(opened: Opened, wanted: frozenset[str] | None, unwanted: frozenset[str]) -> list[str]:
    """Nodes that do work of modules that are kept and of some that are not."""
    shared = []
    for index, tag in enumerate(opened.tags):
        paths = tag.modules if tag is not None else ()
        sides = {path not in unwanted and (wanted is None or path in wanted) for path in paths}
        if len(sides) > 1:
            shared.append(opened.cutter.nodes[index].name or opened.cutter.nodes[index].op_type)
    return [f"{_nodes(shared)} work of modules on both sides of the filter"] if shared else []


def _nodes(names: list[str]) -> str:
    shown = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    return f"{counted(len(names), 'node')} ({shown}) do" if len(names) > 1 else f"a node ({shown}) does"


def _astray(opened: Opened, chosen: set[int]) -> list[str]:
    try:
        opened.cutter.region(chosen)
    except NotExtractedError as error:
        return [str(error)]
    return []


def _untagged(opened: Opened, wanted: frozenset[str] | None) -> list[str]:
    """Nodes of which nothing says whether they are to be kept."""
    count = sum(tag is None for tag in opened.tags)
    return [f"{counted(count, 'node')} without a tag left out"] if count and wanted is not None else []


def _notes(opened: Opened, inputs: list[str], outputs: list[str]) -> list[str]:
    """What the result lacks of the model's own inputs and outputs."""
    graph = opened.graph
    found = [f"the output {name!r} of the model is no longer computed" for name in graph.outputs if name not in outputs]
    holes = [name for name in inputs if name not in graph.inputs]
    if holes:
        shown = ", ".join(holes[:_NAMED]) + (", ..." if len(holes) > _NAMED else "")
        found.append(f"{counted(len(holes), 'tensor')} of nodes that were left out became inputs ({shown})")
    return found
