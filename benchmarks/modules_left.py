"""What is left of a model's modules after each way of exporting and optimising: the table in the README."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from pathlib import Path

import onnx
import onnxruntime
import torch

import onnx_tagger as ot
from onnx_tagger.exporters.sources.loading import load_source
from onnx_tagger.model.dialects import claims
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import own_tag, props_of

CONFIG = Path(__file__).parent.parent / "fixtures" / "configs" / "bert-tiny" / "config.json"


def count(path: Path) -> tuple[int, int]:
    """Nodes, and nodes whose metadata names a module by any convention."""
    ops = walk(onnx.load(path)).ops
    named = sum(own_tag(props_of(op.node)) is not None or any(claims(op.node)) for op in ops)
    return len(ops), named


def optimise(source: Path, target: Path) -> Path:
    """Run onnxruntime's optimiser, all levels, and keep what it made."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(target)
    options.log_severity_level = 3
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    return target


def main() -> None:
    """Print the table."""
    source = load_source(str(CONFIG))
    rows: list[tuple[str, Path]] = []
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(name)
        for strategy, plain in (("fx", "dynamo=True"), ("htp", "dynamo=False")):
            bare, tagged = folder / f"{strategy}.bare.onnx", folder / f"{strategy}.onnx"
            with contextlib.redirect_stdout(io.StringIO()):
                ot.export(source.model, source.args, bare, kwargs=source.kwargs, strategy=strategy, tag=False)
                exported = ot.export(source.model, source.args, tagged, kwargs=source.kwargs, strategy=strategy)
            best = optimise(bare, folder / f"{strategy}.bare.opt.onnx")
            again = folder / f"{strategy}.opt.tagged.onnx"
            ot.retag(optimise(tagged, folder / f"{strategy}.opt.onnx"), exported.map_path, again)
            rows += [
                (f"torch.onnx.export({plain})", bare),
                (f"{plain}, then onnxruntime (all levels)", best),
                (f"onnx-tagger export --strategy {strategy}", tagged),
                (f"{strategy}, then onnxruntime (all levels), then onnx-tagger retag", again),
            ]
        print("| way | nodes | nodes with a module |\n|-|-|-|")
        for way, path in rows:
            nodes, named = count(path)
            print(f"| {way} | {nodes} | {named} |")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
