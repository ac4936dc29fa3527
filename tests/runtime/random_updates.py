"""Random small programs that update several parameters, from one seed.

New values read old values of the same and of other parameters, at the same or at other elements,
values that are updates themselves, reductions, joins, gathers and scatters. Outputs are updates,
parameters, views of them, or anything else. Every value stays of moderate size, and what is not
continuous looks only at whole numbers, so that a last bit cannot become another branch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import graphc as gx
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.optim.base import reachable

Array = NDArray[Any]
SIZES = (1, 2, 3, 5)
LARGE = (1, 3, 130, 17, 150)  # some tensors are reduced in chunks, and steps pay for threads


@dataclass
class Program:
    """What to compile, the batches to feed, and the parameters' first values."""

    inputs: list[Tensor]
    outputs: dict[str, Tensor]
    updates: dict[Parameter, Tensor]
    parameters: list[Parameter]
    values: list[Array]
    batches: list[list[Array]]
    watched: dict[str, Tensor] = field(default_factory=dict)  # of parameters alone

    def reset(self) -> None:
        """Give every parameter its first value."""
        for parameter, value in zip(self.parameters, self.values):
            parameter.value = value


class Writer:
    """Draws a program; every choice comes from the seed."""

    def __init__(self, seed: int, dtype: str = "float64", large: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype, self.sizes = dtype, LARGE if large else SIZES
        self.batch = gx.dim("batch")
        self.values: list[Tensor] = []
        self.parameters: list[Parameter] = []

    def program(self) -> Program:
        """Parameters, inputs, 3 to 20 ops, updates for most parameters, a few outputs."""
        gx.seed(int(self.rng.integers(1000)))
        features = self.size()
        x = gx.input("x", (self.batch, features), self.dtype)
        rows = gx.input("rows", (self.batch,), "int32")
        self.rows = rows
        for i in range(int(self.rng.integers(1, 5))):
            self.add_parameter(f"p{i}")
        counter = gx.parameter("counter", value=np.int32(self.rng.integers(5)), trainable=False)
        self.counter = counter
        weights = list(self.parameters)
        self.values = [*weights, x]
        for _ in range(int(self.rng.integers(3, 21))):
            made = STEPS[self.rng.integers(len(STEPS))](self)
            if made is not None and self.fits(made):
                self.values.append(made)
        updates = self.updates()
        if self.rng.random() < 0.3:
            self.train(updates)
        updates[counter] = (counter * 3 + 1) % 7
        self.parameters.append(counter)
        outputs = {f"y{i}": self.output(updates) for i in range(int(self.rng.integers(1, 4)))}
        watched = {"w": gx.sin(gx.sum(weights[0]) * weights[-1])}
        return Program(
            [x, rows], outputs, updates, self.parameters, [p.value for p in self.parameters],
            [self.arrays(n, features) for n in (3, 3, 5, 1)], watched,
        )  # fmt: skip

    # -- leaves -----------------------------------------------------------------------

    def size(self) -> int:
        """A size."""
        return int(self.rng.choice(self.sizes))

    def add_parameter(self, name: str) -> None:
        """A parameter of rank 0 to 2, often of a shape that another has."""
        shape = tuple(self.size() for _ in range(self.rng.integers(0, 3)))
        if self.parameters and self.rng.random() < 0.5:
            shape = self.parameters[self.rng.integers(len(self.parameters))].shape  # type: ignore
            shape = shape[::-1] if self.rng.random() < 0.3 else shape
        value = self.rng.uniform(-1, 1, shape).astype(self.dtype)
        self.parameters.append(gx.parameter(name, value=value))

    def arrays(self, samples: int, features: int) -> list[Array]:
        """Values of the inputs; rows are below every size."""
        x = self.rng.uniform(-1, 1, (samples, features)).astype(self.dtype)
        return [x, np.zeros(samples, np.int32)]

    # -- choices ----------------------------------------------------------------------

    def pick(self, where: Callable[[Tensor], bool] = lambda t: True) -> Tensor | None:
        """A value that fulfils a condition; half of the time a parameter."""
        if self.rng.random() < 0.4:
            own = [p for p in self.parameters if where(p)]
            if own:
                return own[self.rng.integers(len(own))]
        fitting = [t for t in self.values if where(t)]
        return fitting[self.rng.integers(len(fitting))] if fitting else None

    def bounded(self, x: Tensor) -> Tensor:
        """A number below 1 that still tells any two values of x apart, if its dtype can."""
        return gx.sin(x) if self.dtype == "float64" else gx.tanh(x)

    def fits(self, made: Tensor) -> bool:
        """Whether a value is small enough."""
        return int(np.prod([3 if not isinstance(s, int) else s for s in made.shape])) <= 40000

    def like(self, x: Tensor) -> Tensor:
        """A value that combines with x by broadcasting."""
        same = self.pick(lambda t: t.shape == x.shape)
        if same is not None and self.rng.random() < 0.7:
            return same
        n = x.ndim
        row = self.pick(lambda t: t.ndim < n and t.shape == x.shape[n - t.ndim :])
        return row if row is not None else x

    # -- roots ------------------------------------------------------------------------

    def updates(self) -> dict[Parameter, Tensor]:
        """A new value for most parameters; some new values read other new values."""
        found: dict[Parameter, Tensor] = {}
        for p in self.parameters:
            if self.rng.random() < 0.15 and found:
                continue
            new = self.shaped(p.shape)
            choice = self.rng.random()
            if choice < 0.5:
                new = p * 0.5 + 0.5 * new if choice < 0.25 else p - 0.1 * new
            elif choice < 0.6:
                new = self.bounded(new)
            found[p] = new
            if self.rng.random() < 0.5:
                self.values.append(new)
        if self.rng.random() < 0.2:
            p, q = self.parameters[0], self.parameters[-1]
            if p.shape == q.shape:
                found[p], found[q] = (q, p) if self.rng.random() < 0.5 else (q, found.get(q, p))
        return found

    def train(self, updates: dict[Parameter, Tensor]) -> None:
        """Let an optimiser make some of the updates; its state joins the parameters."""
        optimizer = [
            gx.optim.SGD(0.1), gx.optim.SGD(0.1, momentum=0.5), gx.optim.Adam(0.01),
            gx.optim.AdamW(0.01),
        ][self.rng.integers(4)]  # fmt: skip
        loss = gx.mean(self.bounded(self.values[self.rng.integers(len(self.values))]))
        within = set(reachable(loss))
        reached = [p for p in self.parameters if p in within]
        if not reached:
            return
        clip = 0.5 if self.rng.random() < 0.4 else None
        made = optimizer.minimize(loss, reached, clip_norm=clip)
        updates.update(made)
        own = set(self.parameters)
        self.parameters += [p for p in made if p not in own]

    def shaped(self, shape: tuple[Any, ...]) -> Tensor:
        """Some value, reduced, cut or spread to a shape."""
        t = self.pick(lambda t: t.shape == shape) if self.rng.random() < 0.5 else self.pick()
        assert t is not None
        if t.shape == shape:
            return t
        if t.shape[::-1] == shape:
            return gx.matrix_transpose(t)
        while t.ndim > len(shape):
            t = self.bounded(gx.sum(t, axis=int(self.rng.integers(t.ndim))))
        t = gx.reshape(t, (1,) * (len(shape) - t.ndim) + t.shape)
        for axis, (have, want) in enumerate(zip(t.shape, shape)):
            if have in (want, 1):
                continue
            if isinstance(have, int) and have > want:
                start = int(self.rng.integers(have - want + 1))
                t = t[(slice(None),) * axis + (slice(start, start + want),)]
            else:
                t = gx.mean(t, axis=axis, keepdims=True)
        return gx.broadcast_to(t, shape)

    def output(self, updates: dict[Parameter, Tensor]) -> Tensor:
        """Any value; often a parameter, a view of one, or an update."""
        choice = self.rng.random()
        if choice < 0.2:
            p = self.parameters[self.rng.integers(len(self.parameters))]
            return gx.matrix_transpose(p) if choice < 0.1 and p.ndim == 2 else p
        if choice < 0.5:
            new = list(updates.values())
            return new[self.rng.integers(len(new))]
        return self.values[self.rng.integers(len(self.values))]


# ---------------------------------------------------------------------------- steps


def elementary(w: Writer) -> Tensor | None:
    """A function of one value."""
    x = w.pick()
    assert x is not None
    functions: list[Callable[[Tensor], Tensor]] = [
        gx.tanh, gx.sin, lambda t: t * 0.5, lambda t: -t, lambda t: 0.7 * t + 0.1,
        lambda t: gx.exp(-gx.abs(t)), lambda t: gx.sqrt(gx.abs(t) + 0.5), gx.nn.relu,
    ]  # fmt: skip
    return functions[w.rng.integers(len(functions))](x)


def combined(w: Writer) -> Tensor | None:
    """A function of two values."""
    x = w.pick()
    assert x is not None
    y = w.like(x)
    functions: list[Callable[[Tensor, Tensor], Tensor]] = [
        lambda a, b: 0.5 * (a + b), lambda a, b: 0.5 * (a - b), lambda a, b: w.bounded(a * b),
        gx.maximum, gx.minimum, lambda a, b: a / (1.5 + gx.abs(b)),
        lambda a, b: w.bounded(a * b + a),
    ]  # fmt: skip
    return functions[w.rng.integers(len(functions))](x, y)


def reduced(w: Writer) -> Tensor | None:
    """A sum, mean, maximum or log-sum-exp, often spread again."""
    x = w.pick(lambda t: t.ndim >= 1)
    if x is None:
        return None
    axis = None if w.rng.random() < 0.3 else int(w.rng.integers(x.ndim))
    function = [gx.mean, gx.max, gx.min, gx.mean, gx.logsumexp][w.rng.integers(5)]
    keep = bool(w.rng.integers(2))
    made = function(x, axis=axis, keepdims=keep)
    if function is gx.logsumexp:
        made = w.bounded(made)
    return 0.5 * (x - made) if keep and w.rng.random() < 0.6 else made


def softened(w: Writer) -> Tensor | None:
    """A softmax of the last axis, or of all."""
    x = w.pick(lambda t: t.ndim >= 1)
    if x is None:
        return None
    if w.rng.random() < 0.3:
        return x.size * gx.nn.softmax(gx.reshape(x, (-1,))) if isinstance(x.size, int) else None
    return gx.nn.softmax(x, axis=-1)


def product(w: Writer) -> Tensor | None:
    """A matrix product of matrices that fit, in any transposition."""
    x = w.pick(lambda t: t.ndim == 2)
    if x is None:
        return None
    a = x if w.rng.random() < 0.6 else gx.matrix_transpose(x)
    b = w.pick(lambda t: t.ndim == 2 and (t.shape[0] == a.shape[1] or t.shape[1] == a.shape[1]))
    if b is None:
        return None
    if b.shape[0] != a.shape[1]:
        b = gx.matrix_transpose(b)
    return w.bounded(0.3 * gx.matmul(a, b))


def turned(w: Writer) -> Tensor | None:
    """A transpose, a flip, a roll or a part."""
    x = w.pick(lambda t: t.ndim >= 1)
    if x is None:
        return None
    axis = int(w.rng.integers(x.ndim))
    choice = w.rng.integers(5)
    if choice == 0 and x.ndim == 2:
        return gx.matrix_transpose(x)
    if choice == 1:
        return gx.flip(x, axis=axis)
    if choice == 2 and isinstance(x.shape[axis], int) and x.shape[axis] > 1:
        return gx.roll(x, 1, axis=axis)
    if choice == 3 and isinstance(x.shape[axis], int) and x.shape[axis] > 1:
        start = int(w.rng.integers(2))
        return x[(slice(None),) * axis + (slice(start, None, 1 + int(w.rng.integers(2))),)]
    if all(isinstance(s, int) for s in x.shape):
        return gx.reshape(x, (-1,))
    return None


def joined(w: Writer) -> Tensor | None:
    """Two values behind one another."""
    x = w.pick(lambda t: t.ndim >= 1 and isinstance(t.shape[0], int))
    if x is None:
        return None
    y = w.pick(lambda t: t.ndim == x.ndim and t.shape[1:] == x.shape[1:]
               and (t.ndim == 0 or isinstance(t.shape[0], int)))  # fmt: skip
    return gx.concat([x, y if y is not None else x], axis=0)


def taken(w: Writer) -> Tensor | None:
    """Rows, at constant indices or at those of the input."""
    x = w.pick(lambda t: t.ndim >= 1 and isinstance(t.shape[0], int))
    if x is None:
        return None
    assert isinstance(x.shape[0], int)
    count = x.shape[0]
    if w.rng.random() < 0.4:
        return gx.take(x, w.rows, axis=0)
    return gx.take(x, gx.constant(w.rng.integers(-count, count, w.size()).astype("int32")), axis=0)


def scattered(w: Writer) -> Tensor | None:
    """Rows added to others."""
    x = w.pick(lambda t: t.ndim >= 1 and isinstance(t.shape[0], int))
    if x is None:
        return None
    y = w.pick(lambda t: t.ndim == x.ndim and t.shape[1:] == x.shape[1:]
               and isinstance(t.shape[0], int))  # fmt: skip
    if y is None:
        return None
    rows = w.rng.integers(0, x.shape[0], y.shape[0]).astype("int32")
    return w.bounded(gx.scatter_add(x, gx.constant(rows), y, axis=0))


def counted(w: Writer) -> Tensor | None:
    """A row that the counter names, or a value scaled by it."""
    x = w.pick(lambda t: t.ndim >= 1 and isinstance(t.shape[0], int))
    if x is None:
        return None
    if w.rng.random() < 0.5:
        return gx.take(x, w.counter % x.shape[0], axis=0)
    return x * (gx.astype(w.counter, w.dtype) * 0.1)


def placed(w: Writer) -> Tensor | None:
    """A value with a part replaced or added to."""
    x = w.pick(lambda t: t.ndim >= 1 and isinstance(t.shape[0], int))
    if x is None:
        return None
    assert isinstance(x.shape[0], int)
    row = int(w.rng.integers(x.shape[0]))
    key = row if w.rng.random() < 0.5 else slice(0, row + 1)
    spot = x.at[key]
    return spot.set(w.bounded(x[key] + 1.0)) if w.rng.random() < 0.5 else spot.add(0.1)


def running(w: Writer) -> Tensor | None:
    """Running sums."""
    x = w.pick(lambda t: t.ndim >= 1)
    if x is None:
        return None
    return w.bounded(gx.cumulative_sum(x, axis=int(w.rng.integers(x.ndim))))


def chosen(w: Writer) -> Tensor | None:
    """One of two values, by an index."""
    x = w.pick(lambda t: t.ndim >= 1 and isinstance(t.shape[-1], int))
    if x is None:
        return None
    return gx.where(gx.arange(x.shape[-1]) % 2 == 0, x, w.like(x))


def noisy(w: Writer) -> Tensor | None:
    """A value with noise, or with some elements dropped."""
    x = w.pick()
    assert x is not None
    if w.rng.random() < 0.5:
        return gx.nn.dropout(x, 0.5) * 0.5
    return x + 0.1 * gx.random.uniform(x.shape, dtype=w.dtype)


def descended(w: Writer) -> Tensor | None:
    """The gradient of a loss with respect to a parameter."""
    p = w.parameters[w.rng.integers(len(w.parameters))]
    y = w.pick()
    assert y is not None
    return w.bounded(gx.grad(gx.mean(w.bounded(y)), p, unreachable="zero"))


STEPS = (
    elementary, elementary, combined, combined, combined, reduced, reduced, softened, product,
    product, turned, joined, taken, scattered, chosen, noisy, descended, counted, placed, running,
)  # fmt: skip
