"""`split`: a model as stages that run one behind the other, each a tagged file with its map."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.onnxfile import Skeleton, read_skeleton
from onnx_tagger.files.parts import Part, insist_on_parts, write_part
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.hierarchy.loading import MapSource, load_map
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.arguments import choice_of, insist_on, path_of
from onnx_tagger.model.collector import collector_paused
from onnx_tagger.model.metadata import MAP, Tag, encoded_entries, own_tag, props_of, text_of
from onnx_tagger.model.texts import brief, brief_fields, counted
from onnx_tagger.version import version
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.placing.crossing import bytes_of_type
from onnx_tagger.workflows.reading import Tagged
from onnx_tagger.workflows.splitting.balancing import balanced_cuts
from onnx_tagger.workflows.splitting.borders import Border, borders_of, typed
from onnx_tagger.workflows.splitting.costs import MEASURES, costs_of
from onnx_tagger.workflows.splitting.maingraph import MainGraph, main_graph
from onnx_tagger.workflows.splitting.staging import Staging, parse_stages, staged_by_cuts, staged_by_modules

FORMAT = "onnx-tagger/stages"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class BorderTensor:
    """A tensor that a stage takes or gives.

    Attributes
    ----------
    name, type : str
        Of a tensor its element type, such as ``float``; of anything else what it is.
    shape : tuple of (int or str or None), or None
        Its sizes, the names of open ones, or None for those without a name; None where nothing says even how many.
    bytes : int or None
        None where a size is open.
    source : int or None
        The stage that gives it; None for an input of the model.
    """

    name: str
    type: str
    shape: tuple[int | str | None, ...] | None
    bytes: int | None
    source: int | None

    __repr__ = brief_fields


@dataclass(frozen=True)
class Stage:
    """One stage.

    Attributes
    ----------
    file, map : str
        Names in the folder.
    holds : str
        The patterns that it was asked for by, or the first and last module in it.
    modules : tuple of str
        Paths of the modules whose nodes are in it.
    nodes, hoisted, unasked : int
        How many nodes; how many of them belong to later stages but are needed here; how many no stage asks for.
    size : int
        Bytes of the file, and of the data file beside it.
    cost : float or None
        By the measure that the stages were balanced by.
    inputs, outputs : tuple of BorderTensor
    """

    file: str
    map: str
    holds: str
    modules: tuple[str, ...]
    nodes: int
    hoisted: int
    unasked: int
    size: int
    cost: float | None
    inputs: tuple[BorderTensor, ...]
    outputs: tuple[BorderTensor, ...]

    def __repr__(self) -> str:
        return brief(self, self.file, counted(self.nodes, "node"))


@dataclass(frozen=True)
class Split:
    """A model in stages.

    Attributes
    ----------
    model : str
        The file that was split.
    folder : Path
        Where the stages are.
    stages : tuple of Stage
    by : str or None
        The measure that they were balanced by.
    inputs, outputs : tuple of str
        Of the model.
    verified : bool or None
        Whether the chained stages gave what the whole does, bit for bit; None if that was not tried.
    different : tuple of str
        Outputs that they gave otherwise.
    """

    model: str
    folder: Path
    stages: tuple[Stage, ...]
    by: str | None
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    verified: bool | None = None
    different: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return brief(self, self.model, counted(len(self.stages), "stage"))

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it."""
        return self.verified is not False

    @property
    def skips(self) -> list[tuple[str, int, int]]:
        """Tensors that go past a stage: name, the stage that gives it, and the stage that takes it."""
        return [
            (one.name, one.source, place)
            for place, stage in enumerate(self.stages)
            for one in stage.inputs
            if one.source is not None and one.source < place - 1
        ]

    def to_json(self) -> str:
        """What ``stages.json`` holds."""
        value = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "created_by": f"onnx-tagger {version()}",
            "model": self.model,
            "by": self.by,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "stages": [
                {
                    "file": stage.file,
                    "map": stage.map,
                    "holds": stage.holds,
                    "modules": stage.modules,
                    "nodes": stage.nodes,
                    "hoisted": stage.hoisted,
                    "unasked": stage.unasked,
                    "bytes": stage.size,
                    "cost": stage.cost,
                    "inputs": [
                        {**_tensor(one), "from": one.source, "skip": one.source is not None and one.source < place - 1}
                        for one in stage.inputs
                    ],
                    "outputs": [_tensor(one) for one in stage.outputs],
                }
                for place, stage in enumerate(self.stages)
            ],
            "skip_connections": [{"tensor": name, "from": a, "to": b} for name, a, b in self.skips],
            "verified": self.verified,
        }
        return json.dumps(value, ensure_ascii=False, indent=1)


