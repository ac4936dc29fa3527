"""Ops of random graphs that round: functions, products, windows, loops, matrices, gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from graphc.frontend.tensor import Tensor, lift_op
from graphc.ir import ops
from graphc.testing.basic_ops import convolved, ends_in_numbers, is_signal
from graphc.testing.exact_ops import an_axis, any_of, indices
from graphc.testing.graph_maker import Drawn, Maker


def special(m: Maker) -> Drawn | None:
    """An elementary or special function inside its domain."""
    x = m.number()
    if x is None:
        return None
    functions: list[Callable[[Tensor], Tensor]] = [
        gx.cos, gx.atan, gx.asinh, gx.square, gx.erfc, gx.nn.gelu, gx.nn.silu, gx.nn.elu,
        gx.nn.selu, gx.nn.mish, gx.nn.softsign, gx.nn.leaky_relu, gx.nn.hard_sigmoid,
        lambda t: gx.exp2(gx.minimum(t, 1.0)), lambda t: gx.expm1(gx.minimum(t, 1.0)),
        lambda t: gx.log2(gx.abs(t) + 0.5), lambda t: gx.log10(gx.abs(t) + 0.5),
        lambda t: gx.log1p(gx.abs(t)), lambda t: gx.tan(gx.clip(t, -1.0, 1.0)),
        lambda t: gx.sinh(gx.clip(t, -2.0, 2.0)), lambda t: gx.cosh(gx.clip(t, -2.0, 2.0)),
        lambda t: gx.asin(gx.clip(t, -0.9, 0.9)), lambda t: gx.acos(gx.clip(t, -0.9, 0.9)),
        lambda t: gx.acosh(gx.abs(t) + 1.5), lambda t: gx.atanh(gx.clip(t, -0.9, 0.9)),
        lambda t: gx.erfinv(gx.clip(t, -0.9, 0.9)), lambda t: gx.lgamma(gx.abs(t) + 2.5),
        lambda t: gx.digamma(gx.abs(t) + 2.0), lambda t: gx.polygamma(1, gx.abs(t) + 1.0),
        lambda t: lift_op(ops.BesselI(1, scaled=True), t),
        lambda t: gx.reciprocal(gx.abs(t) + 0.5), lambda t: gx.hypot(t, gx.cos(t)),
        lambda t: gx.atan2(t, gx.abs(t) + 0.5), lambda t: gx.logaddexp(t, gx.sin(t)),
    ]  # fmt: skip
    made = any_of(m, functions)(x.tensor)
    return Drawn(gx.tanh(made) if m.rng.random() < 0.5 else gx.clip(made, -8.0, 8.0), False)


def reduced(m: Maker) -> Drawn | None:
    """Products, norms, log-sums, means, variances of any axis."""
    x = m.pick(lambda v: v.tensor.dtype.is_float and v.tensor.ndim > 0)
    if x is None:
        return None
    axis, keep = an_axis(m, x), bool(m.rng.integers(2))
    functions: list[Callable[[Tensor], Tensor]] = [
        lambda t: gx.prod(gx.tanh(t), axis=axis, keepdims=keep),
        lambda t: gx.logsumexp(t, axis=axis, keepdims=keep),
        lambda t: gx.mean(t, axis=axis, keepdims=keep), lambda t: gx.mean(t),
        lambda t: gx.var(t, axis=axis, keepdims=keep), lambda t: gx.std(t, axis=axis),
        lambda t: gx.linalg.vector_norm(t, axis=axis, keepdims=keep),
        lambda t: gx.sum(gx.square(t), axis=axis), lambda t: t / (1.0 + gx.sum(gx.abs(t))),
        lambda t: gx.nn.softmax(t, axis=axis), lambda t: gx.nn.rms_norm(t, epsilon=0.1),
    ]  # fmt: skip
    return Drawn(gx.tanh(any_of(m, functions)(x.tensor)), False)


def running(m: Maker) -> Drawn | None:
    """Running sums and products of any axis."""
    x = m.pick(lambda v: v.tensor.dtype.is_float and v.tensor.ndim > 0)
    if x is None:
        return None
    t, axis = x.tensor, an_axis(m, x)
    initial = bool(m.rng.integers(2))
    functions: list[Callable[[], Tensor]] = [
        lambda: gx.cumulative_sum(t, axis=axis, include_initial=initial),
        lambda: gx.cumulative_prod(gx.tanh(t), axis=axis, include_initial=initial),
        lambda: gx.flip(gx.cumulative_sum(gx.flip(t, axis=axis), axis=axis), axis=axis),
    ]  # fmt: skip
    return Drawn(gx.tanh(functions[m.rng.integers(3)]()), False)


# In turn, of exact operands: of others a last bit decides how they are rounded. For the same reason
# no gradient goes through such a product.
PRECISIONS = ("tf32", "bf16", "fp16", "fp32")


def product(m: Maker) -> Drawn | None:
    """Products of two values: matrices, stacks of them, outer products, any labels."""
    x = m.pick(lambda v: v.tensor.dtype.is_float and 1 <= v.tensor.ndim <= 3)
    if x is None:
        return None
    same = m.pick(lambda v: v.tensor.type == x.tensor.type) or x
    choice = int(m.rng.integers(6))
    exact = x.exact and same.exact and choice != 4
    low = PRECISIONS[len(m.values) % len(PRECISIONS)] if exact else "fp32"
    with gx.precision(low, loss_scale=1.0):
        made = multiplied(m, x, same.tensor, choice)
    if made is None:
        return None
    if low != "fp32":
        made = gx.stop_gradient(made)
    if m.integral:
        return Drawn(gx.maximum(gx.minimum(made, 3.0), -3.0), x.exact and same.exact)
    return Drawn(gx.tanh(made), False)


def multiplied(m: Maker, x: Drawn, y: Tensor, choice: int) -> Tensor | None:
    """One of six kinds of products."""
    t = x.tensor
    if choice == 0:
        return gx.matmul(t, gx.matrix_transpose(y)) if t.ndim >= 2 else gx.vecdot(t, y)
    if choice == 1:
        return gx.matmul(gx.matrix_transpose(t), y) if t.ndim >= 2 else gx.outer(t, y)
    if choice == 2:
        return gx.vecdot(t, y, axis=an_axis(m, x))
    if choice == 3:
        letters = "abc"[: t.ndim]
        kept = "".join(c for c in letters if m.rng.random() < 0.5)
        return gx.einsum(f"{letters},{letters}->{kept}", t, y)
    if choice == 5:
        return gx.matmul(t, gx.constant(m.array((3, 2), t.dtype.name))[: t.shape[-1]])
    fits = m.pick(
        lambda v: (
            v.tensor.ndim >= 1
            and v.tensor.dtype == t.dtype
            and v.tensor.shape[0] == t.shape[-1]
            and v.tensor.ndim + t.ndim <= 5
        )
    )
    return None if fits is None else gx.tensordot(t, fits.tensor, axes=1)


def window(m: Maker) -> Drawn | None:
    """Convolutions with strides, dilation, groups and padding, transposed ones, pools."""
    x = m.pick(lambda v: is_signal(v) and 0 not in v.tensor.shape)
    if x is None:
        return None
    t = x.tensor
    size, channels = t.shape[1], t.shape[2]
    assert isinstance(size, int)
    assert isinstance(channels, int)
    taps = int(m.rng.integers(1, 4))
    stride, dilation = int(m.rng.integers(1, 3)), int(m.rng.integers(1, 3))
    paddings: list[str | int] = ["same", "valid", int(m.rng.integers(0, 2))]
    padding = paddings[m.rng.integers(3)]
    groups = channels if m.rng.random() < 0.3 else 1
    out = groups * int(m.rng.integers(1, 4))
    w = gx.constant(m.array((taps, channels // groups, out), t.dtype.name))
    back = gx.constant(m.array((taps, 2, channels), t.dtype.name))
    functions: list[Callable[[], Tensor]] = [
        lambda: gx.nn.conv(t, w, stride, padding, dilation, groups),
        lambda: gx.nn.conv_transpose(t, back, stride, padding),
        lambda: gx.nn.avg_pool(t, (min(taps, size),), (stride,), "same"),
        lambda: gx.nn.max_pool(t, (min(taps, size),), (stride,), "same"),
        lambda: gx.nn.lp_pool(t, (min(taps, size),), 2.0, (stride,)),
        lambda: gx.nn.global_avg_pool(t, keepdims=True), lambda: gx.nn.global_max_pool(t),
    ]  # fmt: skip
    return Drawn(gx.tanh(functions[m.rng.integers(len(functions))]()), False)


def image(m: Maker) -> Drawn | None:
    """A convolution or a pool over two axes."""
    x = m.pick(ends_in_numbers)
    if x is None:
        return None
    t = gx.reshape(x.tensor, (-1,)) if m.rng.random() < 0.3 else x.tensor
    last = t.shape[-1]
    t = gx.reshape(t, (-1, last, 1, 1)) if m.rng.random() < 0.5 else gx.reshape(t, (-1, 1, last, 1))
    w = gx.constant(m.array((2, 2, 1, int(m.rng.integers(1, 4))), t.dtype.name))
    if m.rng.random() < 0.6:
        made = gx.nn.conv(t, w, int(m.rng.integers(1, 3)), "same")
    else:
        made = gx.nn.avg_pool(t, (2, 2), (1, 1), "same", count_include_pad=True)
    return Drawn(gx.tanh(made), False)


def looped(m: Maker) -> Drawn | None:
    """Loops: two carries, no rows, checkpoints, while, one of two branches."""
    x = m.pick(lambda v: v.tensor.dtype.is_float and v.tensor.ndim >= 1)
    if x is None:
        return None
    t = x.tensor
    choice = m.rng.integers(5)
    zero = gx.zeros(t.shape[1:], t.dtype)
    if choice == 0:
        (a, b), rows = gx.scan(
            lambda c, row: ((gx.tanh(c[0] + row), gx.maximum(c[1], row)), c[0] - row),
            (zero, zero), t, reverse=bool(m.rng.integers(2)),
        )  # fmt: skip
        return Drawn([a, b, rows][m.rng.integers(3)], False)
    if choice == 1:
        made, _ = gx.scan(lambda c, _: (gx.sin(c) * 0.5 + t, None), t, length=3)
    elif choice == 2 and isinstance(t.shape[0], int):
        made, _ = gx.scan(
            lambda c, row: (gx.tanh(c + row), None), zero, t, checkpoint=2 if t.shape[0] > 2 else 1
        )
    elif choice == 3:
        first = m.pick(lambda v: v.exact and v.tensor.dtype.is_float)
        assert first is not None
        some = gx.any(gx.reshape(first.tensor, (-1,)) > 0.5)
        made = gx.cond(some, lambda a: gx.tanh(a), lambda a: a * 0.5, t)
    else:
        limit = int(m.rng.integers(0, 4))
        _, made = gx.while_loop(
            lambda c: c[0] < limit, lambda c: (c[0] + 1, gx.tanh(c[1] + 0.1)),
            (gx.constant(np.int32(0)), t), max_steps=5,
        )  # fmt: skip
    return Drawn(made, False)


def drawn(m: Maker) -> Drawn | None:
    """Numbers from every distribution, masks, permutations, dropout."""
    shape: Any = [(3,), (2, 17), (m.batch, 2), ()][m.rng.integers(4)]
    x = m.number()
    assert x is not None
    choice = m.rng.integers(8)
    if choice == 0:
        return Drawn(gx.tanh(gx.random.normal(shape, dtype=m.dtype)), False)
    if choice == 1:
        return Drawn(gx.random.bernoulli(shape, 0.4), True)
    if choice == 2:
        return Drawn(gx.random.randint(shape, -3, 9), True)
    if choice == 3 and x.tensor.ndim:
        return Drawn(gx.random.permutation(x.tensor, axis=0), x.exact)
    if choice == 4:
        return Drawn(gx.tanh(gx.random.exponential(shape, dtype=m.dtype)), False)
    if choice == 5:
        return Drawn(gx.nn.dropout(x.tensor, 0.5, always=True) * 0.5, x.exact)
    if choice == 6:
        return Drawn(gx.tanh(gx.random.gumbel(shape, dtype=m.dtype)), False)
    return Drawn(gx.random.uniform(shape, -1.0, 1.0, dtype=m.dtype), False)


def matrix(m: Maker) -> Drawn | None:
    """Solutions and factors of well-conditioned square matrices."""
    x = m.pick(
        lambda v: (
            v.tensor.dtype.name in ("float32", "float64")
            and v.tensor.ndim >= 2
            and isinstance(v.tensor.shape[-1], int)
            and 0 < v.tensor.shape[-1] <= 5
        )
    )
    if x is None:
        return None
    t = gx.tanh(x.tensor)
    n = t.shape[-1]
    assert isinstance(n, int)
    gram = gx.matmul(gx.matrix_transpose(t), t) * 0.1 + gx.eye(n, dtype=t.dtype) * 3.0

    def attended() -> Tensor:
        causal = bool(m.rng.integers(2))
        return gx.nn.scaled_dot_product_attention(t, gram, gram, None, causal, store_weights=False)

    functions: list[Callable[[], Tensor]] = [
        lambda: gx.linalg.solve(gram, gx.matrix_transpose(t)[..., :1]),
        lambda: gx.linalg.cholesky(gram), lambda: gx.linalg.inv(gram),
        lambda: gx.linalg.slogdet(gram)[1],
        lambda: gx.linalg.solve_triangular(gram, gram, lower=bool(m.rng.integers(2))),
        lambda: gx.linalg.eigvalsh(gram), lambda: gx.linalg.svdvals(gram),
        lambda: gx.matmul(*gx.linalg.qr(gram)), attended,
        lambda: gx.grad(gx.sum(gx.tanh(attended())), t),
    ]  # fmt: skip
    return Drawn(gx.tanh(functions[m.rng.integers(len(functions))]()), False)


def slopes(m: Maker) -> Drawn | None:
    """Gradients of gradients, forward derivatives, mapped functions."""
    y = m.pick(lambda v: v.tensor.dtype.is_float and v.tensor.ndim <= 2)
    floats = [t for t in (*m.inputs, *m.parameters) if t.dtype.is_float]
    if y is None or not floats:
        return None
    x = floats[m.rng.integers(len(floats))]
    choice = m.rng.integers(3)
    if choice == 0:
        loss = gx.sum(gx.astype(gx.tanh(y.tensor), "float64"))
        first = gx.grad(loss, x, unreachable="zero")
        again = gx.grad(gx.sum(gx.tanh(first)), x, unreachable="zero")
        return Drawn(gx.tanh(again), False)
    if choice == 1:
        made = gx.jvp(y.tensor, [x], [gx.ones(x.shape, x.dtype)])
        return Drawn(gx.tanh(made), False)
    if not y.tensor.ndim:
        return None
    made = gx.vmap(lambda row: gx.tanh(row) * gx.sum(row))(y.tensor)
    return Drawn(gx.tanh(made), False)


def looked_up(m: Maker) -> Drawn | None:
    """Rows of a parameter, whose gradient is sparse."""
    tables = [p for p in m.parameters if p.ndim >= 1 and p.dtype.is_float]
    if not tables:
        return None
    table = tables[m.rng.integers(len(tables))]
    size = table.shape[0]
    assert isinstance(size, int)
    return Drawn(gx.tanh(gx.take(table, indices(m, size))), False)


def combined(m: Maker) -> Drawn | None:
    """A value with one of a shape that broadcasts."""
    x = m.number()
    if x is None:
        return None
    t = x.tensor
    y = m.pick(
        lambda v: (
            v.tensor.dtype == t.dtype
            and v.tensor.ndim <= t.ndim
            and all(b in (1, a) for a, b in zip(t.shape[::-1], v.tensor.shape[::-1]))
        )
    )
    if y is None:
        return None
    u = y.tensor
    functions: list[Callable[[], Tensor]] = [
        lambda: t + u, lambda: t - u, lambda: t * u, lambda: u - t, lambda: t * u + t,
        lambda: gx.maximum(t, u), lambda: t / (gx.abs(u) + 1.0), lambda: t * gx.sigmoid(u),
    ]  # fmt: skip
    return Drawn(gx.tanh(functions[m.rng.integers(8)]()), False)


SMOOTH = (
    special, special, reduced, running, product, product, window, image, looped, looped, drawn,
    matrix, slopes, looked_up, looked_up, combined, combined,
)  # fmt: skip
WINDOWS = convolved, window, image, matrix  # not for values that are infinite
