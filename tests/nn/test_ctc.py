"""CTC against the sum over all alignments, and against torch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import special

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, RuntimeCheckError, ShapeError
from graphc.testing import assert_close

nn = gx.nn

TARGETS: tuple[dict[str, Any], ...] = (
    {"target": "interpret"},
    {"threads": 1},
    {"threads": 2},
)


def collapsed(path: tuple[int, ...], blank: int) -> list[int]:
    """What an alignment writes: repeats once, blanks not at all."""
    return [c for c, _ in itertools.groupby(path) if c != blank]


def every_alignment(logits: Any, labels: Any, time: int, count: int, blank: int = 0) -> float:
    """-log of the summed probability of all alignments of one example."""
    logs = special.log_softmax(logits.astype("float64"), axis=-1)[:time]
    wanted = list(labels[:count])
    total = 0.0
    for path in itertools.product(range(logits.shape[-1]), repeat=time):
        if collapsed(path, blank) == wanted:
            total += np.exp(sum(logs[t, c] for t, c in enumerate(path)))
    return -np.log(total) if total else np.inf


CASES = [
    # time, labels, classes, blank
    (5, 2, 3, 0), (4, 3, 4, 2), (1, 1, 2, 0), (3, 0, 3, 1), (6, 3, 2, 1), (2, 3, 3, 0),
    (0, 1, 2, 0),
]  # fmt: skip


@pytest.mark.parametrize("options", TARGETS, ids=str)
@pytest.mark.parametrize(("time", "count", "classes", "blank"), CASES)
def test_every_alignment(
    time: int, count: int, classes: int, blank: int, options: dict[str, Any]
) -> None:
    rng = np.random.default_rng(time * 100 + count)
    batch = 7
    logits = rng.normal(size=(batch, time, classes)) * 2
    labels = rng.integers(0, classes - 1, (batch, count))
    labels += labels >= blank
    times, counts = rng.integers(0, time + 1, batch), rng.integers(0, count + 1, batch)
    times[0], counts[0] = time, count
    x = gx.input("x", ("batch", time, classes), dtype="float64")
    t = gx.input("t", ("batch", count), dtype="int32")
    n, m = (gx.input(k, ("batch",), dtype="int32") for k in "nm")
    loss = nn.ctc(x, t, n, m, blank)
    values = gx.compile([x, t, n, m], loss, **options)(logits, labels, times, counts)
    expected = [every_alignment(*row, blank) for row in zip(logits, labels, times, counts)]
    assert_close(values, expected)
    whole = gx.compile([x, t], nn.ctc(x, t, blank=blank), **options)(logits, labels)
    expected = [every_alignment(*row, time, count, blank) for row in zip(logits, labels)]
    assert_close(whole, expected)


def test_gradients() -> None:
    rng = np.random.default_rng(0)
    array, labels = rng.normal(size=(3, 6, 4)), np.array([[1, 1], [2, 3], [1, 2]])
    x = gx.input("x", (3, 6, 4), dtype="float64")
    times, counts = np.array([6, 5, 3]), np.array([2, 2, 1])
    report = gx.check_gradients(nn.ctc(x, labels, times, counts).sum(), [x], {x: array})
    assert report.passed, report


def test_what_is_beyond_the_lengths_has_no_influence() -> None:
    rng = np.random.default_rng(1)
    array = rng.normal(size=(2, 5, 4))
    labels = np.array([[1, 2, -1], [3, 99, 0]])
    x = gx.input("x", (2, 5, 4), dtype="float64")
    loss = nn.ctc(x, labels, np.array([3, 5]), np.array([2, 1]))
    both = gx.compile([x], [loss, gx.grad(loss.sum(), x)])
    values, gradient = both(array)
    assert (gradient[0, 3:] == 0).all()
    assert (gradient[0, :3] != 0).all()
    array[0, 3:] = 1e3
    np.testing.assert_array_equal(both(array)[0], values)


def test_no_alignment_is_an_infinite_loss_without_gradient() -> None:
    x = gx.input("x", (2, 2, 3))
    loss = nn.ctc(x, np.array([[1, 1], [1, 2]]))  # two equal labels need a blank between
    values, gradient = gx.compile([x], [loss, gx.grad(loss.sum(), x)])(np.zeros((2, 2, 3), "f4"))
    assert values[0] == np.inf
    assert_close(values[1], 2 * np.log(3), tolerance="ulps")
    np.testing.assert_array_equal(gradient[0], 0)
    assert_close(gradient[1].sum(), 0, tolerance="ulps", each=True, floor=1.0)
    assert (gradient[1] != 0).any()


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_large_logits_and_long_sequences(dtype: str) -> None:
    rng = np.random.default_rng(2)
    array = (rng.normal(size=(2, 200, 5)) * 20).astype("float32")
    labels = rng.integers(1, 5, (2, 30)).astype("int32")
    x = gx.input("x", (2, "time", 5))
    values = gx.compile([x], nn.ctc(x.astype(dtype), labels).astype("float32"))(array)
    double = gx.input("d", (2, "time", 5), dtype="float64")
    expected = gx.compile([double], nn.ctc(double, labels), target="interpret")(array)
    assert_close(values, expected, dtype, each=True)


def test_training_learns_an_alignment() -> None:
    gx.seed(0)
    rng = np.random.default_rng(3)
    labels = rng.integers(1, 5, (16, 3)).astype("int32")
    heard = np.stack([labels, 0 * labels], axis=2).reshape(16, 6)  # silence after every label
    frames = np.eye(5, dtype="float32")[heard]
    x, t = gx.input("x", ("batch", 6, 5)), gx.input("t", ("batch", 3), dtype="int32")
    model = nn.Sequential([nn.Dense(16, "relu"), nn.Dense(5)])
    loss = nn.ctc(model(x), t).mean()
    step = gx.compile([x, t], loss, gx.optim.Adam(0.03).minimize(loss))
    first = step(frames, labels)
    for _ in range(200):
        last = step(frames, labels)
    assert last < 0.05 * first


def test_what_is_out_of_range_fails() -> None:
    x, t = gx.input("x", (2, 5, 4)), gx.input("t", (2, 2), dtype="int32")
    n, m = (gx.input(k, (2,), dtype="int32") for k in "nm")
    loss = gx.compile([x, t, n, m], nn.ctc(x, t, n, m))
    logits, labels = np.zeros((2, 5, 4), "f4"), np.array([[1, 2], [3, 1]], "i4")
    loss(logits, labels, [5, 0], [2, 0])
    with pytest.raises(RuntimeCheckError, match="a label is outside 0 to 3, or the blank, 0"):
        loss(logits, labels * 0, [5, 5], [2, 2])
    with pytest.raises(RuntimeCheckError, match="a label is outside"):
        loss(logits, labels + 1, [5, 5], [2, 2])
    with pytest.raises(RuntimeCheckError, match="one of the logit_lengths is outside 0 to 5"):
        loss(logits, labels, [5, 6], [2, 2])
    with pytest.raises(RuntimeCheckError, match="one of the label_lengths is outside 0 to 2"):
        loss(logits, labels, [5, 5], [-1, 2])


def test_what_does_not_fit_is_refused() -> None:
    x, t = gx.input("x", (2, 5, 4)), gx.input("t", (2, 2), dtype="int32")
    with pytest.raises(ShapeError, match=r"logits must be floats .* got f32\[2,2\]") as caught:
        nn.ctc(gx.input("y", (2, 2)), t)
    assert "test_ctc.py" in str(caught.value)
    with pytest.raises(DTypeError, match=r"ctc: labels must be integers, got f32\[2,5,4\]"):
        nn.ctc(x, x)
    with pytest.raises(ShapeError, match=r"labels must be \(2, labels\) .* got i32\[3,2\]"):
        nn.ctc(x, gx.input("u", (3, 2), dtype="int32"))
    with pytest.raises(ShapeError, match="the number of classes must be known"):
        nn.ctc(gx.input("y", (2, 5, "c")), t)
    with pytest.raises(ArgumentError, match="blank must be one of the 4 classes, got 4"):
        nn.ctc(x, t, blank=4)
    with pytest.raises(ShapeError, match=r"logit_lengths must have shape \(2,\), got i64\[3\]"):
        nn.ctc(x, t, np.array([1, 2, 3]))
    with pytest.raises(DTypeError, match=r"label_lengths must be integers, got f64\[2\]"):
        nn.ctc(x, t, None, np.array([1.0, 2.0]))


def test_beside_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    array = rng.normal(size=(6, 12, 7)).astype("float32")
    labels = rng.integers(1, 7, (6, 4))
    times, counts = np.array([12, 9, 8, 12, 10, 8]), np.array([4, 0, 3, 1, 4, 2])
    x = gx.input("x", (6, 12, 7))
    loss = nn.ctc(x, labels, times, counts)
    values, gradient = gx.compile([x], [loss, gx.grad(loss.sum(), x)])(array)
    given = torch.tensor(array, requires_grad=True)
    theirs = torch.nn.functional.ctc_loss(
        torch.log_softmax(given, -1).transpose(0, 1), torch.tensor(labels),
        torch.tensor(times), torch.tensor(counts), reduction="none",
    )  # fmt: skip
    theirs.sum().backward()
    assert_close(values, theirs.detach().numpy())
    assert_close(gradient, given.grad.numpy(), each=True, floor=5.0)
