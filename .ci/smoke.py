"""The installed wheel on a tiny file, in an environment without torch: what `.ci/run` runs last.

A model of five nodes, named as the TorchScript exporter names them, and a map written by hand go through the commands
that need no torch. Standard library, onnx and onnx-tagger only.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPTIONAL = ("torch", "transformers", "onnxscript", "onnxruntime", "onnx_graphsurgeon")
ENCODER = "/Tiny/Encoder"
LINEAR = "/Tiny/Encoder/Linear"


def tiny_model() -> onnx.ModelProto:
    """`Relu(x @ w + b)`, reshaped; the shape is a Constant whose name tells nothing, as TorchScript leaves it."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"], "/encoder/linear/MatMul"),
        helper.make_node("Add", ["xw", "b"], ["y"], "/encoder/linear/Add"),
        helper.make_node("Relu", ["y"], ["z"], "/encoder/Relu"),
        helper.make_node("Constant", [], ["shape"], "Constant_3", value=numpy_helper.from_array(np.array([4, 1]))),
        helper.make_node("Reshape", ["z", "shape"], ["out"], "/encoder/Reshape"),
    ]
    weights = [
        numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(2, 4), "w"),
        numpy_helper.from_array(np.ones(4, dtype=np.float32), "b"),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, [4, 1])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def tiny_map() -> dict[str, object]:
    """The module tree of that model: no parameters and no saved graph, so names are all there is to go by."""

    def module(path: str, class_name: str, tag: str, parent: str | None, order: int) -> dict[str, object]:
        fields = {"path": path, "class": class_name, "tag": tag, "parent": parent, "order": order}
        return fields | {"calls": 1, "aliases": []}

    modules = [
        module("", "Tiny", "/Tiny", None, 0),
        module("encoder", "Encoder", ENCODER, "", 1),
        module("encoder.linear", "Linear", LINEAR, "encoder", 2),
    ]
    header = {"format": "onnx-tagger/hierarchy-map", "version": 1, "created_by": "smoke"}
    return header | {"modules": modules, "parameters": []}


def command(*arguments: str | Path, expect: int = 0) -> str:
    """Run onnx-tagger, insist on its exit code and return what it printed."""
    line = [sys.executable, "-m", "onnx_tagger", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    shown = " ".join(["onnx-tagger", *(Path(argument).name or str(argument) for argument in arguments)])
    if done.returncode != expect:
        sys.exit(f"{shown}: exit {done.returncode}, not {expect}\n{done.stdout}{done.stderr}")
    print(f"ok  {shown}")
    return done.stdout


def must(condition: bool, sentence: str) -> None:
    """End with a sentence unless a condition holds."""
    if not condition:
        sys.exit(sentence)


def check_environment() -> None:
    """Nothing optional is installed, and the wheel brought one top-level name."""
    found = [name for name in OPTIONAL if importlib.util.find_spec(name)]
    must(not found, f"the environment must be empty, but holds {', '.join(found)}")
    files = importlib.metadata.files("onnx-tagger") or []
    tops = {file.parts[0] for file in files if file.parts[0] != ".." and not file.parts[0].endswith(".dist-info")}
    must(tops == {"onnx_tagger"}, f"the wheel installs {sorted(tops)}, not onnx_tagger alone")


def check_commands(folder: Path) -> None:
    """Tag the file, read the tags back in every way there is, and take them off again."""
    plain, tagged, stripped = (folder / name for name in ("tiny.onnx", "tagged.onnx", "stripped.onnx"))
    saved = folder / "tiny.hierarchy.json"
    onnx.save(tiny_model(), plain)
    saved.write_text(json.dumps(tiny_map()), encoding="utf-8")

    command("--help")
    command("passes")
    command("check", plain, expect=1)
    command("retag", plain, "--map", saved, "-o", tagged)
    command("check", tagged)
    command("check", tagged, "--map", saved)

    stats = json.loads(command("stats", tagged, "--json"))
    counted = (stats["nodes"], stats["coverage"])
    must(counted == (5, 100), f"stats: (nodes, coverage) is {counted}, not (5, 100)")
    must(stats["tags"] == {ENCODER: 3, LINEAR: 2}, f"stats: wrong tags {stats['tags']}")
    must("Linear" in command("tree", tagged), "tree: no Linear in it")
    must(LINEAR in command("show", tagged, "/encoder/linear/MatMul"), "show: the tag is missing")
    under = command("nodes", tagged, "--under", "encoder.linear")
    must("MatMul" in under and "Relu" not in under, f"nodes --under encoder.linear printed {under!r}")
    command("diff", tagged, tagged)
    command("diff", plain, tagged, expect=1)
    command("strip", tagged, "-o", stripped)
    must(stripped.read_bytes() == plain.read_bytes(), "strip: the file is not what it was before retag")
    onnx.checker.check_model(onnx.load(tagged), full_check=True)


if __name__ == "__main__":
    check_environment()
    with tempfile.TemporaryDirectory() as name:
        check_commands(Path(name))
    print(f"onnx-tagger {importlib.metadata.version('onnx-tagger')}: the wheel works without any extra")
