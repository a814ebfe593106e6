"""`onnx-tagger view`: the module tree as a page, a picture, or for Model Explorer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import check_targets, screen_of_run
from onnx_tagger.cli.options import MapFile, Measures, ModelOrUrl, one_of
from onnx_tagger.errors import TaggerError
from onnx_tagger.reporters import VIEW_FORMS


def command(
    model: ModelOrUrl,
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="OUT", help="The file to write; its suffix says the form.", show_default=False
        ),
    ],
    form: Annotated[
        str | None, typer.Option("--format", help="The form, whatever the suffix.", **one_of(VIEW_FORMS))
    ] = None,
    show: Annotated[
        bool, typer.Option("--open", help="Show the file, in the browser or what else opens such files.")
    ] = False,
    before: Annotated[
        str | None,
        typer.Option(
            metavar="A.onnx", help="The file that M.onnx was made of: numbers before and after, side by side."
        ),
    ] = None,
    measures: Measures = None,
    map_file: MapFile = None,
) -> None:
    """Show the module tree as a page (.html), a picture (.svg), or for Model Explorer (.me.json, .overlay.json)."""
    from onnx_tagger.files.replacing import replace_file
    from onnx_tagger.reporters import render_view
    from onnx_tagger.workflows.reading import read
    from onnx_tagger.workflows.viewing import view

    chosen = form or form_of(output)
    check_targets((output,), (model, map_file, before))
    earlier = read(before, map_file) if before is not None else None
    found = view(read(model, map_file), measures or (), earlier, model)
    text = render_view(found, chosen)
    replace_file(output, text.encode())
    screen_of_run().summary(
        f"{output}: {len(found.ops)} nodes in {len(found.table)} modules, {len(text.encode())} bytes"
    )
    if show:
        typer.launch(str(output.resolve()))


def form_of(output: Path) -> str:
    """The form that the suffix of a file stands for.

    Raises
    ------
    TaggerError
        If it stands for none.
    """
    for name in VIEW_FORMS:
        if output.name.lower().endswith(f".{name}"):
            return name
    raise TaggerError(
        f"{output}: its suffix stands for no form; end the name in {', '.join(f'.{name}' for name in VIEW_FORMS)}, "
        "or say --format"
    )
