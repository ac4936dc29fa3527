"""Forward mode, Hessians and Jacobians, and gradients of one's own."""

import numpy as np
import pytest

import graphc as gx
from graphc import errors
from graphc.frontend.tensor import evaluate
from graphc.ir.ops.training import CustomGradient
from graphc.testing import assert_close

RNG = np.random.default_rng(0)
W = RNG.normal(size=(3, 2))


def test_jvp_against_numpy():
    x, w = gx.input("x", ("n", 3), "float64"), gx.input("w", (3, 2), "float64")
    dx, dw = gx.input("dx", ("n", 3), "float64"), gx.input("dw", (3, 2), "float64")
    outputs = {"y": gx.tanh(x @ w), "same": dx}
    found = gx.jvp(outputs, [x, w], [dx, dw])
    for n in (0, 1, 4):
        a, da, db = RNG.normal(size=(n, 3)), RNG.normal(size=(n, 3)), RNG.normal(size=(3, 2))
        feeds = {x: a, w: W, dx: da, dw: db}
        got, none = evaluate([found["y"], found["same"]], feeds)
        assert_close(got, (1 - np.tanh(a @ W) ** 2) * (da @ W + a @ db))
        assert not none.any()


def test_jvp_needs_only_the_inputs():
    x = gx.input("x", (2,))
    out = gx.jvp(x / (1.0 + x * x), x, gx.constant([1.0, 0.0]))
    f = gx.compile([x], out, target="interpret")  # no cotangent is left over
    assert_close(f([0.5, 3.0]), [(1 - 0.25) / 1.25**2, 0], tolerance="ulps", each=True)


def test_jvp_refuses_other_types():
    x = gx.input("x", (2,))
    with pytest.raises(errors.GradientError, match=r"tangent of x must be f32\[2\], got f32\[\]"):
        gx.jvp(x * x, x, 1.0)


def test_hvp_and_hessian():
    x, y = gx.input("x", (3,), "float64"), gx.input("y", (2,), "float64")
    loss = gx.exp(x).sum() * (y * y).sum() + (x**3).sum()
    a, b = RNG.normal(size=3), RNG.normal(size=2)
    h = gx.hessian(loss, {"x": x, "y": y})
    blocks = [h["x"]["x"], h["x"]["y"], h["y"]["x"], h["y"]["y"]]
    xx, xy, yx, yy = evaluate(blocks, {x: a, y: b})
    e = np.exp(a)
    assert_close(xx, np.diag(e * (b @ b) + 6 * a))
    assert_close(xy, np.outer(e, 2 * b))
    assert_close(yx, xy.T)
    assert_close(yy, 2 * e.sum() * np.eye(2))
    u, v = RNG.normal(size=3), RNG.normal(size=2)
    found = gx.hvp(loss, [x, y], [gx.constant(u), gx.constant(v)])
    hu, hv = evaluate(found, {x: a, y: b})
    assert_close(hu, xx @ u + xy @ v)
    assert_close(hv, yx @ u + yy @ v)


@pytest.mark.parametrize("shape", [(4, 3), (1, 3), (0, 3)])
def test_jacobian_by_rows_and_by_columns(shape):
    x = gx.input("x", shape, "float64")
    y = gx.tanh(x @ gx.constant(W))
    a = RNG.normal(size=shape)
    (got,) = evaluate([gx.jacobian(y, x)], {x: a})
    want = np.zeros((*shape[:1], 2, *shape))
    slope = 1 - np.tanh(a @ W) ** 2
    for i in range(shape[0]):
        want[i, :, i] = slope[i][:, None] * W.T
    assert_close(got, want)
    (wide,) = evaluate([gx.jacobian(y.sum(axis=0), x)], {x: a})
    assert_close(wide, want.sum(axis=0))


@pytest.mark.parametrize("n", [0, 1, 5])
def test_jacobian_of_unknown_sizes(n):
    x = gx.input("x", ("n", 2), "float64")
    a = RNG.normal(size=(n, 2))
    (got,) = evaluate([gx.jacobian((x * x).sum(axis=1), x)], {x: a})
    np.testing.assert_array_equal(got, np.eye(n)[:, :, None] * 2 * a)


# ------------------------------------------------------------------ custom gradients


def test_straight_through():
    @gx.custom_gradient
    def rounded(x):
        return gx.round(x), lambda dy: dy

    x = gx.input("x", (3,))
    y = rounded(x * 2.0)
    f = gx.compile([x], [y, gx.grad((y * y).sum(), x)], target="interpret")
    value, slope = f([0.3, 0.8, -1.4])
    assert value.tolist() == [1, 2, -3]
    assert slope.tolist() == [4, 8, -12]
    assert not [n for n in f.graph.nodes if isinstance(n.op, CustomGradient)]


def test_several_outputs_and_arguments():
    @gx.custom_gradient
    def both(x, y):
        return {"sum": x + y, "product": x * y}, lambda ds, dp: (ds * 10.0 + dp * y, None)

    x, y = gx.input("x", ()), gx.input("y", ())
    out = both(x, y)
    dx, dy = gx.grad(out["sum"] + 2.0 * out["product"], [x, y], unreachable="zero")
    assert evaluate([dx, dy], {x: 3.0, y: 5.0}) == [20, 0]


def test_custom_gradients_differentiate_again():
    @gx.custom_gradient
    def cube(x):
        return x * x * x, lambda dy: dy * 3.0 * x * x

    x = gx.input("x", ())
    second = gx.grad(gx.grad(cube(x), x), x)
    assert second.eval({x: 2.0}) == 12


def test_bad_custom_gradients():
    x = gx.input("x", (2,))
    with pytest.raises(errors.ArgumentError, match="backward must be a function"):
        gx.custom_gradient(lambda x: (x, x))(x)
    with pytest.raises(errors.ArgumentError, match=r"must return \(outputs, backward\)"):
        gx.custom_gradient(lambda x: 3)(x)
    with pytest.raises(errors.GradientError, match=r"argument 0 must be f32\[2\], got f32\[\]"):
        gx.grad(gx.custom_gradient(lambda x: (x, lambda dy: dy.sum()))(x).sum(), x)
    with pytest.raises(errors.ArgumentError, match="2 cotangents for 1 arguments"):
        gx.grad(gx.custom_gradient(lambda x: (x, lambda dy: (dy, dy)))(x).sum(), x)
