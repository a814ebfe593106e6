"""Where onnxruntime puts the nodes of a file, by its own account, and which execution providers it has here.

What it should have done is said by `onnx_tagger.workflows.placing`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from onnx_tagger.errors import TaggerError, first_sentence, require
from onnx_tagger.files.nearby import advice_on_missing
from onnx_tagger.model.texts import brief_fields

if TYPE_CHECKING:
    from onnxruntime import OrtEpDevice

_SETTING = "session.layer_assignment_settings"
_RECORD = "session.record_ep_graph_assignment_info"

# The first release that knows annotations.
_SINCE = (1, 25)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where the nodes of a file went.

    Attributes
    ----------
    providers : dict
        Node name to the name of the execution provider.
    available : tuple of str
        The providers of the session.
    """

    providers: dict[str, str]
    available: tuple[str, ...]

    __repr__ = brief_fields


def assigned(path: str | os.PathLike[str], setting: str, plugin: Path | None = None, name: str = "") -> Assignment:
    """Load a file without optimisation and ask onnxruntime where its nodes went.

    Parameters
    ----------
    path : path
        With annotations on its nodes.
    setting : str
        The value of ``session.layer_assignment_settings``.
    plugin : Path, optional
        The library of a plug-in execution provider, the first of whose devices joins the session before the CPU.
    name : str
        What the plug-in is registered as, which some take for their own name; that of the file if left out.

    Raises
    ------
    TaggerError
        If onnxruntime is older than 1.25, does not load the library, or does not load the file so.
    """
    require("onnxruntime", "ort", "holding a placement against onnxruntime")
    import onnxruntime as ort

    if tuple(int(part) for part in ort.__version__.split(".")[:2]) < _SINCE:
        raise TaggerError(f"onnxruntime {ort.__version__} knows no layer annotations; install 1.25 or later")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.add_session_config_entry(_RECORD, "1")
    if setting:
        options.add_session_config_entry(_SETTING, setting)
    devices = [] if plugin is None else _devices_of(plugin, name)
    if devices:
        options.add_provider_for_devices(devices, {})
    providers = {} if devices else {"providers": ["CPUExecutionProvider"]}
    try:
        session = ort.InferenceSession(os.fspath(path), options, **providers)
    except Exception as error:
        raise TaggerError(f"{path}: onnxruntime does not load it so: {first_sentence(error)}") from error
    found = {
        node.name: graph.ep_name for graph in session.get_provider_graph_assignment_info() for node in graph.get_nodes()
    }
    # The session lists a plug-in under the name that it was registered by.
    names = [device.ep_name for device in devices] if devices else session.get_providers()
    return Assignment(found, tuple(dict.fromkeys([*names, "CPUExecutionProvider"])))


def _devices_of(plugin: Path, name: str) -> list[OrtEpDevice]:
    """The devices that a plug-in brings; it is registered once in a process."""
    import onnxruntime as ort

    name = name or plugin.stem
    if not plugin.is_file():
        raise TaggerError(f"{plugin}: no such file; {advice_on_missing(plugin) or 'name the library of a provider'}")
    before = [device.ep_name for device in ort.get_ep_devices()]
    if name not in _registered:
        try:
            ort.register_execution_provider_library(name, str(plugin.resolve()))
        except Exception as error:
            raise TaggerError(
                f"{plugin}: onnxruntime does not load it as an execution provider: {first_sentence(error)}"
            ) from error
        _registered[name] = [d.ep_name for d in ort.get_ep_devices() if d.ep_name not in before]
    found = [device for device in ort.get_ep_devices() if device.ep_name in _registered[name]]
    if not found:
        raise TaggerError(f"{plugin}: finds no device on this machine that it can run on; leave out --plugin")
    # A provider takes devices of one kind at a time.
    return found[:1]


_registered: dict[str, list[str]] = {}
