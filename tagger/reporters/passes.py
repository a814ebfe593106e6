"""The registered passes as rows of a table."""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx_tagger.passes.registry import Registered


def pass_row(found: Registered) -> tuple[str, str, str, str, str]:
    """Name, owner, what it touches, its options with defaults, and what it does; what is wrong if it is broken."""
    from onnx_tagger.errors import TaggerError
    from onnx_tagger.passes.base import Touches

    try:
        step = found.load()
    except TaggerError as error:
        return found.name, found.owner, "", "", f"broken: {error}"
    touches = ", ".join(str(flag.name).lower() for flag in Touches if flag and flag in step.touches)
    options = ", ".join(map(_option_text, dataclasses.fields(step)))
    purpose = (inspect.getdoc(step) or "").partition("\n")[0]
    return found.name, found.owner, touches or "nothing", options, purpose


def _option_text(field: dataclasses.Field[object]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"{field.name}={field.default!r}"
    if field.default_factory is not dataclasses.MISSING:
        return f"{field.name}={field.default_factory()!r}"
    return field.name
