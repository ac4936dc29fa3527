"""Ways of working: a search in one run, careful sums, the examples that excite a unit."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from graphc.testing import assert_close

nn = gx.nn


def test_a_million_millionths_beside_a_billion() -> None:
    """(10^9 + 10^6 * 10^-6) - 10^9 is 0.95 one by one; beside 1 it is right, and compensated."""
    start = gx.input("start", (), "float64")
    one_by_one = gx.scan(lambda s, _: (s + 1e-6, None), start, length=10**6)[0] - start
    counted = gx.compile([start], one_by_one, threads=1)
    assert counted(np.float64(1e9)) == 0.95367431640625
    assert_close(counted(np.float64(1.0)), 1.0, tolerance="sums")
    terms = gx.input("terms", ("n",), "float64")
    careful = gx.compile([terms], gx.compensated_sum(terms), threads=1)
    found = careful(np.r_[1e9, np.full(10**6, 1e-6), -1e9])
    assert_close(found, 1.0, tolerance="sums")


def test_a_search_for_the_rate_is_one_run() -> None:
    """Six rates are six members of one step, which the validation tells apart."""
    rates = [10.0, 1.0, 0.1, 0.01, 1e-3, 1e-4]
    gx.seed(0)
    (x, y), (test, labels) = gx.data.digits()
    inputs, t = gx.input("x", ("batch", 64)), gx.input("t", ("batch",), "int32")
    logits = gx.ensemble(lambda: gx.models.mlp([16]), 6)(inputs)
    many = gx.broadcast_to(t, (6, t.shape[0]))
    losses = nn.softmax_cross_entropy(logits, many).mean(axis=1)
    updates = gx.optim.Adam(rates).minimize(losses.sum())
    step = gx.compile([inputs, t], losses, updates, threads=1)
    for seed in range(3):
        step.run_epoch([x, y], batch_size=32, seed=seed)
    right = (gx.argmax(logits, axis=-1) == t).astype("float32").mean(axis=1)
    accuracy = gx.compile([inputs, t], right, mode="inference", threads=1)(test, labels)
    assert rates[int(accuracy.argmax())] in (0.1, 0.01)
    assert accuracy.max() > 0.9
    assert accuracy[0] < 0.5
    assert accuracy[-1] < 0.5


def test_the_examples_that_excite_a_unit_are_found() -> None:
    """One unit looks for a bright first row: the search of the data set brings these, sorted."""
    rng = np.random.default_rng(0)
    images = rng.random((200, 6, 6)).astype("float32")
    bright = rng.permutation(200)[:5]
    images[bright, 0] += np.arange(1, 6)[:, None]
    x = gx.input("x", (gx.dim("batch", min=5), 6, 6))
    layer = nn.Dense(3, "relu")
    activation = layer(nn.Flatten()(x))
    kernel = np.zeros((36, 3), "float32")
    kernel[:6, 1] = 1.0
    layer.parameters[0].value = kernel
    values, rows = gx.compile([x], gx.topk(activation[:, 1], 5))(images)
    np.testing.assert_array_equal(rows, bright[::-1])
    assert_close(values, images[rows, 0].sum(1))


def pipeline(modules: int, right: float, count: int, rng: Any) -> float:
    """How often a chain of modules that are each right so often is right as a whole."""
    return float((rng.random((count, modules)) < right).all(axis=1).mean())


def test_errors_of_modules_of_99_percent_accumulate_and_end_to_end_does_better() -> None:
    """A reader of digits before an adder that takes what it says: hard answers pass on its errors.

    Trained as one, on sums alone, the same two modules make fewer.
    """
    found = pipeline(10, 0.99, 100_000, np.random.default_rng(0))
    assert abs(found - 0.99**10) < 0.005  # 0.904
    gx.seed(0)
    (x, y), (test, labels) = gx.data.digits()
    rng = np.random.default_rng(0)
    reader = gx.models.mlp([32])
    image, label = gx.input("image", ("batch", 64)), gx.input("label", ("batch",), "int32")
    loss = nn.softmax_cross_entropy(reader(image), label).mean()
    alone = gx.compile([image, label], loss, gx.optim.Adam(5e-3).minimize(loss), threads=1)
    for seed in range(8):
        alone.run_epoch([x[:300], y[:300]], batch_size=32, seed=seed)
    first, second = gx.input("first", ("batch", 64)), gx.input("second", ("batch", 64))
    total = gx.input("total", ("batch",), "int32")
    shares = [nn.softmax(reader(v)) for v in (first, second)]
    places = np.add.outer(np.arange(10), np.arange(10))
    adder = (places[:, :, None] == np.arange(19)).astype("float32")
    sums = gx.einsum("bi,bj,ijk->bk", *shares, gx.constant(adder))
    joint_loss = nn.sparse_categorical_crossentropy(sums, total).mean()
    joint = gx.compile(
        [first, second, total], joint_loss, gx.optim.Adam(2e-3).minimize(joint_loss), threads=1
    )
    digits = [gx.argmax(s, axis=-1) for s in shares]
    outputs = [(digits[0] + digits[1]), gx.argmax(sums, axis=-1)]
    check = gx.compile([first, second], outputs, mode="inference", threads=1)
    a, b = rng.integers(0, len(test), (2, 2000))
    truth = labels[a] + labels[b]

    def accuracies() -> list[float]:
        return [float((found == truth).mean()) for found in check(test[a], test[b])]

    hard, _ = accuracies()
    one = float((gx.compile([image], gx.argmax(reader(image), axis=-1))(test) == labels).mean())
    assert hard < one - 0.03  # two errors add up
    i, j = rng.integers(0, len(x), (2, 6000))
    for seed in range(3):
        joint.run_epoch([x[i], x[j], y[i] + y[j]], batch_size=32, seed=seed)
    assert accuracies()[1] > hard + 0.03
