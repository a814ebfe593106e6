"""Where a model to export comes from: a Hugging Face directory, config or hub id, or a factory in a file or module.

`load_source` finds it, loads it and sees to its inputs. How inputs are made from a signature and a config is in
`onnx_tagger.exporters.sources.inputs`, how a spec file describes them in `onnx_tagger.exporters.sources.inputspec`.
"""

import inspect
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from onnx_tagger.errors import SourceError, one_line, require
from onnx_tagger.exporters.capture import check_source
from onnx_tagger.exporters.sources.inputs import check_names, make_inputs
from onnx_tagger.exporters.sources.inputspec import InputSpec, read_spec, spec_tensors
from onnx_tagger.files.factories import named_function
from onnx_tagger.files.nearby import advice_on_missing

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "pytorch_model*.bin.index.json")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_RETURNS = (
    "a factory returns (model, args), (model, args, kwargs) or (model, kwargs), args a tuple and kwargs a dict, or a "
    "model alone where --inputs describes what it takes"
)


@dataclass(frozen=True)
class Source:
    """A model in eval mode and the inputs of one forward: `model(*args, **kwargs)`.

    `name` is short and fit for a file name: that of the directory, the hub repository or the factory.
    """

    model: torch.nn.Module
    args: tuple[object, ...]
    kwargs: dict[str, object]
    name: str


def load_source(source: str, *, inputs: Path | None = None, seed: int = 0) -> Source:
    """Load a model and its example inputs.

    Parameters
    ----------
    source : str
        A local Hugging Face directory (its weights, or random ones where it has only a config), a `config.json`
        (random weights), `file.py:factory` or `package.module:factory`, or, where no such file exists, a hub id. Random
        weights are float32; stored ones keep their dtype. Code that a directory or the hub ships is never run.
    inputs : Path, optional
        A JSON spec (see `inputspec`). Its entries take the place of the inputs of that name; an entry that is null
        takes the input away. A factory may then return the model alone, if the spec has every input that its forward
        needs, by the name of the parameter. All else that a Hugging Face model needs is made from the signature of its
        forward and its config.
    seed : int
        Seed of random weights and inputs. The caller's own random state is left as it was.

    Returns
    -------
    Source
        The model is in eval mode, `requires_grad` is as it came, and every `use_cache` of its config is off, so that
        no key-value cache is among its outputs (a factory that wants one passes `use_cache=True`).

    Raises
    ------
    SourceError
        If the source cannot be found, loaded or given inputs.
    MissingExtraError
        If it is a Hugging Face model and transformers is not installed.
    """
    if not -(2**63) <= seed < 2**63:
        raise SourceError(f"{source}: the seed {seed} does not fit into 64 bits; give a smaller number")
    spec = read_spec(inputs) if inputs is not None else {}
    where = str(inputs) if inputs is not None else source
    path = Path(source).expanduser()
    # a seeded generator of the CPU alone: `torch.manual_seed` would touch other devices, which are not forked here
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if ":" in source and not path.exists():
            model, args, kwargs, alone = _from_factory(source, described=inputs is not None)
            check_source(model)
        else:
            require("transformers", "hf", f"the model source {source}")
            model, args, kwargs, alone = _hf_model(source, path), (), None, False
        model.eval()
        _switch_off_cache(model)
        check_names(model.forward, tuple(spec), where)
        if kwargs is None:
            return Source(model, args, make_inputs(model, spec=spec, seed=seed, name=source), _hf_name(source, path))
        args, kwargs = _overridden(model, args, kwargs, spec, seed, where)
        if alone:
            args, kwargs = _in_order(model, kwargs, where)
        _check_call(model, args, kwargs, source)
        return Source(model, args, kwargs, source.rpartition(":")[2])


def _switch_off_cache(model: torch.nn.Module) -> None:
    # parts of a model hold configs of their own, copied or nested
    for module in model.modules():
        config = getattr(module, "config", None)
        if getattr(config, "use_cache", None):
            setattr(config, "use_cache", False)  # noqa: B010 - what `config` is, only the model knows


# --- Hugging Face -----------------------------------------------------------------------------------------------------


def _hf_name(source: str, path: Path) -> str:
    if not path.exists():
        return source.rpartition("/")[2]
    path = path.resolve()
    return path.parent.name if path.name == "config.json" else path.stem if path.is_file() else path.name


def _hf_model(source: str, path: Path) -> torch.nn.Module:
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise SourceError(f"{source}: this directory has no config.json, so it is no Hugging Face model directory")
        stored = any(any(path.glob(pattern)) for pattern in _WEIGHTS)
        return _hf_stored(str(path), local=True) if stored else _hf_random(str(path))
    if path.is_file():
        if path.suffix != ".json":
            raise SourceError(f"{source}: a file is given as config.json, or as file.py:factory with a factory's name")
        return _hf_random(str(path))
    if not _HUB_ID.fullmatch(source) or path.suffix in (".json", ".py"):
        kinds = (
            "a model source is a Hugging Face directory, a config.json, a hub id, file.py:factory or "
            "package.module:factory"
        )
        raise SourceError(f"{source}: no such file or directory; {advice_on_missing(path) or kinds}")
    return _hf_stored(source, local=False)


def _hf_random(source: str) -> torch.nn.Module:
    config = _hf_config(source, local=True)
    try:
        import transformers

        found = _hf_class(config)
        automatic: Callable[..., torch.nn.Module] = transformers.AutoModel.from_config
        made = found(config) if found else automatic(config, trust_remote_code=False)
        # a config may ask for half precision, which not every CPU runtime has kernels for
        return made.float()
    except Exception as err:  # a config can make any line of its model's code fail
        raise SourceError(f"{source}: no model can be built from this config: {one_line(err)}") from err


