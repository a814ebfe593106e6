"""Where a model is cut: held against every way of cutting, on random costs."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import pytest

from examples.staged import TREE, net
from onnx_tagger.errors import TaggerError
from onnx_tagger.workflows.checking import read_tags
from onnx_tagger.workflows.splitting.balancing import balanced_cuts
from onnx_tagger.workflows.splitting.maingraph import main_graph

GRAPH = main_graph(read_tags(net(), TREE))
LIVE = [index for index in GRAPH.order if index not in GRAPH.constant]


def worst(costs: list[float], cuts: tuple[int, ...]) -> float:
    own = [costs[index] for index in LIVE]
    begins = [0, *cuts, len(own)]
    return max(sum(own[a:b]) for a, b in pairwise(begins))


@pytest.mark.parametrize("stages", [2, 3, 5])
@pytest.mark.parametrize("seed", range(8))
def test_the_costliest_stage_is_within_a_tenth_of_the_best(seed: int, stages: int) -> None:
    chosen = random.Random(seed)
    costs = [
        0.0 if index in GRAPH.constant else chosen.choice([0.0, 1.0, chosen.random() * 9])
        for index in range(len(GRAPH.ids))
    ]
    cuts = balanced_cuts(GRAPH, costs, stages)
    assert len(cuts) == stages - 1
    assert cuts == sorted(set(cuts))
    best = min(worst(costs, ways) for ways in combinations(range(1, len(LIVE)), stages - 1))
    assert worst(costs, tuple(cuts)) <= 1.1 * best + 1e-9


def test_of_equal_cuts_the_one_that_few_tensors_cross_is_taken() -> None:
    costs = [0.0] * len(GRAPH.ids)
    names = [GRAPH.makes[index][0] for index in range(len(GRAPH.ids))]
    costs[names.index("embed")] = costs[names.index("y")] = 1.0
    cut = balanced_cuts(GRAPH, costs, 2)[0]
    before = {name for index in LIVE[:cut] for name in GRAPH.makes[index]}
    alive = {name for index in LIVE[cut:] for name in GRAPH.reads[index] if name in before}
    assert len(alive) == 1


def test_what_costs_nothing_cannot_be_balanced() -> None:
    with pytest.raises(TaggerError, match="costs anything"):
        balanced_cuts(GRAPH, [0.0] * len(GRAPH.ids), 2)


def test_a_constant_costs_where_it_is_first_read() -> None:
    costs = [0.0] * len(GRAPH.ids)
    costs[next(iter(GRAPH.constant))] = 5.0
    costs[LIVE[-1]] = 5.0
    assert 1 <= balanced_cuts(GRAPH, costs, 2)[0] < len(LIVE)
