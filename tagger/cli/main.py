"""The command `onnx-tagger`: its exit codes, and what is said when something is wrong.

The commands themselves are in `commands`, of which only the one that is asked for is imported.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import typer

from onnx_tagger.cli import commands
from onnx_tagger.cli.app import app, complain, settings
from onnx_tagger.errors import CoverageError, TaggerError

# The global options that take no value, and may stand behind the command.
_FLAGS = ("--debug", "-q", "--quiet")

_INTERRUPTED = 130
_BROKEN_PIPE = 141

# typer has no public name for what it raises on wrong usage, but this public one derives from it.
_UsageError = typer.BadParameter.__mro__[1]


# Set by the scripts that --install-completion installs, when a shell asks for completions.
_COMPLETE = "_ONNX_TAGGER_COMPLETE"


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    if _COMPLETE in os.environ:
        commands.load_for(None)
        typer.main.get_command(app)(prog_name="onnx-tagger")
    sys.exit(run(sys.argv[1:]))


def run(args: Sequence[str]) -> int:
    """Run a command line and return its exit code; never raises, save for what ends a process.

    Parameters
    ----------
    args : sequence of str
        Without the program's name.

    Returns
    -------
    int
        0 done, 1 a check failed or files differ, 2 anything wrong, 130 interrupted, 141 the reader of stdout went away.
    """
    settings.debug, settings.quiet = "--debug" in args, False
    _mend_streams()
    try:
        # Releases of typer disagree on the exit code of a bare call; nothing was done, so it is wrong usage.
        code = _invoke(_hoisted(args) or ["--help"])
        sys.stdout.flush()
        return code if args else 2
    except KeyboardInterrupt as stop:
        if stop.args:  # what has become of the work so far
            complain(f"interrupted: {stop}")
        return _INTERRUPTED
    except BrokenPipeError:
        # Python flushes stdout once more at exit, which must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the outermost frame: what comes here becomes a sentence
        return _explain(error)


def _invoke(args: list[str]) -> int:
    """Run a command; not through typer's own main, which turns a closed pipe into the exit code of a failed check."""
    commands.load_for(_command_word(args))
    if not {"-h", "--help"}.isdisjoint(args):
        from onnx_tagger.reporters.colour import colour_help

        colour_help(sys.stdout)
    command = typer.main.get_command(app)
    with warnings.catch_warnings():
        if not settings.debug:
            warnings.simplefilter("ignore")
        try:
            with command.make_context("onnx-tagger", args) as context:
                command.invoke(context)
        except typer.Exit as stop:
            return int(stop.exit_code)
    return 0


def _command_word(args: Sequence[str]) -> str | None:
    """The word that stands where a command does; None where it cannot be told without parsing."""
    return next((text for text in args if text not in _FLAGS), None)


def _hoisted(args: Sequence[str]) -> list[str]:
    """The arguments with the global flags first, wherever before ``--`` they stood."""
    end = args.index("--") if "--" in args else len(args)
    flags = [text for text in args[:end] if text in _FLAGS]
    return [*flags, *(text for text in args[:end] if text not in flags), *args[end:]]


def _mend_streams() -> None:
    """Give Python streams that take any text, also where the encoding is narrow or the descriptor is closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - lives as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _explain(error: Exception) -> int:
    """Say in a sentence what is wrong, or show the traceback with --debug, and return the exit code."""
    if isinstance(error, _UsageError):
        text = getattr(error, "format_message", error.__str__)()
        sentence = f"{text.rstrip('.')}; see --help"
    elif settings.debug:
        traceback.print_exception(error)
        return 1 if isinstance(error, CoverageError) else 2
    elif isinstance(error, TaggerError):
        sentence = str(error)
    elif isinstance(error, OSError):
        sentence = f"{error.filename or 'the system'}: {error.strerror or error}"
    else:
        sentence = f"{type(error).__name__}: {error}: this is a bug, please report it with what --debug shows"
    complain(sentence)
    return 1 if isinstance(error, CoverageError) else 2


if __name__ == "__main__":
    main()
