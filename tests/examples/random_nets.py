"""Random module trees with random forwards, as Python source: the same text for the same seed.

A net is a handful of classes. A class has children (leaves of torch and other drawn classes, alone or in containers,
some under two names, with one weight or under hooks) and a forward, which `random_forwards` draws. What a net is judged
by is in `benchmarks/random_nets.py`.
"""

from __future__ import annotations

import linecache
import random
import types
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import nn

from examples.random_forwards import LIMIT, SIGNATURES, Child, Forward

Made = tuple[nn.Module, tuple[object, ...], dict[str, object]]

_HEAD = '''"""Random net {seed}."""
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


def scaled(module, args, out):
    return out * 1.25


def shifted(module, args):
    return (args[0] + 0.5, *args[1:])


class Line(nn.Module):
    """A convolution over the places, and its norm."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm1d(8)

    def forward(self, x):
        return self.norm(self.conv(x.transpose(1, 2))).transpose(1, 2)


class Again(nn.Module):
    """Calls itself."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)

    def forward(self, x, times=1):
        x = torch.tanh(self.linear(x))
        return self(x, times - 1) if times else x


class Recurrent(nn.Module):
    """A recurrent layer of which the state is left out."""

    def __init__(self):
        super().__init__()
        self.cell = nn.GRU(8, 8, batch_first=True)

    def forward(self, x):
        return self.cell(x)[0]
'''

_LINEAR = "nn.Linear(8, 8)"
_LEAVES = (
    _LINEAR,
    _LINEAR,
    _LINEAR,
    "nn.Linear(8, 8, bias=False)",
    "nn.LayerNorm(8)",
    "nn.GELU()",
    "nn.SiLU()",
    "nn.ReLU()",
    "nn.Hardswish(inplace=True)",
    "nn.Tanh()",
    "nn.Identity()",
    "nn.Dropout(0.5)",
    "nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True))",
    "nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))",
    "Line()",
    "Again()",
    "Recurrent()",
)

# Containers: the constructor, and how what is in them is reached.
_CONTAINERS = {
    "list": ("nn.ModuleList([{}, {}])", ("[0]", "[1]")),
    "chain": ("nn.Sequential({}, {})", ("[0]", "[1]")),
    "dict": ("nn.ModuleDict({{'a/b': {}, 'c-d': {}}})", ("['a/b']", "['c-d']")),
    "lists": ("nn.ModuleList([nn.ModuleList([{}, {}]), nn.ModuleDict({{'x': {}}})])", ("[0][0]", "[0][1]", "[1]['x']")),
}

_ONE = "torch.randn(2, 6, 8)"
_INPUTS = {
    "one": f"({_ONE},), {{}}",
    "pair": f"({_ONE},), {{'y': {_ONE}}}",
    "nested": f"({{'x': {_ONE}, 'rest': [{_ONE}, ({_ONE},)]}},), {{}}",
    "many": f"({_ONE}, {_ONE}), {{'last': {_ONE}}}",
}


