"""Gradients of functions: at kinks, at infinities, through views and products; any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.frontend import functions as fn
from graphc.frontend.autodiff import grad
from graphc.frontend.tensor import evaluate
from graphc.testing import assert_close


def gradient(function: Any, *arrays: Any) -> list[Any]:
    """The gradients of the sum of a function of float64 inputs."""
    arrays = tuple(np.asarray(a, np.float64) for a in arrays)
    inputs = [gx.input(f"x{i}", a.shape, dtype="float64") for i, a in enumerate(arrays)]
    grads = grad(fn.sum(function(*inputs)), inputs)
    return evaluate(grads, dict(zip(inputs, arrays)))


def agree(found: Any, expected: Any) -> None:
    """Assert equality up to rounding."""
    assert_close(found, expected, each=True)


# ------------------------------------------------------------------------------------ kinks


def test_ties_of_maximum_share_evenly() -> None:
    dx, dy = gradient(fn.maximum, [1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    agree(dx, [0, 0.5, 1])
    agree(dy, [1, 0.5, 0])
    dx, dy = gradient(fn.minimum, [1.0, 2.0, 3.0], [3.0, 2.0, 1.0])
    agree(dx, [1, 0.5, 0])
    agree(dy, [0, 0.5, 1])


def test_ties_of_max_share_evenly() -> None:
    x = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]
    agree(gradient(lambda x: fn.max(x, axis=1), x)[0], [[0, 0.5, 0.5], [1 / 3] * 3])
    agree(gradient(fn.min, x)[0], [[1, 0, 0], [0, 0, 0]])


def test_abs_is_flat_at_zero() -> None:
    agree(gradient(fn.abs, [-2.0, 0.0, 3.0])[0], [-1, 0, 1])


def test_clip_passes_the_gradient_at_its_bounds() -> None:
    x = [-2.0, -1.0, 0.0, 1.0, 2.0]
    agree(gradient(lambda x: fn.clip(x, -1, 1), x)[0], [0, 1, 1, 1, 0])


def test_std_of_equal_numbers_is_flat() -> None:
    agree(gradient(lambda x: fn.std(x, axis=1), np.ones((2, 3)))[0], np.zeros((2, 3)))


def test_where_lets_no_nan_through() -> None:
    x = [-1.0, 0.0, 4.0]
    agree(gradient(lambda x: fn.where(x > 0, fn.sqrt(x), 0.0), x)[0][2], 0.25)
    safe = gradient(lambda x: fn.where(x > 0, fn.log(fn.where(x > 0, x, 1.0)), x), x)[0]
    agree(safe, [1, 1, 0.25])


def test_pow_at_zero() -> None:
    dx, dy = gradient(fn.pow, [0.0, 0.0, 2.0, -2.0], [0.0, 2.0, 0.0, 3.0])
    agree(dx, [0, 0, 0, 12])
    agree(dy[:3], [0, 0, np.log(2)])


def test_logsumexp_of_minus_infinity_is_flat() -> None:
    x = [[-np.inf, -np.inf], [0.0, -np.inf], [1000.0, 1000.0]]
    found = gradient(
        lambda x: fn.where(fn.logsumexp(x, axis=1) > -1, fn.logsumexp(x, axis=1), 0), x
    )
    agree(found[0], [[0, 0], [1, 0], [0.5, 0.5]])
    agree(gradient(lambda x: fn.logsumexp(x, axis=1), x)[0], [[0, 0], [1, 0], [0.5, 0.5]])


# ----------------------------------------------------------------------------------- products


def others(x: Any, axis: int) -> Any:
    """The product of the others, by deleting each in turn."""
    x = np.moveaxis(x, axis, -1)
    columns = [np.prod(np.delete(x, i, axis=-1), axis=-1) for i in range(x.shape[-1])]
    return np.moveaxis(np.stack(columns, axis=-1), -1, axis)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_prod_is_exact_at_zeros(n: int, zeros: int) -> None:
    x = np.random.default_rng(n).standard_normal((2, n))
    x[0, :zeros] = 0.0
    agree(gradient(lambda x: fn.prod(x, axis=1), x)[0], others(x, 1))


@pytest.mark.parametrize("symbolic", [False, True])
def test_second_gradient_of_prod_at_zeros(symbolic: bool) -> None:
    x = np.array([0.0, 2.0, 0.0, 3.0])
    t = gx.input("t", ("n" if symbolic else 4,), dtype="float64")
    (first,) = grad(fn.prod(t), [t])
    places = fn.arange(t.shape[0])
    rows = [grad(fn.sum(fn.where(places == i, first, 0.0)), [t])[0] for i in range(4)]
    pairs = [[(i, j) for j in range(4)] for i in range(4)]
    hessian = [[np.prod(np.delete(x, [i, j])) * (i != j) for i, j in row] for row in pairs]
    agree(np.array(evaluate(rows, {t: x})), hessian)


# ------------------------------------------------------------- everything else, by differences

ONES = np.array([1, 1])
SMOOTH: list[tuple[str, Any, list[tuple[int, ...]]]] = [
    ("matmul", lambda x, y: x @ y, [(3, 4), (4, 5)]),
    ("matmul transposed", lambda x, y: y.T @ x.T, [(3, 4), (4, 5)]),
    ("matmul of stacks", lambda x, y: x @ y, [(2, 3, 4), (4, 5)]),
    ("matmul broadcast", lambda x, y: x @ y, [(5, 1, 3, 4), (2, 4, 2)]),
    ("vectors", lambda x, y: (x @ y) * (x @ x), [(4,), (4,)]),
    ("vector @ matrix", lambda x, y: x @ y, [(4,), (4, 3)]),
    ("einsum", lambda x, y: fn.einsum("bij,kj->bk", x, y), [(2, 3, 4), (5, 4)]),
    ("einsum of three", lambda x, y, z: fn.einsum("ij,jk,ki", x, y, z), [(2, 3), (3, 4), (4, 2)]),
    ("einsum diagonal", lambda x: fn.einsum("ii->i", x) ** 2, [(3, 3)]),
    ("tensordot", lambda x, y: fn.tensordot(x, y, ([0, 1], [1, 0])), [(2, 3, 4), (3, 2)]),
    ("outer", lambda x, y: fn.outer(x, y) ** 2, [(3,), (4,)]),
    ("vecdot", lambda x, y: fn.vecdot(x, y) ** 2, [(2, 3), (3,)]),
    ("mean", lambda x: fn.mean(x, axis=(0, 2)) ** 3, [(2, 3, 4)]),
    ("var", lambda x: fn.var(x, axis=1, correction=1) ** 2, [(2, 5)]),
    ("std", lambda x: fn.std(x, axis=0), [(5, 2)]),
    ("prod", lambda x: fn.prod(x, axis=(0, 2)), [(2, 3, 2)]),
    ("logsumexp", lambda x: fn.logsumexp(x, axis=-1) ** 2, [(2, 5)]),
    ("max", lambda x: fn.max(x, axis=0) ** 2, [(4, 3)]),
    ("broadcasting", lambda x, y: x / (2 + y * y), [(3, 1, 4), (2, 1)]),
    ("slices", lambda x: x[1:, ::-2] * x[:-1, 1::2], [(3, 4)]),
    ("rows", lambda x: x[np.array([0, 2, 2])] ** 2, [(3, 4)]),
    ("columns", lambda x: x[:, np.array([0, -1])] ** 3, [(3, 4)]),
    ("pairs", lambda x: x[np.array([0, 2, 2]), np.array([1, 1, 1])] ** 2, [(3, 4)]),
    ("scatter_add", lambda x, u: fn.scatter_add(x, ONES, u, axis=1) ** 2, [(3, 4), (3, 2)]),
    ("pad", lambda x: (fn.pad(x, 1, 2.0) * fn.pad(x, (0, 2))) ** 2, [(2, 3)]),
    ("diff", lambda x: fn.diff(x) ** 2, [(2, 4)]),
    ("logaddexp", lambda x, y: fn.logaddexp(x, y), [(2, 3), (3,)]),
    ("along axis", lambda x: fn.take_along_axis(x, ONES[:, None], axis=1) ** 2, [(2, 3)]),
    ("concat", lambda x, y: fn.concat([x, y, x], axis=1) ** 2, [(2, 3), (2, 1)]),
    ("stack", lambda x, y: fn.stack([x, y]) ** 2, [(2, 3), (2, 3)]),
    ("roll", lambda x: fn.roll(x, 1, 0) * x, [(4, 2)]),
    ("tile", lambda x: fn.tile(x, (2, 2)) ** 2, [(2, 3)]),
    ("flip", lambda x: fn.flip(x) * x, [(2, 3)]),
    ("tril", lambda x: fn.tril(x) @ x, [(3, 3)]),
    ("trigonometry", lambda x: fn.tan(x / 3) + fn.sinh(x) * fn.cosh(x), [(5,)]),
    ("logarithms", lambda x: fn.log10(1 + x * x) * fn.log2(2 + x * x), [(5,)]),
    ("powers", lambda x: (x * x + 1) ** 0.5 * (x * x + 1) ** -1 * (x * x) ** 1.5, [(5,)]),
    ("known powers", lambda x: x**3 + x**5 + (x * x + 1) ** -2.5 + (x * x + 1) ** 0, [(5,)]),
    ("remainder", lambda x: (x % 2.3) ** 2, [(5,)]),
    ("stopped", lambda x: fn.square(x) + fn.stop_gradient(x) * 0, [(5,)]),
]  # fmt: skip


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case[0])
def test_differences(case: Any) -> None:
    _, function, shapes = case
    rng = np.random.default_rng(3)
    inputs = [gx.input(f"x{i}", s, dtype="float64") for i, s in enumerate(shapes)]
    arrays = [rng.standard_normal(s) for s in shapes]
    y = function(*inputs)
    loss = fn.sum(y * rng.standard_normal(y.shape))
    report = gx.check_gradients(loss, inputs, dict(zip(inputs, arrays)))
    assert report, str(report)
    # and the gradient of the gradient's norm
    grads = grad(loss, inputs)
    norm = sum((fn.sum(g * g) for g in grads), start=0.0 * loss)
    report = gx.check_gradients(norm, inputs, dict(zip(inputs, arrays)))
    assert report, str(report)


@pytest.mark.parametrize("case", SMOOTH, ids=lambda case: case[0])
def test_native_gradients(case: Any) -> None:
    _, function, shapes = case
    rng = np.random.default_rng(3)
    inputs = [gx.input(f"x{i}", s, dtype="float64") for i, s in enumerate(shapes)]
    arrays = [rng.standard_normal(s) for s in shapes]
    y = function(*inputs)
    firsts = grad(fn.sum(y * rng.standard_normal(y.shape)), inputs)
    norm = sum((fn.sum(g * g) for g in firsts), start=0.0 * fn.sum(y))
    outputs = [y, *firsts, *grad(norm, inputs)]
    found = gx.compile(inputs, outputs)(*arrays)
    expected = gx.compile(inputs, outputs, target="interpret")(*arrays)
    for a, b in zip(found, expected):
        assert_close(a, b, each=True)
