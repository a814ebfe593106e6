"""Functions that a user names: ``file.py:function`` or ``package.module:function``, found and imported.

What they return is for who calls them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

from onnx_tagger.errors import SourceError, one_line
from onnx_tagger.files.nearby import advice_on_missing

# The modules that files were loaded as, by name: they may give way to another file's of the same name.
_ours: dict[str, ModuleType] = {}

# Files that were executed: what came of them, and the size and time that they had.
_executed: dict[Path, tuple[ModuleType, tuple[int, int]]] = {}


@contextmanager
def named_function(source: str, returns: str, what: str = "function") -> Iterator[Callable[..., object]]:
    """Find a function; its folder stays on the path in the block, as it may import its neighbours only when called.

    Parameters
    ----------
    source : str
        ``file.py:function`` or ``package.module:function``.
    returns : str
        What such a function returns, for the errors.
    what : str
        What it is called there.

    Raises
    ------
    SourceError
        If there is none, or what holds it cannot be imported.
    """
    target, _, name = source.rpartition(":")
    is_file = target.endswith(".py")
    path = Path(target).expanduser().resolve()
    if not name.isidentifier() or not (is_file or all(part.isidentifier() for part in target.split("."))):
        raise SourceError(f"{source}: a {what} is given as file.py:{what} or package.module:{what}")
    if is_file and not path.is_file():
        raise SourceError(f"{source}: there is no file {target}; {advice_on_missing(path) or returns}")
    with on_sys_path(path.parent if is_file else Path.cwd()):
        try:
            module = executed(path) if is_file else importlib.import_module(target)
        except (Exception, SystemExit) as err:
            raise SourceError(f"{source}: {target} cannot be imported: {one_line(err)}") from err
        function = getattr(module, name, None)
        if not callable(function):
            raise SourceError(f"{source}: {target} has no function {name!r}; {returns}")
        yield function


@contextmanager
def on_sys_path(folder: Path) -> Iterator[None]:
    """A folder comes first where modules are looked for, as for ``python file.py`` and ``python -m package.module``."""
    entry = str(folder)
    sys.path.insert(0, entry)
    try:
        yield
    finally:
        if entry in sys.path:  # the code that ran may have tidied up after itself
            sys.path.remove(entry)


def executed(path: Path) -> ModuleType:
    """Import a file under its own name, as its classes are looked up by that later: by pickle, inspect and torch.

    As `import` does, a file is executed once, until it changes: a second time would take the operators away that the
    file registers with torch, and models made before would call freed memory. A module of that name that is loaded
    already stays where it is, since others import it; one of any name that is this file is taken as it is.
    """
    stamp = _stamp(path)
    before = _executed.get(path)
    if before is not None and before[1] == stamp:
        return before[0]
    if before is None and (imported := _imported(path)) is not None:
        return imported
    module = _executed_anew(path)
    _executed[path] = module, stamp
    return module


def _executed_anew(path: Path) -> ModuleType:
    name = path.stem
    loaded = sys.modules.get(name)
    taken = loaded is not None and loaded is not _ours.get(name)
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise ImportError(f"no importer takes {path.name}")
    module = importlib.util.module_from_spec(found)
    if not taken:
        sys.modules[name] = _ours[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        if not taken:
            sys.modules.pop(name, None)
            _ours.pop(name, None)
        raise
    return module


def _imported(path: Path) -> ModuleType | None:
    """The module that somebody else imported from a file; a script that is running may not have come to its end."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if (
            name != "__main__"
            and isinstance(file, str)
            and Path(file).name == path.name
            and Path(file).resolve() == path
        ):
            return module
    return None


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns
