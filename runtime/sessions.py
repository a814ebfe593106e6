"""Running a file in onnxruntime as it stands, with inner tensors exposed.

Whoever runs a file to see its values opens it here: `verify`, `agreement`, `probing` and truth by execution.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx

from onnx_tagger.errors import TaggerError, first_sentence, require
from onnx_tagger.files.external import contained
from onnx_tagger.files.onnxfile import Skeleton
from onnx_tagger.runtime.feeds import Array, given_feeds, numpy_type, random_feeds, widths_of

if TYPE_CHECKING:
    import onnxruntime as ort


def plain_options() -> ort.SessionOptions:
    """Options of a session that runs a file without optimising it, and without messages."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return options


def opened(source: str | bytes, options: ort.SessionOptions | None = None) -> ort.InferenceSession:
    """A session of a file as it stands, on the CPU.

    Parameters
    ----------
    source : str or bytes
        Its path, or what it holds.
    options : onnxruntime.SessionOptions, optional
        `plain_options` with something more.
    """
    import onnxruntime as ort

    return ort.InferenceSession(source, options or plain_options(), providers=["CPUExecutionProvider"])


def expose(graph: onnx.GraphProto, names: Iterable[str], stated: onnx.GraphProto) -> None:
    """Make tensors outputs of a graph, but those that another form of it states already."""
    known = {value.name for value in stated.output}
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(names) if name not in known)


class Runner:
    """One file in onnxruntime, as it stands, with some of its tensors exposed, and with nodes added behind its own."""

    def __init__(self, path: Path, skeleton: Skeleton, names: list[str], nodes: Sequence[onnx.NodeProto] = ()) -> None:
        self.path, self.names = path, names
        graph = skeleton.model.graph
        stored = {tensor.name for tensor in graph.initializer}
        self.widths = widths_of(graph)
        self.inputs = {value.name: value.type.tensor_type for value in graph.input if value.name not in stored}
        options = plain_options()
        for location in skeleton.external:
            contained(path.parent, location)
        if skeleton.external:
            folder = "session.model_external_initializers_file_folder_path"
            options.add_session_config_entry(folder, str(path.resolve().parent))
        # Messages that follow each other are merged when they are read, so outputs can be added to the bytes.
        more = onnx.ModelProto()
        expose(more.graph, names, graph)
        more.graph.node.extend(nodes)
        try:
            self.session = opened(path.read_bytes() + more.SerializeToString(), options)
        except Exception as error:
            raise TaggerError(
                f"{path}: onnxruntime does not load it: {first_sentence(error)}; verify needs it to run"
            ) from error

    def run(self, feeds: Mapping[str, Array]) -> dict[str, object]:
        """The values of the exposed tensors."""
        try:
            fitting = {
                name: feeds[name].astype(numpy_type(self.path, name, kind)) for name, kind in self.inputs.items()
            }
            return dict(zip(self.names, self.session.run(self.names, fitting), strict=True))
        except Exception as error:
            raise NotRunError(
                f"{self.path}: does not run on these inputs: {first_sentence(error)}; "
                "give others with --inputs VALUES.npz"
            ) from error


class NotRunError(TaggerError):
    """A file did not run on some inputs; others may do."""


def run_both(before: Runner, after: Runner, inputs: Path | None) -> tuple[dict[str, object], dict[str, object]]:
    """The values of both on the same inputs."""
    unknown = sorted(after.inputs.keys() - before.inputs.keys())
    if unknown:
        raise TaggerError(
            f"{after.path}: has the input {unknown[0]!r}, which {before.path} has not; it cannot be verified"
        )
    if inputs is not None:
        feeds = given_feeds(inputs, before.inputs)
        return before.run(feeds), after.run(feeds)
    failure: TaggerError | None = None
    for feeds in random_feeds(before, after):
        try:
            return before.run(feeds), after.run(feeds)
        except NotRunError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def tensors_of(path: str | os.PathLike[str], feeds: Mapping[str, Array]) -> dict[str, Array]:
    """Run an ONNX file without optimisation and return every tensor of its main graph.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    """
    require("onnxruntime", "ort", "truth by execution")
    model = onnx.load(os.fspath(path))
    expose(model.graph, (name for node in model.graph.node for name in node.output if name), model.graph)
    session = opened(model.SerializeToString())
    wanted = [value.name for value in session.get_outputs()]
    known = {value.name for value in session.get_inputs()}
    found = session.run(wanted, {name: value for name, value in feeds.items() if name in known})
    return {name: value for name, value in zip(wanted, found, strict=True) if isinstance(value, np.ndarray)}


def optimise(source: Path, target: Path) -> None:
    """Save what onnxruntime makes of a file at all of its optimisation levels, its default.

    Raises
    ------
    MissingExtraError
        If onnxruntime is not installed.
    """
    require("onnxruntime", "ort", "optimising with onnxruntime")
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(target)
    # It warns that a file optimised for this machine is for this machine.
    options.log_severity_level = 3
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
