"""Example inputs with which a model forwards, found by trial from its signature, its config and what a spec gives.

The rules that make one input are in `guess`, the format of a spec is in `inputspec`; finding and loading the model is
the business of `loading`.

What is tried, in this order, until a forward (eval, no gradients) goes through:

1. every input that the signature names and a rule can make, where the model places image features among its tokens
   with as many placeholders as it has features; then with the other shapes that the rules offer (another audio
   layout, an image for a clip of frames);
2. the same with as many tokens for a decoder as for its encoder, then with a batch of one;
3. the same without masks, then with the required inputs, the main one and the decoder's tokens only;
4. `model.dummy_inputs`, if the signature has all of its names.

Inputs that a spec gives stay as they are in every step, and the others follow its batch and sequence lengths.
"""

import difflib
import inspect
import itertools
import json
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch

from onnx_tagger.errors import SourceError, one_line
from onnx_tagger.exporters.recording.kept import KeepingMode
from onnx_tagger.exporters.recording.recording import quiet_run
from onnx_tagger.exporters.sources.guess import MASKS, RULES, RULES_IF_REQUIRED, Setting, field, setting_for
from onnx_tagger.exporters.sources.inputspec import InputSpec, spec_of, spec_tensors

log = logging.getLogger(__name__)


def make_inputs(
    model: torch.nn.Module,
    *,
    spec: Mapping[str, InputSpec | None] | None = None,
    seed: int = 0,
    name: str = "model",
) -> dict[str, object]:
    """Make keyword inputs with which `model` forwards.

    Parameters
    ----------
    model : torch.nn.Module
        In eval mode; its `config`, `main_input_name` and `dummy_inputs` are looked at where it has them.
    spec : mapping of str to InputSpec or None, optional
        Inputs to take as they are; an entry that is None keeps that input out.
    seed : int
        Seed of the values.
    name : str
        What to call the model in an error.

    Returns
    -------
    dict of str to object
        Tensors by parameter name, in the order of the forward signature.

    Raises
    ------
    SourceError
        If no inputs were found with which the model forwards; the message names those that are in the way and shows
        a spec to start from.
    """
    spec = spec or {}
    given = spec_tensors(spec, seed, name)
    asked = _asked(model, tuple(spec))
    first: tuple[Exception, dict[str, torch.Tensor]] | None = None
    unmet: list[str] = []
    seen: set[tuple[object, ...]] = set()
    for attempt in _attempts(model, asked, given, tuple(spec), seed):
        shapes = tuple((each, value.dtype, value.shape) for each, value in attempt.items())
        if shapes in seen:
            continue
        seen.add(shapes)
        missing = [each for each in asked.required if each not in attempt]
        if missing:
            unmet = unmet or missing
            continue
        error = _trial(model, attempt)
        if error is None:
            if left := [each for each in first[1] if each not in attempt] if first else []:
                log.warning("%s: %s left out of its inputs: what could be made was refused", name, ", ".join(left))
            return dict(attempt)
        first = first or (error, attempt)
    raise _refusal(model, asked, name, unmet, first)


def check_names(forward: Callable[..., object], names: tuple[str, ...], where: str) -> None:
    """Refuse names of inputs that a forward does not have.

    A forward with `**kwargs` takes any name, so there only a near miss of a parameter is refused: it would be passed
    on and ignored without a word.

    Parameters
    ----------
    forward : callable
        Whose signature is asked.
    names : tuple of str
        The names that a spec gives.
    where : str
        What to name in an error.

    Raises
    ------
    SourceError
        For the first name that the forward cannot mean.
    """
    parameters = inspect.signature(forward).parameters.values()
    known = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY, p.POSITIONAL_ONLY)]
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for each in names:
        near = difflib.get_close_matches(each, known, n=1, cutoff=0.85)
        if each not in known and (near or not takes_any):
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known) or 'no input by name'}"
            raise SourceError(f"{where}: the model's forward has no input {each!r}: {hint}")


@dataclass(frozen=True)
class _Asked:
    names: tuple[str, ...]  # all inputs by name, in signature order; then those of the spec that go into **kwargs
    required: tuple[str, ...]
    main: str


