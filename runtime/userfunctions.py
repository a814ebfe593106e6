"""Functions that users name, ``file.py:name`` or ``package.module:name``; what is done with them is not here."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from onnx_tagger.errors import TaggerError, first_sentence
from onnx_tagger.files.factories import executed, on_sys_path
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.model.suggestions import advice_on


def user_function(named: str, purpose: str) -> Callable[..., object]:
    """The function that a text names.

    Parameters
    ----------
    named : str
        ``file.py:name`` or ``package.module:name``. A file is executed once, until it changes.
    purpose : str
        What errors call the function, such as "metric".

    Raises
    ------
    TaggerError
        If the text names no function, or the file cannot be executed.

    Examples
    --------
    >>> user_function("math:sqrt", "metric")(9)
    3.0
    """
    home, _, name = named.rpartition(":")
    if not home or not name.isidentifier():
        raise TaggerError(f"{named!r} names no {purpose}; write FILE.py:FUNCTION or package.module:function")
    module = _module(home, named, purpose)
    found = getattr(module, name, None)
    if not callable(found):
        public = [each for each, value in vars(module).items() if callable(value) and not each.startswith("_")]
        advice = advice_on(name, public, "define it there")
        raise TaggerError(f"{named}: {home} has no function {name!r} for the {purpose}; {advice}")
    function: Callable[..., object] = found
    return function


def _module(home: str, named: str, purpose: str) -> ModuleType:
    path = Path(home).expanduser().resolve()
    if path.suffix == ".py" and not path.is_file():
        raise TaggerError(f"{named}: there is no file {home}; {advice_on_missing(path) or 'check the path'}")
    try:
        with on_sys_path(path.parent if path.suffix == ".py" else Path.cwd()):
            return executed(path) if path.suffix == ".py" else importlib.import_module(home)
    except (Exception, SystemExit) as error:
        said = f"{type(error).__name__}: {first_sentence(error)}"
        raise TaggerError(f"{named}: {home}, which holds the {purpose}, cannot be imported: {said}; mend it") from error
