"""Placement rules as they are written, and as onnxruntime reads them: a device, and beginnings of annotations.

A text is ``device(item, item); device(item)``. An item is a module path, a tag, a glob, or the text of an annotation;
an ``=`` before it asks for the annotation itself and not for what begins with it. onnxruntime knows annotations only:
those of module ``encoder.layer.0`` are its class path with a ``/`` at the end, so that no other begins with it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from onnx_tagger.errors import TaggerError
from onnx_tagger.hierarchy.braces import expanded, split_outside
from onnx_tagger.hierarchy.globs import select
from onnx_tagger.hierarchy.tree import Module, ModuleTree
from onnx_tagger.model.texts import brief_fields

_EXAMPLE = "write 'gpu(encoder.layer.0); cpu(embeddings)'"

# What ends an annotation in the setting, where nothing can be escaped.
_MARKS = frozenset(",;()")


@dataclass(frozen=True, slots=True)
class Rule:
    """One item of the rules.

    Attributes
    ----------
    device : str
        A designator of onnxruntime's, such as ``gpu``, ``cpu``, ``npu`` or ``gpu:0``, or the name of a provider.
    item : str
        As it was written, without ``=``.
    exact : bool
        Whether it had one.
    annotations : tuple of str
        What it stands for in the setting, in the order of the modules.
    problem : str
        Why it stands for nothing, or cannot be written; empty if all is well.
    twin : str
        The rule to its left that stands for the same; empty if none does.
    """

    device: str
    item: str
    exact: bool = False
    annotations: tuple[str, ...] = ()
    problem: str = ""
    twin: str = ""

    __repr__ = brief_fields

    @property
    def text(self) -> str:
        """The rule for people.

        Examples
        --------
        >>> Rule("gpu", "encoder.layer.0").text, Rule("cpu", "pooler", exact=True).text
        ('gpu(encoder.layer.0)', 'cpu(=pooler)')
        """
        return f"{self.device}({'=' * self.exact}{self.item})"


def parse_rules(text: str) -> list[Rule]:
    """Read rules, in their order, without looking up what they name.

    Parameters
    ----------
    text : str
        ``device(item, item); device(item)``; items may hold braces, see `onnx_tagger.hierarchy.braces`.

    Raises
    ------
    TaggerError
        If the text is not of this form. onnxruntime passes over what follows a bracket, and so over a missing ``;``;
        that is an error here.

    Examples
    --------
    >>> [rule.text for rule in parse_rules("gpu(encoder.layer.0, =pooler); cpu(embeddings)")]
    ['gpu(encoder.layer.0)', 'gpu(=pooler)', 'cpu(embeddings)']
    """
    found: list[Rule] = []
    for entry in split_outside(text, ";"):
        if entry.strip():
            found += _entry(entry.strip())
    if not found:
        raise TaggerError(f"the rules {text!r} name no device and no module; {_EXAMPLE}")
    return found


def _entry(entry: str) -> list[Rule]:
    device, bracket, rest = entry.partition("(")
    inside, closing, behind = rest.partition(")")
    if not bracket or not closing:
        raise TaggerError(f"the rule {entry!r} lacks a bracket; {_EXAMPLE}")
    if "(" in inside or behind.strip():
        raise TaggerError(f"the rule {entry!r} goes on behind its bracket; part rules by ';': {_EXAMPLE}")
    if not device.strip():
        raise TaggerError(f"the rule {entry!r} names no device; {_EXAMPLE}")
    rules = []
    for part in split_outside(inside, ","):
        item = part.strip()
        exact = item.startswith("=")
        name = item[exact:].strip()
        if name:
            expanded(name)  # a brace without its partner is said here
            rules.append(Rule(device.strip(), name, exact))
    if not rules:
        raise TaggerError(f"the rule {entry!r} names no module; {_EXAMPLE}")
    return rules


def resolve_rules(rules: Collection[Rule], tree: ModuleTree, annotations: Collection[str]) -> list[Rule]:
    """Find what rules stand for.

    Parameters
    ----------
    rules : collection of Rule
    tree : ModuleTree
        Of the file.
    annotations : collection of str
        Those that its nodes carry.

    Returns
    -------
    list of Rule
        The same with `annotations`, or with a `problem`. No annotation stands in two of them with equal `exact`, which
        onnxruntime refuses: the first keeps it, as the leftmost rule wins.
    """
    seen: dict[tuple[bool, str], Rule] = {}
    found = []
    for rule in rules:
        try:
            named = _annotations(rule, tree, annotations)
        except TaggerError as error:
            found.append(replace(rule, problem=str(error)))
            continue
        fresh = tuple(text for text in named if (rule.exact, text) not in seen)
        problem, twin = _problem(named), ""
        if named and not fresh:
            twin = seen[rule.exact, named[0]].text
            problem = f"is shadowed by {twin} to its left, which names the same; leave one of them out"
        if problem:
            found.append(replace(rule, problem=problem, twin=twin))
            continue
        seen |= {(rule.exact, text): rule for text in fresh}
        found.append(replace(rule, annotations=fresh))
    return found


def _problem(named: Collection[str]) -> str:
    """Why annotations cannot be a rule; empty if they can."""
    if not named:
        return "names a container, which no node belongs to; name the modules in it"
    bad = next((text for text in named if not _can_be_written(text)), None)
    return "" if bad is None else f"the annotation {bad!r} cannot be written in the setting, which cannot quote"


def _can_be_written(text: str) -> bool:
    return _MARKS.isdisjoint(text) and text == text.strip() and not text.startswith("=")


def _annotations(rule: Rule, tree: ModuleTree, annotations: Collection[str]) -> list[str]:
    """The annotations that an item stands for: of the outermost modules that it names, or itself as a text."""
    found: dict[str, None] = {}
    for pattern in expanded(rule.item):
        try:
            modules = select(tree, pattern)
        except TaggerError:
            # Others write annotations that are no class paths.
            if not any(text == pattern if rule.exact else text.startswith(pattern) for text in annotations):
                raise
            found[pattern] = None
            continue
        for module in outermost(modules):
            found |= dict.fromkeys(_tags_of(module, exact=rule.exact))
    return list(found)


def outermost(modules: Collection[Module]) -> list[Module]:
    """Those of some modules that lie in none of the others."""
    chosen = set(modules)
    return [module for module in modules if not _encloses_any(chosen, module)]


def _encloses_any(chosen: Collection[Module], module: Module) -> bool:
    above = module.parent
    while above is not None:
        if above in chosen:
            return True
        above = above.parent
    return False


def _tags_of(module: Module, *, exact: bool) -> list[str]:
    """The annotation of a module; of a container, which has none, those of the modules in it."""
    if module.tag is not None:
        return [f"{module.tag}/"]
    return [] if exact else [text for child in module.children for text in _tags_of(child, exact=False)]


def setting_of(rules: Collection[Rule]) -> str:
    """The value of the session option that rules stand for, in their order.

    Examples
    --------
    >>> setting_of([Rule("gpu", "a", annotations=("/N/A/",)), Rule("gpu", "b", True, ("/N/B/",)),
    ...             Rule("cpu", "c", annotations=("/N/C/",))])
    'gpu(/N/A/, =/N/B/); cpu(/N/C/)'
    """
    groups: list[tuple[str, list[str]]] = []
    for rule in rules:
        texts = [f"{'=' * rule.exact}{text}" for text in rule.annotations]
        if not texts:
            continue
        if groups and groups[-1][0] == rule.device:
            groups[-1][1].extend(texts)
        else:
            groups.append((rule.device, texts))
    return "; ".join(f"{device}({', '.join(texts)})" for device, texts in groups)