def _asked(model: torch.nn.Module, extra: tuple[str, ...]) -> _Asked:
    named = [
        p
        for p in inspect.signature(model.forward).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    names = tuple(p.name for p in named)
    main = getattr(model, "main_input_name", "")
    required = tuple(p.name for p in named if p.default is p.empty)
    return _Asked(names + tuple(n for n in extra if n not in names), required, main if isinstance(main, str) else "")


_Inputs = dict[str, torch.Tensor]


def _attempts(
    model: torch.nn.Module, asked: _Asked, given: _Inputs, kept: tuple[str, ...], seed: int
) -> Iterator[_Inputs]:
    """The steps of this module's docstring; `kept` are the names that the spec decides on, given or left out."""
    first = setting_for(model, asked.names, given, seed)
    settings = [first, replace(first, decoder_sequence=first.sequence)]
    if not given:
        settings.append(replace(first, batch=1))
    full: list[_Inputs] = []
    for at in settings:
        candidates = _candidates(at, asked, given, kept)
        choices = itertools.product(*candidates.values())
        made = [dict(zip(candidates, choice, strict=True)) for choice in itertools.islice(choices, 9)]
        yield from _with_placeholders(model, at, made[0], asked, kept)
        yield from made
        full += made
    masks = set(MASKS) - set(kept)
    spare = set(asked.names) - {*asked.required, asked.main, "decoder_input_ids", *MASKS, *kept}
    for dropped in (masks, spare, spare | masks):
        yield from (_without(inputs, asked, dropped) for inputs in full)
    dummy = getattr(model, "dummy_inputs", None)
    if isinstance(dummy, Mapping) and all(name in asked.names for name in dummy):
        known = {**{name: value for name, value in dummy.items() if name not in kept}, **given}
        yield {name: known[name] for name in asked.names if isinstance(known.get(name), torch.Tensor)}


def _candidates(at: Setting, asked: _Asked, given: _Inputs, kept: tuple[str, ...]) -> dict[str, list[torch.Tensor]]:
    made: dict[str, list[torch.Tensor]] = {}
    needed = {*asked.required, asked.main}
    for name in asked.names:
        rule = RULES.get(name) or (RULES_IF_REQUIRED.get(name) if name in needed else None)
        if name in given:
            made[name] = [given[name]]
        elif rule and name not in kept:
            made[name] = rule(at, name)
    for mask in MASKS:
        # a mask without its tokens means something else: samples of audio, patches, object queries
        if mask not in given and not made.get(mask.replace("attention_mask", "input_ids")):
            made.pop(mask, None)
    return {name: tensors for name, tensors in made.items() if tensors}


def _without(inputs: _Inputs, asked: _Asked, names: set[str]) -> _Inputs:
    return {name: value for name, value in inputs.items() if name in asked.required or name not in names}


def _with_placeholders(
    model: torch.nn.Module, at: Setting, inputs: _Inputs, asked: _Asked, kept: tuple[str, ...]
) -> Iterator[_Inputs]:
    """Tokens with as many image placeholders as the model makes features of an image, where it has such a token."""
    token = field(at.config, "text", "image_token_id", "image_token_index")
    features = getattr(model, "get_image_features", None)
    if type(token) is not int or not callable(features) or "input_ids" in kept:
        return
    if not {"input_ids", "pixel_values"} <= set(inputs):
        return
    taken = inspect.signature(features).parameters
    try:
        with quiet_run(model) as found_before, KeepingMode(found_before):
            found = features(**{name: value.clone() for name, value in inputs.items() if name in taken})
    except Exception as err:  # noqa: BLE001 - whatever the model's own code raises, this step has nothing to offer
        log.debug("no image features for placeholders: %s", one_line(err))
        return
    found = getattr(found, "pooler_output", found)
    parts = list(found) if isinstance(found, (list, tuple, torch.Tensor)) else []
    count = sum(part.numel() // part.shape[-1] for part in parts if isinstance(part, torch.Tensor)) // at.batch
    places = torch.full((at.batch, count), token)
    ids = torch.cat([inputs["input_ids"][:, :1], places, inputs["input_ids"][:, 1:]], dim=1)
    longer = {name: value for name, value in inputs.items() if name not in ("token_type_ids", "bbox")}
    longer["input_ids"] = ids
    if "attention_mask" in longer:
        longer["attention_mask"] = torch.ones_like(ids)
    if "mm_token_type_ids" in asked.names:  # which tokens stand for an image
        longer["mm_token_type_ids"] = (ids == token).long()
    yield {name: longer[name] for name in asked.names if name in longer}


def _trial(model: torch.nn.Module, inputs: _Inputs) -> Exception | None:
    copies = {name: value.clone() for name, value in inputs.items()}
    try:
        with quiet_run(model) as kept, KeepingMode(kept):
            model(**copies)
    except Exception as err:  # noqa: BLE001 - whatever the model's own code raises is the answer that is asked for
        return err
    return None


def _refusal(
    model: torch.nn.Module,
    asked: _Asked,
    name: str,
    unmet: list[str],
    first: tuple[Exception, _Inputs] | None,
) -> SourceError:
    start: dict[str, dict[str, object]] = spec_of(first[1]) if first else {}
    for each in unmet:
        start.setdefault(each, {"dtype": "float32", "shape": [2, 8]})
    what = (
        f"no rule makes {', '.join(map(repr, unmet))}" if unmet else f"those made for {', '.join(start)} were refused"
    )
    said = f" ({one_line(first[0])})" if first else ""
    error = SourceError(
        f"{name}: no inputs were found with which {type(model).__name__} forwards: {what}{said}; "
        f"describe them in a JSON file and give it with --inputs, to start from: {json.dumps(start)}"
    )
    error.__cause__ = first[0] if first else None
    return error
