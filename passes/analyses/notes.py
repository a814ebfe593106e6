"""What is noted on the nodes, read once for all passes: whether anything is, whether it is ours, what torch says.

What the notes mean is `metadata`'s and `dialects`'.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import onnx

from onnx_tagger.model.dialects import modules_in
from onnx_tagger.model.graph import Op
from onnx_tagger.model.metadata import DOC_LINE, LAYER_ANN, NAMESPACE, PREFIX, TORCH_SCOPES, WINML_TAG, text_of
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.base import Analysis, Context, Touches

# What a node bears: nothing; nothing that a carrier but torch's reads; what a dialect may read; what is ours.
NOTHING, SILENT, FOREIGN, OWN = range(4)

# Of keys alone: torch's scopes and its namespace, whose values tell.
_SCOPES, _NAMESPACE = 4, 5
_KNOWN = {TORCH_SCOPES: _SCOPES, NAMESPACE: _NAMESPACE, LAYER_ANN: FOREIGN, WINML_TAG: FOREIGN}

# Keys that are remembered: tools write a dozen, a hostile file as many as it has nodes.
_MOST_KEYS = 256

# Characters of all distinct lists of modules that are held; those of a real file are as many as it has modules.
_MOST_TEXT = 1 << 24


@dataclass(frozen=True, slots=True)
class Notes:
    """What stands on the nodes.

    Attributes
    ----------
    kinds : bytearray
        For each op `NOTHING`, `SILENT`, `FOREIGN` or `OWN`, when it was looked at; `kind` says what holds now.
    counts : array of int
        For each op how many entries it had then.
    modules : dict
        Position of each op on which torch's scopes are plain to the modules in them, as `dialects.modules_in` gives
        them; equal ones are one string.
    """

    kinds: bytearray
    counts: array[int]
    modules: dict[int, str] = field(default_factory=dict)

    __repr__ = brief_fields

    def kind(self, op: Op) -> int:
        """What a node bears, looked at again if somebody has written on it since, in a pass of their own or by hand."""
        if len(op.node.metadata_props) == self.counts[op.id]:
            return self.kinds[op.id]
        return _kind(op.node, _Keys())[0]


class NodeNotes(Analysis[Notes]):
    """Reads metadata and doc_strings of all nodes in one sweep."""

    reads = Touches.METADATA | Touches.TOPOLOGY

    def compute(self, ctx: Context) -> Notes:
        """Look at every entry's key, and at torch's scopes."""
        count, keys = len(ctx.ops), _Keys()
        notes = Notes(bytearray(count), array("L", bytes(array("L").itemsize * count)))
        shared: dict[str, str] = {}
        held = 0
        for op in ctx.ops:
            node = op.node
            if not (node.metadata_props or node.doc_string):
                continue
            notes.counts[op.id] = len(node.metadata_props)
            notes.kinds[op.id], text = _kind(node, keys)
            plain = modules_in(text) if isinstance(text, str) else None
            if plain is not None and (plain in shared or held + len(plain) <= _MOST_TEXT):
                held += 0 if plain in shared else len(plain)
                notes.modules[op.id] = shared.setdefault(plain, plain)
        return notes


class _Keys(dict["str | bytes", int]):
    """What an entry is by its key; each is looked at once."""

    def __missing__(self, key: str | bytes) -> int:
        found = _KNOWN.get(text_of(key), OWN if text_of(key).startswith(PREFIX) else SILENT)
        if len(self) < _MOST_KEYS:
            self[key] = found
        return found


def _kind(node: onnx.NodeProto, keys: _Keys) -> tuple[int, str | bytes | None]:
    """What a node bears, and the value of torch's scopes."""
    kind, text = _entries(node, keys) if node.metadata_props else (NOTHING, None)
    if node.doc_string:
        kind = OWN if DOC_LINE in text_of(node.doc_string) else kind or SILENT
    return kind, text


def _entries(node: onnx.NodeProto, keys: _Keys) -> tuple[int, str | bytes | None]:
    """What a node's entries are, and the value of torch's scopes; of equal keys the last counts."""
    kind, text = SILENT, None
    for entry in node.metadata_props:
        found = keys[entry.key]
        if found == SILENT:
            continue
        if found == _SCOPES:
            text = entry.value
        elif found == _NAMESPACE:
            # Torch's own says what its scopes say.
            kind = kind if ": " in text_of(entry.value) else max(kind, FOREIGN)
        else:
            kind = max(kind, found)
    return kind, text
