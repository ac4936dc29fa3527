"""Rules that look through views follow the axes: equal sizes prove nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import graphc as gx
from graphc.compiler.passes.stabilise import is_softmax
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Node
from graphc.ir.ops.axes import base_of, repeats_along
from graphc.testing import assert_close
from tests.tolerances import FORMULA

Array = NDArray[Any]
SHAPES: tuple[tuple[Any, ...], ...] = (
    (3, 3), (1, 3), (3, 1), (1, 1), (2, 3), (gx.dim("n"), gx.dim("n")), (gx.dim("n"), 3),
    (3, gx.dim("n")), (2, 2, 2), (2, 1, 2), (1, gx.dim("n"), gx.dim("n")),
)  # fmt: skip
VIEWS: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda t: t,
    "kept first": lambda t: t[None],
    "kept last": lambda t: t[..., None],
    "turned": lambda t: t.T if t.ndim == 2 else t,
    "kept last and turned": lambda t: t[..., None].T if t.ndim == 1 else t[..., None],
    "reversed": lambda t: gx.flip(t, 0) if t.ndim else t,
    "in the middle": lambda t: t[:, None] if t.ndim else t,
}


def views_of_sums(shape: tuple[Any, ...]) -> Iterator[tuple[Tensor, Node, Tensor]]:
    """An exponential, a sum of it, and the sum in the exponential's shape in every way."""
    powers = gx.exp(gx.input("x", shape, dtype="float64"))
    for count in range(1, len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), count):
            total = gx.sum(powers, axis=axes)
            for view in VIEWS.values():
                try:
                    yield powers, total.node, gx.broadcast_to(view(total), powers.shape)
                except gx.errors.GraphcError:
                    continue


def stands_beside_its_row(powers: Tensor, total: Node, shown: Tensor) -> bool:
    """Whether that holds for numbers all of which are different, at two sizes of the dim."""
    x = base_of(powers.node).inputs[0]
    assert x.handle is not None
    for n in (2, 3):
        sizes = tuple(s if isinstance(s, int) else n for s in powers.shape)
        given = np.sqrt(np.arange(np.prod(sizes)).reshape(sizes) / 100.0)
        axes = total.op.axes  # type: ignore[attr-defined]
        expected = np.exp(given).sum(axis=axes, keepdims=True) + np.zeros(sizes)
        if not np.allclose(shown.eval({x.handle: given}), expected, **FORMULA):
            return False
    return True


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_sum_stands_beside_its_row(shape: tuple[Any, ...]) -> None:
    seen = []
    for powers, total, shown in views_of_sums(shape):
        beside = stands_beside_its_row(powers, total, shown)
        if base_of(shown.node) is not total:
            continue
        found = repeats_along(shown.node, total)
        assert not found or beside, shown.node
        assert is_softmax((powers / shown).node) == found
        seen.append((found, beside))
    assert (True, True) in seen
    # what it does not see are reversals, of one element too
    assert sum(beside and not found for found, beside in seen) <= len(seen) // 3


def softmaxes() -> Iterator[tuple[str, Tensor, Tensor]]:
    """A square matrix and quotients of it by its sums, beside their rows or not."""
    x = gx.input("x", (3, 3), dtype="float64")
    powers = gx.exp(x)
    for axis, (name, view) in itertools.product((0, 1, None), VIEWS.items()):
        yield f"{name}, {axis}", x, powers / view(gx.sum(powers, axis=axis))


WEIGHTS = gx.constant(np.random.default_rng(0).standard_normal((3, 3)))
AROUND: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda p: gx.sum(p * WEIGHTS),
    "sum of the transpose": lambda p: gx.sum(p.T * WEIGHTS),
    "log": lambda p: gx.sum(gx.log(p) * WEIGHTS),
    "square": lambda p: gx.sum(gx.square(p * WEIGHTS - gx.sum(p, axis=0))),
    "product": lambda p: gx.sum((p @ p.T) * WEIGHTS),
}


@pytest.mark.parametrize("around", AROUND)
def test_values_gradients_and_second_derivatives(around: str) -> None:
    given = np.random.default_rng(1).standard_normal((3, 3))
    for name, x, p in softmaxes():
        loss = AROUND[around](p)
        dx = gx.grad(loss, x)
        outputs = [loss, dx, gx.grad(gx.sum(dx * WEIGHTS), x)]
        for a, b in zip(gx.compile([x], outputs)(given), outputs):
            assert_close(a, b.eval({x: given}), message=name)
