"""Random trees of modules with random forwards: exporters, truth and tools against each other, and no wrong node."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("onnxruntime")
sys.path.insert(0, str(Path(__file__).parents[3] / "benchmarks"))

from random_nets import Net, Row, measure

from examples.random_nets import source_of

FEW = {"fx": range(6), "htp": range(24)}
MANY = range(100, 200)
# They leave nodes as they are. What others do to random nets is in docs/accuracy.md: not yet without a wrong node.
TOOLS = ("onnx-ir", "graphsurgeon", "C++ converter to 22")


def _fresh(seed: int, strategy: str, folder: Path) -> Row:
    row = Row()
    Net(seed, folder).export(strategy, row)
    return row


@pytest.mark.parametrize("strategy", FEW)
def test_no_tag_of_an_exported_net_is_wrong(strategy: str, tmp_path: Path) -> None:
    whole = Row()
    for seed in FEW[strategy]:
        whole.add(_fresh(seed, strategy, tmp_path))
    assert whole.wrong == []
    assert whole.tagged == whole.nodes
    assert whole.sources["root"] == whole.sources["inherited"] == 0
    assert whole.judgement.verdicts["right"] >= 0.995 * whole.judgement.testable > 0
    # what torch cannot export, or exports wrongly, is not judged
    assert whole.files >= 0.6 * len(FEW[strategy])


@pytest.mark.slow
@pytest.mark.parametrize("start", range(MANY.start, MANY.stop, 20))
def test_nor_of_many_more_nor_after_tools_that_keep_names(start: int) -> None:
    whole = Row()
    for seed in range(start, start + 20):
        for row in measure(seed, TOOLS, 1).values():
            whole.add(row)
    assert whole.wrong == []
    assert whole.tagged == whole.nodes > 0


def test_a_seed_gives_the_same_net_each_time() -> None:
    assert source_of(7) == source_of(7) != source_of(8)


def test_nets_differ_in_what_they_use() -> None:
    texts = [source_of(seed) for seed in range(60)]
    for part in (
        ".forward(",
        "reversed(self",
        "torch.no_grad()",
        "torch.autocast(",
        "checkpoint(self",
        "register_forward_hook",
        "nn.ModuleDict(",
        "self.alias = ",
        ".weight = self.",
        "[:, 0] = ",
        "['rest'][1][0]",
        "*values, **named",
        "self(x, times - 1)",
    ):
        assert any(part in text for text in texts), part
