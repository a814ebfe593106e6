"""The place and the fault in what msgspec says about a wrong value, for an error message."""

from __future__ import annotations

import re

# Characters of a fault that are shown: it may quote the wrong value, of any length.
MOST_SHOWN = 120

_INDEX = re.compile(r"\[([0-9]+)\]")


def place_and_fault(error: Exception) -> tuple[str, str]:
    """Where a value is wrong, by the keys and positions that lead to it, and what is wrong with it.

    Parameters
    ----------
    error : msgspec.ValidationError
        Its text ends with the place if that is not the whole document.

    Examples
    --------
    >>> place_and_fault(ValueError("Expected `str`, got `int` - at `$.modules[0].path`"))
    ('modules.0.path', 'Expected `str`, got `int`')
    >>> place_and_fault(ValueError("Expected `str` of length <= 10 - at `key` in `$.weights`"))
    ('a key of weights', 'Expected `str` of length <= 10')
    >>> place_and_fault(ValueError("Expected `object`, got `array`"))
    ('', 'Expected `object`, got `array`')
    """
    text = str(error)
    fault, _, where = text.rpartition(" - at ") if text.endswith("`") and " - at `" in text else (text, "", "")
    about, _, path = where.rpartition("`$")
    place = _INDEX.sub(r".\1", path.rstrip("`").replace("[...]", "")).lstrip(".")
    shown = fault if len(fault) <= MOST_SHOWN else f"{fault[:MOST_SHOWN]} ..."
    return f"a key of {place}" if about else place, shown
