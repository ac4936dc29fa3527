"""Reverse mode: structure, sums of contributions, what has no gradient, higher orders."""

import time

import numpy as np
import pytest

import graphc as gx
from graphc import errors
from graphc.frontend.autodiff.check import check_gradients
from graphc.frontend.tensor import evaluate
from graphc.ir.graph import topological
from graphc.origin import BACKWARD, FORWARD
from graphc.testing import assert_close
from tests.tolerances import REPORTED, SLOPE


def test_gradient_of_a_square():
    x = gx.input("x", (3,))
    g = gx.grad((x * x).sum(), x)
    assert g.type == x.type
    assert g.eval({x: [1.0, 2.0, 3.0]}).tolist() == [2, 4, 6]


def test_structure_of_wrt_is_kept():
    a, b, c = (gx.parameter(n, value=np.float32(v)) for n, v in (("a", 2), ("b", 3), ("c", 5)))
    found = gx.grad(a * b * c, {"a": a, "rest": [b, (c, a)]})
    assert list(found) == ["a", "rest"]
    assert isinstance(found["rest"][1], tuple)
    assert found["a"].eval() == 15
    assert found["rest"][0].eval() == 10
    assert found["rest"][1][0].eval() == 6
    assert found["rest"][1][1].eval() == 15


def test_contributions_of_several_uses_add_up():
    x = gx.input("x", ())
    y = x * x
    for _ in range(5):
        y = y + x
    assert gx.grad(y, x).eval({x: 3.0}) == 11


def test_gradient_of_itself_is_one():
    x = gx.input("x", ())
    assert gx.grad(x, x).eval({x: 4.0}) == 1


def test_gradient_of_an_inner_tensor():
    x = gx.input("x", (2,))
    h = x * 3.0
    dh, dx = gx.grad((h * h).sum(), (h, x))
    got = evaluate([dh, dx], {x: np.float32([1, 2])})
    assert got[0].tolist() == [6, 12]
    assert got[1].tolist() == [18, 36]


def test_matmul_gradient_against_numpy():
    rng = np.random.default_rng(0)
    x, w = gx.input("x", ("n", 3), "float64"), gx.input("w", (3, 2), "float64")
    t = gx.input("t", ("n", 2), "float64")
    dw, dx = gx.grad((((x @ w) - t) ** 2).sum(), (w, x))
    for n in (0, 1, 5):
        a, b, c = rng.normal(size=(n, 3)), rng.normal(size=(3, 2)), rng.normal(size=(n, 2))
        got = evaluate([dw, dx], {x: a, w: b, t: c})
        assert_close(got[0], a.T @ (2 * (a @ b - c)))
        assert_close(got[1], 2 * (a @ b - c) @ b.T)


def test_second_and_third_derivatives():
    x = gx.input("x", (), "float64")
    y = x**3 * gx.exp(x)
    first = gx.grad(y, x)
    second = gx.grad(first, x)
    third = gx.grad(second, x)
    v, e = 0.7, np.exp(0.7)
    got = [float(a) for a in evaluate([first, second, third], {x: np.float64(v)})]
    want = [
        (v**3 + 3 * v**2) * e,
        (v**3 + 6 * v**2 + 6 * v) * e,
        (v**3 + 9 * v**2 + 18 * v + 6) * e,
    ]
    assert_close(got, want, each=True)


def test_vjp_takes_structured_cotangents():
    x = gx.input("x", (2,))
    outputs = {"double": x * 2.0, "square": x * x}
    (dx,) = gx.vjp(outputs, [x], {"square": gx.constant([1.0, 10.0]), "double": np.ones(2, "f4")})
    assert dx.eval({x: np.float32([3, 4])}).tolist() == [2 + 6, 2 + 80]


def test_vjp_refuses_another_structure_or_type():
    x = gx.input("x", (2,))
    with pytest.raises(errors.ArgumentError, match="cotangents must be structured like"):
        gx.vjp([x, x], x, [x])
    with pytest.raises(
        errors.GradientError, match=r"cotangent of x must be f32\[2\], got f32\[3\]"
    ):
        gx.vjp(x, x, gx.constant([1.0, 2.0, 3.0]))


def test_backward_nodes_inherit_the_users_line_and_their_part():
    x = gx.input("x", (3, 3))
    y = gx.exp(x)
    loss = (y * y).sum()
    g = gx.grad(loss, x)
    backward = [n for n in topological([g.node]) if n.step_part == BACKWARD]
    assert backward
    forward_lines = {n.origin.line for n in topological([loss.node])}
    assert {n.origin.line for n in backward} <= forward_lines | {g.node.origin.line}
    assert all(n.origin.filename == __file__ for n in backward)
    assert loss.node.step_part == FORWARD


def test_only_paths_to_wrt_are_differentiated():
    x, w = gx.input("x", (4, 3)), gx.parameter("w", (3,))
    other = gx.exp(x)  # needs no gradient
    g = gx.grad((other * w).sum(), w)
    made = [n.op.name for n in topological([g.node]) if n.step_part == BACKWARD]
    assert made.count("multiply") == 1


@pytest.mark.parametrize("loss_of", [lambda x: x, lambda x: x.sum(axis=0)])
def test_loss_must_be_scalar(loss_of):
    x = gx.input("x", (3, 2))
    loss = loss_of(x)
    with pytest.raises(errors.GradientError) as caught:
        gx.grad(loss, x)
    assert f"must be a scalar float, got {loss.type}" in str(caught.value)
    assert ".mean() or .sum()" in caught.value.hint


