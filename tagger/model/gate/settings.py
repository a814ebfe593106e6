"""The settings of a gate: what is in force for a file, and where each value comes from.

An option of the command beats ``[per-file]``, of which the last glob that fits a file decides; that beats the table,
and the table the default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onnx_tagger.model.texts import brief_fields
from onnx_tagger.model.urls import is_url

DEFAULTS: Mapping[str, object] = {
    "files": (),
    "map": None,
    "dialect": None,
    "min-coverage": 100.0,
    "max-root": 0,
    "max-inherited": None,
    "max-named": None,
    "min-evidence": None,
    "allow-forced": False,
    "select": (),
    "ignore": (),
    "baseline": None,
    "strict-baseline": False,
    "format": "text",
}
"""Key to what holds where nothing is said."""

WHOLE = ("files", "baseline", "strict-baseline", "format")
"""The keys that are of a whole run, and not of a file."""

DEFAULT, OPTION = "default", "command line"


@dataclass(frozen=True, slots=True)
class Setting:
    """One value that is in force.

    Attributes
    ----------
    name : str
        The key, which is the option's name, too.
    value : object
    origin : str
        ``default``, ``command line``, or the file with its table.
    """

    name: str
    value: object
    origin: str

    __repr__ = brief_fields


@dataclass(frozen=True)
class Settings:
    """What a file of settings says.

    Parameters
    ----------
    place : str
        The file, as sentences name it; empty if there is none.
    folder : Path
        Where its paths start.
    values : mapping
        Key to value, as far as the table says something.
    per_file : mapping
        Glob to such values, in their order.
    """

    place: str = ""
    folder: Path = field(default_factory=Path)
    values: Mapping[str, object] = field(default_factory=dict)
    per_file: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    __repr__ = brief_fields

    def in_force(self, options: Mapping[str, object], file: str | None = None) -> dict[str, Setting]:
        """What holds, by key.

        Parameters
        ----------
        options : mapping
            Key to value, as far as the command line says something; None for what it does not.
        file : str, optional
            The model that it is asked for; without one, what holds for a file that no glob fits.

        Examples
        --------
        >>> said = Settings("x.toml", Path(), {"max-root": 3}, {"int8/**": {"max-root": 9}})
        >>> [said.in_force({}, name)["max-root"].value for name in ("a.onnx", "int8/a.onnx")]
        [3, 9]
        >>> said.in_force({"max-root": 1}, "int8/a.onnx")["max-root"].origin
        'command line'
        """
        found = {name: Setting(name, value, DEFAULT) for name, value in DEFAULTS.items()}
        found |= {name: Setting(name, value, self.place) for name, value in self.values.items()}
        for glob, values in self.per_file.items() if file is not None else ():
            if fits(glob, self.place_of(str(file))):
                origin = f"{self.place}, per-file {glob!r}"
                found |= {name: Setting(name, value, origin) for name, value in values.items()}
        found |= {name: Setting(name, value, OPTION) for name, value in options.items() if value is not None}
        return found

    def place_of(self, file: str) -> str:
        """A file's path from the folder of the settings, with slashes; a URL, and what lies elsewhere, as it is."""
        if is_url(file):
            return file
        return Path(os.path.relpath(file, self.folder)).as_posix()

    def path_of(self, text: str) -> str:
        """A path of the settings as one from the current folder."""
        if is_url(text) or Path(text).is_absolute() or self.folder == Path():
            return text
        return str(self.folder / text)


def names_in(value: object) -> tuple[str, ...]:
    """The texts of a list of texts."""
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()


def fits(glob: str, place: str) -> bool:
    """Whether a glob fits a path: ``*`` within a part, ``**`` across parts; one without a slash is for the name alone.

    Raises
    ------
    re.error
        If a range in brackets ends before it begins.

    Examples
    --------
    >>> fits("*.int8.onnx", "a/b.int8.onnx"), fits("a/*", "a/b/c.onnx"), fits("a/**", "a/b/c.onnx")
    (True, False, True)
    >>> fits("**/[!x]?.onnx", "ab.onnx"), fits("./a/**/c.onnx", "a/c.onnx")
    (True, True)
    """
    if "/" not in glob:
        place = place.rpartition("/")[2]
    *folders, name = glob.removeprefix("./").split("/")
    above = "".join("(?:.*/)?" if part == "**" else f"{_part(part)}/" for part in folders)
    return re.fullmatch(above + (".*" if name == "**" else _part(name)), place, re.DOTALL) is not None


def _part(text: str) -> str:
    """A part of a glob as a pattern, which no slash fits."""
    return "".join(map(_piece, re.split(r"([*?]|\[[^\]]+\])", text)))


def _piece(text: str) -> str:
    if text in ("*", "?"):
        return "[^/]*" if text == "*" else "[^/]"
    if len(text) > 2 and text[0] == "[" and text[-1] == "]":
        inner = text[1:-1].replace("\\", r"\\")
        return f"(?!/)[{'^' + inner[1:] if inner[0] == '!' else inner}]"
    return re.escape(text)
