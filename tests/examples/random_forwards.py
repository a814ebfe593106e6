"""The forwards of random nets: statements over values of one shape, and the modules that they may call.

Which classes and children there are is drawn in `random_nets`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

# By the form of a class: its signature, how its values are named first, how it is called, what it returns, and how that
# is taken apart.
SIGNATURES = {"one": "x", "pair": "x, y", "nested": "given", "many": "*values, **named"}
_OPENING = {
    "one": "x = x * 1.5",
    "pair": "x = x - y",
    "nested": "x, y, z = given['x'], given['rest'][0], given['rest'][1][0]",
    "many": "x, y, z = *values, named['last']",
}
_FIRST = {"one": ("x",), "pair": ("x", "y"), "nested": ("x", "y", "z"), "many": ("x", "y", "z")}
_GIVEN = {
    "one": "{0}",
    "pair": "{0}, {1}",
    "nested": "{{'x': {0}, 'rest': [{1}, ({2},)]}}",
    "many": "{0}, {1}, last={2}",
}
_RETURNED = {"one": "{0}", "pair": "{0}, {1}", "nested": "{{'x': {0}, 'rest': [{1}, ({2},)]}}", "many": "[{0}, {1}]"}
_TAKEN = {
    "one": ("{0}",),
    "pair": ("{0}[0]", "{0}[1]"),
    "nested": ("{0}['x']", "{0}['rest'][0]", "{0}['rest'][1][0]"),
    "many": ("{0}[0]", "{0}[1]"),
}

# None of them gives back what it reads, also where both values are one: nobody could tell then who made it.
_WORK = (
    "{v} + {w}",
    "{v} + {w}",
    "({v} + {w}) * 0.7",
    "{v} * torch.sigmoid({w})",
    "torch.cat([{v}, {w}], dim=-1)[..., ::2]",
    "torch.cat([{v}[:, 2:], {w}[:, :2]], dim=1)",
    "torch.stack([{v}, {w}]).sum(0) * 0.4",
    "torch.cat({v}.chunk(2, dim=-1)[::-1], dim=-1)",
    "{v}.transpose(1, 2).flip(1).transpose(1, 2)",
    "{v}.reshape({v}.shape[0], -1).tanh().view({v}.shape)",
    "torch.where({v} > 0, {v}, 0.1 - {w})",
    "torch.softmax({v} @ {w}.transpose(1, 2) / 8, dim=-1) @ {v}",
    "{v} * self.scale + self.shift",
    "{v} + torch.arange(8, dtype={v}.dtype) / 10",
    "{v} - {v}.mean(-1, keepdim=True)",
    "torch.roll({v}, 1, 1)",
    "{v}.clamp(-0.4, 0.4)",
    "{v}.unsqueeze(2).expand(-1, -1, 3, -1).sum(2)",
)

_IN_PLACE = (
    "{n} += {w}",
    "{n}[:, 0] = {w}[:, 1] * 2",
    "{n}[..., :4].mul_(1.5)",
    "{n}.mul_(self.scale)",
    "{n}.transpose(1, 2)[:, 2].add_(1.0)",
    "{n}.clamp_(min=-0.3)",
)

_REGIONS = (
    "torch.no_grad()",
    "torch.enable_grad()",
    "torch.set_grad_enabled(False)",
    "torch.autocast('cpu', enabled=False)",
)

# No class runs more modules and statements than this, the root twice as many.
LIMIT = 14


@dataclass(frozen=True)
class Child:
    """A module as a forward can reach it.

    Attributes
    ----------
    access : str
        The expression behind ``self``.
    form : str
        How it is called, a key of `SIGNATURES`.
    cost : int
        How many modules and statements a call runs.
    inner : tuple of Child
        What can be called within it from outside.
    linear : bool
        Whether it has the weight of a linear layer.
    """

    access: str
    form: str = "one"
    cost: int = 1
    inner: tuple[Child, ...] = ()
    linear: bool = False

    def under(self, place: str) -> Child:
        """The same child as it is reached through another module."""
        return replace(self, access=place + self.access, inner=tuple(child.under(place) for child in self.inner))


@dataclass
class Forward:
    """A forward while it is drawn.

    Attributes
    ----------
    chance : random.Random
    form : str
        Of its class.
    children : sequence of Child
    rows : sequence of str
        Containers that may be iterated over: all in them are called with one value.
    limit : int
        How much it may run.
    cost : int
        What it runs so far.
    """

    chance: random.Random
    form: str
    children: Sequence[Child]
    rows: Sequence[tuple[str, int]]
    limit: int
    cost: int = 1
    values: list[str] = field(default_factory=list)
    unread: dict[str, None] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Its statements."""
        self.values = list(_FIRST[self.form])
        found = [_OPENING[self.form]]
        for child in self.chance.sample(list(self.children), len(self.children)):
            found += self._own() if self.chance.random() < 0.3 else []
            found += self._region(list(self._call(child)))
        for _ in range(self.chance.randrange(1, 6)):
            step = self.chance.choice((self._again, self._outside, self._loop, self._own, self._own, self._in_place))
            found += self._region(list(step()))
        found += self._summed()
        return [*found, f"return {_RETURNED[self.form].format(self.values[-1], *self._picked(2))}"]

    def _new(self) -> str:
        name = f"v{len(self.values)}"
        self.values.append(name)
        self.unread[name] = None
        return name

    def _picked(self, count: int) -> list[str]:
        """Values to read, the latest more often."""
        found = [self.chance.choice(self.values[-self.chance.choice((1, 2, 3, 9)) :]) for _ in range(count)]
        for name in found:
            self.unread.pop(name, None)
        return found

    def _call(self, child: Child) -> Iterator[str]:
        """A call, by itself or of `forward`; what returns several values is taken apart."""
        if self.cost + child.cost > self.limit:
            return
        self.cost += child.cost
        direct = ".forward" if self.chance.random() < 0.15 else ""
        text = f"self{child.access}{direct}({_GIVEN[child.form].format(*self._picked(3))})"
        times = 2 if self.chance.random() < 0.1 and self.cost + child.cost <= self.limit else 1
        for _ in range(times):  # the second one on the same inputs
            if child.form == "one":
                yield f"{self._new()} = {text}"
                continue
            yield f"got = {text}"
            for part in _TAKEN[child.form]:
                yield f"{self._new()} = {part.format('got')}"

    def _again(self) -> Iterator[str]:
        return self._call(self.chance.choice(self.children))

    def _outside(self) -> Iterator[str]:
        """A module within a child, called past it."""
        inner = [one for child in self.children for one in (*child.inner, *(b for a in child.inner for b in a.inner))]
        return self._call(self.chance.choice(inner)) if inner else iter(())

    def _loop(self) -> Iterator[str]:
        fitting = [row for row, cost in self.rows if self.cost + cost <= self.limit]
        if not fitting:
            return
        row = self.chance.choice(fitting)
        self.cost += dict(self.rows)[row]
        (value,) = self._picked(1)
        name = self._new()
        yield f"{name} = {value}"
        yield f"for layer in {self.chance.choice((f'self{row}', f'reversed(self{row})'))}:"
        yield f"    {name} = layer({name})" + self.chance.choice(("", " * 0.9"))

    def _own(self) -> Iterator[str]:
        self.cost += 1
        linear = [child.access for child in self.children if child.linear]
        single = [child for child in self.children if child.form == "one" and self.cost + child.cost <= self.limit]
        v, w = self._picked(2)
        if linear and self.chance.random() < 0.15:
            yield f"{self._new()} = F.linear({v}, self{self.chance.choice(linear)}.weight)"
        elif single and self.chance.random() < 0.08:
            child = self.chance.choice(single)
            self.cost += child.cost
            yield f"{self._new()} = checkpoint(self{child.access}, {v}, use_reentrant=False)"
        else:
            yield f"{self._new()} = {self.chance.choice(_WORK).format(v=v, w=w)}"

    def _in_place(self) -> Iterator[str]:
        v, w = self._picked(2)
        name = self._new()
        self.cost += 2
        yield f"{name} = {v}.clone()"
        for text in self.chance.sample(_IN_PLACE, self.chance.randrange(1, 3)):
            yield text.format(n=name, w=w)

    def _region(self, lines: list[str]) -> list[str]:
        if not lines or self.chance.random() > 0.12:
            return lines
        return [f"with {self.chance.choice(_REGIONS)}:", *(f"    {line}" for line in lines)]

    def _summed(self) -> Iterator[str]:
        """What nobody read would be dropped by an exporter: most of it goes into the last value."""
        left = [name for name in self.unread if self.chance.random() < 0.9]
        if left:
            self.cost += len(left)
            self.unread.clear()
            text = " + ".join([*left, *self._picked(1)])
            yield f"{self._new()} = " + self.chance.choice(("torch.tanh({})", "({}) / 3")).format(text)
