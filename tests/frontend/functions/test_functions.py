"""The functions against numpy: shapes, dtypes, axes, indices, symbolic sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

import graphc as gx
from graphc.frontend import functions as fn
from graphc.frontend.tensor import Tensor, evaluate
from tests.tolerances import FEW_OPS

RNG = np.random.default_rng(5)
A = RNG.standard_normal((3, 4)).astype(np.float32)
B = RNG.standard_normal((4,)).astype(np.float32)
C = RNG.standard_normal((2, 3, 4)).astype(np.float32)
M = RNG.standard_normal((4, 5)).astype(np.float32)
K = RNG.integers(-9, 9, (3, 4)).astype(np.int32)
U = RNG.integers(1, 9, (3, 4)).astype(np.uint8)
P = A > 0
N = np.array([[np.nan, np.inf, -np.inf, -0.0], [1, -1, 0.5, 1e-30]], np.float32)


def run(function: Any, *arrays: Any) -> Any:
    """The interpreter's value of a function of inputs of the arrays' types."""
    inputs = [gx.input(f"x{i}", a.shape, dtype=a.dtype.name) for i, a in enumerate(arrays)]
    result = function(*inputs)
    several = result if isinstance(result, (list, tuple)) else [result]
    assert all(isinstance(t, Tensor) for t in several)
    values = evaluate(list(several), dict(zip(inputs, arrays)))
    return values if isinstance(result, (list, tuple)) else values[0]


def agree(found: Any, expected: Any) -> None:
    """Assert equal shapes and close values; NaN equals NaN."""
    expected = np.asarray(expected)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.astype(np.float64), expected.astype(np.float64), **FEW_OPS)


ONE = {"value": 1}
SAME_IN_NUMPY: list[tuple[str, Any, tuple[Any, ...]]] = [
    # a function of (library, arrays): the same text means the same in both
    ("add", lambda xp, x, y: xp.add(x, y), (A, B)),
    ("subtract", lambda xp, x, y: x - y, (A, C)),
    ("weak", lambda xp, x: 2 * x + 1 - x / 2, (A,)),
    ("reflected", lambda xp, x: 1.0 / (3 + x * x), (A,)),
    ("multiply", lambda xp, x, y: x * y, (C, B)),
    ("floor_divide", lambda xp, x, y: x // y, (K, U.astype(np.int32))),
    ("remainder", lambda xp, x, y: x % y, (K, U.astype(np.int32))),
    ("remainder of floats", lambda xp, x: x % 0.75, (A,)),
    ("pow", lambda xp, x: abs(x) ** 1.5, (A,)),
    ("pow of ints", lambda xp, x: x**3, (K,)),
    ("whole powers", lambda xp, x: x**3 + x**4 - x**5 + (x + 5) ** -2 + x**0, (A,)),
    ("powers of ints", lambda xp, x: x**7 + x**1 + x**0 - x**30, (K,)),
    ("pow of two", lambda xp, x: 2.0**x, (A,)),
    ("square", lambda xp, x: xp.square(x), (A,)),
    ("halves", lambda xp, x: (x * x) ** 0.5 + (x * x + 1) ** -1, (A,)),
    ("negative", lambda xp, x: -x, (K,)),
    ("sign", lambda xp, x: xp.sign(x), (N,)),
    ("floor", lambda xp, x: xp.floor(x), (N,)),
    ("round", lambda xp, x: xp.round(x * 2) / 2, (A,)),
    ("trunc", lambda xp, x: xp.trunc(3 * x), (A,)),
    ("maximum", lambda xp, x, y: xp.maximum(x, y), (A, B)),
    ("clip", lambda xp, x: xp.clip(x, -0.5, 0.7), (A,)),
    ("clip of NaN", lambda xp, x: xp.clip(x, -2, 2), (N,)),
    ("clip one side", lambda xp, x: xp.clip(x, None, 0), (K,)),
    ("exp", lambda xp, x: xp.exp(x), (N,)),
    ("log1p", lambda xp, x: xp.log1p(xp.exp(x)), (A,)),
    ("log10", lambda xp, x: xp.log10(x * x + 1), (A,)),
    ("tan", lambda xp, x: xp.tan(x), (A,)),
    ("sinh", lambda xp, x: xp.sinh(x), (A,)),
    ("cosh", lambda xp, x: xp.cosh(x), (A,)),
    ("tanh", lambda xp, x: xp.tanh(x), (A,)),
    ("sin cos", lambda xp, x: xp.sin(x) * xp.cos(x), (A,)),
    ("isnan", lambda xp, x: xp.isnan(x), (N,)),
    ("isinf", lambda xp, x: xp.isinf(x), (N,)),
    ("isfinite", lambda xp, x: xp.isfinite(x), (N,)),
    ("isfinite of ints", lambda xp, x: xp.isfinite(x), (K,)),
    ("signbit", lambda xp, x: xp.signbit(x), (N,)),
    ("greater", lambda xp, x, y: x > y, (A, B)),
    ("greater_equal", lambda xp, x: x >= 3, (K,)),
    ("less", lambda xp, x: x > 0.25, (A,)),
    ("equal", lambda xp, x: x == 2, (K,)),
    ("not_equal", lambda xp, x: x != x, (N,)),
    ("logical", lambda xp, x, y: xp.logical_and(x, xp.logical_not(xp.logical_or(y, x))), (P, K)),
    ("logical_xor", lambda xp, x, y: xp.logical_xor(x, y), (P, A > 0.5)),
    ("bits", lambda xp, x, y: (x & 6) | (y ^ ~x), (K, K[::-1])),
    ("bits of bools", lambda xp, x: ~x & (x | x), (P,)),
    ("shifts", lambda xp, x: (x << 3) >> 2, (K,)),
    ("where", lambda xp, c, x: xp.where(c, x, 0.0), (P, A)),
    ("where of rows", lambda xp, c, x: xp.where(c[:, :1], x, 1), (P, K)),
    ("sum", lambda xp, x: xp.sum(x), (C,)),
    ("sum of axes", lambda xp, x: xp.sum(x, axis=(0, -1)), (C,)),
    ("sum of none", lambda xp, x: xp.sum(x, axis=()), (C,)),
    ("sum kept", lambda xp, x: x - xp.sum(x, axis=1, keepdims=True), (C,)),
    ("sum of bools", lambda xp, x: xp.sum(x, axis=0), (P,)),
    ("sum of bytes", lambda xp, x: xp.sum(x), (U,)),
    ("prod", lambda xp, x: xp.prod(x, axis=-1), (C,)),
    ("mean", lambda xp, x: xp.mean(x, axis=0), (C,)),
    ("mean of ints", lambda xp, x: xp.mean(x, axis=1, keepdims=True), (K,)),
    ("mean of bools", lambda xp, x: xp.mean(x), (P,)),
    ("var", lambda xp, x: xp.var(x, axis=(1, 2)), (C,)),
    ("std", lambda xp, x: xp.std(x, axis=-1, keepdims=True), (C,)),
    ("max", lambda xp, x: xp.max(x, axis=1), (C,)),
    ("max of NaN", lambda xp, x: xp.max(x, axis=1), (N,)),
    ("min", lambda xp, x: xp.min(x), (K,)),
    ("any", lambda xp, x: xp.any(x > 1, axis=0), (A,)),
    ("all", lambda xp, x: xp.all(x > -1, axis=-1, keepdims=True), (A,)),
    ("any of numbers", lambda xp, x: xp.any(x, axis=0), (K,)),
    ("count_nonzero", lambda xp, x: xp.count_nonzero(x, axis=0), (K,)),
    ("argmax", lambda xp, x: xp.argmax(x, axis=-1), (C,)),
    ("argmax of all", lambda xp, x: xp.argmax(x), (K,)),
    ("argmin kept", lambda xp, x: xp.argmin(x, axis=1, keepdims=True), (K,)),
    ("matmul", lambda xp, x, y: x @ y, (A, M)),
    ("matmul transposed", lambda xp, x, y: y.T @ x.T, (A, M)),
    ("matmul of stacks", lambda xp, x, y: x @ y, (C, M)),
    ("matmul broadcast", lambda xp, x, y: x[:, None] @ xp.matrix_transpose(y)[None], (C, C)),
    ("matmul stack on the right", lambda xp, x, y: x @ xp.matrix_transpose(y), (A, C)),
    ("vector @ matrix", lambda xp, x, y: x @ y, (B, M)),
    ("matrix @ vector", lambda xp, x, y: x @ y, (C, B)),
    ("vector @ stack", lambda xp, x, y: y @ xp.matrix_transpose(x), (C, B)),
    ("vector @ vector", lambda xp, x: x @ x, (B,)),
    ("matmul of ints", lambda xp, x: x @ x.T, (K,)),
    ("tensordot", lambda xp, x, y: xp.tensordot(x, y, axes=([0, 2], [1, 0])), (C, C.T[:, :2, :2])),
    ("tensordot of 0", lambda xp, x, y: xp.tensordot(x, y, axes=0), (A, B)),
    ("tensordot of 2", lambda xp, x: xp.tensordot(x, x, axes=2), (A,)),
    ("vecdot", lambda xp, x, y: xp.vecdot(x, y), (C, A)),
    ("outer", lambda xp, x, y: xp.outer(x, y), (B, M[0])),
    ("trace", lambda xp, x: xp.trace(x), (M,)),
    ("broadcast_to", lambda xp, x: xp.broadcast_to(x, (2, 3, 4)), (B,)),
    ("broadcast_arrays", lambda xp, x, y: xp.broadcast_arrays(x, y)[1], (A, B)),
    ("reshape", lambda xp, x: xp.reshape(x, (4, -1)), (C,)),
    ("reshape to nothing", lambda xp, x: xp.reshape(x[:0], (0, 2)), (A,)),
    ("permute", lambda xp, x: xp.permute_dims(x, (2, 0, 1)), (C,)),
    ("moveaxis", lambda xp, x: xp.moveaxis(x, -1, 0), (C,)),
    ("moveaxis of two", lambda xp, x: xp.moveaxis(x, (0, 1), (-1, 0)), (C,)),
    ("swapaxes", lambda xp, x: xp.swapaxes(x, 0, -1), (C,)),
    ("expand_dims", lambda xp, x: xp.expand_dims(x, (0, -1)), (A,)),
    ("squeeze", lambda xp, x: xp.squeeze(x[:, None, :1]), (A,)),
    ("squeeze one", lambda xp, x: xp.squeeze(x[:, None, :1], axis=1), (A,)),
    ("flip", lambda xp, x: xp.flip(x, axis=(0, 2)), (C,)),
    ("flip all", lambda xp, x: xp.flip(x), (C,)),
    ("roll", lambda xp, x: xp.roll(x, (1, -2), (0, 1)), (A,)),
    ("roll all", lambda xp, x: xp.roll(x, 5), (A,)),
    ("repeat", lambda xp, x: xp.repeat(x, 2, axis=1), (A,)),
    ("repeat all", lambda xp, x: xp.repeat(x, 3), (A,)),
    ("tile", lambda xp, x: xp.tile(x, (2, 1, 3)), (A,)),
    ("concat", lambda xp, x, y: xp.concat([x, y, x[:0]], axis=0), (A, K.astype(np.float32))),
    ("concat flat", lambda xp, x, y: xp.concat([x, y], axis=None), (A, B)),
    ("stack", lambda xp, x: xp.stack([x, 2 * x], axis=-1), (A,)),
    ("unstack", lambda xp, x: xp.unstack(x, axis=1)[2], (A,)),
    ("split", lambda xp, x: xp.split(x, 2, axis=-1)[1], (C,)),
    ("pad", lambda xp, x: xp.pad(x, ((1, 0), (0, 2))), (A,)),
    ("pad with ones", lambda xp, x: xp.pad(x, 1, **({"constant_values": 1} if xp is np else ONE)),
     (A,)),
    ("diff", lambda xp, x: xp.diff(x, axis=0), (A,)),
    ("second diff", lambda xp, x: xp.diff(x, n=2), (A,)),
    ("meshgrid", lambda xp, x, y: xp.meshgrid(x, y[0])[1], (B, C[0])),
    ("meshgrid of ij", lambda xp, x, y: xp.meshgrid(x, y[0], x, indexing="ij")[0], (B, C[0])),
    ("logaddexp", lambda xp, x: xp.logaddexp(1e3 * x[:, :1], x), (A,)),
    ("logaddexp of inf", lambda xp, x: xp.logaddexp(x, x[:, 2:3]), (N,)),
    ("along axis", lambda xp, x: xp.take_along_axis(x, np.array([[1], [-1], [0]]), axis=1), (A,)),
    ("along the first", lambda xp, x: xp.take_along_axis(x, np.array([[[1], [0], [2]]]), axis=1),
     (C,)),
    ("take", lambda xp, x: xp.take(x, np.array([[0, 2], [1, -1]]), axis=1), (C,)),
    ("tril", lambda xp, x: xp.tril(x, k=1), (C,)),
    ("triu", lambda xp, x: xp.triu(x, k=-1), (M,)),
    ("eye", lambda xp, x: x @ xp.eye(4, 6, k=1), (A.astype(np.float64),)),
    ("linspace", lambda xp, x: xp.linspace(0, 1, 4) * x, (A,)),
    ("full", lambda xp, x: xp.full((3, 1), 2.5) + xp.ones_like(x) - xp.zeros((4,)), (A,)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("function", "arrays"), [c[1:] for c in SAME_IN_NUMPY], ids=[c[0] for c in SAME_IN_NUMPY]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_same_as_numpy(function: Any, arrays: tuple[Any, ...]) -> None:
    agree(run(lambda *xs: function(fn, *xs), *arrays), function(np, *arrays))


INDICES: list[Any] = [
    0, -1, (1, 2), slice(1, None), slice(None, None, -1), slice(-2, None), slice(5, 9),
    slice(None, 1, -2), (slice(None), slice(3, 0, -2)), ..., (..., 1), (0, ..., 1), None,
    (slice(None), None, 2), (None, ..., slice(None, 2)), np.array([2, 0, 0]), [1, -1],
    (slice(None), np.array([[0, 1], [3, -4]])), (np.array([0, 2]), np.array([1, -1])),
    (np.array([[0], [2]]), np.array([1, 3])), (..., np.array([0, 1])),
    np.array([True, False, True]), (slice(1, 1), slice(2)), np.int64(1), (0, np.array([1, 1])),
    np.zeros((2, 0), np.int32),
]  # fmt: skip


@pytest.mark.parametrize("key", INDICES, ids=repr)
def test_index(key: Any) -> None:
    agree(run(lambda x: x[key], A), A[key])


DEEP: list[Any] = [
    (slice(None), 0, np.array([1, 2])), (0, slice(None), np.array([1, 2])),
    (np.array([0, 1]), slice(None), np.array([1, 2])), (1, np.array([[0, 2]]), slice(1, 3)),
    (slice(None), np.array([0, 2]), np.array([1, 2])), (np.array([1]), None, 2, slice(None)),
    (C[..., 0] > 0), (0, A > 0),
]  # fmt: skip


@pytest.mark.parametrize("key", DEEP, ids=repr)
def test_index_with_several_arrays(key: Any) -> None:
    agree(run(lambda x: x[key], C), C[key])


def test_index_by_tensors() -> None:
    i = np.array([[2, 0], [-1, 1]], np.int64)
    agree(run(lambda x, i: x[i], A, i), A[i])
    agree(run(lambda x, i: x[i, i + 1], A, i), A[i, i + 1])
    agree(run(lambda x, i: x[:, i], A, i), A[:, i])


DTYPES = [
    (np.int8, np.int32, "int32"), (np.uint8, np.int8, "int16"), (np.uint32, np.int32, "int64"),
    (np.float32, np.float64, "float64"), (np.float16, np.float32, "float32"),
    (np.uint8, np.uint16, "uint16"), (np.float32, 2, "float32"), (np.float16, 0.5, "float16"),
    (np.int32, 2.0, "float32"),
    (np.int8, 2, "int8"), (np.int64, 2.5, "float32"), (np.bool_, 1, "int32"),
    (np.bool_, 2.0, "float32"), (np.float32, np.float64(2), "float32"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b", "wanted"), DTYPES)
def test_promotion(a: Any, b: Any, wanted: str) -> None:
    x = gx.input("x", (2,), dtype=np.dtype(a).name)
    y = b if isinstance(b, (int, float)) else gx.input("y", (2,), dtype=np.dtype(b).name)
    assert (x * y).dtype.name == wanted
    assert x.dtype.name == "bool" or (x**y).dtype.name == wanted
    assert (y * x).dtype.name == wanted


def test_dtypes_of_results() -> None:
    k = gx.input("k", (3,), dtype="int8")
    u = gx.input("u", (3,), dtype="uint16")
    assert (k / k).dtype.name == "float32"
    assert fn.sum(k).dtype.name == "int64"
    assert fn.sum(u).dtype.name == "uint64"
    assert fn.sum(k > 0).dtype.name == "int64"
    assert fn.sum(k, dtype="float64").dtype.name == "float64"
    assert fn.mean(k).dtype.name == "float32"
    assert fn.argmax(k).dtype.name == "int64"
    assert fn.max(k).dtype.name == "int8"
    assert fn.arange(3).dtype.name == "int32"
    assert fn.arange(0.0, 1.0, 0.25).dtype.name == "float32"


ARANGES = [(5,), (2, 9), (2, 9, 3), (9, 2, -2), (5, 2), (0.0, 1.0, 0.25), (1.5, -1.0, -0.75)]


@pytest.mark.parametrize("bounds", ARANGES)
def test_arange(bounds: Any) -> None:
    agree(evaluate([fn.arange(*bounds)], {})[0], np.arange(*bounds))


def test_one_hot() -> None:
    labels = np.array([[0, 2], [1, 1]], np.int8)
    agree(run(lambda i: fn.one_hot(i, 300), labels), np.eye(300)[labels])
    assert fn.one_hot(gx.input("i", (2,), dtype="int64"), 3, dtype="bool").dtype.name == "bool"


def test_scatter_add() -> None:
    i = np.array([2, 0, 2], np.int32)
    expected = A.copy()
    np.add.at(expected, i, M[:3, :4])
    agree(run(lambda x, u: fn.scatter_add(x, i, u), A, M[:3, :4]), expected)
    across = A.copy()
    np.add.at(across, (slice(None), i), 1.0)
    agree(run(lambda x: fn.scatter_add(x, i, 1, axis=1), A), across)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
def test_logsumexp(axis: Any) -> None:
    x = np.array([[1e4, 1e4, -1e4], [-np.inf, -np.inf, -np.inf], [0.0, -np.inf, 3.0]])
    found = run(lambda x: fn.logsumexp(x, axis=axis), x)
    with np.errstate(all="ignore"):
        agree(found, scipy.special.logsumexp(x, axis=axis))


def test_logsumexp_of_infinity() -> None:
    found = run(lambda x: fn.logsumexp(x, axis=-1), np.array([[np.inf, 1.0], [np.nan, 0.0]]))
    np.testing.assert_array_equal(found, [np.inf, np.nan])


FORMS = [
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("bij,bjk->kb", (2, 3, 4), (2, 4, 5)),
    ("bij->ji", (2, 3, 4)), ("ii->i", (4, 4)), ("ii", (4, 4)),
    ("ij,jk,kl->il", (2, 3), (3, 4), (4, 5)),
    ("...ij,...jk->...ik", (2, 3, 4), (5, 2, 4, 3)), ("...ij,jk", (2, 3, 4), (4, 5)),
    ("ij,ij->ij", (3, 4), (3, 4)), ("i,j->ij", (3,), (4,)), ("bij,j->b", (2, 3, 4), (4,)),
    ("ij,ji", (3, 4), (4, 3)), ("b...,b...->...", (2, 3, 4), (2, 3, 4)), (",i->i", (), (3,)),
    ("...i,...i->...", (2, 3, 4), (1, 3, 4)), ("ij,k->j", (3, 4), (5,)),
    ("iij,j->i", (3, 3, 4), (4,)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)), ("i...->...", (3, 2)),
    ("ab,bc,cd,de", (2, 3), (3, 2), (2, 4), (4, 1)),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form[0])
def test_einsum(form: Any) -> None:
    rng = np.random.default_rng(1)
    arrays = [rng.standard_normal(shape) for shape in form[1:]]
    agree(run(lambda *xs: fn.einsum(form[0], *xs), *arrays), np.einsum(form[0], *arrays))


def test_nothing_has_gradients_too() -> None:
    """A sum of exponentials of no elements is 0, and no differences are left of none."""
    for shape, axis in (((0,), None), ((3, 0), 1), ((2, 0, 3), (1, 2)), ((0, 3), 1)):
        x = gx.input("x", shape)
        y = fn.logsumexp(x, axis=axis)
        values, gradient = evaluate([y, gx.grad(y.sum(), x)], {x: np.zeros(shape, "float32")})
        assert (values == -np.inf).all()
        assert gradient.shape == shape
    for shape, axis, n in (((0,), 0, 1), ((3, 0), 1, 2), ((2,), 0, 3), ((0, 3), 1, 1)):
        a = np.zeros(shape, np.float32)
        agree(run(lambda x, axis=axis, n=n: fn.diff(x, axis=axis, n=n), a), np.diff(a, n, axis))


def test_indices_around_dots_have_the_shapes_of_numpy() -> None:
    """All orders of arrays, numbers, slices, new axes and `...`, which may stand for no axis."""
    row, column = np.array([0, 1, 1]), np.array([[1], [0]])
    choices: list[Any] = [None, row, slice(None), 1, column]
    seen = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        a = rng.standard_normal(rng.integers(2, 4, rng.integers(1, 5))).astype(np.float32)
        key = [choices[i] for i in rng.integers(0, 5, rng.integers(1, a.ndim + 2))]
        key.insert(int(rng.integers(0, len(key) + 1)), Ellipsis)
        if sum(k is not None for k in key) - 1 > a.ndim:
            continue
        seen += 1
        own = tuple(gx.constant(k) if isinstance(k, np.ndarray) else k for k in key)
        agree(run(lambda x, own=own: x[own], a), a[tuple(key)])
    assert seen > 100
