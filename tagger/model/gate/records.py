"""The shape of the settings' file, ``[tool.onnx-tagger]`` in ``pyproject.toml`` or ``onnx-tagger.toml``.

The JSON schema for editors is made of these records; what they mean for a file is `settings`'.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

# Spelled out, so that editors offer the words; a test holds them to the tables that they come from.
EvidenceName = Literal[
    "exporter", "stated", "node", "name", "spelled", "weight", "structure", "run", "neighbours", "undecided", "none"
]
DialectName = Literal["torch", "winml", "namespace", "layer_ann", "doc_string"]
FormName = Literal["text", "json", "junit", "github", "sarif", "markdown"]
Count = Annotated[int, msgspec.Meta(ge=0)]
Share = Annotated[float, msgspec.Meta(ge=0, le=100)]
Names = list[str]

# `msgspec.UNSET` stands for a key that the table does not have.


class FileRecord(msgspec.Struct, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """What may differ from file to file."""

    map: Annotated[str, msgspec.Meta(description="The map that tags must fit.")] | msgspec.UnsetType = msgspec.UNSET
    dialect: (
        Annotated[DialectName, msgspec.Meta(description="Count this convention instead of our own keys.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    min_coverage: (
        Annotated[Share, msgspec.Meta(description="Smallest share of tagged nodes, in percent.")] | msgspec.UnsetType
    ) = msgspec.UNSET
    max_root: (
        Annotated[Count, msgspec.Meta(description="Most nodes that fell back to the root.")] | msgspec.UnsetType
    ) = msgspec.UNSET
    max_inherited: (
        Annotated[Count, msgspec.Meta(description="Most nodes with an inherited tag.")] | msgspec.UnsetType
    ) = msgspec.UNSET
    max_named: Annotated[Count, msgspec.Meta(description="Most nodes tagged by names alone.")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    min_evidence: (
        Annotated[EvidenceName, msgspec.Meta(description="What each tag must rest on at least.")] | msgspec.UnsetType
    ) = msgspec.UNSET
    allow_forced: (
        Annotated[bool, msgspec.Meta(description="Accept tags from a map that was taken with --force.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    select: Annotated[Names, msgspec.Meta(description="Look at these rules alone.")] | msgspec.UnsetType = msgspec.UNSET
    ignore: Annotated[Names, msgspec.Meta(description="Leave these rules out.")] | msgspec.UnsetType = msgspec.UNSET


class GateRecord(FileRecord, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """The whole table."""

    files: (
        Annotated[Names, msgspec.Meta(description="What is checked if no file is named: files, folders, globs.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    baseline: (
        Annotated[str, msgspec.Meta(description="The file of what may be as bad as it is.")] | msgspec.UnsetType
    ) = msgspec.UNSET
    strict_baseline: (
        Annotated[bool, msgspec.Meta(description="Fail where the baseline records more than there is.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET
    format: Annotated[FormName, msgspec.Meta(description="How the verdict is printed.")] | msgspec.UnsetType = (
        msgspec.UNSET
    )
    per_file: (
        Annotated[dict[str, FileRecord], msgspec.Meta(description="Settings for files by glob; the last that fits.")]
        | msgspec.UnsetType
    ) = msgspec.UNSET


FILE_KEYS: tuple[str, ...] = tuple(field.encode_name for field in msgspec.structs.fields(FileRecord))
KEYS: tuple[str, ...] = tuple(field.encode_name for field in msgspec.structs.fields(GateRecord))
