"""Keys and values of node metadata: our own, and the other conventions (dialects) that we write.

A `Tag` is what is known of one node. `own_entries` says what is written for it, `own_tag` reads it back. What
others wrote is read in `dialects`; which node gets which tag is the passes' business; how metadata lies in the file's
bytes is `onnxfile`'s.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from urllib.parse import unquote

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.arguments import insist_on, names_of
from onnx_tagger.model.keys import (
    ALSO as ALSO,
    CALL as CALL,
    DOC_LINE as DOC_LINE,
    EVIDENCE as EVIDENCE,
    FORCED as FORCED,
    FOREIGN as FOREIGN,
    LAYER_ANN as LAYER_ANN,
    MAP as MAP,
    MODULE as MODULE,
    NAMESPACE as NAMESPACE,
    ORIGINS as ORIGINS,
    PAD as PAD,
    PREFIX as PREFIX,
    REPLACED as REPLACED,
    REWRITE_RULE as REWRITE_RULE,
    SOURCE as SOURCE,
    TAG as TAG,
    TORCH_CLASSES as TORCH_CLASSES,
    TORCH_SCOPES as TORCH_SCOPES,
    TORCH_STACK as TORCH_STACK,
    VERSION as VERSION,
    WINML_DEPTH as WINML_DEPTH,
    WINML_TAG as WINML_TAG,
)
from onnx_tagger.model.literals import literal_list, string_list, string_object
from onnx_tagger.model.texts import brief_fields

# Real module paths have a dozen parts; one of more than these is none, so that no comparison takes long.
MAX_PARTS = 128

# What a segment begins with whose class is not known; its attribute stands where the class would.
UNKNOWN_CLASS = "~"


class Source(IntEnum):
    """How a tag was found, best first; a larger value is worse and a source never improves."""

    EXPORTED = 0
    MATCHED = 1
    ALIGNED = 2
    NAMED = 3
    INHERITED = 4
    ROOT = 5

    @property
    def label(self) -> str:
        """The word that is written, ``exported`` to ``root``."""
        return self.name.lower()


SOURCES = {source.label: source for source in Source}


@dataclass(frozen=True, slots=True)
class Tag:
    """What is known of one node.

    Attributes
    ----------
    module : str
        Canonical module path, ``""`` for the root.
    tag : str
        Class path, such as ``/BertModel/BertEncoder/BertLayer.0``.
    source : Source
        How it was found.
    origins : tuple of str
        Sorted module paths of all modules whose work the node does, if they are two or more.
    call : tuple of str
        Paths with call numbers, if a module on the path is called more than once.
    """

    module: str
    tag: str
    source: Source
    origins: tuple[str, ...] = ()
    call: tuple[str, ...] = ()

    __repr__ = brief_fields

    def worse(self, source: Source) -> Tag:
        """The same tag with a source that is at best `source`."""
        return self if self.source >= source else _with_source(self, source)

    @property
    def modules(self) -> tuple[str, ...]:
        """The origins, or the one module."""
        return self.origins or (self.module,)


# Nodes of one module mostly follow each other: a few thousand tags are all that is ever asked for at a time.
_RECENT = 1 << 12


@lru_cache(_RECENT)
def _with_source(tag: Tag, source: Source) -> Tag:
    """A tag with another source; nodes of one module share it, which a million of them are a hundred megabytes of."""
    return Tag(tag.module, tag.tag, source, tag.origins, tag.call)


Entries = list[tuple[str, str]]


def _write_doc(tag: Tag) -> Entries:
    return []


# What each dialect that we write adds to a node's metadata; `doc_string` lives in a field of its own.
DIALECTS: dict[str, Callable[[Tag], Entries]] = {
    "namespace": lambda tag: [(NAMESPACE, tag.tag.lstrip("/"))],
    "layer_ann": lambda tag: [(LAYER_ANN, tag.tag + "/")],
    "winml": lambda tag: [(WINML_TAG, tag.tag), (WINML_DEPTH, str(tag.tag.count("/")))],
    "doc_string": _write_doc,
}


def check_dialects(names: Iterable[str], known: Iterable[str] = tuple(DIALECTS)) -> tuple[str, ...]:
    """Return the names in the order of the table, without repeats.

    Raises
    ------
    TaggerError
        If one is not known.
    """
    wanted = set(names_of(names, "the list of dialects"))
    unknown = sorted(wanted - set(known))
    if unknown:
        raise TaggerError(f"unknown dialect {unknown[0]!r}: choose from {', '.join(known)}")
    return tuple(name for name in known if name in wanted)


def own_entries(tag: Tag) -> Entries:
    """Our own metadata entries for a tag, in the order in which they are written."""
    entries = [(TAG, tag.tag), (MODULE, tag.module), (SOURCE, tag.source.label)]
    if len(tag.origins) > 1:
        entries.append((ORIGINS, json.dumps(tag.origins, ensure_ascii=False)))
    if tag.call:
        call = tag.call[0] if len(tag.call) == 1 else json.dumps(tag.call, ensure_ascii=False)
        entries.append((CALL, call))
    return entries


@lru_cache(_RECENT)
def encoded_entries(tag: Tag) -> bytes:
    """Our own metadata entries for a tag as the fields of a node."""
    holder = onnx.NodeProto()
    add_entries(holder, own_entries(tag))
    encoded: bytes = holder.SerializeToString()
    return encoded


def dialect_entries(tag: Tag, also: Iterable[str]) -> Entries:
    """The entries that the named dialects add for a tag."""
    return [entry for name in also for entry in DIALECTS[name](tag)]


def doc_line(tag: Tag) -> str:
    """The line that the `doc_string` dialect writes."""
    return DOC_LINE + tag.module


def own_tag(props: Mapping[str, str]) -> Tag | None:
    """Read our own keys, or None if they are missing or not well formed.

    Parameters
    ----------
    props : mapping
        Metadata of one node.
    """
    if TAG not in props:
        return None
    tag, problem = parse_own(props)
    return None if problem else tag


def parse_own(props: Mapping[str, str]) -> tuple[Tag | None, str]:
    """Read our own keys and say what is wrong with them.

    Returns
    -------
    tuple of (Tag or None, str)
        The tag, and a phrase that is empty if all is well.
    """
    missing = [key for key in (TAG, MODULE, SOURCE) if key not in props]
    if missing:
        return None, f"has no {missing[0]}"
    source = SOURCES.get(props[SOURCE])
    if source is None:
        return None, f"has the unknown {SOURCE} {props[SOURCE]!r}"
    if not fits(props[TAG], props[MODULE]):
        return None, f"has the tag {props[TAG]!r}, which does not fit its module {props[MODULE]!r}"
    if source is Source.ROOT and props[MODULE]:
        return None, f"has source 'root' but the module {props[MODULE]!r}"
    origins = string_list(props.get(ORIGINS, "[]"))
    if origins is None or (ORIGINS in props and len(set(origins)) < 2):
        return None, f"has a {ORIGINS} that is no JSON list of two or more module paths"
    call = props.get(CALL)
    calls = (string_list(call) or (call,)) if call else ()
    return Tag(props[MODULE], props[TAG], source, origins, calls), ""


def segments(tag: str) -> list[tuple[str, tuple[str, ...]]] | None:
    """Split a class path into (class name, attribute parts) pairs; None if it is not well formed, or of too many parts.

    A segment of a module whose class is not known has its attribute parts behind a ``~``, and an empty class name.

    Examples
    --------
    >>> segments("/Net/Blk.down.0")
    [('Net', ()), ('Blk', ('down', '0'))]
    >>> segments("/~/~layer.0")
    [('', ()), ('', ('layer', '0'))]
    >>> segments("x") is None
    True
    """
    if not tag.startswith("/") or tag.count("/") > MAX_PARTS or tag.count(".") > MAX_PARTS:
        return None
    found: list[tuple[str, tuple[str, ...]]] = []
    for part in tag[1:].split("/"):
        if part.startswith(UNKNOWN_CLASS):
            keys = part[1:].split(".") if part[1:] else []
            if not all(keys) or (found and not keys):
                return None
            found.append(("", tuple(keys)))
            continue
        name, *keys = part.split(".")
        if not name:
            return None
        found.append((name, tuple(keys)))
    return found


def fits(tag: str, module: str) -> bool:
    """Whether a class path can belong to a module path: each segment stands for one or more attributes.

    Examples
    --------
    >>> fits("/Net/Blk.0", "layers.0"), fits("/Net/Blk.1", "layers.0"), fits("/Net", "layers.0")
    (True, False, False)
    """
    parsed = segments(tag)
    if parsed is None or parsed[0][1]:
        return False
    parts = tuple(escape_attribute(part) for part in module.split(".", MAX_PARTS)) if module else ()
    if len(parts) > MAX_PARTS or len(parsed) == 1:
        return not parts
    # Fill from the right: a segment takes its own parts, and at least one. What is left of it may belong to it, too, so
    # the next one ends anywhere up to there, and the last place where it can is the best.
    end = len(parts)
    for place, (_, keys) in enumerate(reversed(parsed[1:])):
        least = max(len(keys), 1)
        ends = range(end, least - 1, -1) if place else (end,) if end >= least else ()
        found = next((at for at in ends if parts[at - len(keys) : at] == keys), None)
        if found is None:
            return False
        end = found - least
    return True


def escape_class(name: str) -> str:
    """Percent-escape what would break a segment in a class name, and what would make it one of an unknown class."""
    escaped = name.replace("%", "%25").replace("/", "%2F").replace(".", "%2E")
    return "%7E" + escaped[1:] if escaped.startswith(UNKNOWN_CLASS) else escaped


def class_of(tag: str) -> str:
    """The name of the class that a class path ends with; empty where it is not known.

    Examples
    --------
    >>> class_of("/Net/Linear.query"), class_of("/~/~query")
    ('Linear', '')
    """
    last = tag.rpartition("/")[2]
    return "" if last.startswith(UNKNOWN_CLASS) else unquote(last.partition(".")[0])


def escape_attribute(name: str) -> str:
    """Percent-escape what would break a segment in an attribute name."""
    return name.replace("%", "%25").replace("/", "%2F")


_ONLY_TEXT = frozenset({str})


def text_of(value: str | bytes) -> str:
    """A text from a file: protobuf gives bytes where it is not valid UTF-8."""
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def props_of(node: onnx.NodeProto) -> dict[str, str]:
    """A node's metadata as a dict; of equal keys the last counts, as in protobuf maps."""
    found = {entry.key: entry.value for entry in node.metadata_props}
    if _ONLY_TEXT.issuperset(map(type, found)) and _ONLY_TEXT.issuperset(map(type, found.values())):
        return found
    return {text_of(key): text_of(value) for key, value in found.items()}


