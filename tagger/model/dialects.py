"""What other programs wrote on a node: torch's keys, and dialects. Read here, written (the dialects) in `metadata`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import onnx

from onnx_tagger.model.literals import MAX_LITERAL, literal_list
from onnx_tagger.model.metadata import (
    DOC_LINE,
    LAYER_ANN,
    MAX_PARTS,
    NAMESPACE,
    TORCH_CLASSES,
    TORCH_SCOPES,
    WINML_TAG,
    props_of,
    segments,
    text_of,
)
from onnx_tagger.model.texts import brief_fields

# A strict torch.export names the model's root so.
EXPORT_ROOT = "_export_root"

# Torch's placeholder where a pass of its own made a node, in place of the modules: such a node has none.
NO_MODULES = "_empty_nn_module_stack_from_metadata_hook"

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

    __repr__ = brief_fields


def claims(node: onnx.NodeProto, dialects: Iterable[str] = READABLE) -> Iterator[Claim]:
    """Yield what foreign carriers say of a node, the most believable first."""
    props = props_of(node)
    for name in dialects:
        claim = _READERS[name](node, props)
        if claim is not None:
            yield claim


def modules_in(scopes: str) -> str | None:
    """Torch's list of scopes up to its last item: that one is of the node, the others are modules.

    Parameters
    ----------
    scopes : str
        The value of torch's key.

    Returns
    -------
    str or None
        What `claim_of_modules` takes; None if the list does not end as torch writes it, so that it is to be read as a
        whole.

    Examples
    --------
    >>> modules_in("['', 'encoder', 'linear_3']")
    "['', 'encoder'"
    >>> modules_in("['', 'encoder']  ") is None
    True
    """
    before, _, last = scopes.rpartition(", '")
    plain = last[-2:] == "']" and last[:-2].isidentifier() and len(scopes) <= MAX_LITERAL
    return before if plain and before else None


def claim_of_modules(modules: str) -> Claim | None:
    """What torch's list of scopes says, by its beginning."""
    return _from_scopes(literal_list(f"{modules}, '']"), None)


def _read_torch(node: onnx.NodeProto, props: Mapping[str, str]) -> Claim | None:
    """Torch's keys: the module paths from the root inwards, the last item is the operation."""
    return _from_scopes(literal_list(props.get(TORCH_SCOPES)), props.get(TORCH_CLASSES))


def _from_scopes(scopes: list[str] | None, types: str | None) -> Claim | None:
    if not scopes or not 2 <= len(scopes) <= MAX_PARTS or any(path.count(".") >= MAX_PARTS for path in scopes[:-1]):
        return None
    paths = [_without_export_root(path) for path in scopes[:-1]]
    classes = literal_list(types) or []
    names = [name.rpartition(".")[2] for name in classes[:-1]]
    stack = tuple(zip(paths, names, strict=True)) if len(names) == len(paths) else ()
    if NO_MODULES in paths:
        paths = [path for path in paths if path != NO_MODULES]
        stack = tuple((path, name) for path, name in stack if path != NO_MODULES)
    if not paths:
        return None
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
