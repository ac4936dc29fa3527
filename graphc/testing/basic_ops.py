"""The ops of random graphs: each adds a value to a maker, or None where nothing fits it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from graphc.frontend.tensor import Tensor, lift_op
from graphc.ir.dims import Size
from graphc.ir.ops import Abs, Neg, Relu, StopGradient, Stored
from graphc.ir.ops.contract import Dot
from graphc.ir.ops.elementwise_random import UnitFloat
from graphc.ir.ops.leaf import RandomBits
from graphc.ir.ops.view import Pad, Permute, Slice
from graphc.testing.graph_maker import SIZES, Drawn, Maker

# ------------------------------------------------------------------------------- exact ops


def reshaped(m: Maker) -> Drawn | None:
    """Axes of size 1 come and go; neighbours merge."""
    x = m.pick(lambda v: v.tensor.ndim >= 1)
    if x is None:
        return None
    shape: tuple[Any, ...] = x.tensor.shape
    if m.rng.random() < 0.5 and len(shape) >= 2:
        shape = (*shape[:-2], shape[-2] * shape[-1])
    elif len(shape) <= 3:
        axis = int(m.rng.integers(0, len(shape) + 1))
        shape = (*shape[:axis], 1, *shape[axis:])
    if m.rng.random() < 0.2:
        shape = tuple(s for s in shape if s != 1)
    return Drawn(gx.reshape(x.tensor, shape), x.exact)


def permuted(m: Maker) -> Drawn | None:
    """Any order of axes."""
    x = m.pick(lambda v: v.tensor.ndim >= 2)
    if x is None:
        return None
    order = tuple(int(a) for a in m.rng.permutation(x.tensor.ndim))
    return Drawn(lift_op(Permute(order), x.tensor), x.exact)


def broadcast(m: Maker) -> Drawn | None:
    """New leading axes; axes of size 1 repeat."""
    x = m.pick(lambda v: v.tensor.ndim <= 2)
    if x is None:
        return None
    lead = (m.batch,) if m.rng.random() < 0.4 and m.batch not in x.tensor.shape else ()
    grown = tuple(3 if s == 1 and m.rng.random() < 0.7 else s for s in x.tensor.shape)
    return Drawn(gx.broadcast_to(x.tensor, (*lead, *grown)), x.exact)


def sliced(m: Maker) -> Drawn | None:
    """A part of an axis, in either direction."""
    x = m.pick(lambda v: any(isinstance(s, int) and s > 1 for s in v.tensor.shape))
    if x is None:
        return None
    starts, sizes, steps = zip(*(slice_of(m, size) for size in x.tensor.shape))
    return Drawn(lift_op(Slice(starts, sizes, steps), x.tensor), x.exact)


def slice_of(m: Maker, size: Size) -> tuple[int, Size, int]:
    """Start, size and step inside an axis, or all of it."""
    if not isinstance(size, int) or size == 0 or m.rng.random() < 0.4:
        return 0, size, 1
    step = int(m.rng.choice([1, 1, 2, -1]))
    count = int(m.rng.integers(1, (size - 1) // abs(step) + 2))
    room = size - (count - 1) * abs(step)
    start = int(m.rng.integers(0, room))
    return (start if step > 0 else start + (count - 1) * abs(step)), count, step


def padded(m: Maker) -> Drawn | None:
    """Zeros around and between."""
    x = m.pick(lambda v: 1 <= v.tensor.ndim <= 3)
    if x is None:
        return None
    draw = [tuple(int(p) for p in m.rng.integers(0, 2, x.tensor.ndim)) for _ in range(2)]
    steps = tuple(int(k) if isinstance(s, int) else 1 for k, s in
                  zip(m.rng.integers(1, 3, x.tensor.ndim), x.tensor.shape))  # fmt: skip
    return Drawn(lift_op(Pad(draw[0], draw[1], steps), x.tensor), x.exact)


def joined(m: Maker) -> Drawn | None:
    """Two of one type, or one twice."""
    x = m.pick(lambda v: v.tensor.ndim >= 1 and isinstance(v.tensor.shape[-1], int))
    if x is None:
        return None
    y = m.pick(lambda v: v.tensor.type == x.tensor.type) or x
    return Drawn(gx.concat([x.tensor, y.tensor], axis=-1), x.exact and y.exact)


def compared(m: Maker) -> Drawn | None:
    """Truth values of exact numbers."""
    x = m.pick(lambda v: v.exact and v.tensor.dtype.is_float)
    y = x and m.pick(lambda v: v.exact and v.tensor.type == x.tensor.type)
    if x is None or y is None:
        return None
    compare = [gx.less, gx.less_equal, gx.equal, gx.not_equal][m.rng.integers(4)]
    return Drawn(compare(x.tensor, y.tensor if m.rng.random() < 0.6 else 1.0), True)


def logical(m: Maker) -> Drawn | None:
    """Truth values of truth values."""
    x = m.pick(lambda v: v.tensor.dtype.kind == "b")
    if x is None:
        return None
    y = m.pick(lambda v: v.tensor.type == x.tensor.type) or x
    choice = m.rng.integers(4)
    if choice == 0:
        return Drawn(gx.logical_not(x.tensor), True)
    other = bool(m.rng.integers(2)) if choice == 1 else y.tensor
    function = gx.logical_and if m.rng.random() < 0.5 else gx.logical_or
    return Drawn(function(x.tensor, gx.broadcast_to(other, x.tensor.shape)), True)


def chosen(m: Maker) -> Drawn | None:
    """One of two, by a condition."""
    c = m.pick(lambda v: v.tensor.dtype.kind == "b")
    x = c and m.pick(lambda v: v.tensor.dtype.is_float and v.tensor.shape == c.tensor.shape)
    if c is None or x is None:
        return None
    y = m.partner(x)
    pair = (x, y) if m.rng.random() < 0.5 else (y, x)
    condition = bool(m.rng.integers(2)) if m.rng.random() < 0.1 else c.tensor
    made = gx.where(condition, *(gx.broadcast_to(v.tensor, x.tensor.shape) for v in pair))
    return Drawn(made, x.exact and y.exact)


def flipped(m: Maker) -> Drawn | None:
    """Negative, absolute value, relu, the same, the same in memory."""
    x = m.number()
    if x is None:
        return None
    functions = [Neg(), Abs(), Relu(), StopGradient(), Stored()]
    return Drawn(lift_op(functions[m.rng.integers(5)], x.tensor), x.exact)


def extreme(m: Maker) -> Drawn | None:
    """The larger or the smaller one."""
    x = m.number()
    if x is None:
        return None
    y = m.partner(x)
    function = gx.maximum if m.rng.random() < 0.5 else gx.minimum
    return Drawn(function(x.tensor, y.tensor), x.exact and y.exact)


def converted(m: Maker) -> Drawn | None:
    """To another dtype and back."""
    x = m.pick(lambda v: v.exact and (m.integral or v.tensor.dtype.kind == "b"))
    if x is None:
        return None
    between = ["int32", "int64", "float64", "int8"][m.rng.integers(4)]
    return Drawn(gx.astype(gx.astype(x.tensor, between), m.dtype), True)


def reduced_extreme(m: Maker) -> Drawn | None:
    """Largest or smallest of some axes."""
    x = m.pick(lambda v: v.tensor.dtype.is_float and v.tensor.ndim >= 1)
    if x is None:
        return None
    function = gx.max if m.rng.random() < 0.5 else gx.min
    return Drawn(function(x.tensor, axis=axes_of(m, x), keepdims=bool(m.rng.integers(2))), x.exact)


def axes_of(m: Maker, x: Drawn) -> tuple[int, ...]:
    """Some axes, often one."""
    count = int(m.rng.integers(0 if m.rng.random() < 0.1 else 1, x.tensor.ndim + 1))
    return tuple(sorted(int(a) for a in m.rng.choice(x.tensor.ndim, count, replace=False)))


def whole_arithmetic(m: Maker) -> Drawn | None:
    """Sums and products, of small whole numbers where they must be exact."""
    x = m.number()
    if x is None:
        return None
    y = m.partner(x)
    choice = m.rng.integers(4)
    function = [gx.add, gx.subtract, gx.multiply, gx.add][choice]
    made = function(x.tensor, y.tensor)
    if m.integral:
        made = gx.maximum(gx.minimum(made, 3.0), -3.0)
    elif choice == 2:
        made = gx.tanh(made)
    return Drawn(made, m.integral)


def summed(m: Maker) -> Drawn | None:
    """Sums over some axes."""
    x = m.pick(lambda v: v.tensor.dtype.is_float and v.tensor.ndim >= 1)
    if x is None:
        return None
    made = gx.sum(x.tensor, axis=axes_of(m, x), keepdims=bool(m.rng.integers(2)))
    if m.integral:
        return Drawn(gx.maximum(gx.minimum(made, 3.0), -3.0), True)
    return Drawn(made * 0.125 if m.rng.random() < 0.5 else gx.tanh(made), False)


def contracted(m: Maker) -> Drawn | None:
    """A product over the last axis with a constant, or with another value; labels in any order."""
    x = m.pick(
        lambda v: (
            v.tensor.dtype.is_float
            and 1 <= v.tensor.ndim <= 3
            and isinstance(v.tensor.shape[-1], int)
        )
    )
    if x is None:
        return None
    n = x.tensor.ndim
    size = x.tensor.shape[-1]
    assert isinstance(size, int)
    weights = Drawn(
        gx.constant(m.array((size, int(m.rng.choice(SIZES))), x.tensor.dtype.name)), True
    )
    b: tuple[int, ...] = (n - 1, n)
    if m.rng.random() < 0.4:
        weights, b = Drawn(gx.permute_dims(weights.tensor, (1, 0)), True), (n, n - 1)
    out = [*range(n - 1), n]
    if m.rng.random() < 0.4:
        out = [int(i) for i in m.rng.permutation(out)]
    made = lift_op(Dot(tuple(range(n)), b, tuple(out)), x.tensor, weights.tensor)
    if m.integral:
        return Drawn(gx.maximum(gx.minimum(made, 3.0), -3.0), True)
    return Drawn(gx.tanh(made), False)


def taken(m: Maker) -> Drawn | None:
    """Rows at constant indices."""
    x = m.pick(lambda v: v.tensor.ndim >= 1 and isinstance(v.tensor.shape[0], int))
    if x is None or x.tensor.shape[0] == 0:
        return None
    size = x.tensor.shape[0]
    assert isinstance(size, int)
    rows = m.rng.integers(-size, size, int(m.rng.choice(SIZES))).astype(np.int32)
    return Drawn(gx.take(x.tensor, gx.constant(rows), axis=0), x.exact)


# ------------------------------------------------------------------------------ smooth ops


def elementary(m: Maker) -> Drawn | None:
    """A function that keeps values moderate."""
    x = m.number()
    if x is None:
        return None
    functions: list[Callable[[Tensor], Tensor]] = [
        gx.tanh, gx.sigmoid, gx.sin, gx.erf,
        lambda t: gx.exp(gx.minimum(t, 1.0)), lambda t: gx.log(gx.abs(t) + 0.5),
        lambda t: gx.sqrt(gx.abs(t) + 0.25), lambda t: gx.softplus(gx.minimum(t, 3.0)),
        lambda t: gx.log(1.0 + gx.exp(-gx.abs(t))), lambda t: 1.0 - gx.sigmoid(t),
        lambda t: gx.log(gx.sigmoid(t)), lambda t: gx.exp(gx.minimum(t, 1.0)) - 1.0,
    ]  # fmt: skip
    return Drawn(functions[m.rng.integers(len(functions))](x.tensor), False)


def divided(m: Maker) -> Drawn | None:
    """A quotient by something that is not small."""
    x = m.number()
    if x is None:
        return None
    divisors: list[float | Tensor] = [2.0, 3.0, 1.0, -4.0, gx.abs(m.partner(x).tensor) + 1.0]
    return Drawn(x.tensor / divisors[m.rng.integers(len(divisors))], False)


def power(m: Maker) -> Drawn | None:
    """A power of a number that is not small."""
    x = m.number()
    if x is None:
        return None
    powers = np.array([0.0, 1.0, 2.0, 3.0, -1.0, 0.5, 1.5])
    exponent = gx.full(x.tensor.shape, float(powers[m.rng.integers(len(powers))]), x.tensor.dtype)
    return Drawn(gx.tanh(gx.pow(gx.abs(x.tensor) + 0.5, exponent)), False)


def softmax(m: Maker) -> Drawn | None:
    """A softmax or its logarithm, stable or as in the textbook."""
    x = m.pick(
        lambda v: (
            v.tensor.dtype.is_float and v.tensor.ndim >= 1 and isinstance(v.tensor.shape[-1], int)
        )
    )
    if x is None:
        return None
    t = gx.minimum(x.tensor, 5.0)
    powers = gx.exp(t)
    total = gx.sum(powers, axis=-1, keepdims=True)
    forms = [gx.nn.softmax(t), gx.nn.log_softmax(t), powers / total, gx.log(powers / total),
             gx.log(total)]  # fmt: skip
    return Drawn(forms[m.rng.integers(len(forms))], False)


def differentiated(m: Maker) -> Drawn | None:
    """The gradient of a scalar with respect to an input."""
    y = m.pick(lambda v: v.tensor.dtype.is_float and v.tensor.ndim <= 2)
    if y is None or not m.inputs:
        return None
    floats = [t for t in (*m.inputs, *m.parameters) if t.dtype.is_float]
    x = floats[m.rng.integers(len(floats))]
    loss = gx.sum(gx.tanh(y.tensor))
    return Drawn(gx.tanh(gx.grad(loss, x, unreachable="zero")), False)


def random_draw(m: Maker) -> Drawn | None:
    """Uniform numbers from a stream, often a stream that was used before."""
    shape = [(3,), (2, 3), (m.batch, 2), (5,)][m.rng.integers(4)]
    bits = lift_op(RandomBits(shape, int(m.rng.integers(1, 4))))
    return Drawn(gx.astype(lift_op(UnitFloat(), bits), m.dtype), True)


def rolled(m: Maker) -> Drawn | None:
    """Elements in another order along the last axis, or several times."""
    x = m.pick(ends_in_numbers)
    if x is None:
        return None
    functions: list[Callable[[Tensor], Tensor]] = [
        lambda t: gx.roll(t, 1, axis=-1), lambda t: gx.flip(t, axis=-1),
        lambda t: gx.repeat(t, 2, axis=-1), lambda t: t[..., :1],
    ]  # fmt: skip
    return Drawn(functions[m.rng.integers(len(functions))](x.tensor), x.exact)


def pooled(m: Maker) -> Drawn | None:
    """The largest of a window along the middle axis."""
    x = m.pick(lambda v: is_signal(v) and v.tensor.shape[1] >= 2)  # type: ignore[operator]
    if x is None:
        return None
    stride = int(m.rng.integers(1, 3))
    return Drawn(gx.nn.max_pool(x.tensor, (2,), strides=(stride,)), x.exact)


def ends_in_numbers(v: Drawn) -> bool:
    """Whether a float value has a last axis of known size."""
    return bool(v.tensor.dtype.is_float and v.tensor.ndim and isinstance(v.tensor.shape[-1], int))


def is_signal(v: Drawn) -> bool:
    """Whether a float value has rows of positions with channels."""
    known = all(isinstance(s, int) for s in v.tensor.shape[1:])
    return bool(v.tensor.dtype.is_float and v.tensor.ndim == 3 and known)


def convolved(m: Maker) -> Drawn | None:
    """A convolution along the middle axis with a constant."""
    x = m.pick(is_signal)
    if x is None:
        return None
    shape = int(m.rng.integers(1, 4)), x.tensor.shape[2], int(m.rng.choice(SIZES))
    weights = m.array(shape, x.tensor.dtype.name)  # type: ignore[arg-type]
    made = gx.nn.conv(x.tensor, gx.constant(weights), padding="same")
    return Drawn(gx.tanh(made), False)


def accumulated(m: Maker) -> Drawn | None:
    """Running sums along the last axis."""
    x = m.pick(ends_in_numbers)
    return x and Drawn(gx.tanh(gx.cumulative_sum(x.tensor, axis=-1)), False)


def normalised(m: Maker) -> Drawn | None:
    """By mean and variance of the last axis, or these themselves."""
    x = m.pick(ends_in_numbers)
    if x is None:
        return None
    functions: list[Callable[[Tensor], Tensor]] = [
        lambda t: gx.nn.layer_norm(t, epsilon=0.1), lambda t: gx.var(t, axis=-1),
        lambda t: gx.std(gx.tanh(t), axis=-1), lambda t: gx.mean(t, axis=-1, keepdims=True),
    ]  # fmt: skip
    return Drawn(gx.tanh(functions[m.rng.integers(len(functions))](x.tensor)), False)


def repeated(m: Maker) -> Drawn | None:
    """A loop over the rows."""
    x = m.pick(lambda v: v.tensor.dtype.is_float and v.tensor.ndim >= 1)
    if x is None:
        return None
    start = gx.zeros(x.tensor.shape[1:], x.tensor.dtype)
    scale = gx.tanh(gx.sum(x.tensor))
    reverse = bool(m.rng.integers(2))
    last, rows = gx.scan(
        lambda c, row: (gx.tanh(c * scale + row), c * row), start, x.tensor, reverse=reverse
    )
    return Drawn(last if m.rng.random() < 0.5 else rows, False)


EXACT = (
    reshaped, permuted, broadcast, sliced, padded, joined, compared, logical, chosen, flipped,
    extreme, converted, reduced_extreme, whole_arithmetic, summed, contracted, taken,
    rolled, pooled,
)  # fmt: skip
SMOOTH = (
    elementary, elementary, divided, power, softmax, differentiated, random_draw, convolved,
    accumulated, normalised, repeated,
)  # fmt: skip
