"""What `onnx-tagger demo` does: the whole way of a small BERT, offline, each step with the command that does it."""

from __future__ import annotations

import json
from pathlib import Path

from onnx_tagger.errors import TaggerError, require
from onnx_tagger.files.onnxfile import read_skeleton
from onnx_tagger.model.graph import walk
from onnx_tagger.model.report import Limits
from onnx_tagger.model.verdict import Verdict
from onnx_tagger.reporters.nodes import show_nodes
from onnx_tagger.reporters.profiling.text import show_profile
from onnx_tagger.reporters.summary import show_notes
from onnx_tagger.reporters.terminal import Screen, counted
from onnx_tagger.reporters.tree import show_tree
from onnx_tagger.runtime.sessions import optimise
from onnx_tagger.workflows import checking, exporting, retagging
from onnx_tagger.workflows.profiling.measuring import profile
from onnx_tagger.workflows.reading import read

# Small enough to export in seconds, large enough for a tree with repeated layers.
CONFIG: dict[str, object] = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "type_vocab_size": 2,
}

# What a user would type to let onnxruntime optimise a file; `sessions.optimise` does the same.
_OPTIMISE = (
    'python -c "import onnxruntime as ort; options = ort.SessionOptions(); '
    "options.optimized_model_filepath = 'bert.opt.onnx'; ort.InferenceSession('bert.onnx', options)\""
)

_NEXT = """Next:
  onnx-tagger export SOURCE -o M.onnx       a model of yours: a Hugging Face directory, a hub id, or file.py:factory
  onnx-tagger show M.onnx NODE              one node, its module and its neighbours
  onnx-tagger nodes M.onnx --under MODULE   the nodes of a module
  onnx-tagger profile M.onnx                where the time of a run goes, module by module
  onnx-tagger retag OTHER.onnx --map M.hierarchy.json -o OUT.onnx   after any optimiser or quantiser"""


def check_folder(folder: Path) -> None:
    """Insist on an empty folder, or one that can be made, so that no file of the user is overwritten.

    Raises
    ------
    TaggerError
        If it holds something, is a file, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        used = next(folder.iterdir(), None)
    except OSError as error:
        raise TaggerError(f"{folder}: cannot be used ({error.strerror}); name an empty or a new folder") from None
    if used is not None:
        raise TaggerError(f"{folder}: holds {used.name} and maybe more; name an empty or a new folder")


def demo(folder: Path, screen: Screen) -> None:
    """Export, tag, optimise, re-tag, check and profile a small BERT, and show each step.

    Parameters
    ----------
    folder : Path
        An empty folder that takes the files.
    screen : Screen
        Where the steps are shown.

    Raises
    ------
    MissingExtraError
        If torch, transformers or onnxruntime is missing.
    TaggerError
        If a step fails.
    """
    require("torch", "torch", "the demo")
    require("onnxscript", "torch", "the demo")
    require("transformers", "hf", "the demo")
    require("onnxruntime", "ort", "the demo")
    config, exported, optimised, tagged = (
        folder / name for name in ("config.json", "bert.onnx", "bert.opt.onnx", "bert.opt.tagged.onnx")
    )
    saved = checking.map_path(exported)
    config.write_text(json.dumps(CONFIG, indent=1) + "\n", encoding="utf-8")
    _export(screen, config, exported)
    _look(screen, exported)

    _command(screen, _OPTIMISE)
    optimise(exported, optimised)
    nodes = [op.node for op in walk(read_skeleton(optimised).model).ops]
    left = sum(bool(node.metadata_props) for node in nodes)
    screen.lines([f"{optimised.name}: {counted(len(nodes), 'node')}, {left} of them with metadata left"])

    _command(screen, f"onnx-tagger retag {optimised.name} --map {saved.name} -o {tagged.name}")
    with screen.progress("retag") as progress:
        report = retagging.retag(optimised, saved, tagged, progress=progress)
    screen.lines([f"{tagged.name}: {report.split()}"])
    show_notes(screen, report)

    _command(screen, f"onnx-tagger check {tagged.name} --map {saved.name}")
    report = checking.check(tagged, saved)
    verdict = Verdict.of(tagged.name, report, Limits())
    screen.styled(verdict.headline, "green" if report.ok else "red")
    screen.lines([*verdict.broken, *verdict.single])
    if not report.ok:
        raise TaggerError(f"{tagged}: the re-tagged model fails its check; please report this as a bug")
    _profile(screen, tagged, saved)
    screen.lines(["", *_NEXT.splitlines()])


def _profile(screen: Screen, tagged: Path, saved: Path) -> None:
    """Where the time of the re-tagged file goes; fewer sessions than by default, so that it takes a second."""
    _command(screen, f"onnx-tagger profile {tagged.name} --map {saved.name} --depth 2 --sessions 3")
    with screen.progress("profile") as progress:
        found = profile(tagged, saved, sessions=3, progress=progress)
    rows = [module for module in found.modules.modules if module.tag is not None]
    show_profile(screen, found, found.modules.of_modules(rows).filter(depth=2).sort("time"))


def _command(screen: Screen, text: str) -> None:
    screen.lines([""])
    screen.styled(f"$ {text}", "bold")


def _export(screen: Screen, config: Path, exported: Path) -> None:
    from onnx_tagger.exporters.sources.loading import load_source

    screen.styled(f"$ onnx-tagger export {config.name} -o {exported.name}", "bold")
    with screen.progress("export") as progress:
        source = load_source(str(config), seed=0)
        made = exporting.export(source.model, source.args, exported, kwargs=source.kwargs, progress=progress)
    screen.lines([f"{exported.name}: {made.report.split()}, strategy {made.report.strategy}"])
    show_notes(screen, made.report)


def _look(screen: Screen, exported: Path) -> None:
    saved = checking.map_path(exported)
    tagged = read(exported, saved)
    _command(screen, f"onnx-tagger tree {exported.name} --map {saved.name} --depth 3")
    show_tree(screen, tagged.table(), depth=3)
    path = "encoder.layer.0.attention.self.query"
    _command(screen, f"onnx-tagger nodes {exported.name} --under {path}")
    show_nodes(screen, tagged.nodes(path))
