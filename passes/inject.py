"""Metadata injection: the tag table is written onto the nodes, in one sweep."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from onnx_tagger.model import metadata
from onnx_tagger.passes.analyses.notes import OWN, NodeNotes
from onnx_tagger.passes.base import Context, Pass, Touches
from onnx_tagger.version import version


@dataclass(frozen=True)
class Inject(Pass):
    """Write each node's tag into its metadata, and what we wrote before out of it.

    Parameters
    ----------
    also : tuple of str or None
        Dialects to write besides our own keys; None keeps those that the model says it carries.
    map_digest : str or None
        Written on the model as ``pkg.onnx_tagger.map``; None takes the map's, or what the model already says.
    evidence : bool
        Also write what each tag rests on.
    """

    name = "inject"
    requires = (NodeNotes,)
    touches = Touches.METADATA
    again_after = Touches.TAGS | Touches.TOPOLOGY

    also: tuple[str, ...] | None = None
    map_digest: str | None = None
    evidence: bool = False

    def run(self, ctx: Context) -> int:
        """Return the number of nodes whose metadata changed."""
        model = ctx.model
        before = metadata.also_of(model)
        also = before if self.also is None else metadata.check_dialects(self.also)
        digest = self.map_digest
        if digest is None:
            digest = (ctx.hierarchy.digest if ctx.hierarchy else "") or metadata.model_value(model, metadata.MAP)
        lost: Counter[str] = Counter()
        notes, changed = ctx.get(NodeNotes), 0
        # Nodes of one module share their tag, which lives as long as the table.
        encoded: dict[int, bytes] = {}
        for op in ctx.ops:
            node, tag = op.node, ctx.tags.get(op)
            ours = notes.kind(op) == OWN
            old = node.SerializeToString() if ours else b""
            if ours:
                metadata.clear_node(node, before)
            if tag is not None and also:
                lost.update(metadata.write_node(node, tag, also))
            elif tag is not None:
                entries = encoded.get(id(tag))
                if entries is None:
                    entries = encoded[id(tag)] = metadata.encoded_entries(tag)
                node.MergeFromString(entries)
            if tag is not None and self.evidence:
                metadata.add_entries(node, [(metadata.EVIDENCE, ctx.rests_on(op).label)])
            changed += old != node.SerializeToString() if ours else tag is not None
        _note(ctx.report.fallbacks, lost)
        metadata.clear_model(model)
        metadata.write_model(model, version(), digest, also)
        return changed


def _note(notes: list[str], lost: Mapping[str, int]) -> None:
    """Tell which dialects that were asked for were not written; once, though the pass may run again."""
    for name, count in lost.items():
        text = f"{name}: the value of another tool stays on {count} node{'s' if count > 1 else ''}"
        if text not in notes:
            notes.append(text)
