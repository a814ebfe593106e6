"""What a profile is made of: kernels with their times, what profiling itself costs, and what the machine can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from onnx_tagger.model.metadata import Tag
from onnx_tagger.model.texts import brief_fields

# How a kernel was known to be a node: by its name, by what runs before and behind it, or not at all.
Joined = Literal["name", "neighbours", "none"]


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel: what a runtime executed for a node, or for several at once.

    Attributes
    ----------
    name : str
        As the runtime calls it.
    op : str
        Operator type with its domain, such as ``com.microsoft::FusedMatMul``, or the runtime's own word.
    provider : str
        What executed it, such as ``CPUExecutionProvider``; empty where nothing says it.
    us : tuple of float
        Microseconds of one run of the model, a number for each session; what it does in bodies is not in it.
    tag : Tag or None
        The module that it does work of.
    node : str
        The node of the profiled graph, such as ``main#4``; empty where there is none.
    joined : "name", "neighbours" or "none"
        How the node was known.
    count : float
        How often it ran in one run of the model.
    flops, bytes : float or None
        Floating-point operations of matrix products and convolutions, and bytes read and written, in one run.
    live : float or None
        Bytes of its results that are held when the model holds most.
    """

    name: str
    op: str
    provider: str
    us: tuple[float, ...]
    tag: Tag | None = None
    node: str = ""
    joined: Joined = "name"
    count: float = 1.0
    flops: float | None = None
    bytes: float | None = None
    live: float | None = None

    __repr__ = brief_fields

    @property
    def mean(self) -> float:
        """Microseconds of one run, the mean of the sessions."""
        return sum(self.us) / len(self.us)


@dataclass(frozen=True, slots=True)
class Overhead:
    """What profiling costs.

    Attributes
    ----------
    per_kernel : float
        Microseconds by which a run becomes longer for each kernel that is profiled.
    taken_out : float
        Microseconds of it that lie in a kernel's own time and were taken out of it.
    """

    per_kernel: float
    taken_out: float

    __repr__ = brief_fields


@dataclass(frozen=True, slots=True)
class Roof:
    """What the machine can do, measured with as many threads as the profile.

    Attributes
    ----------
    gflops : float
        Billions of floating-point operations a second, of a product of two matrices.
    gbytes : float
        Billions of bytes a second, read and written, of a copy.
    """

    gflops: float
    gbytes: float

    __repr__ = brief_fields

    def reach(self, flops: float, moved: float) -> float:
        """GFLOP/s that work of this intensity can reach at best (the roofline model)."""
        return min(self.gflops, self.gbytes * flops / moved) if moved else self.gflops
