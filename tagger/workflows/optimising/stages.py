"""The stages of an optimisation and what each tries: tools that make another file, or settings of a session.

Which tries are kept is `pipeline`'s matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import onnx

from onnx_tagger.errors import TaggerError
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.model.report import FusedNode, Report
from onnx_tagger.model.suggestions import advice_on
from onnx_tagger.model.texts import brief_fields
from onnx_tagger.passes.base import Pass
from onnx_tagger.passes.inject import Inject
from onnx_tagger.passes.manager import PassManager
from onnx_tagger.passes.match import Match
from onnx_tagger.passes.opening import context_of
from onnx_tagger.passes.registry import make_pass

PathTool = Callable[[Path, Path], object]

# Levels at which onnxruntime can save what it makes for any machine; the higher ones are for this one.
_SAVED_LEVELS = ("basic", "extended")
# What the optimiser for transformers is told that a model is; it fuses what it knows of that.
_TYPES = ("bert", "gpt2", "vit", "unet")
_SETTINGS = (
    {"level": "extended"},
    {"level": "basic"},
    {"enable_cpu_mem_arena": "0"},
    {"enable_mem_pattern": "0"},
    {"session.set_denormal_as_zero": "1"},
)
FUSIONS = (
    "fuse-conv-bn",
    "fuse-split-convs",
    "fuse-parallel-convs",
    "fuse-layer-norm",
    "fuse-rms-norm",
    "fuse-gelu",
    "fuse-silu",
    "fuse-gemm",
)
# Those with operators of com.microsoft for versions of the standard ones that lack theirs.
_WITH_OPTION = ("fuse-rms-norm", "fuse-gelu", "fuse-silu")


@dataclass(frozen=True)
class Trial:
    """Something to try on a file.

    Parameters
    ----------
    name : str
        Unique in its stage.
    tool : callable, optional
        Called with the path of a file and that of the one to write; None for another session of the same file.
    settings : dict
        Of the session, ``level`` among them.
    exact : bool
        Whether the result must compute what the original does, and is dropped otherwise.
    """

    name: str
    tool: PathTool | None = None
    settings: dict[str, str] = field(default_factory=dict)
    exact: bool = True

    __repr__ = brief_fields


@dataclass(frozen=True)
class Stage:
    """A step of the pipeline: several trials, of which the best one is kept.

    Parameters
    ----------
    name : str
    trials : sequence of Trial

    Examples
    --------
    >>> [stage.name for stage in stages_of(["fusions", "settings"])]
    ['fusions', 'settings']
    """

    name: str
    trials: Sequence[Trial]

    __repr__ = brief_fields


def fuse(passes: Sequence[str], source: Path, target: Path) -> list[FusedNode]:
    """Run fusions on a tagged file and write the result with tags; returns what was fused."""
    steps: list[Pass] = [make_pass(name) for name in passes]
    report = Report()
    ctx = context_of(source, None, report, whole=True)
    PassManager([Match(), *steps, Inject()]).run_in(ctx)
    apart = bool(read_skeleton(source).external)
    onnx.save(ctx.model, target, save_as_external_data=apart, location=f"{target.name}.data" if apart else None)
    return report.fused


def stages_of(names: Iterable[str]) -> list[Stage]:
    """The stages of some names, in the order in which they run.

    Raises
    ------
    TaggerError
        If there is none of a name.
    """
    made: dict[str, Callable[[], Stage]] = {
        "graph": _graph,
        "fusions": _fusions,
        "transformers": _transformers,
        "settings": _settings,
    }
    found = []
    for name in names:
        if name not in made:
            raise TaggerError(f"no stage is {name!r}: {advice_on(str(name), made, 'choose from ' + ', '.join(made))}")
        found.append(made[name]())
    return found


STAGES = ("graph", "fusions", "transformers", "settings")


def _graph() -> Stage:
    from onnx_tagger.runtime.optimising import at_level

    trials = [Trial(f"onnxruntime {level}", partial(at_level, level)) for level in _SAVED_LEVELS]
    if find_spec("onnxslim") is not None:
        trials.append(Trial("onnxslim", _slimmed))
    return Stage("graph", trials)


def _slimmed(source: Path, target: Path) -> None:
    import onnxslim

    with redirect_stdout(StringIO()):  # it prints a table, and stdout is for data
        onnxslim.slim(str(source), str(target))


def _fusions() -> Stage:
    own = [f"{name}:microsoft=true" if name in _WITH_OPTION else name for name in FUSIONS]
    return Stage(
        "fusions",
        [Trial("standard operators", partial(fuse, FUSIONS)), Trial("com.microsoft too", partial(fuse, own))],
    )


def _transformers() -> Stage:
    from onnx_tagger.runtime.optimising import as_transformer

    return Stage("transformers", [Trial(f"as {kind}", partial(as_transformer, kind)) for kind in _TYPES])


def _settings() -> Stage:
    return Stage("settings", [Trial(" ".join(f"{k}={v}" for k, v in each.items()), None, each) for each in _SETTINGS])
