"""From patterns of modules to names of nodes."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from examples.quantised import net
from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.quantising.choosing import Subject, by_module


@pytest.fixture(name="subject")
def _subject(tmp_path: Path) -> Subject:
    return Subject.of(net(tmp_path / "m.onnx"), tmp_path)


@pytest.mark.parametrize(
    ("only", "keep", "names"),
    [
        ((), (), ["u", "d", "y"]),
        (("block",), (), ["u", "d"]),
        (("block.**",), ("block.down",), ["u"]),
        ((), ("block",), ["y"]),
        (("<Linear>",), ("head",), ["u", "d"]),
    ],
)
def test_patterns_choose_nodes(
    subject: Subject, only: tuple[str, ...], keep: tuple[str, ...], names: list[str]
) -> None:
    chosen = subject.chosen(only, keep)
    assert [node.name for node in chosen] == names
    assert list(by_module(chosen)) == list(dict.fromkeys(node.module for node in chosen))


def test_nodes_of_modules_that_stay(subject: Subject) -> None:
    assert subject.kept(subject.chosen((), ("head",))) == frozenset({"r", "y"})


def test_what_chooses_nothing_is_an_error(subject: Subject) -> None:
    with pytest.raises(TaggerError, match="no node is left to quantise"):
        subject.chosen(("block.act",), ())
    with pytest.raises(TaggerError, match="blok"):
        subject.chosen(("blok",), ())


def test_files_without_tags_are_refused(tmp_path: Path) -> None:
    model = onnx.load(net(tmp_path / "m.onnx"))
    for node in model.graph.node:
        del node.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    with pytest.raises(TaggerError, match="has no tags to choose modules by"):
        Subject.of(tmp_path / "bare.onnx", tmp_path)


def test_nodes_without_names_get_some(tmp_path: Path) -> None:
    model = onnx.load(net(tmp_path / "m.onnx"))
    for node in model.graph.node:
        node.name = ""
    onnx.save(model, tmp_path / "unnamed.onnx")
    subject = Subject.of(tmp_path / "unnamed.onnx", tmp_path)
    names = [node.name for node in subject.chosen((), ())]
    assert len(set(names)) == 3
    assert set(names) <= {node.name for node in onnx.load(subject.path).graph.node}
