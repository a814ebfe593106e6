"""Hints say what was measured; without a measurement there is none."""

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.hints import hints_of
from onnx_tagger.measures.profiling.kernel import Kernel, Roof
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.metadata import Source

MAP = HierarchyMap.from_rows([ModuleRow("", "Net"), *(ModuleRow(path, "Linear") for path in "abc")])


def kernel(op: str, us: float, path: str, flops: float | None = None, moved: float | None = None) -> Kernel:
    return Kernel(f"{path}/{op}", op, "", (us, us), MAP.tag(path, Source.MATCHED), flops=flops, bytes=moved)


def found(*kernels: Kernel, roof: Roof | None = None) -> dict[tuple[str, str], str]:
    profile = Profile("net.onnx", "test", ModuleTree(MAP), kernels, roof=roof)
    return {(hint.module, hint.kind): hint.text for hint in hints_of(profile)}


def test_conversions() -> None:
    hints = found(kernel("MatMul", 60, "a"), kernel("Transpose", 30, "a"), kernel("Cast", 10, "a"))
    assert hints == {("a", "conversion"): "40 % of its time only converts or reorders: Transpose 30 µs, Cast 10 µs"}
    assert found(kernel("MatMul", 60, "a"), kernel("Transpose", 1, "a")) == {}


def test_bound_by_memory() -> None:
    roof = Roof(100.0, 10.0)
    bound, free = kernel("Gemm", 1000, "a", 1e7, 8e6), kernel("MatMul", 1000, "b", 5e8, 8e6)
    hints = found(bound, free, roof=roof)
    assert list(hints) == [("a", "memory")]
    assert "1.2 operations a byte, 8.0 GB/s of the 10.0 that a copy reaches" in hints["a", "memory"]
    assert found(kernel("Gemm", 10_000, "a", 1e7, 8e6), roof=roof) == {}
    assert found(bound, free) == {}
    # Of what fits into a cache nothing is said.
    assert found(kernel("Gemm", 100, "a", 1e6, 8e5), roof=roof) == {}


def test_small_kernels() -> None:
    hints = found(*(kernel("Add", 1, "a") for _ in range(10)), kernel("MatMul", 5, "b"))
    assert list(hints) == [("", "small kernels")]
    assert hints["", "small kernels"].startswith("10 of 11 kernels take less than 2 µs each and 67 % of the time")
    assert found(*(kernel("Add", 1, "a") for _ in range(10)), kernel("MatMul", 500, "b")) == {}


def test_unfused_among_fused() -> None:
    fused = [kernel("com.microsoft::FusedGemm", 30, path) for path in "ab"]
    hints = found(*fused, kernel("Gemm", 30, "c"), kernel("Relu", 10, "c"))
    assert list(hints) == [("c", "not fused")]
    assert "runs 2 kernels where 2 of 3 Linear run at most 1, with com.microsoft::FusedGemm" in hints["c", "not fused"]
    assert hints["c", "not fused"].endswith("; in the place of that it has Gemm, Relu")
    apart = found(*fused, *(kernel(op, 30, "c") for op in ("Gemm", "Cast", "Relu")))
    assert apart["c", "not fused"].endswith(
        "it has Cast, Gemm, Relu, of which Cast computes nothing and only stands between"
    )
    # Most are not fused, so nothing says that this one could be.
    assert found(fused[0], *(kernel(op, 30, path) for path in "bc" for op in ("Gemm", "Relu"))) == {}


def test_float_among_integers() -> None:
    hints = found(kernel("MatMulInteger", 10, "a"), kernel("MatMulInteger", 10, "b"), kernel("MatMul", 30, "c"))
    assert hints == {("c", "float"): "computes 1 product in float (30 µs), where 2 of 3 Linear compute in integers"}


def test_nothing_to_say() -> None:
    assert found() == {}
    assert found(kernel("MatMul", 50, "a"), kernel("MatMul", 50, "b")) == {}