def test_loss_must_be_a_float_tensor():
    i = gx.input("i", (), "int32")
    with pytest.raises(errors.GradientError, match=r"scalar float, got i32\[\]"):
        gx.grad(i, i)
    with pytest.raises(errors.ArgumentError, match="grad: loss must be a tensor"):
        gx.grad(1.0, i)


def test_wrt_must_be_float_tensors():
    x, i = gx.input("x", ()), gx.input("i", (), "int32")
    with pytest.raises(errors.GradientError, match=r"i is i32\[\]: only floats"):
        gx.grad(x * x, i)
    with pytest.raises(errors.ArgumentError, match="got str"):
        gx.grad(x * x, "x")
    with pytest.raises(errors.ArgumentError, match='"error" or "zero"'):
        gx.grad(x * x, x, unreachable="none")


def test_unused_parameter_is_named():
    w, v = gx.parameter("w", (2,)), gx.parameter("unused", (2,))
    loss = (w * w).sum()
    with pytest.raises(errors.GradientError, match="does not depend on unused") as caught:
        gx.grad(loss, [w, v])
    assert caught.value.operands[0][2] == v.node.origin
    zero = gx.grad(loss, [w, v], unreachable="zero")[1]
    assert zero.type == v.type
    assert zero.eval().tolist() == [0, 0]


def test_where_the_path_is_lost_is_named():
    w = gx.parameter("w", (4,))
    flat = w * 2.0 > 1.0
    loss = gx.astype(flat, "float32").sum()
    with pytest.raises(errors.GradientError, match="only through less") as caught:
        gx.grad(loss, w)
    assert caught.value.operands[1][0] == "lost at"
    assert caught.value.operands[1][2] == flat.node.origin


def test_stop_gradient_is_named():
    w = gx.parameter("w", (4,))
    loss = gx.stop_gradient(w).sum()
    with pytest.raises(errors.GradientError, match="stop_gradient"):
        gx.grad(loss, w)
    assert gx.grad((gx.stop_gradient(w) * w).sum(), w).eval().tolist() == [0, 0, 0, 0]


def test_building_is_linear_and_fast():
    def build(count):
        x = gx.input("x", (8,))
        y = x
        for _ in range(count):
            y = gx.tanh(y) * x
        loss = y.sum()
        start = time.perf_counter()
        gx.grad(loss, x)
        return time.perf_counter() - start

    small = min(build(200) for _ in range(3))
    large = min(build(2000) for _ in range(3))
    assert large < 40 * small


def test_deep_chains_need_no_recursion():
    x = gx.input("x", ())
    y = x
    for _ in range(5000):
        y = y + x
    assert gx.grad(y, x).eval({x: 1.0}) == 5001


# ------------------------------------------------------------------- check_gradients


def test_check_gradients_agrees_in_float64():
    rng = np.random.default_rng(1)
    x = gx.input("x", ("n", 4))
    w = gx.parameter("w", value=rng.normal(size=(4, 3)).astype("f4"))
    b = gx.parameter("b", (3,))
    loss = (gx.tanh(x @ w + b) ** 2).mean()
    report = check_gradients(loss, {"w": w, "b": b}, {x: rng.normal(size=(5, 4))})
    assert report
    assert report.dtype == "float64"
    assert set(report.errors) == {"w", "b"}
    assert max(report.errors.values()) < REPORTED
    assert "ok" in str(report)
    assert report.rows[0].checked == 12


def test_check_gradients_finds_a_wrong_gradient():
    x = gx.input("x", (3,), "float64")
    # the derivative of the stopped factor is missing
    report = check_gradients((x * gx.stop_gradient(x)).sum(), x, {x: np.array([1.0, 2.0, 3.0])})
    assert not report
    assert report.rows[0].error > 0.1
    assert "WRONG" in str(report)
    assert report.rows[0].numeric == pytest.approx(2 * report.rows[0].analytic, **SLOPE)


def test_check_gradients_accepts_kinks():
    x = gx.input("x", (3,), "float64")
    report = check_gradients(gx.where(x > 0.0, x, 0.0).sum(), x, {x: np.array([0.0, 1.0, -2.0])})
    assert report
    assert report.rows[0].kinks == 1


def test_check_gradients_uses_trainable_parameters_by_default():
    w = gx.parameter("w", value=np.float32([1, 2]))
    frozen = gx.parameter("frozen", value=np.float32([1, 2]), trainable=False)
    report = check_gradients((w * w * frozen).sum())
    assert list(report.errors) == ["w"]


def test_check_gradients_refuses_inner_tensors():
    x = gx.input("x", (2,))
    with pytest.raises(errors.ArgumentError, match="inputs or parameters"):
        check_gradients((x * x).sum(), x * x, {x: np.zeros(2)})


def test_check_gradients_samples_large_tensors():
    x = gx.input("x", (40, 5), "float64")
    report = check_gradients((x**2).sum(), x, {x: np.ones((40, 5))}, samples=7)
    assert report.rows[0].checked == 7


def test_check_gradients_of_nothing():
    x = gx.input("x", ("n", 2), "float64")
    report = check_gradients((x * x).sum(), x, {x: np.zeros((0, 2))})
    assert report.rows[0].checked == 0
    assert report
