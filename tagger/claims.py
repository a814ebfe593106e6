"""What other programs wrote on a node: torch's keys, and dialects. Read here, written (the dialects) in `metadata`."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx

from onnx_tagger.metadata import (
    DOC_LINE,
    LAYER_ANN,
    NAMESPACE,
    TORCH_CLASSES,
    TORCH_SCOPES,
    WINML_TAG,
    props_of,
    segments,
    text_of,
)

# A strict torch.export names the model's root so.
EXPORT_ROOT = "_export_root"

# Longer values of torch's keys are not parsed: real ones stay below a few kilobytes.
MAX_LITERAL = 64 * 1024

# A list as Python writes nearly all of them, in which no quote and no escape hides: twenty times as fast to take apart.
_PLAIN_LIST = re.compile(r"""\['[^'"\\\n\r\0]*'(?:, '[^'"\\\n\r\0]*')*\]""")

# Dialects that can be read, in the order in which they are believed.
READABLE = ("torch", "winml", "namespace", "layer_ann", "doc_string")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a foreign carrier says of a node: a module path, a class path, or the classes along a module path.

    Attributes
    ----------
    carrier : str
        ``torch``, ``namespace``, ``layer_ann``, ``winml`` or ``doc_string``.
    module : str or None
        Module path, where the carrier gives one.
    tag : str or None
        Class path, where the carrier gives one.
    stack : tuple of (str, str)
        (module path, class name) from the root inwards, where the carrier gives them.
    """

    carrier: str
    module: str | None = None
    tag: str | None = None
    stack: tuple[tuple[str, str], ...] = ()


def claims(node: onnx.NodeProto, dialects: Iterable[str] = READABLE) -> Iterator[Claim]:
    """Yield what foreign carriers say of a node, the most believable first."""
    props = props_of(node)
    for name in dialects:
        claim = _READERS[name](node, props)
        if claim is not None:
            yield claim


def literal_list(text: str | None) -> list[str] | None:
    """Parse a Python literal that is a flat list of strings; None if it is anything else or too long."""
    if text is None or len(text) > MAX_LITERAL or not text.startswith("["):
        return None
    if _PLAIN_LIST.fullmatch(text):
        return text[2:-2].split("', '")
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else None


def _read_torch(node: onnx.NodeProto, props: Mapping[str, str]) -> Claim | None:
    """Torch's keys: the module paths from the root inwards, the last item is the operation."""
    scopes = literal_list(props.get(TORCH_SCOPES))
    if not scopes or len(scopes) < 2:
        return None
    paths = [_without_export_root(path) for path in scopes[:-1]]
    classes = literal_list(props.get(TORCH_CLASSES)) or []
    names = [name.rpartition(".")[2] for name in classes[:-1]]
    stack = tuple(zip(paths, names, strict=True)) if len(names) == len(paths) else ()
    return Claim("torch", module=paths[-1], stack=stack)


def _without_export_root(path: str) -> str:
    return "" if path == EXPORT_ROOT else path.removeprefix(EXPORT_ROOT + ".")


def _read_winml(node: onnx.NodeProto, props: Mapping[str, str]) -> Claim | None:
    tag = props.get(WINML_TAG)
    return Claim("winml", tag=tag.rstrip("/")) if tag and segments(tag.rstrip("/")) else None


def _read_namespace(node: onnx.NodeProto, props: Mapping[str, str]) -> Claim | None:
    """Ours, a class path without its first slash; torch's value says what torch's own keys say, and is left to them."""
    value = props.get(NAMESPACE)
    if not value or ": " in value:
        return None
    tag = "/" + value.strip("/")
    return Claim("namespace", tag=tag) if segments(tag) else None


def _read_layer_ann(node: onnx.NodeProto, props: Mapping[str, str]) -> Claim | None:
    value = props.get(LAYER_ANN)
    if not value or not value.startswith("/"):
        return None
    tag = value.rstrip("/")
    return Claim("layer_ann", tag=tag) if segments(tag) else None


def _read_doc(node: onnx.NodeProto, props: Mapping[str, str]) -> Claim | None:
    """The last line of ours: tools that join doc strings append the newer one."""
    found = [line for line in text_of(node.doc_string).split("\n") if line.startswith(DOC_LINE)]
    return Claim("doc_string", module=found[-1][len(DOC_LINE) :]) if found else None


_READERS: dict[str, Callable[[onnx.NodeProto, Mapping[str, str]], Claim | None]] = {
    "torch": _read_torch,
    "winml": _read_winml,
    "namespace": _read_namespace,
    "layer_ann": _read_layer_ann,
    "doc_string": _read_doc,
}
