"""The trace of a run: which operations ran, in which module, and what each one read."""

from __future__ import annotations

import torch
from torch import nn

from examples.reused import Block, Reused, X
from onnx_tagger.exporters.capture import capture


def test_tensors_without_memory_in_one_piece_have_no_address() -> None:
    class Sparse(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("spread", torch.eye(2).to_sparse())
            self.linear = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(torch.sparse.mm(self.spread, x))

    trace = capture(Sparse(), (X,), digests=False).hierarchy.trace
    assert [step.operator for step in trace if step.module == "linear" and not step.view] == ["addmm"]
    assert set(trace[-1].weights) == {"linear.bias", "linear.weight"}


def test_views_and_parts_of_a_tensor_are_read_as_it_is() -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(6, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            low, high = x.sigmoid().chunk(2, dim=-1)
            return high.tanh() @ self.weight[2:4].relu() + low.sum()

    trace = capture(Parts(), (X,)).hierarchy.trace
    made = {step.operator: place for place, step in enumerate(trace)}
    assert trace[made["tanh"]].reads == trace[made["sum"]].reads == (made["sigmoid"],)
    assert trace[made["relu"]].weights == ("weight",)


def test_an_empty_part_of_a_tensor_lies_where_the_tensor_does() -> None:
    """Parts of two tensors at one offset are not to pass for one, nor is what is written to one to be lost."""

    class Empty(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.linear(x)
            rest = y[:, 4:]
            rest.mul_(2.0)
            return torch.cat([y, rest], 1)

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = Empty(), Empty()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.one(x) + self.two(x)

    trace = capture(Two(), (X,)).hierarchy.trace
    steps = [(step.module, step.operator, step.reads) for step in trace if not step.view]
    places = [place for place, step in enumerate(trace) if not step.view]
    linear, times, joined, others, other_times, other_joined, _ = places
    assert steps == [
        ("one.linear", "addmm", ()),
        ("one", "mul_", (linear,)),
        ("one", "cat", (times,)),
        ("two.linear", "addmm", ()),
        ("two", "mul_", (others,)),
        ("two", "cat", (other_times,)),
        ("", "add", (joined, other_joined)),
    ]


def test_weights_without_elements_are_read_by_nobody() -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.register_buffer("empty", torch.zeros(2, 6)[:, 6:])
            self.register_buffer("whole", self.linear.weight.detach()[:, 4:])

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.linear(x), self.empty, x.sigmoid()[:, 6:]], 1)

    trace = capture(Holds(), (X,)).hierarchy.trace
    assert {weight for step in trace for weight in step.weights} == {"linear.weight", "linear.bias"}


def test_records_what_ran_in_order_of_time() -> None:
    class Adds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.block(x.t().t()) + x

    trace = capture(Adds(), (X,)).hierarchy.trace
    ran = [(step.module, step.operator) for step in trace if not step.view]
    assert ran[0] == ("block.linear", "addmm")
    assert ran[-1] == ("", "add")
    assert [step.operator for step in trace[:2]] == ["t", "t"]
    assert {step.module for step in trace[:2]} == {""}


def test_records_what_each_operation_read() -> None:
    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.linear(x)
            y += 1
            return y.clone().t().relu().t() * y

    steps = [step for step in capture(Reads(), (X,)).hierarchy.trace if not step.view]
    places = {step.operator: place for place, step in enumerate(capture(Reads(), (X,)).hierarchy.trace)}
    assert [step.operator for step in steps] == ["addmm", "add_", "relu", "mul"]
    assert set(steps[0].weights) == {"linear.bias", "linear.weight"}
    assert [step.weights for step in steps[1:]] == [(), (), ()]
    add, relu = places["add_"], places["relu"]
    assert [step.reads for step in steps] == [(), (places["addmm"],), (add,), (add, relu)]


def test_a_copy_was_made_by_who_made_its_original() -> None:
    class Copies(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            kept = torch.empty_like(x)
            kept.copy_(x.tanh())
            freed = (x * 2).sum()
            return kept.relu() + x.clone().sigmoid() + freed

    trace = capture(Copies(), (torch.randn(1000),)).hierarchy.trace
    made = {step.operator: place for place, step in enumerate(trace)}
    assert trace[made["relu"]].reads == (made["tanh"],)
    assert trace[made["sigmoid"]].reads == ()


def test_a_tensor_made_of_numbers_was_made_by_no_operation() -> None:
    """Its memory is likely to have been that of a tensor that was just dropped."""

    class Numbers(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(20):
                x = x + (x.sum() * 2 + x.mean()).relu()
                x = x * torch.tensor(0.5).sqrt()
            return x

    trace = capture(Numbers(), (torch.zeros(3),)).hierarchy.trace
    lifted = [place for place, step in enumerate(trace) if step.operator == "lift_fresh"]
    assert len(lifted) == 20
    assert [trace[place].reads for place in lifted] == [()] * 20
    assert [step.reads for step in trace if step.operator == "sqrt"] == [()] * 20


def test_records_which_call_an_operation_belongs_to() -> None:
    calls = {step.call for step in capture(Reused(), (X,)).hierarchy.trace if step.module == "twice.linear"}
    assert calls == {("twice@0.linear",), ("twice@1.linear",)}
