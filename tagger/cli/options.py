"""The arguments and options that several commands share, and the words that options take.

What is done with them is the commands' own; nothing but typer is imported here.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class StrategyName(str, Enum):
    """How a model is exported."""

    AUTO = "auto"
    FX = "fx"
    HTP = "htp"
    DYNAMO = "dynamo"
    TORCHSCRIPT = "torchscript"


class MergeName(str, Enum):
    """Whose tag a node gets that does the work of several modules."""

    ENCLOSING = "enclosing"
    OUTPUT = "output"


class FormatName(str, Enum):
    """How `check` gives its verdict."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"
    GITHUB = "github"


Model = Annotated[Path, typer.Argument(metavar="M.onnx", help="The ONNX file to read.", show_default=False)]
SourceText = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A Hugging Face directory or config.json (random weights), a hub id, or file.py:factory or "
        "package.module:factory that returns (model, args) or (model, args, kwargs).",
        show_default=False,
    ),
]
MapFile = Annotated[
    Path | None,
    typer.Option("--map", metavar="MAP", help="The .hierarchy.json saved at export, or a tagged .onnx."),
]
Inputs = Annotated[
    Path | None, typer.Option(metavar="SPEC.json", help="Describes input tensors, instead of made-up ones.")
]
Dynamic = Annotated[bool, typer.Option("--dynamic", help="Leave the dimensions of inputs open.")]
Opset = Annotated[int | None, typer.Option(metavar="N", min=1, help="ONNX opset version, instead of the exporter's.")]
Seed = Annotated[int, typer.Option(help="Seed of random weights and inputs.")]
Also = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="Write this convention, too: namespace, layer_ann, winml or doc_string; repeatable, or parted by commas.",
    ),
]
Merge = Annotated[
    MergeName,
    typer.Option(
        help="The tag of a node that does the work of several modules: of the module around them, or of the output."
    ),
]
ReportFile = Annotated[
    Path | None, typer.Option("--report", metavar="R.json", help="Write counts, sources and timings to this file.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Take a map that is or may be another model's; the result is marked for check.")
]
NoValues = Annotated[bool, typer.Option("--no-values", help="Read no weights to know them by their values.")]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Run the file and the original in onnxruntime, and go by no tensor whose values differ. The original is "
        "MAP itself or M.onnx beside M.hierarchy.json.",
    ),
]
VerifyBytes = Annotated[
    bool,
    typer.Option("--verify-bytes", help="Prove by digests, before OUT.onnx takes its place, that no weight changed."),
]
Values = Annotated[
    Path | None,
    typer.Option("--inputs", metavar="VALUES.npz", help="With --verify: what to run on, not random values."),
]
InPlace = Annotated[bool, typer.Option("--in-place", help="Write to the input file.")]
Output = Annotated[
    Path | None, typer.Option("-o", "--output", metavar="OUT.onnx", help="The file to write.", show_default=False)
]
