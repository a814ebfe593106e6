"""A profile by something else than modules: by class, by operator, or by call; each group is a row below the root."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from onnx_tagger.hierarchy.tree import Module, ModuleTree
from onnx_tagger.measures.profiling.kernel import Kernel
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.arguments import choice_of
from onnx_tagger.model.metadata import Source, Tag

GROUPINGS = ("module", "class", "operator", "call")


def grouped(profile: Profile, by: str) -> Profile:
    """The same kernels under a tree of groups, in the order in which each first ran.

    Parameters
    ----------
    profile : Profile
    by : "module", "class", "operator" or "call"
        By call, one and the same module has a row for each time that it ran.

    Raises
    ------
    TaggerError
        If it is none of them.
    """
    choice_of(by, GROUPINGS, "what times are grouped by")
    if by == "module":
        return profile
    rules: dict[str, Callable[[Kernel], str | None]] = {
        "class": lambda kernel: _class_of(profile.tree, kernel),
        "operator": lambda kernel: kernel.op,
        "call": _call_of,
    }
    names = [rules[by](kernel) for kernel in profile.kernels]
    root = Module("", profile.tree.root.cls, profile.tree.root.tag)
    groups = {name: Module(name, None, None, parent=root) for name in dict.fromkeys(names) if name}
    root.children += groups.values()
    kernels = []
    for kernel, name in zip(profile.kernels, names, strict=True):
        source = kernel.tag.source if kernel.tag is not None else Source.EXPORTED
        kernels.append(replace(kernel, tag=None if name is None else Tag(name, "", source)))
    return replace(profile, tree=ModuleTree.linked([root, *groups.values()]), kernels=tuple(kernels))


def _class_of(tree: ModuleTree, kernel: Kernel) -> str | None:
    if kernel.tag is None:
        return None
    module = tree.find(kernel.tag.module)
    return (module.cls if module is not None else None) or kernel.tag.tag.rpartition("/")[2].partition(".")[0]


def _call_of(kernel: Kernel) -> str | None:
    """The calls of a kernel, or its module where that is called once."""
    return None if kernel.tag is None else ", ".join(kernel.tag.call) or kernel.tag.module