def _tensor(one: BorderTensor) -> dict[str, object]:
    return {"name": one.name, "type": one.type, "shape": one.shape, "bytes": one.bytes}


def split(
    model: str | os.PathLike[str],
    folder: str | os.PathLike[str],
    at: str | None = None,
    *,
    balance: int | None = None,
    by: str = "bytes",
    profile: str | os.PathLike[str] | None = None,
    map: MapSource | None = None,  # noqa: A002 - the option's name everywhere
    verify: bool = False,
    inputs: str | os.PathLike[str] | None = None,
) -> Split:
    """Write a model as stages that run one behind the other, and ``stages.json`` that says how they hang together.

    Parameters
    ----------
    model : path
        A file with tags.
    folder : path
        Where the stages go; made if it is not there.
    at : str, optional
        ``'embeddings | encoder.layer.{0..5} | **'``: the modules of each stage, in order. What an earlier stage needs
        is hoisted there.
    balance : int, optional
        Find so many stages instead, which cost about the same.
    by : "bytes", "flops" or "time"
        What they are balanced by: bytes of weights, floating-point operations, or time.
    profile : path, optional
        A saved profile to take times from; without it the file is profiled now.
    map : HierarchyMap or path, optional
        The map, for a file whose own metadata does not say enough.
    verify : bool
        Run the whole and the stages without optimisation, and compare the outputs bit for bit.
    inputs : path, optional
        An ``.npz`` file to verify on; random values if left out.

    Returns
    -------
    Split

    Raises
    ------
    TaggerError
        If the file cannot be read or cut so, a pattern names no module, or a stage would be empty.

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
    ...     made = split(f"{folder}/m.onnx", f"{folder}/stages", "a | y")
    >>> [(stage.file, [one.name for one in stage.inputs]) for stage in made.stages]
    [('stage0.onnx', ['x']), ('stage1.onnx', ['a'])]
    """
    source, place = path_of(model, "the model"), path_of(folder, "the folder")
    parts = _insist_on_one_way(at, balance, by, profile)
    with collector_paused():
        skeleton = read_skeleton(source)
        insist_on_parts(skeleton)
        tagged = Tagged(read_tags(skeleton.model, load_map(map) if map is not None else None), str(source))
        graph = main_graph(tagged.context)
        tags = [tagged.context.tags.get(tagged.context.ops[index]) for index in graph.ids]
        if not any(tags):
            raise TaggerError(f"{model}: no node has a tag; tag it first with retag, or give its map with --map")
        costs = None
        if balance is None:
            staging = staged_by_modules(graph, tags, parts, tagged.modules)
        else:
            costs = costs_of(tagged, graph, by, source, profile if profile is None else Path(profile))
            staging = staged_by_cuts(graph, balanced_cuts(graph, costs, balance))
        made = _written(skeleton, tagged, graph, staging, tags, place, None if balance is None else by, costs)
    if verify:
        made = _verified(made, source, None if inputs is None else Path(inputs))
    replace_file(place / "stages.json", (made.to_json() + "\n").encode(errors="surrogatepass"))
    return made


def _insist_on_one_way(at: object, balance: object, by: object, profile: object) -> list[str]:
    """The stages that were asked for; none if they are to be found."""
    insist_on(at, (str, type(None)), "the stages", "a text such as 'embeddings | encoder.layer.{0..5} | **'")
    insist_on(balance, (int, type(None)), "the number of stages", "a number from 2, or None")
    choice_of(by, MEASURES, "the measure")
    if (at is None) == (balance is None):
        raise TaggerError("stages are named, or their number is; give one of --at and --balance")
    if isinstance(balance, int) and balance < 2:
        raise TaggerError(f"the number of stages is {balance}; give a number from 2")
    if profile is not None and (balance is None or by != "time"):
        raise TaggerError("a profile says nothing where stages are not balanced by time; give --balance N --by time")
    return parse_stages(at) if isinstance(at, str) else []


