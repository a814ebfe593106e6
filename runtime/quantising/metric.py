"""A user's own number for how good a file is: ``FILE.py:FN``, a function of what runs the file.

Examples
--------
A function ``accuracy`` in ``metric.py`` that gives the share of right answers, so that higher is better::

    def accuracy(run):
        right = 0
        for inputs, label in examples():
            right += int(run(inputs)["logits"].argmax() == label)
        return right / len(examples())
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from onnx_tagger.errors import TaggerError, first_sentence, one_line
from onnx_tagger.files.factories import named_function
from onnx_tagger.runtime.feeds import Array

_TAKES = "a metric takes a function from inputs to outputs, both dicts of name to array, and returns a number"


def measured_by(metric: str, path: Path) -> float:
    """What a metric says of a file; higher is better.

    Parameters
    ----------
    metric : str
        ``FILE.py:FN`` or ``package.module:FN``. The function is called with one argument, `run`, which takes a dict of
        input name to array and returns a dict of output name to array, and returns a number.
    path : Path
        The file, which onnxruntime runs with all optimisations on one thread.

    Raises
    ------
    SourceError
        If there is no such function.
    TaggerError
        If it fails, or returns no finite number.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise TaggerError(f"{path}: onnxruntime does not load it: {first_sentence(error)}") from error
    names = [value.name for value in session.get_outputs()]

    def run(feeds: Mapping[str, Array]) -> dict[str, object]:
        return dict(zip(names, session.run(names, dict(feeds)), strict=True))

    with named_function(metric, _TAKES) as function:
        try:
            found = function(run)
        except (Exception, SystemExit) as error:
            raise TaggerError(f"{metric}: failed on {path.name}: {one_line(error)}; {_TAKES}") from error
    try:
        value = float(np.asarray(found, np.float64).reshape(()))
    except (ValueError, TypeError):
        value = math.nan
    if not math.isfinite(value):
        raise TaggerError(f"{metric}: returned {found!r} for {path.name}, which is no number; {_TAKES}")
    return value
