"""A profile on the terminal: the head, the rows, the hints, and ways side by side."""

from dataclasses import replace

import pytest

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.kernel import Kernel, Overhead, Roof
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.metadata import Source
from onnx_tagger.reporters.profiling.text import show_profile, show_ways
from onnx_tagger.reporters.terminal import Screen
from onnx_tagger.workflows.profiling.comparing import Way

MAP = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("a", "Linear"), ModuleRow("b", "Linear")])


def made(*, scale: float = 1.0, untagged: bool = False) -> Profile:
    tags = [MAP.tag(path, Source.MATCHED) for path in ("a", "b")]
    kernels = [
        Kernel("a/Gemm", "Gemm", "CPU", (100.0 * scale, 102.0 * scale), tags[0], flops=1e6, bytes=1e5),
        Kernel("b/Gemm", "Gemm", "CPU", (50.0, 51.0), None if untagged else tags[1], flops=1e6, bytes=1e5),
        Kernel("b/Relu", "Relu", "CPU", (0.2, 0.2), None if untagged else tags[1], flops=0, bytes=10),
    ]
    return Profile(
        "net.onnx",
        "onnxruntime 1.0",
        ModuleTree(MAP),
        tuple(kernels),
        {"level": "all", "provider": "CPUExecutionProvider", "threads": "1", "enable_mem_pattern": "0"},
        (160.0, 161.0),
        (0.01, 0.02),
        Overhead(5.5, 2.0),
        Roof(50.0, 10.0),
        4e6,
        (100.0, 100.0),
        ("inputs are random",),
    )


def test_head_and_rows(capsys: pytest.CaptureFixture[str]) -> None:
    show_profile(Screen(), made(), made().modules.sort("time"))
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[:5] == [
        "net.onnx: onnxruntime 1.0, level all, CPU, 1 thread, enable_mem_pattern=0",
        "a run takes 160.5 ± 6.4 µs without profiling, 2 sessions",
        "3 kernels take 151.7 ± 19 µs, 95 % of that; 100 % of them and 100 % of their time have a module",
        "profiling made a run longer by 5.5 µs a kernel; 2.0 µs of it lay in the kernel's own time and are taken out",
        "this machine: 50 GFLOP/s in a matrix product, 10 GB/s in a copy",
    ]
    assert lines[6].split() == (
        "module class kernels self µs µs ± 95 % share MFLOP MB moved GFLOP/s % of the roof".split()  # noqa: SIM905
    )
    assert lines[8].split()[:9] == ["a", "Linear", "1", "101.0", "101.0", "±", "12.7", "66.6", "%"]
    assert err == "note: inputs are random\n"


def test_what_has_no_module_is_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    profile = made(untagged=True)
    show_profile(Screen(), profile, profile.modules)
    out, _ = capsys.readouterr()
    assert "33.3 % of them and 66.6 % of their time have a module" in out
    assert "(no module)" in out


def test_almost_all_is_not_called_all(capsys: pytest.CaptureFixture[str]) -> None:
    profile = made()
    kernels = (*profile.kernels, Kernel("lost", "Neg", "", (1e-3, 1e-3)))
    profile = replace(profile, kernels=kernels)
    show_profile(Screen(), profile, profile.modules)
    assert "99.9 % of their time have a module" in capsys.readouterr().out


def test_small_rows_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    profile = made(scale=100.0)
    show_profile(Screen(), profile, profile.modules)
    assert "1 row of less than 1 % left out" in capsys.readouterr().err
    show_profile(Screen(), profile, profile.modules, whole=True)
    out, err = capsys.readouterr()
    assert ("left out" in err, "\nb " in out) == (False, True)


def test_ways(capsys: pytest.CaptureFixture[str]) -> None:
    first, other = made(), made(scale=2.0)
    found = [
        Way("all", first, 3, 1.0, 1.0, 1.0, None),
        Way("basic", other, 4, 1.6, 1.5, 1.7, first.compare(other)),
        Way("layout", first, 3, 1.01, 0.9, 1.1, first.compare(first)),
    ]
    show_ways(Screen(), found)
    out, err = capsys.readouterr()
    assert "net.onnx: onnxruntime 1.0, 2 sessions of each, by turns" in out
    assert "x1.600" in out
    assert "1.500 to 1.700" in out
    assert "basic: slower by 60.0 %" in out
    assert "layout: the same for all that can be said\n  no module differs for sure" in out
    assert err == "note: inputs are random\n"
