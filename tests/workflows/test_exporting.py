"""ot.export from a model to files: where they are written, the maps of an export, options that are refused."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
import torch

import onnx_tagger as ot
from examples.blocks import Block, Hard, Stage, tags_of

STRATEGIES = ("fx", "htp")


def test_a_tensor_alone_is_the_only_argument(tmp_path: Path) -> None:
    ot.export(Block(), torch.randn(3, 4), tmp_path / "m.onnx", strategy="htp")
    assert [d.dim_value for d in onnx.load(tmp_path / "m.onnx").graph.input[0].type.tensor_type.shape.dim] == [3, 4]
    assert ot.capture(Block(), torch.randn(3, 4)).by_path["linear"].calls == 1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_link_is_written_through_and_a_pipe_is_left_alone(strategy: str, tmp_path: Path) -> None:
    (tmp_path / "link.onnx").symlink_to("real.onnx")
    ot.export(Block(), (torch.randn(3, 4),), tmp_path / "link.onnx", strategy=strategy)
    assert (tmp_path / "link.onnx").is_symlink()
    assert ot.check(tmp_path / "real.onnx").ok
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ot.TaggerError, match="is not a regular file"):
        ot.export(Block(), (torch.randn(3, 4),), tmp_path / "pipe", strategy=strategy)
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("dialect", ["namespace", "layer_ann", "winml", "doc_string"])
def test_dialects_are_written_and_stripped(strategy: str, dialect: str, tmp_path: Path) -> None:
    model, x = Block(), (torch.randn(3, 4),)
    tagged = ot.export(model, x, tmp_path / "m.onnx", strategy=strategy, also=[dialect])
    bare = ot.export(model, x, tmp_path / "bare.onnx", strategy=strategy, tag=False)
    assert ot.check(tagged.path, tagged.map_path, dialect=dialect).ok
    assert tagged.report.fallbacks == []
    ot.strip(tagged.path, tmp_path / "stripped.onnx")
    assert (tmp_path / "stripped.onnx").read_bytes() == bare.path.read_bytes()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_equal_exports_give_equal_files(strategy: str, tmp_path: Path) -> None:
    model, x = Hard(), (torch.randn(2, 4),)
    made = [ot.export(model, x, tmp_path / f"{i}.onnx", strategy=strategy) for i in range(2)]
    assert made[0].path.read_bytes() == made[1].path.read_bytes()
    assert made[0].map_path.read_bytes() == made[1].map_path.read_bytes()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_saved_map_tags_the_bare_file_as_the_export_did(strategy: str, tmp_path: Path) -> None:
    model, x = Hard(), (torch.randn(2, 4),)
    tagged = ot.export(model, x, tmp_path / "tagged.onnx", strategy=strategy)
    bare = ot.export(model, x, tmp_path / "bare.onnx", strategy=strategy, tag=False)
    report = ot.retag(bare.path, tagged.map_path, tmp_path / "retagged.onnx")
    assert report.by_source["matched"] == report.nodes
    want = [(kind, tag.module, tag.call) for kind, tag in tags_of(tagged.path)]
    assert [(kind, tag.module, tag.call) for kind, tag in tags_of(tmp_path / "retagged.onnx")] == want


def test_a_captured_map_reads_torchscript_names(tmp_path: Path) -> None:
    model, x = Stage(), (torch.randn(2, 4),)
    bare = ot.export(model, x, tmp_path / "bare.onnx", strategy="htp", tag=False)
    ot.retag(bare.path, ot.capture(model, x), tmp_path / "retagged.onnx")
    found = [tag.module for _, tag in tags_of(tmp_path / "retagged.onnx", "Gemm")]
    assert found == ["block.linear", "block.linear", "blocks.0.linear", "blocks.1.linear"]


def test_unknown_options_are_refused_before_anything_runs(tmp_path: Path) -> None:
    for options, words in (
        ({"strategy": "magic"}, "choose from auto"),
        ({"also": ["latin"]}, "unknown dialect 'latin'"),
        ({"path": tmp_path / "no" / "m.onnx"}, "there is no folder"),
    ):
        path = options.pop("path", tmp_path / "m.onnx")
        with pytest.raises(ot.TaggerError, match=words):
            ot.export(Block(), (torch.randn(2, 4),), path, **options)
    assert list(tmp_path.iterdir()) == []
