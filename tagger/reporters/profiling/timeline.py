"""A profile as one run on a time line: the kernels one behind the other, in the modules that they are of.

What `chrometrace` and `speedscope` write; each kernel takes its own time of a run; gaps are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from onnx_tagger.hierarchy.tree import Module
from onnx_tagger.measures.profiling.kernel import Kernel
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.texts import brief_fields

UNKNOWN = "(no module)"


@dataclass(frozen=True, slots=True)
class Span:
    """A module or a kernel from its beginning to its end.

    Attributes
    ----------
    name : str
    start, end : float
        Microseconds from the beginning of the run.
    depth : int
        How many spans enclose it.
    kernel : Kernel or None
        None for a module.
    module : Module or None
    """

    name: str
    start: float
    end: float
    depth: int
    kernel: Kernel | None = None
    module: Module | None = None

    __repr__ = brief_fields


def spans_of(profile: Profile) -> list[Span]:
    """The spans of a run, outer ones first; a module that is left and entered again has several."""
    found: list[Span] = []
    trail: list[int] = []
    names: list[str] = []
    now = 0.0
    for kernel in profile.kernels:
        stack = _stack(profile, kernel)
        common = 0
        while common < min(len(stack), len(names)) and stack[common][0] == names[common]:
            common += 1
        del names[common:]
        del trail[common:]
        end = now + kernel.mean
        for name, module in stack[common:]:
            trail.append(len(found))
            names.append(name)
            found.append(Span(name, now, end, len(trail) - 1, None, module))
        # Modules end with the last kernel in them.
        for place in trail:
            found[place] = replace(found[place], end=end)
        found.append(Span(kernel.name, now, end, len(trail), kernel))
        now = end
    return found


def _stack(profile: Profile, kernel: Kernel) -> list[tuple[str, Module | None]]:
    """The modules around a kernel, the root first; containers are left out."""
    module = None if kernel.tag is None else profile.tree.find(kernel.tag.module)
    if module is None:
        return [(UNKNOWN, None)]
    found: list[tuple[str, Module | None]] = []
    while module is not None:
        if module.tag is not None or module.parent is None or not found:
            found.append((f"{module.segment or '(root)'} {module.path}".strip(), module))
        module = module.parent
    return found[::-1]
