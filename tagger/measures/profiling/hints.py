"""What a profile says about its own slow places; each sentence holds the measurement that it rests on.

Nothing here is a guess about another machine or another setting: what would become faster is only said where a module
of the same class in the same run is.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from onnx_tagger.hierarchy.tree import Module
from onnx_tagger.measures.profiling.kernel import Kernel
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.texts import brief_fields, counted

# What makes no number but brings numbers into another type or order.
_TYPES = frozenset({"Cast", "Transpose", "ReorderInput", "ReorderOutput", "QuantizeLinear", "DequantizeLinear"})

# A hint is worth reading from this share of the whole time on.
_LEAST = 0.02

# What is smaller may lie in a cache, whose speed is not that of the copy.
_CACHED = 4 << 20

# Share of the copy's speed from which a kernel is bound by memory; and what counts as a small kernel, in µs.
_BOUND, _SMALL = 0.5, 2.0

# Operators of onnxruntime's own: nearly all do the work of several of the standard's.
_FUSED = "com.microsoft::"

_PRODUCTS = frozenset({"MatMul", "Gemm", "Conv", "com.microsoft::FusedMatMul", "com.microsoft::FusedGemm"})
_INTEGER = ("Integer", "QLinear", "QGemm", "DynamicQuantizeMatMul", "MatMulNBits")


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing that was measured and may be worth a change.

    Attributes
    ----------
    module : str
        Path of the module that it is about, ``""`` for the whole.
    kind : str
        ``conversion``, ``memory``, ``small kernels``, ``float`` or ``not fused``.
    text : str
        A sentence with the measurement.
    us : float
        Microseconds of a run that it is about.
    """

    module: str
    kind: str
    text: str
    us: float

    __repr__ = brief_fields


def hints_of(profile: Profile) -> list[Hint]:
    """All hints that a profile gives, those about the most time first."""
    whole = profile.whole.mean
    if not profile.kernels or not whole:
        return []
    found = [
        *_conversions(profile),
        *_bound_by_memory(profile),
        *_small_kernels(profile),
        *_compared_with_siblings(profile),
    ]
    return sorted((hint for hint in found if hint.us >= _LEAST * whole), key=lambda hint: -hint.us)


def _word(kernel: Kernel) -> str:
    return kernel.op.rpartition("::")[2]


def _conversions(profile: Profile) -> Iterator[Hint]:
    """Time of the kernels of each module that convert or reorder, beside the time of the module."""
    spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for kernel in profile.kernels:
        if _word(kernel) in _TYPES and kernel.tag is not None:
            spent[kernel.tag.module][_word(kernel)] += kernel.mean
    for path, by_op in spent.items():
        us = sum(by_op.values())
        module = profile.modules[path].total["time"] or 0.0
        if module:
            ops = ", ".join(f"{op} {time:.3g} µs" for op, time in sorted(by_op.items(), key=lambda item: -item[1]))
            yield Hint(
                path, "conversion", f"{100 * us / module:.0f} % of its time only converts or reorders: {ops}", us
            )


def _bound_by_memory(profile: Profile) -> Iterator[Hint]:
    """Kernels that move their bytes nearly as fast as a copy, though their products could be computed faster."""
    roof = profile.roof
    if roof is None:
        return
    for kernel in profile.kernels:
        if not kernel.bytes or kernel.bytes < _CACHED or not kernel.flops or not kernel.mean or kernel.tag is None:
            continue
        speed = kernel.bytes / kernel.mean / 1e3
        if roof.reach(kernel.flops, kernel.bytes) < roof.gflops and speed > _BOUND * roof.gbytes:
            text = (
                f"{kernel.op} {kernel.name} is bound by memory: {kernel.flops / kernel.bytes:.2g} operations a byte, "
                f"{speed:.1f} GB/s of the {roof.gbytes:.1f} that a copy reaches"
            )
            yield Hint(kernel.tag.module, "memory", text, kernel.mean)


def _small_kernels(profile: Profile) -> Iterator[Hint]:
    """Time that goes into kernels that hardly do anything."""
    small = [kernel for kernel in profile.kernels if kernel.mean < _SMALL]
    us = sum(kernel.mean for kernel in small)
    whole = profile.whole.mean
    if len(small) > len(profile.kernels) / 2 and us > 0.25 * whole:
        text = (
            f"{len(small)} of {counted(len(profile.kernels), 'kernel')} take less than {_SMALL:g} µs each and "
            f"{100 * us / whole:.0f} % of the time together: starting kernels weighs more than computing"
        )
        yield Hint("", "small kernels", text, us)


def _compared_with_siblings(profile: Profile) -> Iterator[Hint]:
    """Modules that run otherwise than others of their class: unfused where those are fused, float beside int8."""
    kernels: dict[str, list[Kernel]] = defaultdict(list)
    for kernel in profile.kernels:
        if kernel.tag is not None:
            kernels[kernel.tag.module].append(kernel)
    classes: dict[str, list[Module]] = defaultdict(list)
    for module in profile.tree:
        if module.cls and module.path in kernels:
            classes[module.cls].append(module)
    for name, modules in classes.items():
        if len(modules) > 1:
            yield from _unfused(name, modules, kernels)
            yield from _in_float(name, modules, kernels)


def _unfused(name: str, modules: list[Module], kernels: dict[str, list[Kernel]]) -> Iterator[Hint]:
    """A fused operator that most modules of a class have and one has not, which runs more kernels for it."""
    ops = {m.path: Counter(k.op for k in kernels[m.path]) for m in modules}
    for op in sorted({op for each in ops.values() for op in each if op.startswith(_FUSED)}):
        having = [m for m in modules if op in ops[m.path]]
        most = max(len(kernels[m.path]) for m in having)
        for module in modules if 2 * len(having) > len(modules) else ():
            own = kernels[module.path]
            if op not in ops[module.path] and len(own) > most:
                # The sibling that is most like it shows what it runs in the place of the fused operator.
                other = min((ops[m.path] for m in having), key=lambda each: (ops[module.path] - each).total())
                instead = ops[module.path] - other
                text = (
                    f"runs {counted(len(own), 'kernel')} where {len(having)} of {len(modules)} {name} "
                    f"run at most {most}, with {op}; in the place of that it has {', '.join(sorted(instead))}"
                )
                if between := sorted(_TYPES & instead.keys()):
                    text += f", of which {' and '.join(between)} computes nothing and only stands between"
                yield Hint(module.path, "not fused", text, sum(kernel.mean for kernel in own))


def _in_float(name: str, modules: list[Module], kernels: dict[str, list[Kernel]]) -> Iterator[Hint]:
    """A product in float in a module of a class, others of which compute theirs in integers."""
    integer = [m for m in modules if any(word in k.op for k in kernels[m.path] for word in _INTEGER)]
    for module in modules if integer else ():
        products = [kernel for kernel in kernels[module.path] if kernel.op in _PRODUCTS]
        if products and module not in integer:
            us = sum(kernel.mean for kernel in products)
            text = (
                f"computes {counted(len(products), 'product')} in float ({us:.3g} µs), where {len(integer)} of "
                f"{len(modules)} {name} compute in integers"
            )
            yield Hint(module.path, "float", text, us)
