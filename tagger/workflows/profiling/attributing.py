"""A profile that was taken elsewhere, by module: which nodes of a file its layers are.

Names come first; a layer whose names say nothing takes the module that encloses what reads it, or else what it reads,
and is counted apart. Who wrote the file of the profile, and how it is read, is `onnx_tagger.runtime.layers`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.loading import MapSource
from onnx_tagger.hierarchy.map import HierarchyMap, Module as Record
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.kernel import Joined, Kernel, Overhead
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.arguments import path_of
from onnx_tagger.model.graph import operator
from onnx_tagger.model.metadata import Tag, text_of
from onnx_tagger.model.report import Report
from onnx_tagger.model.urls import shown_place
from onnx_tagger.passes.base import Context
from onnx_tagger.workflows.profiling.tagging import UNTAGGED, map_of
from onnx_tagger.workflows.querying import id_of
from onnx_tagger.workflows.reading import Tagged, read

if TYPE_CHECKING:
    from onnx_tagger.runtime.layers import Layer

# With so many runs their 10th percentile is taken, with fewer the median.
_MANY = 10

# What OpenVINO puts behind a name when it takes an operation apart.
_SUFFIX = re.compile(r"(?:/WithoutBiases|/fq_(?:input|output|weights)\w*|_abcd_\w+|/transpose_[ab]|\.\d+)+$")

_RUNTIMES = {"ort": "onnxruntime", "openvino": "OpenVINO", "trt": "TensorRT"}


def attribute(
    profile: str | os.PathLike[str],
    model: str | os.PathLike[str],
    hierarchy: MapSource | None = None,
    *,
    form: str | None = None,
    layers: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Profile:
    """Read a profile that onnxruntime, OpenVINO or TensorRT wrote, by module.

    Parameters
    ----------
    profile : path
        Its file; see docs/attribute.md for the forms.
    model : path or URL
        The ONNX file that was given to the runtime; of onnxruntime also the optimised file that it saved.
    hierarchy : HierarchyMap, path or URL, optional
        A map of the model; None for what the file says itself.
    form : "ort", "openvino" or "trt", optional
        What wrote the profile; by default its content says that.
    layers : path, optional
        TensorRT's exported layer information, which names the nodes of each layer.
    force : bool
        Take a map that is or may be another model's.

    Returns
    -------
    Profile
        With one session: of several runs the 10th percentile counts, of fewer than ten the median.

    Raises
    ------
    TaggerError
        If a file cannot be read, or the map is another model's.
    """
    from onnx_tagger.runtime.layers import FORMATS, format_of, openvino_layers, tensorrt_layers, text_of as text_in

    path = path_of(profile, "the profile")
    if form is not None and form not in FORMATS:
        raise TaggerError(f"no profile has the form {str(form)[:40]!r}; choose from {', '.join(FORMATS)}")
    text = text_in(path)
    form = form or format_of(text, path)
    tagged = _read(model, hierarchy, force)
    named = _Names(tagged)
    if form == "ort":
        kernels = _of_onnxruntime(path, named)
    elif form == "openvino":
        kernels = _of_layers(openvino_layers(text, path), named)
    else:
        info = path_of(layers, "the layer information") if layers is not None else None
        kernels = _of_layers(tensorrt_layers(text, path, info), named)
    notes = [] if tagged.context.hierarchy is not None else [UNTAGGED]
    name = Path(shown_place(model)).name
    found = Profile(name, _RUNTIMES[form], named.tree, tuple(kernels), {"profile": path.name})
    return _with_notes(found, notes)


def _read(model: str | os.PathLike[str], hierarchy: MapSource | None, force: bool) -> Tagged:
    if hierarchy is None:
        return read(model)
    from onnx_tagger.files.onnxfile import read_skeleton
    from onnx_tagger.passes.align import Align
    from onnx_tagger.passes.inherit import Inherit
    from onnx_tagger.passes.manager import PassManager
    from onnx_tagger.passes.match import Match

    skeleton = read_skeleton(model)
    tree = map_of(skeleton, hierarchy, shown_place(model), force=force)
    ctx = Context(skeleton.model, tree, report=Report())
    PassManager([Match(), Align(), Inherit()]).run_in(ctx)
    return Tagged(ctx, skeleton.name)


@dataclass(frozen=True)
class _Found:
    """What names lead to."""

    tags: tuple[Tag, ...] = ()
    node: str = ""
    op: str = ""


@dataclass
class _Names:
    """The nodes of a file by their names, and by the tensors that they make."""

    tagged: Tagged
    known: dict[str, _Found] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ctx = self.tagged.context
        for op in ctx.ops:
            tag = ctx.tags.get(op)
            found = _Found((tag,) if tag is not None else (), id_of(op), operator(op.node))
            # A name that several nodes have leads to all of their modules.
            if name := text_of(op.node.name):
                before = self.known.get(name, _Found())
                self.known[name] = _Found((*before.tags, *found.tags), before.node or found.node, found.op)
        for op in ctx.ops:
            tag = ctx.tags.get(op)
            for name in filter(None, map(text_of, op.node.output)):
                self.known.setdefault(name, _Found((tag,) if tag is not None else (), id_of(op), operator(op.node)))

    @property
    def tree(self) -> ModuleTree:
        """The modules; only a root for a file that names none."""
        if self.tagged.context.hierarchy is None:
            return ModuleTree(HierarchyMap((Record("", "", None),)))
        return self.tagged.modules

    def one(self, name: str) -> _Found | None:
        """The node of a name, with or without what a runtime put behind it."""
        return self.known.get(name) or self.known.get(_SUFFIX.sub("", name))

    def listed(self, text: str) -> list[_Found]:
        """The nodes of names parted by commas, which may stand in a name, too: the longest known one counts."""
        parts, found, at = text.split(","), [], 0
        while at < len(parts):
            for end in range(min(len(parts), at + 8), at, -1):
                one = self.one(",".join(parts[at:end]).strip())
                if one is not None:
                    found.append(one)
                    at = end
                    break
            else:
                at += 1
        return found

    def merged(self, tags: Iterable[Tag]) -> Tag | None:
        """The tag of what does the work of several nodes."""
        tree, given = self.tagged.context.hierarchy, list(dict.fromkeys(tags))
        return tree.merged(given) if given and tree is not None else None


def _of_layers(layers: Sequence[Layer], named: _Names) -> list[Kernel]:
    """Kernels of the layers that ran, by names first, then by what is around them."""
    found = {layer.name: [one for text in layer.originals for one in named.listed(text)] for layer in layers}
    for layer in layers:
        if not found[layer.name] and (own := named.one(layer.name)) is not None:
            found[layer.name] = [own]
    tags = {name: [tag for one in ones for tag in one.tags] for name, ones in found.items()}
    around = _around(layers, tags, named)
    kernels = []
    for layer in layers:
        if not layer.us:
            continue  # it did not run: it is there for what is around it
        mine, near = tags[layer.name], around.get(layer.name, [])
        joined: Joined = "name" if found[layer.name] else "neighbours" if near else "none"
        nodes = found[layer.name]
        kernels.append(
            Kernel(
                layer.name,
                layer.kind or (nodes[0].op if nodes else ""),
                layer.executor,
                (_typical(layer.us),),
                named.merged(mine or near),
                nodes[0].node if nodes else "",
                joined,
            )
        )
    return kernels


def _around(layers: Sequence[Layer], tags: dict[str, list[Tag]], named: _Names) -> dict[str, list[Tag]]:
    """Tags of what reads a layer, else of what it reads, for layers without any; along chains of those, too."""
    readers: dict[str, list[str]] = {}
    for layer in layers:
        for name in layer.inputs:
            readers.setdefault(name, []).append(layer.name)
    found: dict[str, list[Tag]] = {}
    for layer in layers:
        if not tags[layer.name]:
            found[layer.name] = [tag for name in layer.near if (one := named.one(name)) for tag in one.tags]
    # Layers are listed in the order in which they run: readers are known in a backward sweep, sources in a forward one.
    for layer in reversed(layers):
        if layer.name in found and not found[layer.name]:
            near = readers.get(layer.name, [])
            found[layer.name] = _first([*(tags.get(name) or found.get(name, []) for name in near)])
    for layer in layers:
        if layer.name in found and not found[layer.name]:
            found[layer.name] = _first([*(tags.get(name) or found.get(name, []) for name in layer.inputs)])
    return {name: near for name, near in found.items() if near}


def _first(groups: Sequence[list[Tag]]) -> list[Tag]:
    return list(dict.fromkeys(tag for group in groups for tag in group))


def _of_onnxruntime(path: Path, named: _Names) -> list[Kernel]:
    from onnx_tagger.runtime.events import read_events
    from onnx_tagger.runtime.profiles import own_times, owners_of

    recording = read_events(path, facts=True)
    times = own_times(recording, owners_of(named.tagged.context.model), Overhead(0.0, 0.0)).tolist()
    kernels = []
    for place, name in enumerate(recording.names):
        facts, found = recording.facts[name], named.one(name) or _of_fusion(name, named)
        kernels.append(
            Kernel(
                name,
                facts.op,
                facts.provider,
                (times[place],),
                named.merged(found.tags) if found is not None else None,
                found.node if found is not None else "",
                "name" if found is not None else "none",
                float(recording.counts[place].mean()),
            )
        )
    return kernels


def _of_fusion(name: str, named: _Names) -> _Found | None:
    """The node whose name an optimiser's name begins with: ``X/MatMulAddFusion`` is made of `X`."""
    cut = name
    while "/" in cut[1:]:
        cut = cut.rpartition("/")[0]
        if cut in named.known and cut != name:
            return named.known[cut]
    return None


def _typical(us: Sequence[float]) -> float:
    return float(np.percentile(us, 10 if len(us) >= _MANY else 50))


def _with_notes(profile: Profile, notes: list[str]) -> Profile:
    whole = profile.whole.mean
    for joined, sentence in (
        ("neighbours", "of the time is of layers without a name in the file: theirs is the module around them"),
        ("none", "of the time is of layers that no node of the file is known for"),
    ):
        lost = sum(kernel.mean for kernel in profile.kernels if kernel.joined == joined)
        if lost and whole:
            notes.append(f"{100 * lost / whole:.1f} % {sentence}")
    if not profile.kernels:
        notes.append("no layer ran")
    return replace(profile, notes=tuple(notes))
