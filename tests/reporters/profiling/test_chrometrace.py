"""A trace: a slice for each module and kernel, with what a person looks up there."""

from __future__ import annotations

import json
from io import StringIO

from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.hierarchy.naming import ModuleRow
from onnx_tagger.hierarchy.tree import ModuleTree
from onnx_tagger.measures.profiling.kernel import Kernel
from onnx_tagger.measures.profiling.profile import Profile
from onnx_tagger.model.metadata import Source
from onnx_tagger.reporters.profiling import chrometrace

MAP = HierarchyMap.from_rows([ModuleRow("", "Net"), ModuleRow("fc", "Linear")])


def trace(*kernels: Kernel) -> dict[str, object]:
    out = StringIO()
    chrometrace.render(Profile("net.onnx", "test", ModuleTree(MAP), kernels, {"level": "all"}), out)
    assert out.getvalue().endswith("}\n")
    found: dict[str, object] = json.loads(out.getvalue())
    return found


def test_a_kernel_lies_in_its_module() -> None:
    kernel = Kernel("k", "Gemm", "CPUExecutionProvider", (1.23456, 1.23456), MAP.tag("fc", Source.ALIGNED), "main#3")
    found = trace(kernel)
    assert found["otherData"] == {"level": "all"}
    process, thread, *slices = found["traceEvents"]  # type: ignore[misc]
    assert (process["args"]["name"], thread["args"]["name"]) == ("net.onnx", "one run, without gaps")
    assert [(each["cat"], each["name"]) for each in slices] == [
        ("module", "Net"),
        ("module", "Linear fc"),
        ("kernel", "k"),
    ]
    assert slices[1]["args"] == {"module": "fc", "tag": "/Net/Linear", "class": "Linear"}
    assert slices[2]["args"] == {
        "op": "Gemm",
        "provider": "CPUExecutionProvider",
        "node": "main#3",
        "runs": 1.0,
        "module": "fc",
        "tag": "/Net/Linear",
        "source": "aligned",
    }
    # Nanoseconds are as fine as it gets.
    assert [each["dur"] for each in slices] == [1.235, 1.235, 1.235]


def test_kernels_follow_each_other() -> None:
    tag = MAP.tag("fc", Source.MATCHED)
    found = trace(*(Kernel(f"k{at}", "Relu", "", (2.0,), tag) for at in range(3)))
    kernels = [each for each in found["traceEvents"] if each.get("cat") == "kernel"]  # type: ignore[attr-defined]
    assert [each["ts"] for each in kernels] == [0.0, 2.0, 4.0]


def test_a_kernel_without_a_module_says_nothing_of_one() -> None:
    *_, around, kernel = trace(Kernel("k", "Relu", "", (2.0,)))["traceEvents"]  # type: ignore[misc]
    assert (around["name"], around["args"]) == ("(no module)", {})
    assert "module" not in kernel["args"]