def _written(
    skeleton: Skeleton,
    tagged: Tagged,
    graph: MainGraph,
    staging: Staging,
    tags: Sequence[Tag | None],
    folder: Path,
    by: str | None,
    costs: Sequence[float] | None,
) -> Split:
    borders = borders_of(graph, staging)
    names = dict.fromkeys(name for border in borders for name in (*border.inputs, *border.outputs))

    def ask(open_names: list[str]) -> Mapping[str, onnx.ValueInfoProto]:
        from onnx_tagger.runtime.bordertypes import types_of

        assert skeleton.path is not None
        return types_of(skeleton.path, skeleton, open_names)

    types = typed(skeleton.model, names, ask)
    _make_folder(folder, skeleton)
    source = {name: place for place, border in enumerate(borders) for name in border.outputs}
    stages = []
    for place, (nodes, border) in enumerate(zip(staging.stages, borders, strict=True)):
        target = folder / f"stage{place}.onnx"
        saved = folder / f"stage{place}.hierarchy.json"
        digest = _save_map(tagged, [tags[index] for index in nodes], saved)
        modules = _modules(tagged, [tags[index] for index in nodes if index not in graph.constant])
        size = write_part(skeleton, _part(skeleton, border, nodes, tags, types, digest), target)
        stages.append(
            Stage(
                target.name,
                saved.name,
                staging.names[place] if by is None else _span(modules),
                modules,
                len(nodes),
                staging.hoisted[place],
                staging.unasked[place],
                size,
                None if costs is None else sum(costs[index] for index in nodes),
                tuple(_border_tensor(types[name], from_stage) for name, from_stage in border.inputs.items()),
                tuple(_border_tensor(types[name], source[name]) for name in border.outputs),
            )
        )
    return Split(skeleton.name, folder, tuple(stages), by, graph.inputs, graph.outputs)


def _make_folder(folder: Path, skeleton: Skeleton) -> None:
    if folder.exists() and not folder.is_dir():
        raise TaggerError(f"{folder}: is a file; name a folder for the stages")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TaggerError(f"{folder}: cannot be made: {error.strerror}; name a folder that can be written") from error
    if skeleton.path is not None and skeleton.path.resolve().parent == folder.resolve():
        raise TaggerError(f"{folder}: holds the model itself, which a stage might replace; name another folder")


def _part(
    skeleton: Skeleton,
    border: Border,
    nodes: Sequence[int],
    tags: Sequence[Tag | None],
    types: Mapping[str, onnx.ValueInfoProto],
    digest: str,
) -> Part:
    main = skeleton.model.graph.node
    entries = {}
    for index in nodes:
        tag = tags[index]
        if tag is not None and own_tag(props_of(main[index])) is None:
            entries[index] = encoded_entries(tag)
    metadata = [
        (text_of(entry.key), digest if entry.key == MAP else text_of(entry.value))
        for entry in skeleton.model.metadata_props
    ]
    return Part(
        nodes,
        frozenset(border.stored),
        [types[name] for name in border.inputs],
        [types[name] for name in border.outputs],
        entries,
        metadata,
    )


def _modules(tagged: Tagged, tags: Sequence[Tag | None]) -> tuple[str, ...]:
    """The paths of the modules that nodes are of, in the order in which they ran."""
    paths = {path for tag in tags if tag is not None for path in tag.modules}
    return tuple(module.path for module in tagged.modules if module.path in paths)


def _save_map(tagged: Tagged, tags: Sequence[Tag | None], target: Path) -> str:
    """Save the map of the modules that nodes are of, with those around them, and return its digest."""
    paths = dict.fromkeys(path for tag in tags if tag is not None for path in tag.modules)
    hierarchy = tagged.context.hierarchy
    if hierarchy is None:
        raise TaggerError(f"{tagged.name}: says nothing of its modules; give its map with --map")
    known = hierarchy.by_path
    kept = {""}
    for path in (*paths, *(tag.module for tag in tags if tag is not None)):
        at: str | None = path
        while at is not None and at not in kept:
            kept.add(at)
            at = known[at].parent if at in known else None
    part = HierarchyMap(
        tuple(module for module in hierarchy.modules if module.path in kept),
        tuple(parameter for parameter in hierarchy.parameters if parameter.owner in kept),
        created_by=hierarchy.created_by,
    )
    return part.save(target)


def _span(modules: Sequence[str]) -> str:
    """The first and the last of some modules."""
    shown = [path or "(root)" for path in modules]
    return shown[0] if len(shown) == 1 else f"{shown[0]} ... {shown[-1]}" if shown else "(no module)"


def _border_tensor(value: onnx.ValueInfoProto, source: int | None) -> BorderTensor:
    kind = value.type.WhichOneof("value") or "unknown"
    tensor = value.type.tensor_type
    if kind != "tensor_type":
        return BorderTensor(value.name, kind.removesuffix("_type"), None, None, source)
    shape = tuple(dim.dim_value if dim.HasField("dim_value") else dim.dim_param or None for dim in tensor.shape.dim)
    name = onnx.TensorProto.DataType.Name(tensor.elem_type).lower()
    return BorderTensor(value.name, name, shape, bytes_of_type(value.type), source)


def _verified(made: Split, source: Path, inputs: Path | None) -> Split:
    from onnx_tagger.runtime.chaining import chain

    found = chain(source, [made.folder / stage.file for stage in made.stages], inputs)
    return replace(made, verified=found.equal, different=found.different)
