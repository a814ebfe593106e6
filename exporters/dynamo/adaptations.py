"""What can be changed about a model or its export so that torch can export it; what the model computes stays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from torch import nn

from onnx_tagger.exporters.base import Request
from onnx_tagger.exporters.torchscript.flatcall import flatten_call


class Adaptation(ABC):
    """One such change."""

    @abstractmethod
    def fits(self, request: Request) -> bool:
        """Whether the change is one for this model and these inputs."""

    @abstractmethod
    def told(self, request: Request) -> str:
        """What is told to the user, behind "exported with"."""

    @abstractmethod
    def applied(self, request: Request) -> AbstractContextManager[Request]:
        """The change; what was changed about the model is undone at the end of the block."""


class GradientsOff(Adaptation):
    """Parameters without gradients: some views cannot be traced with them."""

    def fits(self, request: Request) -> bool:
        """Whether any parameter has gradients."""
        return any(parameter.requires_grad for parameter in request.model.parameters())

    def told(self, request: Request) -> str:
        """Name what is switched off."""
        return "requires_grad switched off for the time of the export"

    @contextmanager
    def applied(self, request: Request) -> Iterator[Request]:
        """Switch gradients off."""
        changed = [parameter for parameter in request.model.parameters() if parameter.requires_grad]
        try:
            for parameter in changed:
                parameter.requires_grad_(False)
            yield request
        finally:
            for parameter in changed:
                parameter.requires_grad_(True)


class BatchedExperts(Adaptation):
    """Experts as one batched product: transformers' grouped kernel has no ONNX form."""

    def fits(self, request: Request) -> bool:
        """Whether the model lets its experts be chosen."""
        chosen = _experts(request.model)
        return callable(getattr(request.model, "set_experts_implementation", None)) and chosen not in (
            None,
            "batched_mm",
        )

    def told(self, request: Request) -> str:
        """Name the option."""
        return "experts_implementation='batched_mm' for the time of the export"

    @contextmanager
    def applied(self, request: Request) -> Iterator[Request]:
        """Choose the batched product."""
        chooser: Any = request.model
        before = _experts(chooser)
        chooser.set_experts_implementation("batched_mm")
        try:
            yield request
        finally:
            chooser.set_experts_implementation(before)


def _experts(model: nn.Module) -> object:
    return getattr(getattr(model, "config", None), "_experts_implementation", None)


class ClosedOnes(Adaptation):
    """Dimensions of size 1 as they are: torch cannot leave one open that is stretched to a size that a weight fixes."""

    def fits(self, request: Request) -> bool:
        """Whether dimensions are to be left open, and one has size 1."""
        return request.dynamic and not request.closed_ones and bool(_ones(request))

    def told(self, request: Request) -> str:
        """Name the dimensions, which are closed in the file, too."""
        return f"dimensions of size 1 closed ({', '.join(_ones(request))}; larger inputs leave them open)"

    @contextmanager
    def applied(self, request: Request) -> Iterator[Request]:
        """Close them."""
        yield replace(request, closed_ones=True)


def _ones(request: Request) -> list[str]:
    """Dimensions of size 1, as in ``mask[1]``."""
    call = flatten_call(request.model, request.args, request.kwargs)
    named = zip(call.names, call.tensors, strict=True)
    return [f"{name}[{i}]" for name, tensor in named for i, size in enumerate(tensor.shape) if size == 1]


# Those come last that can be seen in the file.
ADAPTATIONS: tuple[Adaptation, ...] = (GradientsOff(), BatchedExperts(), ClosedOnes())
