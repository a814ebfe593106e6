"""The module-usage map: what ran, how often, in which order, and that nothing is left behind."""

from __future__ import annotations

import functools
import inspect
import types
from pathlib import Path

import pytest
import torch
from torch import nn

import onnx_tagger as ot
from onnx_tagger.errors import ExportError
from onnx_tagger.exporters.capture import capture
from onnx_tagger.exporters.recording.recording import CallLog
from onnx_tagger.hierarchy.map import HierarchyMap


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return torch.relu(self.linear(x)) * scale


class Reused(nn.Module):
    """`twice` runs twice, `direct.linear` without its module's call, `idle` never."""

    def __init__(self) -> None:
        super().__init__()
        self.twice = Block()
        self.alias = self.twice
        self.direct = Block()
        self.blocks = nn.ModuleList([Block()])
        self.idle = Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.twice(self.twice(x), scale=2.0)
        x = self.direct.linear.forward(x)
        return self.blocks[0](x)


X = torch.randn(2, 4)


def test_records_path_class_parent_order_calls_and_aliases() -> None:
    found = capture(Reused().train(), (X,)).hierarchy.by_path
    assert found[""].class_name == "Reused"
    assert (found[""].order, found[""].calls, found[""].parent) == (0, 1, None)
    assert (found["twice"].calls, found["twice"].aliases) == (2, ("alias",))
    assert found["twice.linear"].parent == "twice"
    assert (found["idle"].calls, found["idle"].order) == (0, None)
    assert found["blocks"].tag is None
    assert found["blocks.0"].tag == "/Reused/Block.0"
    assert "alias" not in found
    ran = [module.path for module in sorted(found.values(), key=lambda m: (m.order is None, m.order)) if module.calls]
    assert ran == ["", "twice", "twice.linear", "direct.linear", "blocks.0", "blocks.0.linear"]


def test_a_direct_forward_is_counted_and_known_as_direct() -> None:
    captured = capture(Reused(), (X,))
    assert captured.hierarchy.by_path["direct.linear"].calls == 1
    assert captured.hierarchy.by_path["direct"].calls == 0
    assert captured.calls.direct == {"direct.linear"}


def test_a_call_of_a_module_with_hooks_is_no_direct_one() -> None:
    model = Reused()
    for module in (model, model.twice, model.twice.linear):
        module.register_forward_pre_hook(lambda *_: None)
        module.register_forward_hook(lambda *_: None)
    captured = capture(model, (X,))
    assert captured.calls.direct == {"direct.linear"}
    assert captured.hierarchy.by_path["twice.linear"].calls == 2


def test_a_forward_called_within_a_call_of_another_module_is_direct() -> None:
    class Borrows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lent, self.block = nn.Linear(4, 4), Block()
            self.block.register_forward_pre_hook(lambda _, args: (self.lent.forward(*args),))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.block(x)

    assert capture(Borrows(), (X,)).calls.direct == {"lent"}


# What stands in for a method of torch's, given that method.
WRAPPED = {
    "function": lambda method: functools.wraps(method)(lambda self, *args, **kwargs: method(self, *args, **kwargs)),
    "partial": functools.partialmethod,
    "own code": lambda method: types.FunctionType(
        method.__code__.replace(co_name="theirs"), dict(method.__globals__), closure=method.__closure__
    ),
}


