"""The modules that only calls of shared functions name: what functions made of modules say of themselves.

A node in such a function has the modules of all calls as origins, and no room for the class path of each. The function
says the class paths once, as they are from the module of a call on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import onnx

from onnx_tagger.model.keys import CLASSES, MODULES_DOMAIN
from onnx_tagger.model.limits import input_limits
from onnx_tagger.model.literals import string_object
from onnx_tagger.model.metadata import fits, own_tag, props_of, text_of

# Path and class path of a module that a function is called for.
_Caller = tuple[str, str]


def modules_of_calls(model: onnx.ModelProto) -> Iterator[tuple[str, str]]:
    """Path and class path of each module in a shared function, for each of its calls.

    Parameters
    ----------
    model : onnx.ModelProto
        Functions are listed behind those that they call, as `onnx-tagger functions` writes them; of others nothing is
        said.
    """
    functions = {function.name: function for function in model.functions if function.domain == MODULES_DOMAIN}
    if not functions:
        return
    callers: dict[str, dict[_Caller, None]] = {name: {} for name in functions}
    for node in model.graph.node:
        _add_caller(node, callers)
    most = input_limits().modules
    for function in reversed(functions.values()):
        classes = _classes_of(function)
        found = list(callers[function.name])[:most]
        for module, tag in found:
            for rest, cls in classes.items():
                path = f"{module}.{rest}"
                if fits(tag + cls, path):
                    yield path, tag + cls
        for node in function.node:
            if node.op_type in callers and node.domain == MODULES_DOMAIN:
                _add_callers_in(node, found, classes, callers)


def _classes_of(function: onnx.FunctionProto) -> Mapping[str, str]:
    text = next((text_of(entry.value) for entry in function.metadata_props if entry.key == CLASSES), "")
    found = (string_object(text) or {}) if text else {}
    return {path: cls for path, cls in found.items() if path and cls.startswith("/")}


def _add_caller(node: onnx.NodeProto, callers: Mapping[str, dict[_Caller, None]]) -> None:
    tag = own_tag(props_of(node)) if node.domain == MODULES_DOMAIN and node.op_type in callers else None
    if tag is not None:
        callers[node.op_type][tag.module, tag.tag] = None


def _add_callers_in(
    node: onnx.NodeProto,
    around: list[_Caller],
    classes: Mapping[str, str],
    callers: Mapping[str, dict[_Caller, None]],
) -> None:
    """The modules that a call in a function is of, for each call of the function."""
    if not classes:
        _add_caller(node, callers)
        return
    tag = own_tag(props_of(node))
    known = set(tag.modules) if tag is not None else set()
    for module, above in around:
        for rest, cls in classes.items():
            if f"{module}.{rest}" in known:
                callers[node.op_type][f"{module}.{rest}", above + cls] = None
