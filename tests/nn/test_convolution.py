"""Convolutions against loops over positions: values, gradients, layouts, threads, variants."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import scipy.signal

import graphc as gx
from graphc.errors import ArgumentError, GraphcError, ShapeError
from graphc.testing import assert_close
from tests.nn.direct_windows import Geometry, convolve, convolve_back, convolve_kernel, geometry

nn = gx.nn
LAYOUTS = ("channels_last", "channels_first")


@dataclass(frozen=True)
class Case:
    """Shapes without the batch, and arguments of conv."""

    spatial: tuple[int, ...]
    window: tuple[int, ...]
    channels: tuple[int, int]  # in, out
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def groups(self) -> int:
        return int(self.arguments.get("groups", 1))

    @property
    def kernel(self) -> tuple[int, ...]:
        return (*self.window, self.channels[0] // self.groups, self.channels[1])

    @property
    def geometry(self) -> Geometry:
        given = [self.arguments.get(k, d) for k, d in DEFAULTS.items()]
        return geometry(self.spatial, self.window, *given)

    def __str__(self) -> str:
        options = ",".join(f"{k}={v}" for k, v in self.arguments.items())
        return f"{self.spatial}*{self.window} {self.channels} {options}".replace(" ", "")


DEFAULTS = {"strides": 1, "padding": "valid", "dilation": 1}
CASES = (
    Case((7,), (3,), (3, 4)),
    Case((5,), (2,), (1, 1), {"padding": "same", "dilation": 3}),
    Case((6, 5), (3, 3), (3, 16), {"padding": "same"}),
    Case((7, 7), (3, 3), (16, 5), {"padding": "same", "strides": 2}),
    Case((5, 9), (2, 5), (1, 17), {"padding": ((0, 1), (3, 1)), "strides": (1, 3)}),
    Case((8, 6), (2, 2), (4, 3), {"strides": 3}),
    Case((6, 6), (1, 1), (5, 20), {}),
    Case((5, 4), (1, 1), (3, 2), {"strides": 2, "padding": 1}),
    Case((3, 2), (5, 4), (2, 3), {"padding": 3}),
    Case((9, 8), (3, 2), (2, 2), {"dilation": (2, 3), "strides": (2, 1), "padding": "same"}),
    Case((6, 5), (3, 3), (6, 4), {"groups": 2, "padding": 1}),
    Case((6, 5), (3, 3), (18, 18), {"groups": 18, "padding": "same", "strides": 2}),
    Case((5, 5), (2, 3), (3, 6), {"groups": 3}),
    Case((1, 1), (1, 1), (1, 1), {}),
    Case((1, 7), (1, 3), (2, 2), {"padding": "same"}),
    Case((4, 5, 3), (3, 2, 3), (2, 3), {"padding": "same"}),
    Case((4, 6, 5), (2, 3, 1), (2, 2), {"strides": (1, 2, 2), "dilation": (2, 1, 1)}),
)


def moved(x: np.ndarray, layout: str) -> np.ndarray:
    """Channels from last to where the layout has them."""
    return x if layout == "channels_last" else np.moveaxis(x, -1, 1).copy()


def arrays(case: Case, batch: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(len(str(case)) + batch)
    outputs = case.geometry.outputs(case.spatial)
    shapes = (
        (batch, *case.spatial, case.channels[0]),
        case.kernel,
        (batch, *outputs, case.channels[1]),
    )
    return tuple(rng.normal(size=shape) for shape in shapes)


def build(layout: str, dtype: str, **options: Any) -> Any:
    """One function of all cases: values and both gradients under a given cotangent."""
    inputs, outputs = [], []
    for n, case in enumerate(CASES):
        shapes = [a.shape for a in arrays(case, 1)]
        x, dy = (
            gx.input(
                f"{name}{n}", ("batch", *moved(np.zeros(shape), layout).shape[1:]), dtype=dtype
            )
            for name, shape in (("x", shapes[0]), ("dy", shapes[2]))
        )
        w = gx.input(f"w{n}", shapes[1], dtype=dtype)
        y = nn.conv(x, w, layout=layout, **case.arguments)
        inputs += [x, w, dy]
        outputs += [y, *gx.vjp(y, [x, w], dy)]
    return gx.compile(inputs, outputs, **options)


def feeds(layout: str, dtype: str, batch: int) -> list[np.ndarray]:
    found = []
    for case in CASES:
        x, w, dy = arrays(case, batch)
        found += [moved(x, layout), w, moved(dy, layout)]
    return [a.astype(dtype) for a in found]


def expected(batch: int) -> list[np.ndarray]:
    found = []
    for case in CASES:
        x, w, dy = arrays(case, batch)
        shape, groups = case.geometry, case.groups
        found.append(convolve(x, w, shape, groups))
        found.append(convolve_back(dy, w, shape, case.spatial, groups))
        found.append(convolve_kernel(x, dy, shape, groups))
    return found


def check(found: Any, batch: int, layout: str) -> None:
    for number, (got, wanted) in enumerate(zip(found, expected(batch), strict=True)):
        wanted = wanted if number % 3 == 2 else moved(wanted, layout)
        name = f"{CASES[number // 3]} result {number % 3}"
        assert got.shape == wanted.shape, name
        assert_close(got, wanted, each=True, floor=10.0, message=name)


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
    generic = both(*given)
    assert [v.dims is None for v in both.variants] == [False, True]
    for a, b in zip(special, generic, strict=True):
        assert a.tobytes() == b.tobytes()
    check(both(*feeds(layout, "float32", 0)), 0, layout)


def test_against_scipy() -> None:
    """A library's correlation agrees with ours, so that ours is one and no convolution."""
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 6, 7, 1)), rng.normal(size=(3, 2, 1, 1))
    found = nn.conv(gx.constant(x), gx.constant(w)).eval()
    wanted = scipy.signal.correlate2d(x[0, :, :, 0], w[:, :, 0, 0], "valid")
    assert_close(found[0, :, :, 0], wanted, each=True)


