"""The same work on many files, one after the other in one process: one that cannot be read is not the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePath

from onnx_tagger.errors import TaggerError
from onnx_tagger.model.counted import FileCount
from onnx_tagger.model.report import Report
from onnx_tagger.model.urls import is_url, shown_place


def over_files(
    files: Sequence[str], work: Callable[[str], Report], targets: Sequence[Path] | None = None
) -> Iterator[FileCount]:
    """Do some work on each file.

    Parameters
    ----------
    files : sequence of str
    work : callable
        From the name of a file to its report.
    targets : sequence of Path, optional
        The file that the work on each writes.

    Yields
    ------
    FileCount
        As soon as the work on a file is done; with what is wrong if it cannot be done.
    """
    for index, file in enumerate(files):
        shown = shown_place(file)
        try:
            report = work(file)
        except (TaggerError, OSError) as error:
            yield FileCount(shown, None, str(error))
        else:
            yield FileCount(shown, report, target=str(targets[index]) if targets is not None else None)


def targets_in(folder: Path, files: Sequence[str]) -> list[Path]:
    """Where each of many files is written: in a folder, by its path from the folder that all of them lie in.

    Raises
    ------
    TaggerError
        If two of them would be written to one file.

    Examples
    --------
    >>> [path.as_posix() for path in targets_in(Path("out"), ["a/b/x.onnx", "a/c/x.onnx"])]
    ['out/b/x.onnx', 'out/c/x.onnx']
    """
    local = [Path(file).absolute() for file in files if not is_url(file)]
    above = Path(os.path.commonpath([path.parent for path in local])) if local else Path()
    found: dict[Path, str] = {}
    for file in files:
        place = PurePath(shown_place(file).partition("?")[0].rstrip("/").rpartition("/")[2]) if is_url(file) else None
        target = folder / (place or Path(file).absolute().relative_to(above))
        if target in found:
            raise TaggerError(
                f"{target}: would be written for {found[target]} and {shown_place(file)}; name one of them"
            )
        found[target] = shown_place(file)
    return list(found)
