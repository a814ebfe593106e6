"""`extract`: modules of a file as files of their own, each with its map."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.external import insist_on_no_data_file, same_file
from onnx_tagger.files.filecopy import permissions_of
from onnx_tagger.hierarchy.globs import select
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.model.arguments import choice_of, insist_on, path_of
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.texts import brief, brief_fields, counted
from onnx_tagger.workflows.cutting.cut import Choice, Cut, Opened
from onnx_tagger.workflows.cutting.naming import NAMES
from onnx_tagger.workflows.cutting.records import record_json
from onnx_tagger.workflows.cutting.region import BACK, FUSED, NotExtractedError, owners_of
from onnx_tagger.workflows.cutting.writing import write_cut

_WILD = re.compile(r"[*?\[<]")
_UNSAFE = re.compile(r"[^\w.@~+-]")


@dataclass(frozen=True, slots=True)
class PartTensor:
    """A tensor that a part takes or gives.

    Attributes
    ----------
    name : str
        In the part.
    source : str
        In the file that it was taken from.
    owner : str or None
        Path of the module that computes it; None for an input of the model.
    """

    name: str
    source: str
    owner: str | None

    __repr__ = brief_fields


@dataclass(frozen=True)
class Extracted:
    """What became of a module.

    Attributes
    ----------
    module : str
    file, map : Path or None
        None if it was refused.
    nodes, copied, dropped : int
        How many nodes are in the file; how many of them are constants and shape arithmetic of other modules; how many
        of the module's own were left out, since their results come back through others.
    size : int
        Bytes of the file and its data file.
    inputs, outputs : tuple of PartTensor
    refused : str or None
        Why there is no file.
    verified : bool or None
        Whether it gives what the whole file does, bit for bit; None if that was not tried.
    different : tuple of str
        The outputs that it gives otherwise.
    """

    module: str
    file: Path | None = None
    map: Path | None = None
    nodes: int = 0
    copied: int = 0
    dropped: int = 0
    size: int = 0
    inputs: tuple[PartTensor, ...] = ()
    outputs: tuple[PartTensor, ...] = ()
    refused: str | None = None
    verified: bool | None = None
    different: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return brief(self, self.module, self.refused or counted(self.nodes, "node"))


@dataclass(frozen=True)
class Extraction:
    """What became of the modules that a pattern names.

    Attributes
    ----------
    model : str
    parts : tuple of Extracted
    """

    model: str
    parts: tuple[Extracted, ...]

    def __repr__(self) -> str:
        return brief(self, self.model, counted(len(self.parts), "module"))

    @property
    def ok(self) -> bool:
        """Whether no part gives other values than the whole."""
        return all(part.verified is not False for part in self.parts)

    def to_json(self) -> str:
        """All of it, for a machine."""
        return record_json(self)


@collector_paused()
def extract(
    model: str | os.PathLike[str],
    module: str,
    output: str | os.PathLike[str],
    *,
    call: int | None = None,
    fused: str = "include",
    names: str = "torch",
    back: str = "refuse",
    map: MapSource | None = None,  # noqa: A002 - the option's name everywhere
    verify: bool = False,
    inputs: str | os.PathLike[str] | None = None,
) -> Extraction:
    """Write the nodes of a module, closed to something that runs, to a file of its own, and its map beside it.

    Parameters
    ----------
    model : path
        A file with tags.
    module : str
        A path, a tag or a pattern; a pattern gives a file for each module that it names.
    output : path
        The file to write; a folder if `module` is a pattern.
    call : int, optional
        The one of the module's calls, from 0, where it is called several times.
    fused : "include" or "exclude"
        Whether nodes that do work of modules outside, too, belong to it.
    names : "torch" or "file"
        Call inputs after the modules that compute them, and outputs ``output``, or all of them as the file does.
    back : "refuse" or "drop"
        What to do if what the module computes comes back to it through other modules: refuse it, or leave out the
        nodes whose results do.
    map : HierarchyMap or path, optional
        The map, for a file whose own metadata does not say enough.
    verify : bool
        Run the whole file and the part without optimisation, and compare bit for bit.
    inputs : path, optional
        An ``.npz`` file to verify on; random values if left out.

    Returns
    -------
    Extraction
        With a pattern, modules that cannot be files are in it with a reason.

    Raises
    ------
    TaggerError
        If the file cannot be read, no module is named, or the one that is cannot be a file.

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
    ...     part = extract(f"{folder}/m.onnx", "y", f"{folder}/y.onnx").parts[0]
    >>> [tensor.name for tensor in part.inputs], [tensor.name for tensor in part.outputs]
    (['a/a'], ['output'])
    """
    source, place = path_of(model, "the model"), path_of(output, "the output")
    insist_on(module, str, "the module", "a path, a tag or a pattern such as 'encoder.layer.*'")
    insist_on(call, (int, type(None)), "the call", "a number from 0, or None for all")
    choice = Choice(
        call,
        choice_of(fused, FUSED, "the way with fused nodes"),
        choice_of(names, NAMES, "the names of the border"),
        choice_of(back, BACK, "the way with nodes that reach back"),
    )
    opened = Opened.of(source, map)
    modules = [found.path for found in select(opened.tagged.modules, module)]
    many = len(modules) > 1 or _WILD.search(module) is not None
    targets = _targets(opened, modules, place, many)
    made = _extracted(opened, modules, targets, choice, alone=not many)
    if verify:
        made = _verified(opened, made, None if inputs is None else path_of(inputs, "the inputs"))
    return Extraction(str(source), tuple(made))


def _targets(opened: Opened, modules: Sequence[str], place: Path, many: bool) -> list[Path]:
    if not many:
        if place.is_dir():
            raise TaggerError(f"{place}: is a folder; name a file, such as {place / 'part.onnx'}")
        permissions_of(place)
        if same_file(place, opened.path):
            raise TaggerError(f"{place}: is the input file; choose another output")
        insist_on_no_data_file(opened.skeleton.external, opened.path, place)
        return [place]
    make_folder(place)
    if opened.path.resolve().parent == place.resolve():
        raise TaggerError(f"{place}: holds the model itself, which a part might replace; name another folder")
    taken: dict[str, int] = {}
    found = []
    for path in modules:
        name = _UNSAFE.sub("_", path) or "root"
        taken[name] = taken.get(name, 0) + 1
        found.append(place / (f"{name}.onnx" if taken[name] == 1 else f"{name}-{taken[name]}.onnx"))
    return found


def make_folder(folder: Path) -> None:
    """Make a folder if it is not there.

    Raises
    ------
    TaggerError
        If it cannot be made, or is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise TaggerError(f"{folder}: is a file, and a pattern gives several; name a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TaggerError(f"{folder}: cannot be made: {error.strerror}; name a folder that can be written") from error


def _extracted(
    opened: Opened, modules: Sequence[str], targets: Sequence[Path], choice: Choice, *, alone: bool
) -> list[Extracted]:
    cuts: list[Cut | str] = []
    for path in modules:
        try:
            cuts.append(opened.cut(path, choice))
        except NotExtractedError as error:
            if alone:
                raise NotExtractedError(f"{opened.path}: {path or '(root)'} cannot be a file: {error}") from error
            cuts.append(str(error))
    opened.ask_types([name for cut in cuts if isinstance(cut, Cut) for name in cut.names])
    return [
        Extracted(path, refused=cut) if isinstance(cut, str) else write_extracted(opened, cut, target)
        for path, cut, target in zip(modules, cuts, targets, strict=True)
    ]


def write_extracted(opened: Opened, cut: Cut, target: Path) -> Extracted:
    """Write a module that was cut, whose border has types.

    Raises
    ------
    TaggerError
        If it cannot be written.
    """
    size, saved = write_cut(opened, cut, target)
    region = cut.region
    owners = owners_of((*region.inputs, *region.outputs), opened.graph, opened.tags)
    taken, given = (
        tuple(PartTensor(cut.names[name], name, owners[name]) for name in names)
        for names in (region.inputs, region.outputs)
    )
    counts = (len(region.nodes), len(region.copied), len(region.dropped))
    return Extracted(cut.module, target, saved, *counts, size, taken, given)


def _verified(opened: Opened, parts: Sequence[Extracted], inputs: Path | None) -> list[Extracted]:
    from onnx_tagger.runtime.parting import Piece, Whole
    from onnx_tagger.workflows.cutting.layouts import channels_of

    pieces = {
        part.module: Piece(
            part.file,
            {one.name: one.source for one in part.inputs},
            {one.name: one.source for one in part.outputs},
            {
                one.source: channels_of(opened.types[one.source])
                for one in (*part.inputs, *part.outputs)
                if one.source in opened.blocked
            },
        )
        for part in parts
        if part.file is not None
    }
    if not pieces:
        return list(parts)
    whole = Whole(opened.path, list(pieces.values()), inputs)
    found = {module: whole.held(piece).different for module, piece in pieces.items()}
    return [
        replace(part, verified=not found[part.module], different=found[part.module]) if part.module in found else part
        for part in parts
    ]
