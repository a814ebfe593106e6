"""Passes by name: ours and those of installed packages, through the entry-point group ``onnx_tagger.passes``."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from onnx_tagger.errors import PassError
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.base import Pass

GROUP = "onnx_tagger.passes"

# Commas part the options; those in a JSON list or text do not.
_PAIR = re.compile(r"""(?:\[[^\]]*\]|"[^"]*"|[^,])+""")


@dataclass(frozen=True, slots=True)
class Registered:
    """A pass that can be asked for by name, and the distribution that brings it."""

    name: str
    owner: str
    entry: EntryPoint

    __repr__ = brief_fields

    def load(self) -> type[Pass]:
        """Import the pass class.

        Raises
        ------
        PassError
            If it cannot be imported, is no pass, or calls itself otherwise.
        """
        try:
            found = self.entry.load()
        except Exception as error:
            raise PassError(
                f"pass {self.name!r} of {self.owner} cannot be imported ({type(error).__name__}: {error}): "
                "repair or uninstall that package"
            ) from error
        if not (isinstance(found, type) and issubclass(found, Pass)):
            raise PassError(f"{self.entry.value} of {self.owner} is no Pass class: derive it from onnx_tagger.Pass")
        if found.name != self.name:
            raise PassError(
                f"{self.entry.value} of {self.owner} is registered as {self.name!r} but named {found.name!r}"
            )
        return found


def registered() -> dict[str, Registered]:
    """All registered passes by name.

    Raises
    ------
    PassError
        If two packages register one name; the message names both.
    """
    found: dict[str, Registered] = {}
    for entry in entry_points(group=GROUP):
        owner = entry.dist.name if entry.dist is not None else "an unknown package"
        other = found.get(entry.name)
        # An editable install and a wheel of one package can both be on the path.
        if other is not None and (other.owner, other.entry.value) != (owner, entry.value):
            raise PassError(
                f"the pass name {entry.name!r} is registered by both {other.owner} ({other.entry.value}) and "
                f"{owner} ({entry.value}): uninstall one of them"
            )
        found[entry.name] = Registered(entry.name, owner, entry)
    return dict(sorted(found.items()))


def make_pass(text: str) -> Pass:
    """Make a pass from the command line's ``NAME[:key=value[,key=value]]``.

    Values are read as JSON where they are JSON and as text otherwise.

    Raises
    ------
    PassError
        If no such pass is registered, or it has no such option.
    """
    name, _, options = text.partition(":")
    known = registered()
    if name not in known:
        raise PassError(f"no pass is named {name!r}: registered are {', '.join(known) or 'none'}")
    cls = known[name].load()
    fields = [field.name for field in dataclasses.fields(cls)]
    values: dict[str, object] = {}
    for pair in _PAIR.findall(options):
        key, equals, value = pair.partition("=")
        if not equals or key not in fields:
            raise PassError(
                f"pass {name!r} has no option {pair!r}: write key=value with {', '.join(fields) or 'no key'}"
            )
        values[key] = _value(value)
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise PassError(f"pass {name!r} does not take {options!r}: {error}") from error


def _value(text: str) -> object:
    try:
        found: object = json.loads(text)
    except ValueError:
        return text
    return tuple(found) if isinstance(found, list) else found