@dataclass
class _Class:
    """A class while it is drawn."""

    chance: random.Random
    name: str
    form: str
    known: tuple[_Class, ...]
    children: list[Child] = field(default_factory=list)
    rows: list[tuple[str, int]] = field(default_factory=list)
    init: list[str] = field(default_factory=list)
    body: list[str] = field(default_factory=list)
    cost: int = 0

    def __post_init__(self) -> None:
        root = self.name == "Root"
        for number in range(self.chance.randrange(1, 4) + root):
            self._add(f".part{number}")
        self._twist()
        self.init += ["self.scale = nn.Parameter(torch.rand(8) + 0.5)", "self.register_buffer('shift', torch.randn(8))"]
        forward = Forward(self.chance, self.form, self.children, self.rows, LIMIT * (1 + root))
        self.body = forward.lines()
        self.cost = forward.cost

    def __str__(self) -> str:
        lines = [f"class {self.name}(nn.Module):", "    def __init__(self):", "        super().__init__()"]
        lines += [f"        {line}" for line in self.init]
        lines += ["", f"    def forward(self, {SIGNATURES[self.form]}):", *(f"        {line}" for line in self.body)]
        return "\n".join(lines)

    def _add(self, place: str) -> None:
        """A module, or a container of two or three."""
        kind = self.chance.choice(("alone", "alone", *_CONTAINERS))
        if kind == "alone":
            text, child = self._module(place)
            self.init.append(f"self{place} = {text}")
            self.children.append(child)
            return
        constructor, keys = _CONTAINERS[kind]
        drawn = [self._module(place + key, single=kind == "chain") for key in keys]
        self.init.append(f"self{place} = {constructor.format(*(text for text, _ in drawn))}")
        inner = tuple(child for _, child in drawn)
        cost = sum(child.cost for child in inner)
        self.children += [Child(place, cost=cost, inner=inner)] if kind == "chain" else inner
        if kind in ("chain", "list") and all(child.form == "one" for child in inner):
            self.rows.append((place, cost))

    def _module(self, access: str, single: bool = False) -> tuple[str, Child]:
        """The constructor of a leaf or of a class that is drawn already, and the child that it makes."""
        fitting = [one for one in self.known if one.form == "one" or not single]
        if fitting and self.chance.random() < 0.55:
            part = self.chance.choice(fitting)
            inner = tuple(child.under(access) for child in part.children)
            return f"{part.name}()", Child(access, part.form, part.cost, inner)
        text = self.chance.choice(_LEAVES)
        return text, Child(access, linear=text == _LINEAR)

    def _twist(self) -> None:
        """A weight of two owners, a second name, and a hook, each in some classes."""
        linear = [child.access for child in self.children if child.linear]
        if len(linear) > 1 and self.chance.random() < 0.2:
            one, other = self.chance.sample(linear, 2)
            self.init.append(f"self{other}.weight = self{one}.weight")
        if self.chance.random() < 0.15:
            twin = self.chance.choice(self.children)
            self.init.append(f"self.alias = self{twin.access}")
            self.children.append(Child(".alias", twin.form, twin.cost))
        hooked = self.chance.choice(self.children)
        if hooked.form == "one" and self.chance.random() < 0.25:
            hook = self.chance.choice(("register_forward_hook(scaled)", "register_forward_pre_hook(shifted)"))
            self.init.append(f"self{hooked.access}.{hook}")


def source_of(seed: int) -> str:
    """The text of a net; its function `made` is a model source."""
    chance = random.Random(seed)
    classes: tuple[_Class, ...] = ()
    for number in range(chance.randrange(1, 5)):
        form = chance.choice(("one", "one", "one", *SIGNATURES))
        classes += (_Class(chance, f"Part{number}", form, classes),)
    root = _Class(chance, "Root", chance.choice(("one", "one", *SIGNATURES)), classes)
    factory = f"def made():\n    return Root(), {_INPUTS[root.form]}"
    return "\n\n\n".join([_HEAD.format(seed=seed).rstrip(), *map(str, (*classes, root)), factory]) + "\n"


def made(seed: int) -> Made:
    """A net in evaluation mode, and its inputs; all of its parameters and buffers are distinct."""
    name, text = f"random_net_{seed}", source_of(seed)
    file = f"<{name}>"
    # torch looks up the lines that it traces
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    module = types.ModuleType(name)
    exec(compile(text, file, "exec"), module.__dict__)
    factory: Callable[[], Made] = module.__dict__["made"]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(seed)
        model, args, kwargs = factory()
        for path, tensor in (*model.named_parameters(), *model.named_buffers()):
            if tensor.is_floating_point():
                step = 0.1 * torch.randn(tensor.shape)
                tensor.copy_(tensor * step.exp() if path.endswith("running_var") else tensor + step)
    return model.eval(), args, kwargs
