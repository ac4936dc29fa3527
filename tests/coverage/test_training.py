"""What courses say of training: ensembles, averages, stopping, seeds, depth, samples of classes."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx

nn = gx.nn
EXAMPLES = Path(__file__).parent.parent.parent / "examples"
Build = Callable[[], Any]


def everything() -> tuple[Any, Any]:
    """All digits."""
    (x, y), (test, labels) = gx.data.digits()
    return np.concatenate([x, test]), np.concatenate([y, labels])


class Members:
    """Models of different seeds that are trained in one step."""

    def __init__(self, build: Build, k: int, features: int, rate: float) -> None:
        self.x = gx.input("x", ("batch", features))
        t = gx.input("t", ("batch",), "int32")
        self.net = gx.ensemble(build, k)
        self.logits = self.net(self.x)
        labels = gx.broadcast_to(t, (k, t.shape[0]))
        losses = nn.softmax_cross_entropy(self.logits, labels).mean(axis=1)
        updates = gx.optim.Adam(rate).minimize(losses.sum())
        self.step = gx.compile([self.x, t], losses, updates, threads=1)

    def trained(self, x: Any, y: Any, epochs: int, batch: int) -> Any:
        """The losses of the members in the last step."""
        for seed in range(epochs):
            losses = self.step.run_epoch([x, y], batch_size=batch, seed=seed)
        return losses[-1]

    def scores(self, x: Any) -> Any:
        """Shares of the classes (members, batch, classes)."""
        return gx.compile([self.x], nn.softmax(self.logits), threads=1)(x)


def test_an_ensemble_is_about_two_percent_better_than_its_members() -> None:
    gx.seed(0)
    x, y = everything()
    rows = np.random.default_rng(0).permutation(len(x))
    learned, tested = rows[:200], rows[200:]
    many = Members(lambda: gx.models.mlp([8]), 8, 64, 0.01)
    many.trained(x[learned], y[learned], 60, 32)
    shares = many.scores(x[tested])
    alone = (shares.argmax(-1) == y[tested]).mean()
    together = (shares.mean(0).argmax(-1) == y[tested]).mean()
    assert together > alone + 0.02  # 0.032 to 0.084 over five seeds


def test_averaged_weights_are_better_than_those_of_a_noisy_step() -> None:
    gx.seed(0)
    x, y = everything()
    net = gx.models.mlp([32], activation="tanh")
    inputs, t = gx.input("x", ("batch", 64)), gx.input("t", ("batch",), "int32")
    loss = nn.softmax_cross_entropy(net(inputs), t).mean()
    updates = gx.optim.SGD(0.5).minimize(loss)
    averages = gx.ema(updates, 0.995)
    step = gx.compile([inputs, t], loss, [updates, averages], threads=1)
    both = [loss, gx.substitute(loss, averages.of)]
    check = gx.compile([inputs, t], both, mode="inference", threads=1)
    found = []
    for seed in range(10):
        step.run_epoch([x[:600], y[:600]], batch_size=4, seed=seed)
        found.append(check(x[600:], y[600:]))
    last, average = np.mean(found[5:], axis=0)
    assert average < 0.9 * last  # 0.48 to 0.86 over five seeds


def test_stopping_early_helps_where_labels_are_wrong() -> None:
    """Three of ten labels are guesses, which a network of 128 units learns by heart."""
    x, y = everything()
    rng = np.random.default_rng(0)
    rows = rng.permutation(len(x))
    learned, watched, tested = rows[:200], rows[200:500], rows[500:]
    wrong = rng.random(200) < 0.3
    labels = np.where(wrong, rng.integers(0, 10, 200), y[learned]).astype("int32")
    accuracies = []
    for callbacks in ([gx.callbacks.EarlyStopping("val_loss", patience=5)], []):
        gx.seed(0)
        net = gx.models.mlp([128])
        net.compile(gx.optim.Adam(5e-3), "softmax_cross_entropy", ["accuracy"], threads=1)
        history = net.fit(
            x[learned], labels, epochs=60, callbacks=callbacks, verbose=False, seed=0,
            validation_data=(x[watched], y[watched]),
        )  # fmt: skip
        accuracies.append(net.evaluate(x[tested], y[tested])["accuracy"])
        assert (history.epochs < 50) == bool(callbacks)
    assert accuracies[0] > accuracies[1] + 0.03  # 0.07 to 0.14 over five seeds


def spread(units: int, points: Any, k: int = 12) -> tuple[float, float]:
    """How far apart the losses of seeds end, and the largest of them."""
    gx.seed(0)
    members = Members(lambda: nn.Sequential([nn.Dense(units, "tanh"), nn.Dense(2)]), k, 2, 0.03)
    losses = members.trained(*points, epochs=300, batch=300)
    return float(np.ptp(losses)), float(losses.max())


def test_seeds_reach_like_losses_in_larger_nets() -> None:
    points = gx.data.synthetic.playground("xor", 300)
    (small, worst), (large, best) = spread(2, points), spread(50, points)
    assert small > 0.1
    assert large < small / 5  # 7 to 20 times over five seeds
    assert best < worst / 4


def test_deep_beats_wide_at_equal_numbers_of_parameters() -> None:
    points = gx.data.synthetic.playground("spiral", 400, noise=0.02)
    ends, counts = [], []
    for units in ([24, 24, 24], [260]):
        gx.seed(0)
        members = Members(lambda units=units: gx.models.mlp(units, 2), 5, 2, 0.01)
        ends.append(members.trained(*points, epochs=400, batch=400))
        counts.append(sum(p.size for p in members.net.parameters) // 5)
    assert abs(counts[0] / counts[1] - 1) < 0.02
    assert ends[0].max() < ends[1].min() / 3  # every deep one beats every wide one


def test_a_change_of_fewer_than_30_samples_is_noise() -> None:
    """Two equal nets of other seeds differ by less, mostly; the report says what that is."""
    (x, y), (test, labels) = gx.data.digits()
    found = []
    for seed in range(3):
        gx.seed(seed)
        net = gx.models.logistic()
        net.compile(gx.optim.Adam(0.02), "softmax_cross_entropy", ["accuracy"], threads=1)
        net.fit(x, y, epochs=6, verbose=False, seed=seed)
        found.append(net.evaluate(test, labels))
    assert found[0].examples == len(test)
    assert np.ptp([e["accuracy"] for e in found]) < 30 / len(test)
    assert "of 359 examples: a change of fewer than 30 (0.084) is noise" in repr(found[0])


def test_a_sampled_softmax_is_further_after_the_same_arithmetic() -> None:
    """2000 classes, as frequent as words are, in 50 contexts: sixteen times the examples."""
    classes, rng = 2000, np.random.default_rng(0)
    k = np.arange(classes)
    frequency = np.log(np.log((k + 2) / (k + 1)) / np.log(classes + 1))
    scores = frequency + rng.normal(size=(50, 4)) @ rng.normal(size=(4, classes))
    ends = np.cumsum(np.exp(scores), axis=1)
    context = rng.integers(0, 50, 32_000).astype("int32")
    drawn = rng.random(32_000) * ends[context, -1]
    label = np.array([np.searchsorted(ends[c], d) for c, d in zip(context, drawn)], "int32")

    def trained(samples: int | None, count: int) -> tuple[float, float]:
        gx.seed(0)
        c, t = gx.input("c", (100,), "int32"), gx.input("t", (100,), "int32")
        vectors = nn.Embedding(50, 8)
        table = gx.parameter("table", (classes, 8), gx.init.normal(std=0.1))
        bias = gx.parameter("bias", value=frequency.astype("float32"))
        h = vectors(c)
        if samples is None:
            loss = nn.softmax_cross_entropy(h @ table.T + bias, t).mean()
        else:
            loss = nn.sampled_softmax(h, table, t, samples, bias).mean()
        step = gx.compile([c, t], loss, gx.optim.Adagrad(0.1).minimize(loss), threads=1)
        step.run_epoch([context[:count], label[:count]], batch_size=100, seed=0)
        logits = vectors.parameters[0].value @ table.value.T + bias.value
        logs = scores - np.log(ends[:, -1:])
        divergence = (np.exp(logs) * (logs - logits)).sum(1) + np.log(np.exp(logits).sum(1))
        return step.cost.flops * count, float(divergence.mean())

    (whole, slow), (few, fast) = trained(None, 2000), trained(100, 32_000)
    assert few < whole
    assert fast < 0.7 * slow  # 0.37 to 0.49 times over five seeds


def test_cosines_find_words_that_are_alike_where_distances_find_those_that_are_as_frequent() -> (
    None
):
    """Vectors of co-occurrence: their direction is what a word means, their length how often."""
    rng = np.random.default_rng(0)
    topics = np.repeat(np.arange(10), 12)
    lengths = 100.0 ** rng.random(120)  # as words are frequent or rare
    meaning = np.eye(10)[topics] + 0.15 * rng.normal(size=(120, 10))
    vectors = gx.constant((meaning * lengths[:, None]).astype("float32"))
    unit = nn.l2_normalize(vectors)
    squares = (vectors**2).sum(1)
    far = squares[:, None] + squares - 2.0 * vectors @ vectors.T
    itself = 1e6 * gx.eye(120)
    nearest = gx.compile(
        [], [gx.topk(unit @ unit.T - itself, 5)[1], gx.topk(-far - itself, 5)[1]]
    )()
    cosine, distance = ((topics[rows] == topics[:, None]).mean() for rows in nearest)
    assert cosine > 0.9
    assert cosine > distance + 0.1  # 0.15 to 0.18 over five seeds


@pytest.mark.slow
def test_tsne_keeps_neighbourhoods_that_two_principal_components_do_not(
    monkeypatch: Any,
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    program = runpy.run_path(str(EXAMPLES / "tsne.py"))
    (x, _), _ = gx.data.digits()
    x = x[:300]
    mapped, _ = program["tsne"](x, 20.0, 300)
    centred = x - x.mean(0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T

    def near(points: Any) -> Any:
        d = ((points[:, None] - points) ** 2).sum(-1) + 1e9 * np.eye(len(points))
        return np.argsort(d, axis=1)[:, :10]

    kept = [
        np.mean([len(set(a) & set(b)) / 10 for a, b in zip(near(x), near(other))])
        for other in (mapped, plane)
    ]
    assert kept[0] > 0.45
    assert kept[0] > kept[1] + 0.15
