"""`onnx-tagger profile-diff`: whether something became slower between two profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onnx_tagger.cli.app import screen_of_run
from onnx_tagger.cli.options import one_of
from onnx_tagger.errors import TaggerError


def command(
    before: Annotated[Path, typer.Argument(metavar="A.json", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B.json", show_default=False)],
    max_slowdown: Annotated[
        str, typer.Option("--max-slowdown", metavar="SHARE", help="A module may become slower by so much: 5% or 0.05.")
    ] = "5%",
    form: Annotated[
        str,
        typer.Option("--format", help="How it is printed.", **one_of(("text", "json", "junit", "github", "markdown"))),
    ] = "text",
) -> None:
    """Compare two profiles module by module; exit with 1 if something is slower for sure."""
    from onnx_tagger.measures.profiling.profile import Profile
    from onnx_tagger.reporters.profiling.change import show_change

    floor = share_of(max_slowdown)
    found = Profile.load(before).compare(Profile.load(after), floor=floor)
    show_change(screen_of_run(), found, form)
    raise typer.Exit(1 if found.slower else 0)


def share_of(text: str) -> float:
    """A share of a text such as ``5%`` or ``0.05``.

    Raises
    ------
    TaggerError
        If it is none, or not between 0 and 100 %.

    Examples
    --------
    >>> share_of("5%"), share_of("0.05")
    (0.05, 0.05)
    """
    word = text.strip()
    try:
        share = float(word.removesuffix("%")) / (100 if word.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise TaggerError(f"--max-slowdown {text!r} is no share between 0 and 100 %; write 5% or 0.05")
    return share