@pytest.mark.parametrize("name", ["_call_impl", "_wrapped_call_impl", "__call__"])
@pytest.mark.parametrize("wrap", WRAPPED)
def test_direct_calls_are_known_where_others_have_wrapped_the_call(
    name: str, wrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = dict(nn.modules.module._global_forward_pre_hooks)
    for _ in range(2):
        for model in (Reused(), Reused()):
            captured = capture(model, (X,), digests=False)
            assert captured.calls.direct == {"direct.linear"}
            assert captured.hierarchy.by_path["twice.linear"].calls == 2
            assert not any("forward" in module.__dict__ for module in model.modules())
        assert dict(nn.modules.module._global_forward_pre_hooks) == hooks
        monkeypatch.setattr(nn.Module, name, WRAPPED[wrap](getattr(nn.Module, name)))


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


def test_labels_calls_of_what_is_called_more_than_once() -> None:
    calls = capture(Reused(), (X,)).calls
    assert calls.label("twice.linear", 0) == ("twice@0.linear",)
    assert calls.label("twice.linear", 1) == ("twice@1.linear",)
    assert calls.label("blocks.0.linear", 0) == ()
    assert calls.label("idle", 0) == ()


def test_numbers_calls_within_the_call_around_them() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Reused()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(self.inner(x))

    calls = capture(Outer(), (X,)).calls
    assert [calls.label("inner.twice", i) for i in range(4)] == [
        ("inner@0.twice@0",),
        ("inner@0.twice@1",),
        ("inner@1.twice@0",),
        ("inner@1.twice@1",),
    ]


def test_what_a_hook_of_the_root_calls_is_called_in_the_same_run() -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = Block(), Block()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.last(self.first(x))

    before, behind = Holds(), Holds()
    before.register_forward_pre_hook(lambda module, args: (module.first(args[0]),))
    behind.register_forward_hook(lambda module, _, out: module.first(out))
    first, second = ("first@0.linear",), ("first@1.linear",)
    for model, want in ((before, [first, second, ()]), (behind, [first, (), second])):
        trace = capture(model, (X,)).hierarchy.trace
        assert [step.call for step in trace if step.operator == "addmm"] == want


def test_the_root_s_first_call_alone_is_one_with_what_its_hooks_call() -> None:
    log = CallLog()
    for entered in (["a"], ["", "a"], ["", "a"], ["b"]):
        for path in entered:
            log.enter(path)
        for _ in entered:
            log.leave()
    assert [log.label("a", i) for i in range(3)] == [("a@0",), ("a@1",), ()]
    assert log.label("b", 0) == ()


class Held(nn.Module):
    """Holds one tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("tensor", tensor)

    def forward(self) -> torch.Tensor:
        return self.tensor + 0


def tensor_digests(tensor: torch.Tensor) -> tuple[str, str]:
    """The digests that a map holds of a tensor."""
    return capture(Held(tensor)).hierarchy.parameters[0].digests


def test_parameters_have_owner_shape_dtype_and_digests() -> None:
    model = Reused()
    model.register_buffer("steps", torch.arange(3))
    model.idle.linear.weight = model.twice.linear.weight
    parameters = {p.name: p for p in capture(model, (X,)).hierarchy.parameters}
    weight = parameters["twice.linear.weight"]
    assert (weight.owner, weight.shape, weight.dtype) == ("twice.linear", (4, 4), "float32")
    assert weight.digests == tensor_digests(model.twice.linear.weight)
    assert parameters["steps"].dtype == "int64"
    assert parameters["steps"].owner == ""
    tied = parameters["idle.linear.weight"]
    assert (tied.owner, tied.digests) == ("idle.linear", weight.digests), "a tied weight is each holder's"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool])
def test_digests_know_a_transposed_copy(dtype: torch.dtype) -> None:
    tensor = (torch.randn(5, 7) * 3).to(dtype)
    assert tensor_digests(tensor) == tensor_digests(tensor.T.contiguous())
    assert tensor_digests(tensor)[0] != tensor_digests(torch.zeros_like(tensor))[0]


def test_digests_know_a_copy_cast_to_half() -> None:
    tensor = torch.randn(5, 7)
    assert tensor_digests(tensor)[1] == tensor_digests(tensor.half())[1]
    assert tensor_digests(tensor.bfloat16())[1] == tensor_digests(tensor.bfloat16().half())[1]


def test_restores_everything_also_when_the_model_raises() -> None:
    class Raises(Reused):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            super().forward(x)
            raise RuntimeError("no\nmore")

    model = Raises().train()
    model.blocks.eval()
    own = lambda x: x  # noqa: E731 - an instance's own forward must come back as it was
    model.idle.forward = own
    fastpath = torch.backends.mha.get_fastpath_enabled()
    state = torch.random.get_rng_state()
    with pytest.raises(ExportError, match=r"RuntimeError: no more\)"):
        capture(model, (X,))
    assert model.training
    assert not model.blocks[0].training
    assert model.idle.__dict__["forward"] is own
    assert [path for path, m in model.named_modules() if "forward" in m.__dict__] == ["idle"]
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert torch.backends.mha.get_fastpath_enabled() == fastpath
    assert torch.equal(torch.random.get_rng_state(), state)


def test_keeps_the_signature_that_models_inspect() -> None:
    class Inspects(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            assert list(inspect.signature(self.block.forward).parameters) == ["x", "scale"]
            return self.block(x)

    capture(Inspects(), (X,))


def test_sees_inside_multihead_attention_and_transformer_encoder() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    found = capture(nn.TransformerEncoder(layer, 2), (torch.randn(2, 3, 8),)).hierarchy.by_path
    assert found["layers.1.self_attn"].calls == 1
    assert found["layers.1.linear2"].calls == 1


def test_a_scripted_module_is_counted() -> None:
    class Holds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scripted = torch.jit.script(nn.Linear(4, 4))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.scripted(x)

    module = capture(Holds(), (X,)).hierarchy.by_path["scripted"]
    assert (module.calls, module.class_name, module.tag) == (1, "Linear", "/Holds/Linear")


def test_inputs_that_a_model_fills_stay_as_they_were() -> None:
    class Fills(nn.Module):
        def forward(self, x: torch.Tensor, cache: dict[str, torch.Tensor]) -> torch.Tensor:
            cache["x"] = x
            return x.add_(1)

    x, cache = torch.zeros(2), {}
    capture(Fills(), (x, cache))
    assert cache == {}
    assert torch.equal(x, torch.zeros(2))


def test_a_map_is_read_back_as_it_was(tmp_path: Path) -> None:
    hierarchy = capture(Reused(), (X,)).hierarchy
    hierarchy.save(tmp_path / "m.hierarchy.json.gz")
    assert hierarchy.trace
    assert HierarchyMap.load(tmp_path / "m.hierarchy.json.gz") == hierarchy


def test_equal_models_give_equal_maps() -> None:
    torch.manual_seed(1)
    model = Reused()
    assert capture(model, (X,)).hierarchy == capture(model, (X,)).hierarchy


def test_a_report_takes_the_phases() -> None:
    report = ot.Report()
    hierarchy = ot.capture(nn.Linear(2, 3), (torch.zeros(1, 2),), report=report)
    assert [parameter.name for parameter in hierarchy.parameters] == ["weight", "bias"]
    assert [phase.name for phase in report.phases] == ["capture", "digests"]
    assert report.peak_rss_mb is None or report.peak_rss_mb > 10
