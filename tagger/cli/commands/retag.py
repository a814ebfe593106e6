"""`onnx-tagger retag`: tags for a file, from a map or its own metadata."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onnx_tagger.cli.app import (
    check_targets,
    complain,
    finish,
    names_of,
    screen_of_run,
    target_of,
    tell_verified,
    tell_weights,
    write_report,
)
from onnx_tagger.cli.options import (
    Also,
    Force,
    InPlace,
    MapFile,
    Merge,
    MergeName,
    Models,
    NoValues,
    OutputOrFolder,
    ReportFile,
    Values,
    Verify,
    VerifyBytes,
    WriteEvidence,
)
from onnx_tagger.errors import TaggerError

if TYPE_CHECKING:
    from onnx_tagger.model.report import Report
    from onnx_tagger.reporters.terminal import Screen


def command(
    models: Models,
    map_file: MapFile = None,
    output: OutputOrFolder = None,
    merge: Merge = MergeName.ENCLOSING,
    also: Also = None,
    evidence: WriteEvidence = False,
    passes: Annotated[
        list[str] | None,
        typer.Option(
            "--pass", metavar="NAME[:k=v,...]", help="Run this pass, too, before tags are written; repeatable."
        ),
    ] = None,
    verify: Verify = False,
    verify_bytes: VerifyBytes = False,
    values: Values = None,
    force: Force = False,
    no_values: NoValues = False,
    in_place: InPlace = False,
    link: Annotated[
        bool, typer.Option("--link", help="Hard-link external weight data into another folder instead of copying it.")
    ] = False,
    ir_version: Annotated[
        int | None, typer.Option(metavar="N", min=3, help="Write this IR version; the specification asks for 10.")
    ] = None,
    report: ReportFile = None,
) -> None:
    """Tag an ONNX file from a saved map, or from what its own metadata says; many files into a folder."""
    from onnx_tagger.files.gathering import gather, names_many
    from onnx_tagger.passes.registry import make_pass
    from onnx_tagger.workflows import retagging

    steps = [make_pass(text) for text in passes or ()]

    def work(model: str, target: Path, progress: Callable[[str], None]) -> Report:
        return retagging.retag(
            model,
            map_file,
            target,
            merge=merge.value,
            also=names_of(also),
            evidence=evidence,
            passes=steps,
            force=force,
            values=not no_values,
            verify=verify,
            verify_bytes=verify_bytes,
            inputs=values,
            in_place=in_place,
            link=link,
            ir_version=ir_version,
            progress=progress,
        )

    files, screen = gather(models, sys.stdin if "-" in models else ()), screen_of_run()
    if names_many(models):
        raise typer.Exit(_retag_many(screen, files, [map_file, values], output, in_place, report, work))
    (model,) = files
    target = target_of(model, output, in_place)
    check_targets([target, report], [map_file, values])
    check_targets([report], [model])
    with screen.progress("retag") as progress:
        found = work(model, target, progress)
    finish(screen, found, report)
    tell_verified(screen, found)
    tell_weights(screen, found)
    screen.summary(f"{target}: {found.split()}")


def _retag_many(
    screen: Screen,
    files: Sequence[str],
    read: Sequence[Path | str | None],
    output: Path | None,
    in_place: bool,
    report: Path | None,
    work: Callable[..., Report],
) -> int:
    """Re-tag files, a line each, and return the exit code: 2 if one could not be."""
    from onnx_tagger.model.counted import FileCount, FileCounts
    from onnx_tagger.workflows import many

    targets = _targets(files, output, in_place)
    check_targets([report], [*files, *read])
    found: list[FileCount] = []
    with screen.progress("retag") as progress:
        for file, target in zip(files, targets, strict=True):
            target.parent.mkdir(parents=True, exist_ok=True)
            (each,) = many.over_files([file], partial(work, target=target, progress=progress), [target])
            found.append(each)
    for each in found:
        if each.report is None:
            complain(each.headline)
        else:
            screen.summary(each.headline)
    counts = FileCounts(tuple(found))
    write_report(counts, report)
    screen.summary(counts.headline)
    return 0 if counts.ok else 2


def _targets(files: Sequence[str], output: Path | None, in_place: bool) -> list[Path]:
    """Where each file is written."""
    from onnx_tagger.workflows import many

    if output is None or in_place:
        if output is not None:
            raise TaggerError(f"{output}: with many files give either -o FOLDER or --in-place")
        return [target_of(file, None, in_place) for file in files]
    if output.exists() and not output.is_dir():
        raise TaggerError(f"{output}: is a file; with many files -o names a folder")
    targets = many.targets_in(output, files)
    check_targets([target for target in targets if target.parent.is_dir()], files)
    return targets