def _hf_stored(source: str, *, local: bool) -> torch.nn.Module:
    config = _hf_config(source, local=local)
    try:
        import transformers

        found = _hf_class(config) or transformers.AutoModel
        model: torch.nn.Module = found.from_pretrained(source, local_files_only=local, trust_remote_code=False)
        return model
    except Exception as err:  # broken weights, a lost connection and model code fail in many ways
        raise SourceError(f"{source}: its weights cannot be loaded: {one_line(err)}") from err


def _hf_config(source: str, *, local: bool) -> "PretrainedConfig":
    try:
        import transformers

        read: Callable[..., PretrainedConfig] = transformers.AutoConfig.from_pretrained
        return read(source, local_files_only=local, trust_remote_code=False)
    except Exception as err:  # reading a config imports its model's code, and may ask the hub
        what = "its config cannot be read" if local else "no such file or directory here, and the hub gave no model"
        raise SourceError(f"{source}: {what}: {one_line(err)}") from err


def _hf_class(config: "PretrainedConfig") -> "type[PreTrainedModel] | None":
    """The first of a config's architectures, if transformers has it."""
    import transformers

    names = getattr(config, "architectures", None) or [""]
    found = getattr(transformers, str(names[0]), None)
    return found if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel) else None


# --- factories --------------------------------------------------------------------------------------------------------

# The model, its args and kwargs, and whether the factory returned it alone.
_Call = tuple[torch.nn.Module, tuple[object, ...], dict[str, object], bool]


def _from_factory(source: str, *, described: bool) -> _Call:
    with named_function(source, _RETURNS, "factory") as factory:
        try:
            made = factory()
        except (Exception, SystemExit) as err:
            target, _, name = source.rpartition(":")
            raise SourceError(f"{source}: {name}() in {target} failed: {one_line(err)}") from err
    return _unpacked(made, source, described)


def _unpacked(made: object, source: str, described: bool) -> _Call:
    if isinstance(made, torch.nn.Module) and described:
        return made, (), {}, True
    if isinstance(made, torch.nn.Module):
        raise SourceError(f"{source}: the factory returned a model without inputs; {_RETURNS}")
    if not isinstance(made, (tuple, list)) or len(made) not in (2, 3) or not isinstance(made[0], torch.nn.Module):
        parts = ", ".join(type(part).__name__ for part in made) if isinstance(made, (tuple, list)) else ""
        what = f"({parts})" if parts else type(made).__name__
        raise SourceError(f"{source}: the factory returned {what}; {_RETURNS}")
    model, args, kwargs = made[0], made[1], made[2] if len(made) == 3 else None
    if isinstance(args, Mapping) and kwargs is None:
        args, kwargs = (), args
    if isinstance(args, torch.Tensor):
        args = (args,)
    kwargs = {} if kwargs is None else kwargs
    if not isinstance(args, (tuple, list)):
        raise SourceError(f"{source}: the factory's args are a {type(args).__name__}; {_RETURNS}")
    if not isinstance(kwargs, Mapping) or not all(isinstance(key, str) for key in kwargs):
        raise SourceError(f"{source}: the factory's kwargs are no dict of names to inputs; {_RETURNS}")
    return model, tuple(args), dict(kwargs), False


def _overridden(
    model: torch.nn.Module,
    args: tuple[object, ...],
    kwargs: dict[str, object],
    spec: Mapping[str, InputSpec | None],
    seed: int,
    where: str,
) -> tuple[tuple[object, ...], dict[str, object]]:
    """A factory's inputs with those of the spec in their place, by position where the factory gave them so."""
    if not spec:
        return args, kwargs
    parameters = list(inspect.signature(model.forward).parameters.values())
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][: len(args)]
    changed, named = list(args), dict(kwargs)
    tensors = spec_tensors(spec, seed, where)
    for name in spec:
        if name in names and name not in tensors:
            raise SourceError(f"{where}: {name!r} is null, but the factory gives it by position; return it in kwargs")
        if name in names:
            changed[names.index(name)] = tensors[name]
        elif name in tensors:
            named[name] = tensors[name]
        else:
            named.pop(name, None)
    return tuple(changed), named


def _in_order(
    model: torch.nn.Module, given: Mapping[str, object], where: str
) -> tuple[tuple[object, ...], dict[str, object]]:
    """Inputs by name in the order of the forward: by position up to the first that is not given, then by name.

    Raises
    ------
    SourceError
        If the forward needs one that is not given.
    """
    parameters = inspect.signature(model.forward).parameters.values()
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    missing = [p.name for p in named if p.default is p.empty and p.name not in given]
    if missing:
        raise SourceError(
            f"{where}: describes no input {missing[0]!r}, which {type(model).__name__}.forward needs; add it, or have "
            "the factory return it with the model"
        )
    positional = [p.name for p in named if p.kind is not p.KEYWORD_ONLY]
    first = list(itertools.takewhile(lambda name: name in given, positional))
    order = [*(p.name for p in named if p.name in given), *given]
    return tuple(given[name] for name in first), {name: given[name] for name in order if name not in first}


def _check_call(model: torch.nn.Module, args: tuple[object, ...], kwargs: Mapping[str, object], source: str) -> None:
    forward: Callable[..., object] = model.forward
    try:
        inspect.signature(forward).bind(*args, **kwargs)
    except TypeError as err:
        fits = f"{type(model).__name__}.forward{inspect.signature(forward)}"
        raise SourceError(f"{source}: the factory's inputs do not fit {fits}: {err}; {_RETURNS}") from err
