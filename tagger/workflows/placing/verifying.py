"""Whether onnxruntime puts nodes where a placement says: the file loaded by it, and asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.texts import brief_fields, counted, cut
from onnx_tagger.workflows.placing.placing import Placement

# Nodes elsewhere that a person is told of.
_LISTED = 5

# The provider that is always there.
_CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class Verified:
    """What onnxruntime did with a placement.

    Attributes
    ----------
    agreed : int
        Nodes that went where they should.
    elsewhere : tuple of (str, str, str)
        Name, the provider that should have it, and the one that has.
    open : int
        Nodes whose rule means no provider that is here, or that onnxruntime knows by no name.
    """

    agreed: int
    elsewhere: tuple[tuple[str, str, str], ...]
    open: int

    __repr__ = brief_fields

    @property
    def ok(self) -> bool:
        """Whether no node went elsewhere."""
        return not self.elsewhere

    @property
    def summary(self) -> str:
        """A line on how many nodes went where they should."""
        held = self.agreed + len(self.elsewhere)
        text = f"verified: onnxruntime put {self.agreed} of {counted(held, 'node')} where it should"
        return f"{text}; {self.open} could not be held against it here" if self.open else text

    @property
    def failures(self) -> list[str]:
        """The first nodes that went elsewhere."""
        found = [f"{cut(name)}: went to {real} and not to {wanted}" for name, wanted, real in self.elsewhere[:_LISTED]]
        rest = len(self.elsewhere) - _LISTED
        return [*found, f"and {counted(rest, 'more node')}"] if rest > 0 else found


def verify(placement: Placement, plugin: str | Path | None = None) -> Verified:
    """Load a file in onnxruntime by a placement's setting, without optimisation, and compare.

    Parameters
    ----------
    placement : Placement
    plugin : str or path, optional
        The library of a plug-in execution provider to load, too: ``LIB`` or ``NAME=LIB``.

    Raises
    ------
    TaggerError
        If its nodes carry no annotations, or onnxruntime does not load it.
    """
    if not placement.annotated:
        raise TaggerError(
            f"{placement.model}: carries no annotations, so that nothing can be verified; "
            "write them with onnx-tagger retag --also layer_ann"
        )
    from onnx_tagger.runtime.assignment import assigned

    name, _, library = str(plugin or "").rpartition("=")
    real = assigned(placement.model, placement.setting, Path(library) if library else None, name)
    agreed, still = 0, 0
    elsewhere: list[tuple[str, str, str]] = []
    for index, device in placement.devices.items():
        name = placement.names[index]
        wanted = provider_of(device, real.available)
        if wanted is None or name not in real.providers:
            still += 1
        elif real.providers[name] == wanted:
            agreed += 1
        else:
            elsewhere.append((name, wanted, real.providers[name]))
    return Verified(agreed, tuple(elsewhere), still)


def provider_of(device: str, available: Sequence[str]) -> str | None:
    """The provider of a session that a designator means: a name, or ``cpu``; None where only its devices would tell.

    Examples
    --------
    >>> provider_of("CPU", ["CPUExecutionProvider"]), provider_of("gpu", ["CPUExecutionProvider"])
    ('CPUExecutionProvider', None)
    """
    if device in available:
        return device
    if device.lower() == "cpu" and list(available) == [_CPU]:
        return _CPU
    return None
