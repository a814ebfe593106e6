"""What can be changed about a model for the time of an export so that torch can export it; what it computes stays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch import nn


class Adaptation(ABC):
    """One such change.

    Attributes
    ----------
    name : str
        What is told to the user, behind "exported with".
    """

    name: str

    @abstractmethod
    def fits(self, model: nn.Module) -> bool:
        """Whether the change is one for this model."""

    @abstractmethod
    def applied(self, model: nn.Module) -> AbstractContextManager[None]:
        """The change, undone at the end of the block."""


class GradientsOff(Adaptation):
    """Parameters without gradients: some views cannot be traced with them."""

    name = "requires_grad switched off"

    def fits(self, model: nn.Module) -> bool:
        """Whether any parameter has gradients."""
        return any(parameter.requires_grad for parameter in model.parameters())

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Switch gradients off."""
        changed = [parameter for parameter in model.parameters() if parameter.requires_grad]
        try:
            for parameter in changed:
                parameter.requires_grad_(False)
            yield
        finally:
            for parameter in changed:
                parameter.requires_grad_(True)


class BatchedExperts(Adaptation):
    """Experts as one batched product: transformers' grouped kernel has no ONNX form."""

    name = "experts_implementation='batched_mm'"

    def fits(self, model: nn.Module) -> bool:
        """Whether the model lets its experts be chosen."""
        chosen = _experts(model)
        return callable(getattr(model, "set_experts_implementation", None)) and chosen not in (None, "batched_mm")

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Choose the batched product."""
        chooser: Any = model
        before = _experts(model)
        chooser.set_experts_implementation("batched_mm")
        try:
            yield
        finally:
            chooser.set_experts_implementation(before)


def _experts(model: nn.Module) -> object:
    return getattr(getattr(model, "config", None), "_experts_implementation", None)


ADAPTATIONS: tuple[Adaptation, ...] = (GradientsOff(), BatchedExperts())