def test_symbolic_spatial_sizes() -> None:
    x, w = gx.input("x", ("batch", "height", "width", 3)), gx.input("w", (3, 3, 3, 4))
    y = nn.conv(x, w, padding="same")
    z = nn.conv(x, w, strides=2, padding=1)
    assert str(z.shape[1]) == "((height-1)//2)+1"
    function = gx.compile([x, w], [y, z, gx.grad(gx.sum(z * z), w), gx.grad(gx.sum(z * z), x)])
    rng = np.random.default_rng(1)
    for height, width in ((5, 8), (6, 3), (1, 1), (5, 8)):
        a, b = (rng.normal(size=s).astype("f4") for s in ((2, height, width, 3), (3, 3, 3, 4)))
        same, strided, dw, dx = function(a, b)
        shape = geometry((height, width), (3, 3), 2, 1, 1)
        wanted = convolve(a, b, shape)
        assert_close(strided, wanted, each=True, floor=1.0)
        assert_close(dw, convolve_kernel(a, 2 * wanted, shape), each=True, floor=50.0)
        back = convolve_back(2 * wanted, b, shape, (height, width))
        assert_close(dx, back, each=True, floor=50.0)
        shape = geometry((height, width), (3, 3), 1, "same", 1)
        assert_close(same, convolve(a, b, shape), each=True, floor=5.0)


# ------------------------------------------------------------------------ the transpose

