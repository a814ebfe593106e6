"""Modules as files for people: what was written, what was refused and why, and what each module gained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onnx_tagger.reporters.terminal import Screen, counted

if TYPE_CHECKING:
    from onnx_tagger.workflows.cutting.extracting import Extracted, Extraction, PartTensor
    from onnx_tagger.workflows.cutting.filtering import Filtered
    from onnx_tagger.workflows.cutting.improving import Gain, Improvement
    from onnx_tagger.workflows.cutting.splicing import Splice


def show_extraction(screen: Screen, made: Extraction) -> None:
    """Print the border of one module, or a row for each of several."""
    if len(made.parts) == 1 and made.parts[0].file is not None:
        _show_one(screen, made.parts[0])
        return
    headers = ["module", "file", "nodes", "copied in", "inputs", "outputs", "bytes", "verified"]
    written = [part for part in made.parts if part.file is not None]
    rows = [
        [
            part.module or "(root)",
            part.file.name if part.file is not None else "",
            str(part.nodes),
            str(part.copied),
            str(len(part.inputs)),
            str(len(part.outputs)),
            str(part.size),
            {None: "", True: "bit-equal", False: "differs"}[part.verified],
        ]
        for part in written
    ]
    if rows:
        screen.table(headers, rows, numbers=tuple(range(2, 7)))
    refused = [part for part in made.parts if part.refused is not None]
    screen.lines([f"refused: {part.module or '(root)'}: {part.refused}" for part in refused])
    screen.lines([f"{counted(len(written), 'module')} written, {len(refused)} refused"])


def _show_one(screen: Screen, part: Extracted) -> None:
    lines = [f"{part.file}: {counted(part.nodes, 'node')} of {part.module or '(root)'}, {part.size} bytes"]
    if part.copied:
        lines.append(f"  copied in: {counted(part.copied, 'node')} of constants and shape arithmetic of other modules")
    if part.dropped:
        lines.append(f"  dropped: {counted(part.dropped, 'node')} whose results come back through other modules")
    lines += [f"  takes {_tensor(one)}" for one in part.inputs]
    lines += [f"  gives {_tensor(one)}" for one in part.outputs]
    lines.append(f"  map: {part.map}")
    if part.verified is not None:
        held = "bit-equal to the whole file" if part.verified else f"differs in {', '.join(part.different)}"
        lines.append(f"  verified: {held}")
    screen.lines(lines)


def _tensor(one: PartTensor) -> str:
    owner = "an input of the model" if one.owner is None else f"of {one.owner or '(root)'}"
    return f"{one.name}: {one.source}, {owner}"


def show_filtered(screen: Screen, made: Filtered) -> None:
    """Print what is left, and what makes it unsafe."""
    kept = f"{counted(made.nodes, 'node')} kept, {made.dropped} left out"
    screen.lines([f"{made.file}: {kept}" if made.file is not None else f"not written: {kept}"])
    screen.lines([f"  unsafe: {text}" for text in made.unsafe])
    screen.lines([f"  note: {text}" for text in made.notes])
    if made.file is None:
        screen.lines(["  --force writes it all the same, to look at"])


def show_splice(screen: Screen, made: Splice) -> None:
    """Print what was replaced, and what verifying showed."""
    swapped = f"{counted(made.removed, 'node')} of {made.module or '(root)'} replaced by {made.added}"
    lines = [f"{made.file}: {swapped} of {made.part}"]
    lines += [f"  takes {tensor} as {name}" for name, tensor in made.inputs.items()]
    lines += [f"  gives {tensor} as {name}" for name, tensor in made.outputs.items()]
    if made.errors is not None:
        worst = max(made.errors.values(), default=0.0)
        allowed = f"{made.tolerance:.2g} allowed"
        held = "bit-equal outputs" if not worst else f"outputs at most {worst:.2g} of their size apart, {allowed}"
        lines.append(f"  verified: {held}" if made.ok else f"  differs: {held}")
    screen.lines(lines)


def show_improvement(screen: Screen, made: Improvement) -> None:
    """Print a row for each module: what it gained, and whether it was put back."""
    headers = ["module", "verdict", "nodes", "bytes", "us", "time after/before", "error"]
    screen.table(headers, [_gain(one) for one in made.gains])
    screen.lines([f"{one.verdict}: {one.module or '(root)'}: {one.why}" for one in made.gains if one.why])
    put = f"{made.put_back} of {counted(len(made.gains), 'module')} put back"
    screen.lines([f"{made.file}: {put}, {made.bytes[0]} -> {made.bytes[1]} bytes"])


def _gain(one: Gain) -> list[str]:
    nodes, sizes, micros = (
        "" if pair is None else f"{pair[0]:.0f} -> {pair[1]:.0f}" for pair in (one.nodes, one.bytes, one.micros)
    )
    ratio = "" if one.ratio is None else f"{one.ratio[1]:.2f} ({one.ratio[0]:.2f} to {one.ratio[2]:.2f})"
    error = "" if one.error is None else f"{one.error:.1e}" if one.error else "0"
    return [one.module or "(root)", one.verdict, nodes, sizes, micros, ratio, error]
