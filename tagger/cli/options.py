"""The arguments and options that several commands share, and the words that options take.

What is done with them is the commands' own; nothing but typer is imported here.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer


class MergeName(str, Enum):
    """Whose tag a node gets that does the work of several modules."""

    ENCLOSING = "enclosing"
    OUTPUT = "output"


def one_of(names: Iterable[str]) -> dict[str, Any]:
    """What `typer.Option` is given for a text that is one of some names, which a table elsewhere lists.

    Parameters
    ----------
    names : iterable of str
        In the order in which help shows them.

    Returns
    -------
    dict
        Keyword arguments: what help shows, what completion offers, and the refusal of any other text.
    """
    known = tuple(names)

    def chosen(value: str | None) -> str | None:
        if value is not None and value not in known:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(map(repr, known))}.")
        return value

    return {"metavar": f"[{'|'.join(known)}]", "callback": chosen, "autocompletion": lambda: list(known)}


class TableFormName(str, Enum):
    """How a table by module is printed."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    TSV = "tsv"
    MARKDOWN = "markdown"
    HTML = "html"


Model = Annotated[Path, typer.Argument(metavar="M.onnx", help="The ONNX file to read.", show_default=False)]
Models = Annotated[
    list[str],
    typer.Argument(
        metavar="M.onnx...",
        help="ONNX files, folders of them, globs, URLs, or - for names on stdin.",
        show_default=False,
    ),
]
GatedModels = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[M.onnx]...",
        help="ONNX files, folders of them, globs, URLs, or - for names on stdin; else those of the settings.",
        show_default=False,
    ),
]
ModelOrUrl = Annotated[
    str,
    typer.Argument(metavar="M.onnx", help="The ONNX file to read, or its URL.", show_default=False),
]
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
    str | None,
    typer.Option("--map", metavar="MAP", help="The .hierarchy.json saved at export, or a tagged .onnx; or its URL."),
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
WriteEvidence = Annotated[
    bool, typer.Option("--evidence", help="Also write on each node what its tag rests on, as pkg.onnx_tagger.evidence.")
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
OutputOrFolder = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        metavar="OUT.onnx|FOLDER",
        help="The file to write; with many files the folder.",
        show_default=False,
    ),
]
Under = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODULE",
        help="Only what is in this module: a path, a tag, or a pattern (* within one part of a path, ** across them, "
        "<Class> by class); repeatable.",
    ),
]
Measures = Annotated[
    list[str] | None,
    typer.Option("--measure", metavar="NAME", help="Add this measure: weights, sources ...; repeatable."),
]
TableForm = Annotated[TableFormName, typer.Option("--format", help="How the table is printed.")]
Isolate = Annotated[
    bool | None,
    typer.Option(
        "--isolate/--no-isolate",
        help="Run the model in a process of its own, so that one that crashes takes nothing with it.",
        show_default="isolate",
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="Take settings from this file; else from onnx-tagger.toml or pyproject.toml, here or above.",
    ),
]
NoConfig = Annotated[bool, typer.Option("--no-config", help="Take settings from no file.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
AsTsv = Annotated[bool, typer.Option("--tsv", help="Print tab-separated values, with a header.")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")]
HtmlFile = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Write the table as a page that stands alone to this file, too."),
]
CsvFile = Annotated[
    Path | None, typer.Option("--csv", metavar="FILE", help="Write the table as comma-separated values, too.")
]