def also_of(model: onnx.ModelProto) -> tuple[str, ...]:
    """The dialects that this package wrote into a model."""
    return tuple(name for name in model_value(model, ALSO).split(",") if name in DIALECTS)


def clear_node(node: onnx.NodeProto, also: Iterable[str]) -> bool:
    """Remove what we wrote on a node: our keys, the entries of the dialects `also` behind them, our doc line.

    A dialect's entry is ours if it says what our tag says and is not marked as foreign; its place tells nothing, since
    tools sort metadata.

    Returns
    -------
    bool
        Whether there was anything.
    """
    changed = False
    values = props_of(node) if node.metadata_props else {}
    if any(key.startswith(PREFIX) for key in values):
        written = Tag(values.get(MODULE, ""), values.get(TAG, ""), Source.ROOT)
        if REPLACED in values:
            _restore(node, values[REPLACED], written)
        foreign = values.get(FOREIGN, "").split(",")
        ours = {entry for entry in dialect_entries(written, also) if entry[0] not in foreign}
        _drop(node, lambda key, value: key.startswith(PREFIX) or (key, value) in ours)
        changed = True
    if node.doc_string and DOC_LINE in text_of(node.doc_string):
        changed = _clear_doc(node) or changed
    return changed


def _restore(node: onnx.NodeProto, replaced: str, written: Tag) -> None:
    """Put torch's values back where ours took their place; one that somebody has changed since stays."""
    originals = string_object(replaced) or {}
    for key, value in dialect_entries(written, DIALECTS):
        for entry in node.metadata_props:
            if key in originals and (entry.key, entry.value) == (key, value):
                entry.value = originals[key]


