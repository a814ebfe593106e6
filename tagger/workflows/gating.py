"""Checking many files: each by the same limits; one that cannot be read is a finding, and not the end."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.loading import MapSource, load_map
from onnx_tagger.model.findings import RULES, UNREADABLE, Finding, findings_of, rules_of
from onnx_tagger.model.gated import Judged
from onnx_tagger.model.report import Limits, Report
from onnx_tagger.model.urls import shown_place
from onnx_tagger.model.verdict import Verdict
from onnx_tagger.workflows.checking import check


def check_files(
    files: Sequence[str],
    hierarchy: MapSource | None = None,
    *,
    dialect: str | None = None,
    limits: Limits | None = None,
    allow_forced: bool = False,
    left_out: Collection[str] = (),
) -> Iterator[Judged]:
    """Check files one after the other.

    Parameters
    ----------
    files : sequence of str
    hierarchy : HierarchyMap, path or None
        The same map for all of them.
    dialect, limits, allow_forced
        As of `onnx_tagger.check`.
    left_out : collection of str
        Ids of rules that do not count; see `ignored`.

    Yields
    ------
    Judged
        As soon as a file was checked.

    Raises
    ------
    TaggerError
        If the map cannot be read; before any file is looked at.
    """
    tree = load_map(hierarchy) if hierarchy is not None else None
    wanted = limits or Limits()
    for file in files:
        try:
            report = check(
                file,
                tree,
                dialect=dialect,
                min_coverage=wanted.min_coverage,
                max_root=wanted.max_root,
                max_inherited=wanted.max_inherited,
                max_named=wanted.max_named,
                allow_forced=allow_forced,
                min_evidence=wanted.min_evidence.label if wanted.min_evidence is not None else None,
            )
        except (TaggerError, OSError) as error:
            shown = shown_place(file)
            yield Judged(shown, None, (Finding(UNREADABLE, shown, str(error)),)).without(left_out)
        else:
            yield judged(shown_place(file), report, wanted, left_out)


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
