"""The errors that this package raises on purpose, and what each of them means to a caller.

One root, `TaggerError`: whatever is wrong with an input, an option or a file ends here, with one sentence that says
what is wrong, where, and what to do. The command turns each of them into exit code 2, `CoverageError` into 1.
"""


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
    from importlib.util import find_spec

    if find_spec(module) is None:
        raise MissingExtraError(f"{purpose} needs {module}, which is not installed: pip install 'onnx-tagger[{extra}]'")
