"""Real models, exported by both strategies: what must hold of every exported file (small configs, random weights)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import onnx_tagger as ot
from onnx_tagger.exporters.sources.loading import Source, load_source
from onnx_tagger.hierarchy.carriers import tag_of_scope_name
from onnx_tagger.model.graph import walk
from onnx_tagger.model.metadata import own_tag, props_of
from onnx_tagger.passes.analyses.dataflow import DataFlow
from onnx_tagger.passes.base import Context

ort = pytest.importorskip("onnxruntime")

CONFIGS = Path(__file__).parents[2] / "fixtures" / "configs"
MODELS = ("bert", "gpt2", "llama", "t5", "vit", "resnet", "convnext", "albert")
STRATEGIES = ("fx", "htp")


@dataclass(frozen=True)
class Case:
    source: Source
    exported: ot.Export
    bare: ot.Export

    @property
    def tagged(self) -> Iterator[tuple[onnx.NodeProto, ot.Tag]]:
        for op in walk(onnx.load(self.exported.path)).ops:
            tag = own_tag(props_of(op.node))
            assert tag is not None, op.label
            yield op.node, tag


@pytest.fixture(scope="module", params=[f"{m}-{s}" for m in MODELS for s in STRATEGIES])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    name, strategy = request.param.rsplit("-", 1)
    folder = tmp_path_factory.mktemp(request.param)
    source = load_source(str(CONFIGS / f"{name}-tiny" / "config.json"))
    made = [
        ot.export(source.model, source.args, folder / file, kwargs=source.kwargs, strategy=strategy, tag=tag)
        for file, tag in (("tagged.onnx", True), ("bare.onnx", False))
    ]
    return Case(source, made[0], made[1])


def _outputs(path: Path, source: Source) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = {value.name for value in session.get_inputs()}
    feeds = {name: value.numpy() for name, value in source.kwargs.items() if name in names}
    assert set(feeds) == names
    return session.run(None, feeds)


def test_passes_the_check_with_its_map(case: Case) -> None:
    report = ot.check(case.exported.path, case.exported.map_path)
    assert report.ok, report.failures
    assert report.coverage == 100.0
    assert report.by_source["root"] == 0


def test_is_valid_and_computes_what_the_bare_export_computes(case: Case) -> None:
    onnx.checker.check_model(str(case.exported.path), full_check=True)
    for got, want in zip(_outputs(case.exported.path, case.source), _outputs(case.bare.path, case.source), strict=True):
        np.testing.assert_array_equal(got, want)


def test_agrees_with_pytorch(case: Case) -> None:
    with torch.no_grad():
        expected = case.source.model(*case.source.args, **case.source.kwargs)
    first = next(iter(expected.values()))
    got = _outputs(case.exported.path, case.source)
    assert any(g.shape == tuple(first.shape) and np.allclose(g, first.numpy(), atol=1e-3) for g in got)


def test_stripped_equals_the_bare_export_byte_for_byte(case: Case, tmp_path: Path) -> None:
    ot.strip(case.exported.path, tmp_path / "stripped.onnx")
    assert (tmp_path / "stripped.onnx").read_bytes() == case.bare.path.read_bytes()


def test_every_module_path_exists_in_the_model(case: Case) -> None:
    canonical = {path for path, _ in case.source.model.named_modules()}
    for node, tag in case.tagged:
        assert {tag.module, *tag.origins} <= canonical, node.name


def test_tag_and_path_are_one_to_one(case: Case) -> None:
    pairs = {(module.path, module.tag) for module in case.exported.hierarchy.modules if module.tag is not None}
    assert len({path for path, _ in pairs}) == len({tag for _, tag in pairs}) == len(pairs)
    assert {(tag.module, tag.tag) for _, tag in case.tagged} <= pairs


def test_an_earlier_block_never_reads_what_carries_a_later_one(case: Case) -> None:
    """Blocks of a ModuleList run in order here, so data never flows from the block k + 1 to the block k."""
    lists = [
        path
        for path, module in case.source.model.named_modules()
        if isinstance(module, torch.nn.ModuleList) and len(module) > 1
    ]
    context = Context(onnx.load(case.exported.path), case.exported.hierarchy)
    tags = [own_tag(props_of(op.node)) for op in context.ops]

    def block(module: str, path: str) -> int | None:
        return int(module[len(path) + 1 :].split(".")[0]) if module.startswith(path + ".") else None

    for path in lists:
        for maker, reader in context.get(DataFlow).graph.edges:
            one, other = tags[maker], tags[reader]
            assert one is not None
            assert other is not None
            first, second = block(one.module, path), block(other.module, path)
            if first is not None and second is not None:
                assert first <= second, f"{context.ops[maker].label} -> {context.ops[reader].label}"


def test_torchscript_names_say_the_same(case: Case) -> None:
    """The exporter's own node names are a second witness, where a module is called once."""
    if case.exported.report.strategy != "htp":
        pytest.skip("only TorchScript spells modules in node names")
    agreed = 0
    for op in walk(onnx.load(case.exported.path)).ops:
        said = tag_of_scope_name(op, case.exported.hierarchy)
        tag = own_tag(props_of(op.node))
        assert tag is not None
        if said is not None and not tag.call:
            assert said.module in tag.modules, op.node.name
            agreed += 1
    assert agreed > len(case.exported.report.tags) / 2


def test_export_leaves_the_model_as_it_was(case: Case) -> None:
    assert not any("forward" in module.__dict__ for module in case.source.model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in case.source.model.modules())