TRANSPOSED = (
    Case((4,), (3,), (2, 3), {"strides": 2}),
    Case((3, 4), (3, 3), (2, 3), {"strides": 2, "padding": 1, "output_padding": 1}),
    Case((3, 4), (2, 3), (4, 2), {"strides": (1, 2), "padding": ((1, 0), (0, 2)), "groups": 2}),
    Case((3, 3), (2, 2), (2, 3), {"strides": 3, "padding": "same"}),
    Case((3, 2), (4, 3), (2, 3), {"strides": 2, "padding": "same"}),
    Case((3, 3), (2, 2), (1, 2), {"dilation": 2, "output_padding": 1}),
)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", TRANSPOSED, ids=str)
def test_the_transpose(case: Case, layout: str) -> None:
    """It is the gradient to the input of the convolution with the same arguments."""
    rng = np.random.default_rng(3)
    options = dict(case.arguments)
    extra = options.pop("output_padding", 0)
    strides, padding, dilation = (options.get(k, d) for k, d in DEFAULTS.items())
    steps = strides if isinstance(strides, tuple) else (strides,) * len(case.window)
    if padding == "same":
        spatial = tuple(n * s for n, s in zip(case.spatial, steps))
        shape = geometry(spatial, case.window, strides, padding, dilation)
    else:
        shape = geometry(case.spatial, case.window, strides, padding, dilation)
        spatial = tuple(
            s * (n - 1) + d * (k - 1) + 1 - a - b + extra
            for n, s, d, k, (a, b) in zip(
                case.spatial, shape.strides, shape.dilation, shape.sizes, shape.pads
            )
        )
    assert all(a >= b for a, b in zip(shape.outputs(spatial), case.spatial, strict=True))
    w = rng.normal(size=(*case.window, case.channels[1] // case.groups, case.channels[0]))
    x = rng.normal(size=(2, *case.spatial, case.channels[0]))
    given = gx.constant(moved(x, layout))
    y = nn.conv_transpose(given, gx.constant(w), layout=layout, **case.arguments)
    wanted = moved(convolve_back(x, w, shape, spatial, case.groups), layout)
    assert y.shape == wanted.shape
    assert_close(y.eval(), wanted, each=True)
    native = gx.compile([], [gx.astype(y, "float32"), *gx.grad(gx.sum(y * y), [given])])
    assert_close(native()[0], wanted, tolerance="ulps", each=True)
    assert_close(native()[1], gx.grad(gx.sum(y * y), given).eval(), each=True)


# ------------------------------------------------------------------------ gradients


@pytest.mark.parametrize("transposed", [False, True])
def test_gradients_of_second_order(transposed: bool) -> None:
    x = gx.input("x", (2, 5, 4, 2), dtype="float64")
    w = gx.input("w", (3, 2, 2, 2), dtype="float64")
    function = nn.conv_transpose if transposed else nn.conv
    y = gx.tanh(function(x, w, strides=(2, 1), padding=((1, 1), (0, 1))))
    first = gx.grad(gx.sum(y * y), [x, w])
    loss = sum(gx.sum(g * g * g) for g in first)
    rng = np.random.default_rng(5)
    given = {t: rng.normal(size=t.shape) for t in (x, w)}
    report = gx.check_gradients(loss, [x, w], given)
    assert report, report


def test_a_fused_epilogue() -> None:
    """Bias, activation and a residual are part of the convolution's kernel."""
    x, r = gx.input("x", ("batch", 6, 6, 8)), gx.input("r", ("batch", 6, 6, 16))
    w, b = gx.input("w", (3, 3, 8, 16)), gx.input("b", (16,))
    y = nn.relu(nn.conv(x, w, padding="same") + b) + r
    function = gx.compile([x, r, w, b], y)
    rng = np.random.default_rng(2)
    given = [
        rng.normal(size=s).astype("f4") for s in ((3, 6, 6, 8), (3, 6, 6, 16), w.shape, b.shape)
    ]
    shape = geometry((6, 6), (3, 3), 1, "same", 1)
    wanted = np.maximum(convolve(given[0], given[2], shape) + given[3], 0) + given[1]
    assert_close(function(*given), wanted, each=True, floor=5.0)
    assert len(function.kernels) == 1


# ------------------------------------------------------------------------ layers


def test_layers() -> None:
    x = gx.input("x", ("batch", 9, 8, 4))
    layer = nn.Conv2D(6, (3, 2), strides=2, padding="same", groups=2, activation="relu")
    y = layer(x)
    assert y.shape[1:] == (5, 4, 6)
    kernel, bias = layer.parameters
    assert (kernel.shape, bias.shape) == ((3, 2, 2, 6), (6,))
    bias.value = np.linspace(-1, 1, 6, dtype="f4")
    a = np.random.default_rng(0).normal(size=(2, 9, 8, 4)).astype("f4")
    shape = geometry((9, 8), (3, 2), 2, "same", 1)
    wanted = np.maximum(convolve(a, kernel.value, shape, 2) + bias.value, 0)
    assert_close(y.eval({x: a}), wanted)


def test_layers_of_other_ranks_and_layouts() -> None:
    assert nn.Conv1D(5, 3)(gx.input("x", (2, 7, 3))).shape == (2, 5, 5)
    assert nn.Conv3D(5, 2, layout="channels_first")(
        gx.input("x", (2, 3, 4, 5, 6))
    ).shape == (2, 5, 3, 4, 5)  # fmt: skip
    layer = nn.ConvTranspose2D(4, 3, strides=2, padding="same", layout="channels_first")
    assert layer(gx.input("x", (2, 6, 5, 7))).shape == (2, 4, 10, 14)
    assert layer.parameters[0].shape == (3, 3, 4, 6)
    layer = nn.ConvTranspose2D(4, 3, strides=2, padding=1, output_padding=1, use_bias=False)
    assert layer(gx.input("x", (2, 5, 7, 6))).shape == (2, 10, 14, 4)
    assert len(layer.parameters) == 1


# ------------------------------------------------------------------------ errors

X, W = gx.input("x", ("batch", 8, 8, 3)), gx.input("w", (3, 3, 3, 16))
ERRORS = (
    (lambda: nn.conv(X, gx.input("w", (3, 3, 4, 16))), ShapeError,
     "conv: the kernel takes 4 channels (1 groups of 4, axis 2 of input 1), the input has 3"
     " (axis 3 of input 0)", None),
    (lambda: nn.conv(X, gx.input("w", (3, 3, 8, 16))), ShapeError,
     "conv: the kernel takes 8 channels (1 groups of 8, axis 2 of input 1), the input has 3"
     " (axis 3 of input 0)", "layout='channels_first' would fit"),
    (lambda: nn.conv(X, gx.input("w", (3, 3, 16))), ShapeError,
     "conv: a kernel for f32[batch,8,8,3] (input 0) has 2 spatial axes and two of channels,"
     " got f32[3,3,16] (input 1)", "(*spatial, in / groups, out)"),
    (lambda: nn.conv(gx.input("x", (3, 4)), W), ShapeError,
     "conv: needs a batch, a channel and 1 to 3 spatial axes, got f32[3,4] (input 0)",
     "expand_dims"),
    (lambda: nn.conv(X, gx.input("w", (9, 3, 3, 16))), ShapeError,
     "conv: the window reaches over 9, the padded input has 8 (axis 1 of input 0)",
     'padding="same"'),
    (lambda: nn.conv(X, W, groups=2), ShapeError,
     "conv: 3 channels (axis 3 of input 0) are no multiple of 2 groups", None),
    (lambda: nn.conv(X, W, groups=0), ArgumentError,
     "conv: groups must be an int of at least 1, got 0", None),
    (lambda: nn.conv(X, W, strides=(1, 0)), ArgumentError,
     "conv: strides must be 2 ints of at least 1, got strides (1, 0)", "one int"),
    (lambda: nn.conv(X, W, dilation=0.5), ArgumentError,
     "conv: dilation must be an int, got 0.5", None),
    (lambda: nn.conv(X, W, padding="full"), ArgumentError, "conv: padding 'full' is none",
     '"valid"'),
    (lambda: nn.conv(X, W, padding=(1, 2)), ArgumentError, "conv: padding (1, 2) is none", "pair"),
    (lambda: nn.conv(X, W, layout="NHWC"), ArgumentError, "conv: no layout is called 'NHWC'",
     "channels_last"),
    (lambda: nn.conv(gx.input("x", (2, "side", 8, 3)), W, strides=2, padding="same"), ShapeError,
     'conv: padding "same" with strides needs a known size, got side (axis 1 of input 0)',
     "pairs"),
    (lambda: nn.conv_transpose(X, W), ShapeError,
     "conv_transpose: the kernel takes 16 channels (axis 3 of input 1), the input has 3"
     " (axis 3 of input 0)", "out / groups"),
    (lambda: nn.conv_transpose(X, gx.input("w", (3, 3, 5, 3)), output_padding=1), ArgumentError,
     "conv_transpose: output_padding 1 must be below 1", None),
    (lambda: nn.Conv2D(4, 3)(gx.input("x", (2, 5, 3))), ShapeError,
     "conv2d: needs 4 axes, got f32[2,5,3]", "batch, 2 spatial axes"),
)  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "text", "hint"), ERRORS, ids=range(len(ERRORS)))
def test_messages(make: Any, kind: type[GraphcError], text: str, hint: str | None) -> None:
    with pytest.raises(kind) as raised:
        make()
    error = raised.value
    assert error.message.replace("conv2d_1", "conv2d") == text
    assert error.origin is not None
    assert "test_convolution" in error.origin.filename
    assert (error.hint is None) == (hint is None)
    assert hint is None or hint in str(error.hint)


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_infinity_does_not_come_through_the_padding(layout: str) -> None:
    """Nor through that of the gradients; the judge walks through all windows by itself."""
    rng = np.random.default_rng(5)
    xs, ws, gs = rng.random((2, 5, 6, 3)), rng.random((3, 3, 3, 4)), rng.random((2, 5, 6, 4))
    ws[0, 0, 1, 2], ws[2, 1, 0, 3], gs[0, 0, 0, 1], xs[1, 4, 5, 2] = np.inf, np.nan, np.inf, -np.inf
    y, dx, dw = np.zeros_like(gs), np.zeros_like(xs), np.zeros_like(ws)
    with np.errstate(invalid="ignore"):
        for n, h, v, r, s in itertools.product(range(2), range(5), range(6), range(3), range(3)):
            p, q = h + r - 1, v + s - 1
            if 0 <= p < 5 and 0 <= q < 6:
                y[n, h, v] += xs[n, p, q] @ ws[r, s]
                dx[n, p, q] += ws[r, s] @ gs[n, h, v]
                dw[r, s] += np.outer(xs[n, p, q], gs[n, h, v])
    first = layout == "channels_first"
    move = (lambda a: np.moveaxis(a, -1, 1)) if first else (lambda a: a)
    given = [move(xs).astype(np.float32), ws.astype(np.float32), move(gs).astype(np.float32)]
    x, w, g = (gx.input(n, a.shape) for n, a in zip("xwg", given))
    out = gx.nn.conv(x, w, padding=1, layout=layout)
    outputs = [out, *gx.vjp(out, [x, w], g)]
    for target in ("interpret", "cpu"):
        found = gx.compile([x, w, g], outputs, target=target)(*given)
        for value, expected in zip(found, (move(y), move(dx), dw)):
            assert_close(value, expected)