def _replace_torchs(node: onnx.NodeProto, said: Entries) -> dict[str, str]:
    """Put entries in the place of what torch's exporter wrote under their keys; return torch's values by key.

    Only a value that torch wrote, by its own keys on the same node, and only where the key is unique.
    """
    found: dict[str, str] = {}
    values = props_of(node)
    for key, value in said:
        torchs = torch_namespace(values) if key == NAMESPACE else None
        places = [entry for entry in node.metadata_props if entry.key == key]
        if torchs is not None and [entry.value for entry in places] == [torchs] and torchs != value:
            places[0].value = value
            found[key] = torchs
    return found


def torch_namespace(values: Mapping[str, str]) -> str | None:
    """The `namespace` that torch's dynamo exporter writes on a node that has its other keys, by these.

    Parameters
    ----------
    values : mapping
        Metadata of one node.

    Returns
    -------
    str or None
        None if torch's keys are missing, or are not the two lists that torch writes.

    Examples
    --------
    >>> torch_namespace({TORCH_SCOPES: "['', 'relu']", TORCH_CLASSES: "['net.Net', 'aten.relu.default']"})
    ': net.Net/relu: aten.relu.default'
    """
    scopes, classes = (literal_list(values.get(key)) for key in (TORCH_SCOPES, TORCH_CLASSES))
    if not scopes or not classes or len(scopes) != len(classes):
        return None
    return "/".join(f"{scope}: {name}" for scope, name in zip(scopes, classes, strict=True))


