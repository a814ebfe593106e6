"""Modules of the zoo as files: fresh, and after onnxruntime at EXTENDED and at ALL.

Each module is extracted, run beside the whole at DISABLE, compared with what torch's module returned, put back, and
extracted with `onnx.utils.Extractor` at the same border.

python benchmarks/extracting.py [--only bert,resnet] [--strategies fx,htp] [--back refuse|drop]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "fixtures" / "zoo"), str(ROOT / "benchmarks")]

from index import ZOO, build  # noqa: E402 - the zoo is a folder, no package
from measure import machine, table  # noqa: E402

import onnx_tagger as ot  # noqa: E402
from onnx_tagger.errors import TaggerError  # noqa: E402
from onnx_tagger.runtime.parting import outputs_apart  # noqa: E402
from onnx_tagger.runtime.sessions import tensors_of  # noqa: E402

LEVELS = ("EXTENDED", "ALL")
# Modules of a file that are put back: each costs a session of the whole.
SPLICED = 6


def files_of(name: str, strategy: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """The files of one model, tagged: fresh, and after onnxruntime."""
    model, args, kwargs = build(name, perturb=True)
    fresh = folder / f"{name}.onnx"
    ot.export(model, args, fresh, kwargs=kwargs, strategy=strategy, compare=False)
    yield "fresh", fresh
    for level in LEVELS:
        raw, tagged = folder / f"{name}.raw.onnx", folder / f"{name}.{level}.onnx"
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(raw)
        options.log_severity_level = 4
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, f"ORT_ENABLE_{level}")
        ort.InferenceSession(str(fresh), options, providers=["CPUExecutionProvider"])
        ot.retag(raw, fresh, tagged)
        yield level, tagged


def tensors_in(value: object) -> Iterator[torch.Tensor]:
    """The tensors of floats in what a module returned."""
    if isinstance(value, torch.Tensor):
        if value.is_floating_point() and value.numel():
            yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from tensors_in(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors_in(one)


def returned(name: str) -> tuple[dict[str, list[list[np.ndarray]]], list[np.ndarray]]:
    """What each module of a model returned, call by call, and the tensors that the model was given."""
    model, args, kwargs = build(name, perturb=True)
    model.eval()
    found: dict[str, list[list[np.ndarray]]] = {}
    for path, module in model.named_modules():

        def note(_m: object, _a: object, out: object, path: str = path) -> None:
            found.setdefault(path, []).append([tensor.detach().clone().numpy() for tensor in tensors_in(out)])

        module.register_forward_hook(note)
    given = [v.numpy() for v in [*args, *kwargs.values()] if isinstance(v, torch.Tensor)]
    with torch.no_grad():
        model(*args, **kwargs)
    return found, given


def near(one: np.ndarray, other: np.ndarray) -> bool:
    return one.size == other.size and bool(
        np.allclose(one.ravel(), other.ravel(), rtol=1e-3, atol=1e-4 * max(1.0, float(np.abs(other).max(initial=0))))
    )


def measure(name: str, strategy: str, back: str, rows: dict[str, Counter[str]], faults: list[str]) -> None:
    torchs, given = returned(name)
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        for kind, path in files_of(name, strategy, folder):
            row = rows.setdefault(f"{strategy} {kind}", Counter())
            label = f"{name} {strategy} {kind}"
            try:
                one_file(label, path, folder, back, row, faults, torchs, given)
            except TaggerError as error:
                row["files not measured"] += 1
                faults.append(f"{label}: {error}")


def one_file(
    label: str,
    path: Path,
    folder: Path,
    back: str,
    row: Counter[str],
    faults: list[str],
    torchs: dict[str, list[list[np.ndarray]]],
    given: list[np.ndarray],
) -> None:
    model = onnx.load(path)
    stored = {tensor.name for tensor in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in stored]
    # By shape and in order: what the model was given, as the file takes it.
    feeds = dict(zip(names, given, strict=False)) if len(names) == len(given) else {}
    saved = folder / "feeds.npz"
    np.savez(saved, **feeds)
    values = tensors_of(path, feeds) if feeds else {}
    made = ot.extract(path, "**", folder / "parts", verify=True, back=back, inputs=saved if feeds else None)
    tree = ot.read(path)
    called = {module.path for module in tree.context.hierarchy.modules} & torchs.keys()
    spliced = 0
    for part in made.parts:
        if part.module not in called:
            continue
        if part.refused is not None and "no node does work" in part.refused:
            row["without work"] += 1
            continue
        row["with work"] += 1
        if part.refused is not None:
            reason = next(
                (w for w in ("come back", "is called", "are in", "read by others") if w in part.refused), "other"
            )
            row[f"refused: {reason}"] += 1
            if reason == "other":
                faults.append(f"{label} {part.module}: {part.refused}")
            continue
        row["extracted"] += 1
        row["bit-equal"] += part.verified is True
        if part.verified is not True:
            faults.append(f"{label} {part.module}: differs in {part.different}")
        wanted = [tensor for call in torchs[part.module] for tensor in call]
        outs = [values[t.source] for t in part.outputs if t.source in values]
        if wanted and values:
            exist = all(any(near(v, w) for v in values.values() if v.dtype.kind == "f") for w in wanted)
            row["torch's outputs in the file"] += exist
            equal = exist and all(any(near(v, w) for v in outs if v.dtype.kind == "f") for w in wanted)
            row["equal to torch"] += equal
            if exist and not equal:
                faults.append(
                    f"{label} {part.module}: torch's outputs are not among {[t.source for t in part.outputs]}"
                )
        if kind_is_optimised(label):
            row["Extractor does"] += with_extractor(model, part)
        if spliced < SPLICED:
            spliced += 1
            target = folder / "back.onnx"
            ot.splice(path, part.module, part.file, target, back=back)
            apart = outputs_apart(path, target, saved if feeds else None)
            row["put back"] += 1
            row["put back, bit-equal"] += not any(apart.errors.values())


def kind_is_optimised(label: str) -> bool:
    return not label.endswith("fresh")


def with_extractor(model: onnx.ModelProto, part: ot.Extraction) -> bool:
    """Whether onnx's own extractor gives a file that onnxruntime loads, at the same border."""
    try:
        found = onnx.utils.Extractor(model).extract_model(
            [one.source for one in part.inputs], [one.source for one in part.outputs]
        )
        options = ort.SessionOptions()
        options.log_severity_level = 4
        ort.InferenceSession(found.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - whatever it fails with, it has not done it
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(ZOO))
    parser.add_argument("--strategies", default="fx,htp")
    parser.add_argument("--back", default="refuse")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows: dict[str, Counter[str]] = {}
    faults: list[str] = []
    for name in options.only.split(","):
        for strategy in options.strategies.split(","):
            try:
                measure(name, strategy, options.back, rows, faults)
            except Exception as error:  # noqa: BLE001 - what cannot be exported is no case
                print(f"{name} {strategy}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
    print(machine())
    columns = sorted({key for row in rows.values() for key in row})
    table(
        "Modules as files", ("", *rows), [(column, *(str(row[column]) for row in rows.values())) for column in columns]
    )
    print(*faults, sep="\n")


if __name__ == "__main__":
    main()
