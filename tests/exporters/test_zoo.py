"""The zoo of small models in fixtures/zoo: what every entry must hold before anything is judged by it."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

from onnx_tagger.exporters.recording.recording import quiet_run
from onnx_tagger.exporters.sources.loading import load_source
from onnx_tagger.exporters.torchscript.flatcall import flatten_call
from onnx_tagger.hierarchy.digest import value_digests

FOLDER = Path(__file__).parents[2] / "fixtures" / "zoo"
FACTORY_FILES = ("text.py", "vision.py", "sound_and_sight.py", "plain.py", "trees.py", "layers.py", "control.py")
# The fastest of the files that were added later, here; all of them among the slow tests.
FAST = ("features.py", "blocks.py")


def _load_index() -> Any:
    spec = importlib.util.spec_from_file_location("onnx_tagger_zoo_index", FOLDER / "index.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


index = _load_index()
NAMES = list(index.ZOO)
CASES = [
    pytest.param(name, marks=[pytest.mark.slow] if entry.held_out and entry.file not in FAST else [])
    for name, entry in index.ZOO.items()
]


def _tensors(model: torch.nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _outputs(model: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    # under the settings of every export: no gradients, no fast paths
    with quiet_run(model):
        leaves = pytree.tree_leaves(model(*args, **kwargs))
    return [leaf for leaf in leaves if isinstance(leaf, torch.Tensor)]


def _grown(tensor: torch.Tensor, dims: Mapping[int, str]) -> torch.Tensor:
    """One more in every open dimension, by repeating the last slice."""
    for dim in dims:
        tensor = torch.cat([tensor, tensor.narrow(dim, -1, 1)], dim)
    return tensor


def test_lists_every_factory_once_and_every_kind() -> None:
    factories = [
        (file, node.name)
        for file in (*FACTORY_FILES, *index.HELD_OUT)
        for node in ast.parse((FOLDER / file).read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]
    assert Counter((entry.file, entry.name) for entry in index.ZOO.values()) == Counter(factories)
    assert len({name for _, name in factories}) == len(factories) >= 46
    kinds = Counter(entry.kind for entry in index.ZOO.values())
    assert set(kinds) == set(index.KINDS)
    assert len(NAMES) - kinds["plain"] >= 26
    assert kinds["plain"] >= 20
    assert sum(entry.held_out for entry in index.ZOO.values()) >= 40


@pytest.mark.parametrize("name", CASES)
def test_forwards_the_same_each_time(name: str) -> None:
    model, args, kwargs = index.build(name, perturb=True)
    assert not model.training
    first = _outputs(model, args, kwargs)
    assert first
    assert all(torch.isfinite(out).all() for out in first)
    for _ in range(3):
        again = _outputs(model, args, kwargs)
        assert all(map(torch.equal, first, again))
    model, args, kwargs = index.build(name, perturb=True)
    assert all(map(torch.equal, first, _outputs(model, args, kwargs)))


@pytest.mark.parametrize("name", CASES)
def test_noise_makes_all_float_tensors_distinct(name: str) -> None:
    model, _, _ = index.build(name, perturb=True)
    digests = {
        path: value_digests(tensor.detach().numpy()) for path, tensor in _tensors(model) if tensor.is_floating_point()
    }
    assert digests
    for which in (0, 1):
        counts = Counter(digest[which] for digest in digests.values())
        assert not [path for path, digest in digests.items() if counts[digest[which]] > 1]
    variances = [tensor for path, tensor in _tensors(model) if path.endswith("running_var")]
    assert all((variance > 0).all() for variance in variances)


@pytest.mark.parametrize("name", CASES)
def test_without_noise_a_model_is_what_its_source_gives(name: str) -> None:
    model, args, kwargs = index.build(name, perturb=False)
    source = load_source(index.ZOO[name].source)
    assert source.name == name
    assert [path for path, _ in _tensors(model)] == [path for path, _ in _tensors(source.model)]
    for (path, one), (_, other) in zip(_tensors(model), _tensors(source.model), strict=True):
        assert torch.equal(one, other), path
    given, loaded = (flatten_call(m, a, k) for m, a, k in ((model, args, kwargs), (model, source.args, source.kwargs)))
    assert given.names == loaded.names
    assert all(map(torch.equal, given.tensors, loaded.tensors))


def test_without_noise_parameters_stay_equal() -> None:
    model, _, _ = index.build("bert", perturb=False)
    counts = Counter(value_digests(parameter.detach().numpy()) for parameter in model.parameters())
    assert max(counts.values()) > 10


@pytest.mark.parametrize("name", CASES)
def test_open_dimensions_can_vary(name: str) -> None:
    model, args, kwargs = index.build(name, perturb=True)
    dynamic = index.ZOO[name].dynamic
    call = flatten_call(model, args, kwargs)
    assert dynamic
    assert set(dynamic) <= set(call.names)
    grown = [_grown(tensor, dynamic.get(each, {})) for each, tensor in zip(call.names, call.tensors, strict=True)]
    shapes = [tuple(out.shape) for out in _outputs(model, args, kwargs)]
    args, kwargs = call.rebuild(grown)
    assert shapes != [tuple(out.shape) for out in _outputs(model, args, kwargs)]


def test_leaves_the_random_state_alone() -> None:
    before = torch.random.get_rng_state()
    index.build("bert", perturb=True, seed=3)
    assert torch.equal(before, torch.random.get_rng_state())


def test_a_seed_gives_other_weights() -> None:
    one, other = (index.build("reused_module", perturb=False, seed=seed)[0] for seed in (0, 1))
    assert not torch.equal(next(one.parameters()), next(other.parameters()))


def test_refuses_an_unknown_name() -> None:
    with pytest.raises(KeyError, match="no_such_model"):
        index.build("no_such_model", perturb=False)


def test_the_readme_names_every_entry() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}`" not in text] == []
