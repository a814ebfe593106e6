"""Checking many files, each by its own terms; one that cannot be read is a finding, and not the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.loading import MapSource, load_map
from onnx_tagger.hierarchy.map import HierarchyMap
from onnx_tagger.model.evidence import evidence_class
from onnx_tagger.model.findings import RULES, UNREADABLE, Finding, findings_of, rules_of
from onnx_tagger.model.gate.settings import Settings, names_in
from onnx_tagger.model.gated import Judged
from onnx_tagger.model.report import Limits, Report
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.model.urls import shown_place
from onnx_tagger.model.verdict import Verdict
from onnx_tagger.workflows import checking


@dataclass(frozen=True)
class Terms:
    """What a file is checked by.

    Parameters
    ----------
    hierarchy : HierarchyMap, path or None
    dialect, limits, allow_forced
        As of `onnx_tagger.check`.
    left_out : collection of str
        Ids of rules that do not count; see `ignored`.
    """

    hierarchy: MapSource | None = None
    dialect: str | None = None
    limits: Limits = field(default_factory=Limits)
    allow_forced: bool = False
    left_out: Collection[str] = ()

    __repr__ = brief_fields


def terms_of(settings: Settings, options: Mapping[str, object], file: str | None) -> Terms:
    """What the settings and the options of the command say of a file.

    Raises
    ------
    TaggerError
        If they name an evidence or a rule that there is not.
    """
    found = {name: setting.value for name, setting in settings.in_force(options, file).items()}
    named, said = found["map"], options.get("map")
    evidence = found["min-evidence"]
    inherited, names = found["max-inherited"], found["max-named"]
    return Terms(
        str(said) if said is not None else settings.path_of(str(named)) if named is not None else None,
        str(found["dialect"]) if found["dialect"] is not None else None,
        Limits(
            float(str(found["min-coverage"])),
            int(str(found["max-root"])),
            int(str(inherited)) if inherited is not None else None,
            int(str(names)) if names is not None else None,
            evidence_class(str(evidence)) if evidence is not None else None,
        ),
        bool(found["allow-forced"]),
        ignored(names_in(found["select"]), names_in(found["ignore"])),
    )


def check_files(
    files: Sequence[str],
    hierarchy: MapSource | None = None,
    *,
    dialect: str | None = None,
    limits: Limits | None = None,
    allow_forced: bool = False,
    left_out: Collection[str] = (),
) -> Iterator[Judged]:
    """Check files one after the other, all by the same terms.

    Parameters
    ----------
    files : sequence of str
    hierarchy, dialect, limits, allow_forced, left_out
        As of `Terms`.

    Yields
    ------
    Judged
        As soon as a file was checked.

    Raises
    ------
    TaggerError
        If the map cannot be read; before any file is looked at.
    """
    terms = Terms(hierarchy, dialect, limits or Limits(), allow_forced, left_out)
    return check_by(files, lambda _: terms)


def check_by(files: Sequence[str], terms: Callable[[str], Terms]) -> Iterator[Judged]:
    """Check files one after the other, each by its own terms; a map that several name is read once.

    Raises
    ------
    TaggerError
        If a map cannot be read, or terms cannot be made out; before any file is looked at.
    """
    each = {file: terms(file) for file in files}
    maps: dict[str, HierarchyMap] = {}
    for found in each.values():
        if isinstance(found.hierarchy, (str, os.PathLike)) and os.fspath(found.hierarchy) not in maps:
            maps[os.fspath(found.hierarchy)] = load_map(found.hierarchy)
    for file in files:
        source = each[file].hierarchy
        tree = maps[os.fspath(source)] if isinstance(source, (str, os.PathLike)) else source
        try:
            yield check_one(file, replace(each[file], hierarchy=tree))
        except (TaggerError, OSError) as error:
            yield unreadable(file, error).without(each[file].left_out)


def check_one(file: str, terms: Terms) -> Judged:
    """Check one file.

    Raises
    ------
    TaggerError
        If the file or the map cannot be read.
    """
    return judged(shown_place(file), report_of(file, terms), terms.limits, terms.left_out)


def report_of(file: str, terms: Terms) -> Report:
    """The report of a check by some terms, by all rules.

    Raises
    ------
    TaggerError
        If the file or the map cannot be read.
    """
    wanted = terms.limits
    return checking.check(
        file,
        terms.hierarchy,
        dialect=terms.dialect,
        min_coverage=wanted.min_coverage,
        max_root=wanted.max_root,
        max_inherited=wanted.max_inherited,
        max_named=wanted.max_named,
        allow_forced=terms.allow_forced,
        min_evidence=wanted.min_evidence.label if wanted.min_evidence is not None else None,
    )


def unreadable(file: str, error: Exception) -> Judged:
    """A file that cannot be read, as a finding."""
    shown = shown_place(file)
    return Judged(shown, None, (Finding(UNREADABLE, shown, str(error)),))


def judged(file: str, report: Report, limits: Limits, left_out: Collection[str] = ()) -> Judged:
    """What a report says, as findings, without those of the rules that are left out."""
    return Judged(file, report, tuple(findings_of(Verdict.of(file, report, limits)))).without(left_out)


def ignored(select: Collection[str], ignore: Collection[str]) -> set[str]:
    """The ids of the rules that do not count.

    Parameters
    ----------
    select, ignore : collection of str
        Rules, by id, the beginning of one, or name: those to look at (all, if none is named), and those to leave out.

    Raises
    ------
    TaggerError
        If a rule is not known.
    """
    selected = rules_of(select) if select else {rule.id for rule in RULES}
    return ({rule.id for rule in RULES} - selected) | rules_of(ignore)
