"""Holding files to a baseline: its file, what is worse than it records, what is better, and recording anew."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.files.replacing import replace_file
from onnx_tagger.hierarchy.validation import place_and_fault
from onnx_tagger.model.findings import LOOSE, Finding
from onnx_tagger.model.gate.baseline import KINDS, Baseline, compare, counts_of, is_of_a_kind
from onnx_tagger.model.gated import Gated, Judged
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.model.urls import is_url, shown_place
from onnx_tagger.workflows.gating import Terms

FORMAT, VERSION = "onnx-tagger/baseline", 1

# A baseline of a million entries is smaller.
_MOST_BYTES = 1 << 28


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    format: str
    version: int
    files: dict[str, dict[str, dict[str, int]]]


def every_node(terms: Terms) -> Terms:
    """Terms by which each node of a kind that baselines count is a finding; other limits stay."""
    limits = replace(terms.limits, min_coverage=100.0, max_root=0, max_inherited=0, max_named=0)
    return replace(terms, limits=limits, left_out=())


def load(path: Path) -> Baseline:
    """A baseline from its file.

    Raises
    ------
    TaggerError
        If there is no such file, or it holds something else.
    """
    try:
        with path.open("rb") as stream:
            text = stream.read(_MOST_BYTES + 1)
        if len(text) > _MOST_BYTES:
            raise TaggerError(f"{path}: is larger than {_MOST_BYTES} bytes, which no baseline is; name another file")
        record = msgspec.json.decode(text, type=_Record)
    except FileNotFoundError:
        advice = advice_on_missing(path) or "--update-baseline writes it"
        raise TaggerError(f"{path}: there is no such baseline; {advice}") from None
    except OSError as error:
        raise TaggerError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        where, fault = place_and_fault(error)
        raise TaggerError(
            f"{path}: is no baseline{f', at {where}' if where else ''}: {fault}; write it anew"
        ) from error
    if (record.format, record.version) != (FORMAT, VERSION):
        found = f"{record.format[:40]!r} version {record.version}"
        raise TaggerError(f"{path}: is {found}, not {FORMAT!r} version {VERSION}; write it anew with --update-baseline")
    unknown = sorted({kind for counts in record.files.values() for kind in counts} - set(KINDS))
    if unknown:
        raise TaggerError(f"{path}: counts {unknown[0][:40]!r}, which is none of {', '.join(KINDS)}; write it anew")
    return Baseline(record.files)


def save(baseline: Baseline, path: Path) -> None:
    """Write a baseline, a line for each file, whole or not at all; equal baselines give equal bytes.

    Raises
    ------
    TaggerError
        If the file cannot be written.
    """
    rows = [f"{_json(name)}:{_json(counts)}" for name, counts in baseline.files.items()]
    body = "{\n" + ",\n".join(rows) + "\n}" if rows else "{}"
    replace_file(path, f'{{"format":{_json(FORMAT)},"version":{VERSION},"files":{body}}}\n'.encode())


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


@dataclass(frozen=True)
class Held:
    """Files that were held to a baseline.

    Parameters
    ----------
    gated : Gated
        With what is worse than recorded alone, of the kinds that a baseline counts.
    updated : Baseline
        The baseline as it would be written now.
    """

    gated: Gated
    updated: Baseline

    __repr__ = brief_fields


def hold(
    files: Sequence[tuple[str, Judged]],
    baseline: Baseline,
    path: Path,
    *,
    strict: bool = False,
    left_out: Callable[[str], Collection[str]] = lambda _: (),
) -> Held:
    """Hold files that were checked by `every_node` to a baseline.

    Parameters
    ----------
    files : sequence of (str, Judged)
        With the name that each file was opened by.
    baseline : Baseline
    path : Path
        Its file: names in it start from its folder.
    strict : bool
        Make findings of entries that could be tightened; else a note counts them.
    left_out : callable
        From the name of a file to the ids of rules that do not count for it.
    """
    counts = dict(baseline.files)
    judged: list[Judged] = []
    loose: list[Finding] = []
    for name, found in files:
        ids, place = left_out(name), place_in(path, name)
        if found.report is None:
            judged.append(found.without(ids))
            continue
        compared = compare(found.file, found.findings, baseline.files.get(place, {}))
        counts[place] = counts_of(found.findings)
        looser = list(compared.looser) if LOOSE.id not in ids else []
        loose += looser
        kept = [each for each in found.findings if not is_of_a_kind(each)]
        worse = (*kept, *compared.worse, *(looser if strict else ()))
        judged.append(replace(found, findings=worse).without(ids))
    for gone in _gone(baseline, path, counts.keys() - {place_in(path, name) for name, _ in files}):
        del counts[gone]
        loose.append(Finding(LOOSE, str(path), f"{gone} is recorded, but there is no such file"))
        if strict:
            judged.append(Judged(str(path), None, (loose[-1],)).without(left_out(gone)))
    notes = () if strict or not loose else (_advice(path, loose),)
    return Held(Gated(tuple(judged), notes), Baseline.of(counts))


def _gone(baseline: Baseline, path: Path, unchecked: Collection[str]) -> list[str]:
    """The files of a baseline that are there no more."""
    return [
        name for name in baseline.files if name in unchecked and not is_url(name) and not (path.parent / name).exists()
    ]


def _advice(path: Path, loose: Sequence[Finding]) -> str:
    count = f"{len(loose)} {'entry' if len(loose) == 1 else 'entries'}"
    return f"{path}: {count} could be tightened with --update-baseline ({loose[0].file}: {loose[0].says})"


def place_in(path: Path, file: str) -> str:
    """A file as a baseline names it: by its path from the baseline's folder, with slashes; a URL as it is shown."""
    return shown_place(file) if is_url(file) else Path(os.path.relpath(file, path.parent)).as_posix()
