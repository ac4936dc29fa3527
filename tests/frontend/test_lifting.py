"""Arrays beside tensors: numpy's float64 does not spread through a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import DTypeError
from graphc.testing import assert_close

nn = gx.nn
C = np.array([0.485, 0.456, 0.406])
ROWS = np.ones((4, 3))

LIFTED: dict[str, Callable[[Any], Any]] = {
    "subtract": lambda x: x - C,
    "reflected": lambda x: C - x,
    "power": lambda x: x**C,
    "without axes": lambda x: x * np.array(0.5),
    "numpy number": lambda x: x * np.float64(0.5),
    "list of numpy numbers": lambda x: gx.add(x, [np.float64(0.1), np.float64(0.2), 0.3]),
    "matmul": lambda x: x @ np.ones((3, 2)),
    "reflected matmul": lambda x: ROWS @ x.T,
    "comparison": lambda x: gx.where(x < C, x, 0.0),
    "where": lambda x: gx.where(x > 0, x, C),
    "clip": lambda x: gx.clip(x, C, C + 1),
    "maximum": lambda x: gx.maximum(C, x),
    "concat": lambda x: gx.concat([x, np.ones((2, 3))]),
    "einsum": lambda x: gx.einsum("ni,ij->nj", x, np.ones((3, 4))),
    "view": lambda x: x * gx.flip(gx.expand_dims(C, 0), axis=1),
    "at": lambda x: x.at[0].set(C),
    "at a mask": lambda x: x.at[x[:, 0] > 0].add(C),
    "scatter_add": lambda x: gx.scatter_add(x, np.array([0]), C[None]),
    "scan": lambda x: gx.scan(lambda h, row: (h * 0.5 + row, h), np.zeros(3), x)[0],
    "rows of scan": lambda x: gx.scan(lambda h, r: (h + r, h), x[0], ROWS)[0],
    "checkpoint": lambda x: gx.scan(lambda h, r: (h + r, h), x[0], ROWS, checkpoint=2)[0],
    "while_loop": lambda x: gx.while_loop(
        lambda c: c[0] < 3, lambda c: (c[0] + 1, c[1] * c[2], c[2]), (0, x[0], C), 5
    )[1],
    "cond": lambda x: gx.cond(x[0, 0] > 0, lambda: x[0], lambda: C),
    "vmap": lambda x: gx.vmap(lambda a, b: a * b)(x[:1], ROWS[:1]),
    "vjp": lambda x: gx.vjp(x[0] * 2, x, C),
    "layer_norm": lambda x: nn.layer_norm(x, C, C),
    "group_norm": lambda x: nn.group_norm(x, 1, C, C),
    "batch_norm": lambda x: nn.batch_norm(x, C, C, mean=C, variance=C),
    "prelu": lambda x: nn.prelu(x, C),
    "conv": lambda x: nn.conv(x[None], np.ones((1, 3, 2))),
    "mse": lambda x: nn.mse(x[0], C),
    "kl_divergence": lambda x: nn.kl_divergence(x[0], C),
    "cross entropy": lambda x: nn.softmax_cross_entropy(x[0], C),
    "cosine": lambda x: nn.cosine_similarity(x, C),
    "attention": lambda x: nn.scaled_dot_product_attention(x, ROWS, ROWS, mask=np.zeros((1, 4))),
    "state": lambda x: nn.SimpleRNN(2)(x[:, None], initial_state=np.zeros(2)),
    "cell": lambda x: nn.rnn_cell(x, np.zeros(2), np.ones((3, 2)), np.ones((2, 2))),
    "solve": lambda x: gx.linalg.solve(np.eye(3), x[0]),
}


@pytest.mark.parametrize("function", LIFTED.values(), ids=LIFTED)
def test_arrays_take_the_dtype_of_tensors(function: Callable[[Any], Any]) -> None:
    x = gx.input("x", ("n", 3))
    y = function(x)
    assert y.dtype == gx.float32
    array = np.random.default_rng(0).random((4, 3))
    wide = gx.input("x", ("n", 3), dtype="float64")
    gx.seed(0)
    expected = function(wide)
    assert expected.dtype == gx.float64
    values = y.eval({x: array.astype("float32")})
    if "rnn" not in str(gx.summary(y)):  # weights have first values of their own dtype
        assert_close(values, expected.eval({wide: array}), tolerance="ulps", each=True, floor=1.0)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
def test_every_float_dtype(dtype: str, source: str) -> None:
    x = gx.input("x", (3,), dtype=dtype)
    for y in (x + C.astype(source), x * np.array(0.5, source), gx.minimum(C.astype(source), x)):
        assert y.dtype.name == dtype


def test_what_was_chosen_stays() -> None:
    x = gx.input("x", (3,))
    wide = gx.parameter("w", value=C)
    chosen = (
        gx.constant(C), gx.constant(0.5, "float64"), gx.asarray(C), gx.asarray(C, "float64"),
        gx.astype(C, "float64"), gx.linspace(0.0, 1.0, 3, dtype="float64"), wide,
    )  # fmt: skip
    for c in chosen:
        assert (x * c).dtype == (c * x).dtype == gx.float64
    assert gx.add(C, C).dtype == (gx.constant(C) + C.astype("float32")).dtype == gx.float64


def test_values_and_kinds_are_checked() -> None:
    x, i = gx.input("x", (3,)), gx.input("i", (3,), dtype="int32")
    with pytest.raises(DTypeError, match=r"multiply: 1e\+300 does not fit into float32") as caught:
        x * np.array([1e300, 1, 1])
    assert "test_lifting.py" in str(caught.value)
    assert (x * np.array([np.inf, np.nan, 1])).dtype == gx.float32
    with pytest.raises(DTypeError, match="no dtype holds both float32 and int64"):
        x * np.array([1, 2, 3])
    with pytest.raises(DTypeError, match="no dtype holds both int32 and float64"):
        i * C


def test_a_report_names_the_line_where_float64_begins() -> None:
    x = gx.input("x", ("n", 3))
    y = gx.tanh(x) - gx.constant(C)  # here
    z = y * x.astype("float64") + gx.sum(y)
    step = gx.compile([x], z)
    note = "float32 becomes float64: test_lifting.py:"
    assert step.report().count(note) == 1
    assert "# here" in step.report().splitlines()[-1]
    assert str(gx.summary(z)).count(note) == 1
    quiet = gx.compile([x], gx.tanh(x) - C)
    assert "becomes" not in quiet.report()


def test_usual_training_steps_have_no_note() -> None:
    x, t = gx.input("x", ("n", 8)), gx.input("t", ("n",), dtype="int32")
    net = nn.Sequential([nn.Dense(8), nn.BatchNorm(), nn.Dropout(0.5), nn.LSTM(3)])
    loss = nn.softmax_cross_entropy(net(x[:, None] * 2.0), t).mean()
    for optimizer in (gx.optim.AdamW(0.1), gx.optim.SGD(gx.schedules.cosine(0.1, 5), momentum=0.9)):
        step = gx.compile([x, t], loss, optimizer.minimize(loss, clip_norm=1.0))
        assert "becomes" not in step.report()