def remove_key(node: onnx.NodeProto, key: str) -> bool:
    """Remove every metadata entry of a key from a node; return whether there was one."""
    return _drop(node, lambda found, _: found == key)


def _drop(holder: onnx.NodeProto | onnx.ModelProto, unwanted: Callable[[str, str], bool]) -> bool:
    """Remove metadata entries where they stand: protobuf takes no entry back that is not valid UTF-8."""
    entries = holder.metadata_props
    places = [i for i, entry in enumerate(entries) if unwanted(text_of(entry.key), text_of(entry.value))]
    for place in reversed(places):
        del entries[place]
    return bool(places)


def _clear_doc(node: onnx.NodeProto) -> bool:
    if isinstance(node.doc_string, bytes):
        # Not valid UTF-8, so not of our writing; protobuf would not take the rest of it back.
        return False
    lines = node.doc_string.split("\n")
    keep = [line for line in lines if not line.startswith(DOC_LINE)]
    if len(keep) == len(lines):
        return False
    # A doc string that was there, empty or not, has our line behind a line break; one of our making is our line alone.
    if keep:
        node.doc_string = "\n".join(keep)
    else:
        node.ClearField("doc_string")
    return True


def add_entries(holder: onnx.NodeProto | onnx.ModelProto, entries: Entries) -> None:
    """Append metadata entries to a node or a model."""
    for key, value in entries:
        holder.metadata_props.add(key=key, value=value)


