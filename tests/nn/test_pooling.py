"""Pooling against loops over positions: values, gradients, layouts, threads, variants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, GraphcError, ShapeError
from graphc.testing import assert_close
from tests.nn.direct_windows import Geometry, geometry, pool, pool_back

nn = gx.nn
LAYOUTS = ("channels_last", "channels_first")
KINDS = {
    "max": nn.max_pool,
    "avg": nn.avg_pool,
    "avg_padded": lambda x, *a, **k: nn.avg_pool(x, *a, count_include_pad=True, **k),
    "lp": nn.lp_pool,
}


@dataclass(frozen=True)
class Case:
    """Shapes without the batch, and arguments of a pooling."""

    spatial: tuple[int, ...]
    window: Any
    channels: int = 3
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def geometry(self) -> Geometry:
        rank = len(self.spatial)
        sizes = self.window if isinstance(self.window, tuple) else (self.window,) * rank
        strides = self.arguments.get("strides", sizes)
        padding, dilation = (
            self.arguments.get(k, d) for k, d in (("padding", "valid"), ("dilation", 1))
        )
        return geometry(self.spatial, sizes, strides, padding, dilation)

    @property
    def ceil(self) -> bool:
        return bool(self.arguments.get("ceil_mode"))

    @property
    def outputs(self) -> tuple[int, ...]:
        return self.geometry.outputs(self.spatial, self.ceil)


CASES = (
    Case((6, 8), 2, 17),
    Case((7, 5), (3, 2), 1),
    Case((6, 6), 3, 4, {"strides": 2, "padding": 1}),
    Case((7, 7), 3, 2, {"strides": 2, "padding": "same"}),
    Case((9,), 3, 5, {"strides": 1, "dilation": 2}),
    Case((5, 6), 2, 3, {"strides": 3, "padding": ((1, 0), (0, 1))}),
    Case((6, 7), 2, 3, {"strides": 2, "ceil_mode": True}),
    Case((5,), 3, 2, {"strides": 3, "padding": 1, "ceil_mode": True}),
    Case((4, 3, 5), 2, 2, {"strides": 1}),
    Case((1, 1), 1, 1),
    Case((4, 4), 4, 16),
)
BACKWARD = CASES[:6]


def moved(x: np.ndarray, layout: str) -> np.ndarray:
    return x if layout == "channels_last" else np.moveaxis(x, -1, 1).copy()


def array(case: Case, batch: int, number: int) -> np.ndarray:
    """Few different values, so that maxima tie."""
    rng = np.random.default_rng(number)
    return np.round(rng.normal(size=(batch, *case.spatial, case.channels)) * 2) / 2


def build(layout: str, dtype: str, **options: Any) -> Any:
    """All kinds of all cases, and the gradients of the maximum under given cotangents."""
    inputs, outputs = [], []
    for n, case in enumerate(CASES):
        x = gx.input(f"x{n}", ("batch", *moved(array(case, 1, n), layout).shape[1:]), dtype=dtype)
        inputs.append(x)
        for make in KINDS.values():
            outputs.append(make(x, case.window, layout=layout, **case.arguments))
    for n in range(len(BACKWARD)):
        y = outputs[len(KINDS) * n]
        inputs.append(gx.input(f"dy{n}", y.shape, dtype=dtype))
        outputs.append(gx.vjp(y, inputs[n], inputs[-1]))
    return gx.compile(inputs, outputs, **options)


def cotangent(case: Case, batch: int, number: int) -> np.ndarray:
    return np.random.default_rng(100 + number).normal(size=(batch, *case.outputs, case.channels))


def feeds(layout: str, dtype: str, batch: int) -> list[np.ndarray]:
    found = [array(case, batch, n) for n, case in enumerate(CASES)]
    found += [cotangent(case, batch, n) for n, case in enumerate(BACKWARD)]
    return [moved(a, layout).astype(dtype) for a in found]


def check(found: Any, batch: int, layout: str) -> None:
    wanted = [
        pool(array(case, batch, n), case.geometry, kind, case.ceil, p=2)
        for n, case in enumerate(CASES)
        for kind in KINDS
    ]
    wanted += [
        pool_back(array(case, batch, n), cotangent(case, batch, n), case.geometry)
        for n, case in enumerate(BACKWARD)
    ]
    for number, (a, b) in enumerate(zip(found, wanted, strict=True)):
        b = moved(b, layout)
        assert a.shape == b.shape, number
        assert_close(a, b, each=True, floor=1.0, message=str(number))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_interpreted(layout: str) -> None:
    function = build(layout, "float64", target="interpret")
    for batch in (0, 2):
        check(function(*feeds(layout, "float64", batch)), batch, layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_compiled(layout: str) -> None:
    """Specialised and generic code, one and two threads: right, and the same bits."""
    given = feeds(layout, "float32", 3)
    special = build(layout, "float32", threads=1)(*given)
    check(special, 3, layout)
    both = build(layout, "float32", threads=2)
    both(*feeds(layout, "float32", 1))
    for a, b in zip(special, both(*given), strict=True):
        assert a.tobytes() == b.tobytes()
    check(both(*feeds(layout, "float32", 0)), 0, layout)


@pytest.mark.parametrize("kind", ["avg", "avg_padded", "lp"])
def test_gradients(kind: str) -> None:
    x = gx.input("x", (2, 6, 5, 3), dtype="float64")
    y = KINDS[kind](x, (3, 2), strides=(2, 1), padding=((1, 0), (0, 1)))
    given = {x: np.random.default_rng(1).uniform(0.5, 2.0, x.shape)}
    report = gx.check_gradients(gx.sum(y * y * y), x, given)
    assert report, report


def test_the_gradient_of_a_maximum_differentiates_again() -> None:
    x = gx.input("x", (1, 4, 4, 1), dtype="float64")
    y = nn.max_pool(x * x, 2, strides=1)
    first = gx.grad(gx.sum(y * y), x)
    given = {x: np.random.default_rng(1).permutation(16).reshape(1, 4, 4, 1) + 1.0}
    report = gx.check_gradients(gx.sum(first * first), x, given)
    assert report, report


def test_the_first_of_equal_maxima_gets_the_gradient() -> None:
    x = gx.input("x", (1, 2, 4, 1))
    gradient = gx.grad(gx.sum(nn.max_pool(x, 2)), x)
    found = gx.compile([x], gradient)(np.zeros((1, 2, 4, 1), "f4"))
    np.testing.assert_array_equal(found[0, :, :, 0], [[1, 0, 1, 0], [0, 0, 0, 0]])


def test_nan_and_infinity() -> None:
    x = gx.input("x", (1, 4, 1))
    array = np.array([-np.inf, -np.inf, np.nan, 1], "f4").reshape(1, 4, 1)
    pools = [nn.max_pool(x, 2), nn.avg_pool(x, 2), nn.max_pool(x, 3, strides=2, padding=1)]
    for target in ("cpu", "interpret"):
        found = gx.compile([x], pools, target=target)(array)
        np.testing.assert_array_equal(found[0].ravel(), [-np.inf, np.nan])
        np.testing.assert_array_equal(found[1].ravel(), [-np.inf, np.nan])
        np.testing.assert_array_equal(found[2].ravel(), [-np.inf, np.nan])


def test_integers() -> None:
    x = gx.input("x", (1, 5, 1), dtype="int8")
    array = np.array([-128, -5, -7, 3, -128], "int8").reshape(1, 5, 1)
    y = nn.max_pool(x, 3, strides=2, padding=1)
    for target in ("cpu", "interpret"):
        found = gx.compile([x], y, target=target)(array)
        assert found.dtype == np.int8
        assert found.ravel().tolist() == [-5, 3, 3]


def test_symbolic_spatial_sizes() -> None:
    x = gx.input("x", ("batch", "height", "width", 3))
    outputs = [
        nn.max_pool(x, 2),
        nn.avg_pool(x, 3, strides=1, padding="same"),
        nn.global_avg_pool(x),
        gx.grad(gx.sum(nn.max_pool(x, 3, strides=2, padding=1)), x),
    ]
    function = gx.compile([x], outputs)
    for height, width in ((5, 8), (4, 2), (3, 3)):
        a = np.random.default_rng(2).normal(size=(2, height, width, 3)).astype("f4")
        largest, mean, whole, gradient = function(a)
        shape = geometry((height, width), (2, 2), 2, "valid", 1)
        np.testing.assert_array_equal(largest, pool(a, shape, "max"))
        shape = geometry((height, width), (3, 3), 1, "same", 1)
        assert_close(mean, pool(a, shape, "avg"), tolerance="ulps", each=True, floor=1.0)
        assert_close(whole, a.mean(axis=(1, 2)))
        shape = geometry((height, width), (3, 3), 2, 1, 1)
        ones = np.ones((2, *shape.outputs((height, width)), 3), "f4")
        np.testing.assert_array_equal(gradient, pool_back(a, ones, shape))


def test_whole_axes() -> None:
    rng = np.random.default_rng(3)
    a = rng.normal(size=(2, 4, 5, 3))
    for layout in LAYOUTS:
        x = gx.constant(moved(a, layout))
        assert_close(nn.global_avg_pool(x, layout).eval(), a.mean((1, 2)), each=True)
        assert_close(nn.global_max_pool(x, layout).eval(), a.max((1, 2)), each=True)
        wanted = (abs(a) ** 3).sum((1, 2)) ** (1 / 3)
        assert_close(nn.global_lp_pool(x, 3, layout).eval(), wanted, each=True)
        kept = nn.global_max_pool(x, layout, keepdims=True)
        assert kept.shape == ((2, 1, 1, 3) if layout == "channels_last" else (2, 3, 1, 1))
    powers = nn.lp_pool(gx.constant(a), 2, p=3).eval()
    wanted = pool(a, geometry((4, 5), (2, 2), 2, "valid", 1), "lp", p=3)
    assert_close(powers, wanted)


def test_layers() -> None:
    x = gx.input("x", ("batch", 6, 7, 3))
    assert nn.MaxPool2D()(x).shape[1:] == (3, 3, 3)
    assert nn.MaxPool2D(3, strides=2, padding="same")(x).shape[1:] == (3, 4, 3)
    assert nn.AvgPool2D(2, ceil_mode=True)(x).shape[1:] == (3, 4, 3)
    assert nn.GlobalAvgPool2D()(x).shape[1:] == (3,)
    first = gx.input("x", ("batch", 3, 6, 7))
    assert nn.MaxPool2D(layout="channels_first")(first).shape[1:] == (3, 3, 3)
    assert nn.GlobalAvgPool2D("channels_first", keepdims=True)(first).shape[1:] == (3, 1, 1)


X = gx.input("x", ("batch", 8, 8, 3))
ERRORS = (
    (lambda: nn.max_pool(X, 9), ShapeError,
     "max_pool: the window reaches over 9, the padded input has 8 (axis 1 of input 0)", None),
    (lambda: nn.max_pool(X, (2, 2, 2)), ArgumentError,
     "max_pool: window must be 2 ints of at least 1, got window (2, 2, 2)", "one int"),
    (lambda: nn.avg_pool(X, 2, padding=-1), ArgumentError, "avg_pool: padding -1 is none", "pair"),
    (lambda: nn.avg_pool(gx.input("x", (2, 8, 3), dtype="int32"), 2), DTypeError,
     "avg_pool: needs floats, got int32 (input 0)", 'x.astype("float32")'),
    (lambda: nn.lp_pool(X, 2, p=0), ArgumentError,
     "lp_pool: p must be a positive number, got 0", None),
    (lambda: nn.global_avg_pool(gx.input("x", (2, 3))), ShapeError,
     "global_avg_pool: needs a batch, a channel and 1 to 3 spatial axes, got f32[2,3] (input 0)",
     "expand_dims"),
)  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "text", "hint"), ERRORS, ids=range(len(ERRORS)))
def test_messages(make: Any, kind: type[GraphcError], text: str, hint: str | None) -> None:
    with pytest.raises(kind) as raised:
        make()
    assert raised.value.message == text
    assert (raised.value.hint is None) == (hint is None)
    assert hint is None or hint in str(raised.value.hint)
