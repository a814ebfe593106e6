"""Whether a stream gets colours, by what the user's environment says and by what it leads to.

``NO_COLOR`` (https://no-color.org) is stronger than ``FORCE_COLOR`` (https://force-color.org) and ``CLICOLOR_FORCE``,
these than what the stream is; of a terminal, ``TERM=dumb`` and ``CLICOLOR=0`` say that it has none.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console

ColourSystem = Literal["auto", "standard"]


def coloured(stream: TextIO) -> bool:
    """Whether what is written to a stream gets colours."""
    if os.environ.get("NO_COLOR"):
        return False
    if forced():
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb" and os.environ.get("CLICOLOR") != "0"


def forced() -> bool:
    """Whether the environment asks for colours wherever the output goes."""
    return bool(os.environ.get("FORCE_COLOR")) or os.environ.get("CLICOLOR_FORCE", "0") not in ("", "0")


def colour_system(stream: TextIO) -> ColourSystem | None:
    """What rich is to be told of a stream: how to find out its colours, the eight that all have, or none."""
    if not coloured(stream):
        return None
    # Of a terminal that calls itself dumb rich would not believe that it has any.
    return "standard" if os.environ.get("TERM") == "dumb" else "auto"


def console_of(stream: TextIO) -> Console:
    """A rich console that writes to a stream, in colours or not; texts are not highlighted."""
    from rich.console import Console

    system = colour_system(stream)
    return Console(file=stream, color_system=system, force_terminal=True if system else None, highlight=False)


def painted(text: str, style: str, stream: TextIO) -> str:
    """A text for a stream, in a style if that gets colours."""
    if not coloured(stream):
        return text
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)


def colour_help(stream: TextIO) -> None:
    """Tell typer, which asks rich and variables of its own, how its help is to look."""
    import typer.rich_utils

    system = colour_system(stream)
    typer.rich_utils.COLOR_SYSTEM = system
    typer.rich_utils.FORCE_TERMINAL = True if system else None
