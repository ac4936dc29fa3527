"""Mixed precision: contractions read rounded operands, and nothing else changes."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError
from graphc.ir.ops import Cast, Conv, Dot, RoundToTF32
from graphc.ir.ops.loop import Scan
from graphc.ir.schedule import TEMPORARY
from graphc.ir.types import Array, bfloat16, float16
from graphc.testing import assert_close
from tests.tolerances import MIXED, MIXED_ORDER

RNG = np.random.default_rng(0)
LOW = ("tf32", "bf16", "fp16")
TARGETS = ("cpu", "interpret")


def normal(*shape: int) -> Array:
    return RNG.normal(size=shape).astype(np.float32)


def lowered(x: Array, name: str) -> Array:
    """The rounding of an array, written again."""
    if name == "bf16":
        return x.astype(ml_dtypes.bfloat16).astype(np.float32)
    if name == "fp16":
        with np.errstate(over="ignore"):
            return x.astype(np.float16).astype(np.float32)
    fraction, exponent = np.frexp(x.astype(np.float64))
    near = np.copysign(np.floor(np.abs(fraction) * 2.0**11 + 0.5), x)
    found = np.where(np.isfinite(x), np.ldexp(near, exponent - 11), x)
    with np.errstate(over="ignore"):
        return np.asarray(found.astype(np.float32))


def chain(a: Array, b: Array) -> Array:
    """Products of rounded numbers, which are exact, added up in float32 in ascending order."""
    total = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        wide = a[:, k, None].astype(np.float64) * b[None, k, :] + total.astype(np.float64)
        total = wide.astype(np.float32)
    return total


@pytest.mark.parametrize("name", LOW)
def test_a_product_has_the_bits_of_rounded_operands(name: str) -> None:
    a, b = gx.input("a", ("n", 40)), gx.input("b", (40, 24))
    x, y = normal(17, 40), normal(40, 24)
    found = gx.compile([a, b], a @ b, precision=name)(x, y)
    assert (found == chain(lowered(x, name), lowered(y, name))).all()
    oracle = gx.compile([a, b], a @ b, precision=name, target="interpret")(x, y)
    assert_close(found, oracle)
    assert not (found == gx.compile([a, b], a @ b)(x, y)).all()


def model(kind: str) -> tuple[list[gx.Tensor], gx.Tensor, list[Array]]:
    """Inputs, something made of contractions, and values of the inputs."""
    if kind == "conv":
        x, w = gx.input("x", (2, 7, 6, 3)), gx.input("w", (3, 3, 3, 4))
        y = gx.nn.conv(x, w, strides=2, padding="same")
        return [x, w], y, [normal(2, 7, 6, 3), normal(3, 3, 3, 4)]
    if kind == "einsum":
        x, w = gx.input("x", (3, 4, 5)), gx.input("w", (3, 5, 6))
        return [x, w], gx.einsum("bij,bjk->bki", x, w), [normal(3, 4, 5), normal(3, 5, 6)]
    if kind == "attention":
        x, w = gx.input("x", (2, 9, 8)), gx.input("w", (2, 9, 8))
        return (
            [x, w],
            gx.nn.scaled_dot_product_attention(x, w, w),
            [normal(2, 9, 8), normal(2, 9, 8)],
        )
    x, w = gx.input("x", (7, 4)), gx.input("w", (4, 4))
    _, ys = gx.scan(lambda h, row: (gx.tanh(h @ w + row),) * 2, gx.zeros((3, 4)), x)
    return [x, w], ys, [normal(7, 4), normal(4, 4)]


@pytest.mark.parametrize("name", LOW)
@pytest.mark.parametrize("kind", ["conv", "einsum"])
def test_both_gradients_have_the_bits_of_rounded_operands(kind: str, name: str) -> None:
    inputs, y, arrays = model(kind)
    dy = gx.input("dy", y.shape)
    outputs = [y, *gx.vjp(y, inputs, dy)]
    given = [*arrays, normal(*y.shape)]
    found = gx.compile([*inputs, dy], outputs, precision=name)(*given)
    wanted = gx.compile([*inputs, dy], outputs)(*(lowered(x, name) for x in given))
    assert [a.tobytes() for a in found] == [b.tobytes() for b in wanted]


@pytest.mark.parametrize("name", LOW)
@pytest.mark.parametrize("kind", ["conv", "einsum", "attention", "scan"])
def test_derivatives_of_two_orders(kind: str, name: str) -> None:
    inputs, y, arrays = model(kind)
    first = gx.grad(gx.sum(y * y * 0.5), inputs)
    second = gx.grad(sum(gx.sum(g * g) for g in first), inputs)
    outputs = [y, *first, *second]
    plain = gx.compile(inputs, outputs)(*arrays)
    found, oracle = (
        gx.compile(inputs, outputs, precision=name, target=t)(*arrays) for t in TARGETS
    )
    for a, b, exact in zip(found, oracle, plain):
        assert not (a == exact).all()
        assert_close(a, exact, tolerance=MIXED[name])
        assert_close(a, b, tolerance=MIXED_ORDER[name])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", LOW)
def test_nan_and_infinities_arrive(name: str, target: str) -> None:
    a, b = gx.input("a", (4, 3)), gx.input("b", (3, 2))
    x = np.ones((4, 3), np.float32)
    x[0, 1], x[1, 2], x[2, 0] = np.nan, np.inf, -np.inf
    x[3] = np.finfo(np.float32).max, 1e-30, 2.0**-140
    y = np.ones((3, 2), np.float32)
    found = gx.compile([a, b], a @ b, precision=name, target=target)(x, y)
    assert np.isnan(found[0]).all()
    assert (found[1:3] == [[np.inf] * 2, [-np.inf] * 2]).all()
    assert (found[3] == np.inf).all()  # rounded up, beyond the largest number


def test_vmap_and_loops_keep_the_precision_of_their_block() -> None:
    x, w = gx.input("x", (5, 6)), gx.input("w", (6, 4))
    arrays = [normal(5, 6), normal(6, 4)]
    with gx.precision("bf16"):
        rows = gx.vmap(lambda row: gx.reshape(row, (1, 6)) @ w)(x)
        _, steps = gx.scan(lambda c, row: (c, gx.reshape(row, (1, 6)) @ w), gx.zeros(()), x)
    found = gx.compile([x, w], [rows, steps])(*arrays)
    wanted = gx.compile([x, w], x @ w, precision="bf16")(*arrays)
    for value in found:
        assert (value.reshape(5, 4) == wanted).all()


@pytest.mark.parametrize("name", LOW)
def test_weights_of_loops_are_rounded_once(name: str) -> None:
    """Before the loop where that saves bytes, with the same bits; in loops within loops too."""
    w, h0 = gx.input("w", (4, 4)), gx.input("h0", (3, 4))

    def within(h: gx.Tensor, _: Any) -> tuple[gx.Tensor, gx.Tensor]:
        return gx.tanh(h @ w), gx.sum(h @ w.T)

    def around(h: gx.Tensor, _: Any) -> tuple[gx.Tensor, gx.Tensor]:
        last, sums = gx.scan(within, h, None, length=3)
        return last, gx.sum(sums)

    h, rows = gx.scan(around, h0, None, length=2)
    _, counted = gx.while_loop(
        lambda s: s[0] < 4, lambda s: (s[0] + 1, gx.tanh(s[1] @ w)), (0, h0), max_steps=6
    )
    outputs = [h, rows, gx.grad(gx.sum(h * h) + gx.sum(rows), w), counted]
    step = gx.compile([w, h0], outputs, precision=name)
    given = normal(4, 4), normal(3, 4)
    oracle = gx.compile([w, h0], outputs, precision=name, target="interpret")(*given)
    for a, b in zip(step(*given), oracle):
        assert_close(a, b, tolerance=MIXED_ORDER[name])
    bodies = {n.op.body for n in step.program.optimized.nodes if isinstance(n.op, Scan)}
    given_low = [i.type.dtype for body in bodies for i in body.inputs if i.type.dtype.bits == 16]
    assert bool(given_low) == (name != "tf32")


# ------------------------------------------------------------------------- what is rounded


def kinds(step: Any) -> list[str]:
    """The dtypes that a graph rounds to, also in its loops."""
    nodes = list(step.graph.nodes)
    for n in step.graph.nodes:
        nodes += n.op.body.nodes if isinstance(n.op, Scan) else []
    assert all(n.op.precision is None for n in nodes if isinstance(n.op, (Dot, Conv)))
    casts = [n.op.dtype for n in nodes if isinstance(n.op, Cast)]
    found = [d.name for d in casts if d in (bfloat16, float16)]
    return found + ["tf32" for n in nodes if isinstance(n.op, RoundToTF32)]


def product(dtype: str = "float32") -> tuple[list[gx.Tensor], gx.Tensor]:
    a, b = gx.input("a", (3, 4), dtype), gx.input("b", (4, 5), dtype)
    return [a, b], a @ b


def test_nothing_is_rounded_unless_somebody_asks() -> None:
    assert kinds(gx.compile(*product())) == []
    assert kinds(gx.compile(*product(), precision="fp32")) == []
    assert kinds(gx.compile(*product(), precision="bf16")) == ["bfloat16"] * 2


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16", "int32"])
def test_only_float32_is_rounded(dtype: str) -> None:
    assert kinds(gx.compile(*product(dtype), precision="bf16")) == []


def test_an_operand_is_rounded_once_for_all_its_readers() -> None:
    inputs, y = product()
    step = gx.compile(inputs, [y, gx.grad(gx.sum(y * y), inputs)], precision="fp16")
    assert kinds(step) == ["float16"] * 3  # a, b and the cotangent


def test_a_block_holds_for_what_is_compiled_in_it() -> None:
    inputs, y = product()
    with gx.precision("bf16"):
        inside = gx.compile(inputs, y)
        other = gx.compile(inputs, y, precision="tf32")
    assert kinds(inside) == ["bfloat16"] * 2
    assert kinds(other) == ["tf32"] * 2
    assert kinds(gx.compile(inputs, y)) == []


def test_a_block_holds_for_what_is_defined_in_it_and_its_gradients() -> None:
    with gx.precision("bf16"):
        inputs, y = product()
    loss = gx.sum(y * y)
    step = gx.compile(inputs, [y, gx.grad(loss, inputs)], precision="fp16")
    assert kinds(step) == ["bfloat16"] * 3


def test_the_innermost_block_counts() -> None:
    with gx.precision("bf16"):
        with gx.precision("fp32"):
            inputs, exact = product()
        step = gx.compile(inputs, [exact, gx.grad(gx.sum(exact), inputs)])
    assert kinds(step) == []


def test_a_block_ends_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError), gx.precision("bf16"):
        1 / 0  # noqa: B018
    assert kinds(gx.compile(*product())) == []


def test_eval_rounds_what_a_block_says() -> None:
    x, y = normal(3, 4), normal(4, 5)
    with gx.precision("bf16"):
        product = gx.constant(x) @ gx.constant(y)
    wanted = lowered(x, "bf16") @ lowered(y, "bf16")
    assert_close(product.eval(), wanted)
    assert not (product.eval() == x @ y).all()


def test_factorisations_and_their_gradients_stay_exact() -> None:
    a, b = gx.input("a", (4, 4)), gx.input("b", (4, 2))
    y = gx.linalg.solve(a, b)
    step = gx.compile([a, b], [y, gx.grad(gx.sum(y * y), [a, b])], precision="bf16")
    assert kinds(step) == []
    others = [gx.linalg.pinv(a), gx.linalg.lstsq(a, b), gx.linalg.matrix_power(a, 3)]
    total = sum(gx.sum(y * y) for y in others)
    step = gx.compile([a, b], [*others, gx.grad(total, [a, b])], precision="bf16")
    assert kinds(step) == []


def test_spectra_stay_exact() -> None:
    x = gx.input("x", (3, 24))
    real, imaginary = gx.fft.rfft(x)
    power = gx.sum(real**2 + imaginary**2)
    step = gx.compile([x], [power, gx.grad(power, x)], precision="bf16")
    assert kinds(step) == []
    assert any(isinstance(n.op, Dot) for n in step.graph.nodes)


def test_a_gradient_of_ones_own_is_computed_as_in_the_block_of_its_function() -> None:
    @gx.custom_gradient
    def squared(x: gx.Tensor) -> Any:
        return x @ x, lambda dy: dy @ x.mT + x.mT @ dy

    x = gx.input("x", (3, 3))
    with gx.precision("bf16"):
        y = squared(x)
    step = gx.compile([x], gx.grad(gx.sum(y * y), x))
    assert kinds(step) == ["bfloat16"] * 2  # x, and the cotangent


def test_a_precision_decorates_functions() -> None:
    @gx.precision("tf32")
    def twice(x: gx.Tensor) -> gx.Tensor:
        return x @ x

    x = gx.input("x", (3, 3))
    assert kinds(gx.compile([x], twice(x))) == ["tf32"]
    assert kinds(gx.compile([x], x @ x)) == []


def test_parameters_and_sums_are_float32() -> None:
    gx.seed(0)
    x = gx.input("x", (8, 6))
    y = gx.nn.LayerNorm()(gx.nn.Dense(5, name="dense")(x))
    loss = gx.mean(y * gx.nn.softmax(y))
    step = gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss), precision="bf16")
    assert {p.dtype for p in step.parameters.values() if p.ndim} == {gx.float32}
    assert kinds(step) == ["bfloat16"] * 3  # the input, the kernel and the cotangent
    assert {n.type.dtype.name for n in step.graph.nodes} >= {"float32", "bfloat16"}


def test_what_only_products_read_is_stored_in_16_bits() -> None:
    gx.seed(0)
    x, hidden = gx.input("x", ("batch", 32)), gx.nn.Dense(64, activation="relu")
    y = gx.nn.Dense(16)(hidden(x))
    stored = []
    for name in ("fp32", "bf16"):
        step = gx.compile([x], y, precision=name)
        calls = step.program.schedule.calls
        stored.append([s.type.dtype for c in calls for s in c.writes if s.role == TEMPORARY])
    assert stored == [[gx.float32], [gx.bfloat16]]


def test_the_report_counts_rounded_products() -> None:
    inputs, y = product()
    outputs = [y, gx.grad(gx.sum(y * y), inputs)]
    step = gx.compile(inputs, outputs, precision="bf16")
    assert "bf16: 3 of 3 contractions round their operands" in step.report()
    assert "round" not in gx.compile(inputs, outputs).report()


def test_code_of_another_precision_is_not_taken_from_the_cache() -> None:
    x, y = normal(3, 4) * np.float32(2.0**-20), normal(4, 5)  # where float16 has few bits
    found = [gx.compile(*product(), precision=p)(x, y) for p in ("fp32", *LOW, "fp32")]
    assert (found[0] == found[-1]).all()
    assert len({f.tobytes() for f in found}) == 4


# ---------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("half",), "kind must be one of fp32, tf32, bf16, fp16, got 'half'"),
        ((16,), "kind must be a str, got 16"),
        (("fp16", "static"), 'loss_scale must be "dynamic" or a positive finite number'),
        (("fp16", 0.0), "a positive finite number, got 0.0"),
        (("fp16", float("inf")), "a positive finite number, got inf"),
        (("fp16", True), "a positive finite number, got True"),
        (("fp16", "dynamic", 0), "growth_steps must be an int of 1 or more, got 0"),
        (("fp16", "dynamic", 2.5), "growth_steps must be an int, got 2.5"),
    ],
)
def test_wrong_arguments(arguments: tuple[Any, ...], text: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        gx.precision(*arguments)
    assert text in str(caught.value)
    assert caught.value.origin is not None


@pytest.mark.parametrize("wrong", ["float16", 16, gx.float16, ["bf16"]])
def test_compile_says_what_there_is(wrong: Any) -> None:
    with pytest.raises(ArgumentError, match="precision must be one of fp32, tf32, bf16, fp16"):
        gx.compile(*product(), precision=wrong)
