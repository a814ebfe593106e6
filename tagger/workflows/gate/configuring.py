"""Finding and reading the file of settings, ``onnx-tagger.toml`` or ``[tool.onnx-tagger]`` in ``pyproject.toml``.

`python -m onnx_tagger.workflows.gate.configuring` prints the JSON schema that ships with the package.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.hierarchy.validation import place_and_fault
from onnx_tagger.model.findings import rules_of
from onnx_tagger.model.gate.records import FILE_KEYS, KEYS, GateRecord
from onnx_tagger.model.gate.settings import Settings, fits
from onnx_tagger.model.suggestions import advice_on

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

OWN, SHARED = "onnx-tagger.toml", "pyproject.toml"

# No table of settings is larger; a file that is may be anything.
_MOST_BYTES = 1 << 22


def json_schema() -> str:
    """The JSON schema of the table, as it ships in ``settings.schema.json``."""
    return json.dumps(msgspec.json.schema(GateRecord), indent=1, sort_keys=True) + "\n"


def find(folder: Path) -> Settings:
    """The settings that hold in a folder: those of the nearest file in it or above, up to the root of the repository.

    In one folder ``onnx-tagger.toml`` comes before ``pyproject.toml``, which counts only if it has the table.

    Raises
    ------
    TaggerError
        If the file cannot be read, or says what it may not.
    """
    start = folder.resolve()
    for place in (start, *start.parents):
        shown = Path() if place == start else place
        if (place / OWN).is_file():
            return read(shown / OWN)
        if (place / SHARED).is_file():
            found = _table_of(shown / SHARED)
            if found is not None:
                return _settings(shown / SHARED, found)
        if (place / ".git").exists():
            break
    return Settings()


def read(path: Path) -> Settings:
    """The settings of a file, which is named.

    Raises
    ------
    TaggerError
        If the file is missing, cannot be read, or says what it may not.
    """
    table = _table_of(path)
    if table is None:
        raise TaggerError(f"{path}: has no table [tool.onnx-tagger]; add it, or name another file")
    return _settings(path, table)


def _table_of(path: Path) -> dict[str, object] | None:
    """The table as TOML has it; None if a ``pyproject.toml`` has none."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise TaggerError(f"{path}: is larger than {_MOST_BYTES} bytes, which no settings are; name another file")
        document: dict[str, object] = tomllib.loads(text.decode())
    except FileNotFoundError:
        raise TaggerError(f"{path}: no such file; {advice_on_missing(path) or 'name another one'}") from None
    except OSError as error:
        raise TaggerError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise TaggerError(f"{path}: is not TOML: {error}; mend it, or name another file") from error
    if path.name != SHARED:
        return document
    tool = document.get("tool")
    table = tool.get("onnx-tagger") if isinstance(tool, dict) else None
    if table is not None and not isinstance(table, dict):
        raise TaggerError(f"{path}: [tool.onnx-tagger] is no table; write its keys below that line")
    return dict(table) if table is not None else None


def _settings(path: Path, table: Mapping[str, object]) -> Settings:
    place = f"{path} [tool.onnx-tagger]" if path.name == SHARED else str(path)
    _insist_on_keys(table, KEYS, place)
    globs = table.get("per-file")
    for glob, values in globs.items() if isinstance(globs, dict) else ():
        if isinstance(values, dict):
            _insist_on_keys(values, FILE_KEYS, f"{place}, per-file {glob!r}")
        _insist_on_glob(glob, place)
    try:
        record = msgspec.convert(table, GateRecord)
    except msgspec.ValidationError as error:
        where, fault = place_and_fault(error)
        raise TaggerError(f"{place}: {where or 'the table'}: {fault}; see onnx-tagger config --schema") from error
    values = msgspec.to_builtins(record)
    per_file = values.pop("per-file", {})
    for said, where in ((values, place), *((said, f"{place}, per-file {glob!r}") for glob, said in per_file.items())):
        _insist_on_rules([*said.get("select", ()), *said.get("ignore", ())], where)
    return Settings(place, path.parent, values, per_file)


def _insist_on_keys(table: Mapping[str, object], known: Iterable[str], place: str) -> None:
    names = list(known)
    for key in table:
        if key not in names:
            otherwise = f"set one of {', '.join(names)}"
            advice = advice_on(key.replace("_", "-"), names, otherwise)
            if key in KEYS:
                advice = "it is for all files; set it in the table itself"
            raise TaggerError(f"{place}: has the unknown key {key[:80]!r}: {advice}")


def _insist_on_glob(glob: str, place: str) -> None:
    try:
        fits(glob, "")
    except re.error as error:
        raise TaggerError(f"{place}: per-file {glob!r} is no glob: {error}; mend it") from error


def _insist_on_rules(names: list[str], place: str) -> None:
    try:
        rules_of(names)
    except TaggerError as error:
        raise TaggerError(f"{place}: {error}") from error


if __name__ == "__main__":
    print(json_schema(), end="")
