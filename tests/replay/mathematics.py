"""Functions of arrays with their gradients: loops, sorts, matrices, signals, losses, draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import graphc as gx

from .registry import CASES, case, slow_case

__all__ = ["CASES"]
nn = gx.nn


def each(inputs: list[Any], values: list[Any], derive: Any = None) -> None:
    """Compile every value, and its gradient by the inputs that `derive` names (all)."""
    for value in values:
        wanted = inputs if derive is None else derive
        loss = gx.sum(value * value)
        gx.compile(inputs, [value, *gx.grad(loss, wanted)])


@case
def loops() -> None:
    """Scans, while loops and choices, differentiated."""
    x, n = gx.input("x", ("batch", 12, 4)), gx.input("n", (), dtype="int32")
    w = gx.parameter("w", (4, 4), gx.init.orthogonal())
    steps = gx.permute_dims(x, (1, 0, 2))
    start = gx.zeros((x.shape[0], 4))

    def cell(h: Any, row: Any) -> Any:
        h = gx.tanh(h @ w + row)
        return h, h

    for options in ({}, {"reverse": True}, {"checkpoint": "sqrt"}, {"truncate": 4}):
        h, hs = gx.scan(cell, start, steps, **options)
        loss = (h * h).mean() + hs.mean()
        gx.compile([x], loss, {w: w - gx.grad(loss, w)}, name="scan")
    total = gx.while_loop(
        lambda s: gx.sum(s) < 100.0, lambda s: s * 1.5 + 0.1, x[:, 0], max_steps=20
    )
    chosen = gx.cond(n > 3, lambda v: gx.sin(v), lambda v: v @ w, x)
    for value in (total, chosen):
        loss = gx.sum(value * value)
        gx.compile([x, n], [loss, gx.grad(loss, x)])


@case
def sorting() -> None:
    """Sorts, the largest, cumulative sums, places."""
    x = gx.input("x", ("batch", 37))
    i = gx.input("i", ("batch", 5), dtype="int32")
    values = [
        gx.sort(x), gx.sort(x, descending=True), gx.topk(x, 5)[0], gx.topk(x, 3, largest=False)[0],
        gx.cumulative_sum(x, axis=1), gx.cumulative_prod(x, axis=1), gx.cumulative_max(x, axis=1),
        gx.take_along_axis(x, i, axis=1), gx.max(x, axis=0), gx.logsumexp(x, axis=1),
        gx.roll(x, 3, axis=1), gx.flip(x), gx.repeat(x, 2, axis=1), gx.concat([x, x * 2], axis=1),
        gx.pad(x, ((0, 0), (2, 3))), gx.diff(x), gx.std(x, axis=1), gx.prod(x, axis=1),
        gx.take(x, i[0], axis=1), gx.where(x > 0, x, -x), gx.tril(x @ gx.matrix_transpose(x)),
    ]  # fmt: skip
    each([x, i], values, [x])
    gx.compile([x], [gx.argsort(x), gx.argmax(x, axis=1), gx.searchsorted(gx.sort(x[0]), x[0])])


@slow_case
def matrices() -> None:
    """Factorisations and solutions of square matrices and of tall ones."""
    x, b = gx.input("x", (3, 6, 6)), gx.input("b", (3, 6, 2))
    spd = x @ gx.matrix_transpose(x) + 6.0 * gx.eye(6)
    lin = gx.linalg
    values = [
        lin.cholesky(spd), lin.eigh(spd)[0], lin.svd(x, full_matrices=False)[1], lin.qr(x)[1],
        lin.inv(spd), lin.det(spd), lin.slogdet(spd)[1], lin.pinv(x), lin.matrix_power(x, 3),
        lin.svdvals(x), lin.matrix_norm(x), lin.vector_norm(x, axis=-1),
    ]  # fmt: skip
    each([x], values)
    each([x, b], [lin.solve(spd, b), lin.solve_triangular(spd, b, lower=True)])
    tall = gx.input("tall", (9, 4))
    gx.compile([tall], [*lin.qr(tall), *lin.svd(tall, full_matrices=False)])
    gx.compile([x], list(lin.eigh(spd)))


@slow_case
def signals() -> None:
    """Fourier transforms of several sizes."""
    for size in (8, 12, 30, 17):
        x = gx.input("x", ("batch", size))
        y = gx.fft.rfft(x)
        each([x], [y.real * y.imag, gx.fft.irfft(y, size)])
    x = gx.input("x", (2, 8, 12))
    z = gx.fft.fft2(x)
    each([x], [z.real + z.imag])
    s = gx.input("s", (2, 64))
    y = gx.fft.stft(s, 16, 8)
    each([s], [y.real * y.imag])


@case
def losses() -> None:
    """Every loss with its gradient."""
    x, y = gx.input("x", ("batch", 6)), gx.input("y", ("batch", 6))
    t = gx.input("t", ("batch",), dtype="int32")
    pairs: list[Callable[[Any, Any], Any]] = [
        nn.mse, nn.mae, nn.huber, nn.sigmoid_cross_entropy, nn.cosine_distance,
        nn.hinge,
    ]  # fmt: skip
    each([x, y], [f(x, y) for f in pairs], [x])
    each([x, y], [nn.kl_divergence(nn.softmax(x), nn.softmax(y))], [x])
    each([x, t], [nn.softmax_cross_entropy(x, t)], [x])
    gx.compile([x, t], [nn.accuracy(x, t), nn.top_k_accuracy(x, t, 3)])
    logits, marks = gx.input("l", (3, 11, 5)), gx.input("m", (3, 4), dtype="int32")
    each([logits, marks], [nn.ctc(logits, marks)], [logits])


@case
def activations() -> None:
    """Every activation with its gradient."""
    x = gx.input("x", ("batch", 18))
    functions = (
        nn.relu, nn.sigmoid, nn.tanh, nn.softmax, nn.log_softmax, nn.gelu, nn.silu, nn.mish,
        nn.elu, nn.selu, nn.celu, nn.leaky_relu, nn.softplus, nn.softsign, nn.hard_sigmoid,
        nn.hard_silu, nn.hard_tanh, nn.log_sigmoid, nn.glu, gx.erf, gx.lgamma, gx.digamma,
        nn.layer_norm, nn.rms_norm, nn.l2_normalize,
    )  # fmt: skip
    each([x], [f(x) for f in functions])


@case
def draws() -> None:
    """Random numbers of every kind, in a training step too."""
    r = gx.random
    x = gx.input("x", ("batch", 7))
    shape = x.shape
    values = [
        r.uniform(shape), r.normal(shape), r.bernoulli(shape, 0.3), r.randint(shape, 9),
        r.exponential(shape), r.gumbel(shape), r.gamma(shape, 2.5), r.truncated_normal(shape),
        r.categorical(x), r.permutation(x),
    ]  # fmt: skip
    for value in values:
        gx.compile([x], value)
    w = gx.parameter("w", (7, 7), gx.init.he_normal())
    y = nn.dropout(x @ nn.dropconnect(w, 0.2), 0.5) + 0.1 * r.normal(shape)
    loss = (y * y).mean()
    gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss))


@case
def derivatives() -> None:
    """Second derivatives, forward mode, batching."""
    x, v = gx.input("x", (9,)), gx.input("v", (9,))
    y = gx.sum(gx.exp(gx.sin(x)) * gx.cumulative_sum(x, axis=0))
    gx.compile([x, v], [gx.hessian(y, x), gx.hvp(y, x, v)])
    gx.compile([x, v], gx.jvp(gx.tanh(x) * gx.sum(x), [x], [v]))
    m = gx.input("m", ("batch", 9))
    gx.compile([m], gx.vmap(lambda row: gx.sort(row * 2.0) - gx.logsumexp(row))(m))


@slow_case
def decoding() -> None:
    """Tokens one after the other."""
    first = gx.input("first", ("rows",), dtype="int32")
    table, cell = nn.Embedding(20, 8), nn.Dense(8, activation="tanh")
    scores = nn.Dense(20)

    def step(token: Any, h: Any) -> Any:
        h = cell(gx.concat([table(token), h], axis=1))
        return scores(h), h

    start = [gx.zeros((first.shape[0], 8))]
    gx.compile([first], list(gx.decode.greedy(step, first, start, length=6)))
    gx.compile([first], list(gx.decode.beam_search(step, first, start, length=6, beams=3)))
    gx.compile([first], list(gx.decode.sample(step, first, start, length=6, top_k=4)))