def write_node(node: onnx.NodeProto, tag: Tag, also: Collection[str]) -> list[str]:
    """Append our entries and those of the dialects `also`; a foreign entry of the same key stays and wins.

    What torch's exporter wrote under a dialect's key gives way, and is kept under `REPLACED`. The node must hold
    nothing of ours (`clear_node`).

    Returns
    -------
    list of str
        The dialects in whose keys a foreign entry says something else.
    """
    if not also:
        # Nearly twice as fast as entry by entry; equal nodes hold the same bytes.
        node.MergeFromString(encoded_entries(tag))
        return []
    entries = own_entries(tag)
    lost: list[str] = []
    replaced = _replace_torchs(node, dialect_entries(tag, also))
    taken = props_of(node)
    foreign: list[str] = []
    for name in also:
        said = DIALECTS[name](tag)
        if any(taken.get(key, value) != value for key, value in said):
            lost.append(name)
        entries += [entry for entry in said if entry[0] not in taken]
        foreign += [key for key, value in said if taken.get(key) == value and key not in replaced]
    if replaced:
        entries.append((REPLACED, json.dumps(replaced, ensure_ascii=False)))
    if foreign:
        entries.append((FOREIGN, ",".join(foreign)))
    if "doc_string" in also and not isinstance(node.doc_string, bytes):
        had = node.HasField("doc_string")
        node.doc_string = f"{node.doc_string}\n{doc_line(tag)}" if had else doc_line(tag)
    add_entries(node, entries)
    return lost


def tag_of(node: onnx.NodeProto) -> Tag | None:
    """The tag that a node carries in our own keys; None if it has none, or one that does not hold.

    Examples
    --------
    >>> node = onnx.helper.make_node("Relu", ["x"], ["y"])
    >>> write_tag(node, Tag("act", "/Net/ReLU", Source.EXPORTED))
    >>> tag_of(node)
    Tag(module='act', tag='/Net/ReLU', source=<Source.EXPORTED: 0>, origins=(), call=())
    """
    insist_on(node, onnx.NodeProto, "the node", "an onnx.NodeProto")
    return own_tag(props_of(node)) if node.metadata_props else None


def write_tag(node: onnx.NodeProto, tag: Tag) -> None:
    """Write a tag into a node's own keys, in place of the one that it carries; what others wrote stays.

    Parameters
    ----------
    node : onnx.NodeProto
    tag : Tag
        Its class path must fit its module path.

    Raises
    ------
    TaggerError
        If it does not.
    """
    insist_on(node, onnx.NodeProto, "the node", "an onnx.NodeProto")
    insist_on(tag, Tag, "the tag", "an onnx_tagger.Tag")
    _, problem = parse_own(dict(own_entries(tag)))
    if problem:
        raise TaggerError(
            f"the tag of {text_of(node.name) or node.op_type!r} {problem}; give a class path and its module"
        )
    clear_node(node, ())
    write_node(node, tag, ())


def clear_model(model: onnx.ModelProto) -> None:
    """Remove our own entries from the model's metadata."""
    _drop(model, lambda key, _: key.startswith(PREFIX))


def write_model(model: onnx.ModelProto, version: str, map_digest: str, also: tuple[str, ...]) -> None:
    """Append our own entries to the model's metadata; the model must hold none of them (`clear_model`)."""
    add_entries(model, [(VERSION, version)])
    if map_digest:
        add_entries(model, [(MAP, map_digest)])
    if also:
        add_entries(model, [(ALSO, ",".join(also))])


def mark_forced(model: onnx.ModelProto, reason: str) -> None:
    """Say on a model why the map that its tags rest on should not have been taken; an empty reason removes the mark."""
    _drop(model, lambda key, _: key == FORCED)
    if reason:
        add_entries(model, [(FORCED, reason)])


def model_value(model: onnx.ModelProto, key: str) -> str:
    """The value of one of the model's metadata entries, or an empty string."""
    return next((text_of(entry.value) for entry in model.metadata_props if entry.key == key), "")
