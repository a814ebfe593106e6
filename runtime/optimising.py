"""Optimisers of onnxruntime as tools on files: its graph optimiser at a level, and its optimiser for transformers."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from onnx_tagger.runtime.settings import Setup


def at_level(level: str, source: Path, target: Path) -> None:
    """Save what onnxruntime makes of a file at one of its levels.

    Raises
    ------
    TaggerError
        If it does not load the file.
    """
    setup = Setup(level)
    options = setup.options()
    options.optimized_model_filepath = str(target)
    setup.session(source, options)


def as_transformer(model_type: str, source: Path, target: Path) -> None:
    """Save what onnxruntime's optimiser for transformers makes of a file that it takes for a certain type of model.

    It finds the sizes of attention by itself, and leaves onnxruntime's own optimiser for the session.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # it shows how far it is on both
            from onnxruntime.transformers.optimizer import optimize_model

            optimize_model(str(source), model_type=model_type, opt_level=0).save_model_to_file(str(target))
    finally:
        logging.disable(before)
