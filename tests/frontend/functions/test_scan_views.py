"""Loops whose contractions are read through random views, against the same steps unrolled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close

VIEWS = (
    lambda t: gx.flip(t, axis=-1),
    lambda t: gx.roll(t, 1, axis=-1),
    lambda t: gx.pad(t[:, :2], ((0, 0), (1, 1))),
    lambda t: gx.broadcast_to(t[:, 1:2], t.shape),
    lambda t: gx.permute_dims(gx.flip(gx.permute_dims(t, (1, 0)), axis=0), (1, 0)),
)


def step(seed: int, weights: Any, carry: Any, row: Any) -> Any:
    """A gated cell; the seed says through which views its parts go."""
    rng = np.random.default_rng(seed)

    def seen(t: Any) -> Any:
        for _ in range(rng.integers(0, 3)):
            t = VIEWS[rng.integers(0, len(VIEWS))](t)
        return t

    w, u, b = weights
    h, memory = carry
    early = row @ w + b if rng.random() < 0.5 else row @ w
    a = [seen(part) for part in gx.split(early, 3, axis=-1)]
    r = [seen((h if rng.random() < 0.6 else h * a[i]) @ u[:, 4 * i : 4 * i + 4]) for i in range(2)]
    new = gx.tanh(a[0] + r[0]) * gx.sigmoid(a[1] + r[1]) + 0.5 * memory
    y = seen((new @ u)[:, 2:6]) + seen(a[2])
    return (new, gx.tanh(seen(a[2]) + h)), (y, seen(row @ w))


@pytest.mark.parametrize("seed", range(16))
def test_is_the_unrolled_graph(seed: int) -> None:
    rng = np.random.default_rng(seed)
    length, batch, reverse = int(rng.integers(1, 5)), int(rng.integers(1, 4)), bool(seed % 2)
    x = gx.input("x", (length, batch, 3), dtype="float64")
    shapes = {"w": (3, 12), "u": (4, 12), "b": (12,)}
    weights = [gx.parameter(n, value=rng.normal(size=s) * 0.7) for n, s in shapes.items()]
    start = (gx.zeros((batch, 4), dtype="float64"),) * 2
    last, ys = gx.scan(lambda c, r: step(seed, weights, c, r), start, x, reverse=reverse)
    carry, rows = start, [None] * length
    for t in reversed(range(length)) if reverse else range(length):
        carry, rows[t] = step(seed, weights, carry, x[t])
    stacks = [gx.stack(list(part), 0) for part in zip(*rows)]  # type: ignore[arg-type]

    def with_gradients(last: Any, ys: Any) -> list[Any]:
        loss = (last[0] ** 2).sum() + 3 * last[1].sum() + (ys[0] ** 3).sum() + gx.sin(ys[1]).sum()
        return [loss, *gx.grad(loss, [x, *weights], unreachable="zero")]

    given = rng.normal(size=(length, batch, 3))
    expected = gx.compile([x], with_gradients(carry, stacks), target="interpret")(given)
    for target in ("interpret", "cpu") if seed < 4 else ("interpret",):
        found = gx.compile([x], with_gradients(last, ys), target=target)(given)
        for a, b in zip(found, expected):
            assert_close(a, b)
