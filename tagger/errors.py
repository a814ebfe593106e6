"""The errors that this package raises on purpose, and what each of them means to a caller.

One root, `TaggerError`: whatever is wrong with an input, an option or a file ends here, with one sentence that says
what is wrong, where, and what to do. The command turns each of them into exit code 2, `CoverageError` into 1. Errors of
other packages are quoted in them by `first_sentence` and `one_line`.
"""

import re
from textwrap import shorten

# Terminal colours, which torch writes into its messages.
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

# The end of a sentence, which an abbreviation is not.
_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bcf)(?<!\bvs)[.!?][\"')\]]*\s+(?=[A-Z(\[`\"'])")
_OPENING, _CLOSING = "([{", ")]}"

# Characters of another's sentence that are passed on; some print a whole graph in one.
_LONGEST = 1000


class TaggerError(Exception):
    """Something that the caller gave cannot be used; the message is one sentence fit for a person to read."""


class FileFormatError(TaggerError):
    """The bytes are no ONNX model, or a broken one."""


class MapError(TaggerError):
    """A hierarchy map that cannot be read, or that does not fit the model."""


class SourceError(TaggerError):
    """A model source (directory, config, factory) that cannot be turned into a model and its inputs."""


class ExportError(TaggerError):
    """Every export strategy that was tried failed; the message says which and why."""


class PassError(TaggerError):
    """A pass that failed, broke what it declares, or cannot be found."""


class CoverageError(TaggerError):
    """A model falls short of the coverage that was asked for; the message names the nodes."""


class MissingExtraError(TaggerError):
    """An optional dependency is not installed; the message names the extra that brings it."""


def require(module: str, extra: str, purpose: str) -> None:
    """Raise unless the optional `module` can be imported.

    Parameters
    ----------
    module : str
        Import name of the optional dependency.
    extra : str
        The extra of this distribution that installs it.
    purpose : str
        What it is needed for, as the subject of the error's sentence.

    Raises
    ------
    MissingExtraError
        If `module` is not installed.
    """
    if not is_installed(module):
        raise MissingExtraError(f"{purpose} needs {module}, which is not installed: pip install 'onnx-tagger[{extra}]'")


def is_installed(module: str) -> bool:
    """Whether an optional dependency can be imported, by its import name."""
    from importlib.util import find_spec

    return find_spec(module) is not None


def first_sentence(said: BaseException | str) -> str:
    r"""The first sentence of what another package says, whole and in one line, without its full stop.

    A line break ends it only if the next line does not go on with it: inside of brackets, or with a small letter. What
    is longer than any sentence is cut between words.

    Parameters
    ----------
    said : exception or str
        An error, or a text.

    Returns
    -------
    str
        The sentence; of an error without words, the name of its class.

    Examples
    --------
    >>> first_sentence("output 1 (3\n[ Long{} ]) is not traced; see below. Try again.")
    'output 1 (3 [ Long{} ]) is not traced; see below'
    >>> first_sentence("No such operator\n  Hint: write it")
    'No such operator'
    """
    lines = [line.strip() for line in _COLOUR.sub("", str(said)).strip().splitlines()]
    if not lines:
        return type(said).__name__ if isinstance(said, BaseException) else ""
    text = lines[0]
    for line in lines[1:]:
        if _depth(text) <= 0 and not (line and line[0].islower() and text[-1] not in ".!?"):
            break
        text = f"{text} {line}" if line else text
    ends = (found.end() for found in _END.finditer(text) if _depth(text[: found.end()]) <= 0)
    return shorten(text[: next(ends, None)].rstrip().rstrip("."), _LONGEST, placeholder=" ...")


def one_line(error: BaseException) -> str:
    """An error in a sentence: its type and the first sentence of what it says, if it says anything.

    Examples
    --------
    >>> one_line(ValueError("too small. Give more."))
    'ValueError: too small'
    >>> one_line(AssertionError())
    'AssertionError'
    """
    kind, said = type(error).__name__, first_sentence(error)
    return f"{kind}: {said}" if str(error).strip() else kind


def _depth(text: str) -> int:
    """How many brackets a text leaves open."""
    return sum(map(text.count, _OPENING)) - sum(map(text.count, _CLOSING))
