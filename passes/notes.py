"""What is noted on the nodes, read once for all passes: whether anything is, whether it is ours, what torch says.

What the notes mean is `metadata`'s and `claims`'.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx

from onnx_tagger.claims import modules_in
from onnx_tagger.metadata import DOC_LINE, LAYER_ANN, NAMESPACE, PREFIX, TORCH_SCOPES, WINML_TAG, text_of
from onnx_tagger.passes.base import Analysis, Context, Touches

# What a node bears: nothing; nothing that a carrier but torch's reads; what a dialect may read; what is ours.
NOTHING, SILENT, FOREIGN, OWN = range(4)

# Of keys alone: torch's scopes and its namespace, whose values tell.
_SCOPES, _NAMESPACE = 4, 5
_KNOWN = {TORCH_SCOPES: _SCOPES, NAMESPACE: _NAMESPACE, LAYER_ANN: FOREIGN, WINML_TAG: FOREIGN}

# Keys that are remembered: tools write a dozen, a hostile file as many as it has nodes.
_MOST_KEYS = 256


@dataclass(frozen=True, slots=True)
class Notes:
    """What stands on the nodes.

    Attributes
    ----------
    kinds : bytearray
        For each op `NOTHING`, `SILENT`, `FOREIGN` or `OWN`.
    modules : dict
        Position of each op on which torch's scopes are plain to the modules in them, as `claims.modules_in` gives
        them; equal ones are one string.
    """

    kinds: bytearray
    modules: dict[int, str] = field(default_factory=dict)


class NodeNotes(Analysis[Notes]):
    """Reads metadata and doc_strings of all nodes in one sweep."""

    reads = Touches.METADATA | Touches.TOPOLOGY

    def compute(self, ctx: Context) -> Notes:
        """Look at every entry's key, and at torch's scopes."""
        notes, keys = Notes(bytearray(len(ctx.ops))), _Keys()
        kinds, modules = notes.kinds, notes.modules
        shared: dict[str, str] = {}
        for op in ctx.ops:
            node = op.node
            if node.metadata_props:
                kinds[op.id], text = _entries(node, keys)
                plain = modules_in(text) if isinstance(text, str) else None
                if plain is not None:
                    modules[op.id] = shared.setdefault(plain, plain)
            if node.doc_string:
                kinds[op.id] = OWN if DOC_LINE in text_of(node.doc_string) else kinds[op.id] or SILENT
        return notes


class _Keys(dict["str | bytes", int]):
    """What an entry is by its key; each is looked at once."""

    def __missing__(self, key: str | bytes) -> int:
        found = _KNOWN.get(text_of(key), OWN if text_of(key).startswith(PREFIX) else SILENT)
        if len(self) < _MOST_KEYS:
            self[key] = found
        return found


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
