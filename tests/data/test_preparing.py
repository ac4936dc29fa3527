"""Parts, checks, padding, standardising: what is done to data before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphc as gx
from graphc import data
from graphc.errors import ArgumentError, ShapeError
from graphc.testing import assert_close

LABELS = st.lists(st.integers(0, 4), min_size=10, max_size=60)


# -- parts


@given(LABELS, st.integers(2, 10), st.integers(0, 3))
def test_k_fold_deals_every_example_once(labels: list[int], k: int, seed: int) -> None:
    y = np.array(labels)
    folds = list(data.k_fold(np.arange(len(y)), y, k, seed))
    assert len(folds) == k
    held = np.concatenate([second for _, (second, _) in folds])
    assert sorted(held) == list(range(len(y)))
    sizes = [len(second) for _, (second, _) in folds]
    assert max(sizes) - min(sizes) <= 1
    counts = np.array([np.bincount(b, minlength=5) for _, (_, b) in folds])
    assert (np.ptp(counts, axis=0) <= 1).all()
    for (first, first_y), (second, _) in folds:
        assert sorted([*first, *second]) == list(range(len(y)))
        np.testing.assert_array_equal(y[first], first_y)


def test_k_fold_depends_on_the_seed_alone_and_says_what_it_needs() -> None:
    x = np.arange(20)
    first, again, other = (
        [tuple(b) for _, (b, _) in data.k_fold(x, x / 2, 4, seed)] for seed in (1, 1, 2)
    )
    assert first == again != other
    for k in (1, 21, True, 2.0):
        with pytest.raises(ArgumentError, match="k must be from 2 to 20"):
            data.k_fold(x, x, k)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="20 examples but 3 labels"):
        data.k_fold(x, x[:3], 2)


def test_three_way() -> None:
    y = np.repeat([0, 1, 2], [100, 60, 40])
    parts = data.three_way(np.arange(200), y, 0.15, 0.25, seed=3)
    assert [len(x) for x, _ in parts] == [120, 30, 50]
    assert sorted(np.concatenate([x for x, _ in parts])) == list(range(200))
    assert [np.bincount(t).tolist() for _, t in parts] == [[60, 36, 24], [15, 9, 6], [25, 15, 10]]
    np.testing.assert_array_equal(parts[2][0], data.split(np.arange(200), y, 0.25, 3)[1][0])
    with pytest.raises(ArgumentError, match="leave something to train with"):
        data.three_way(y, y, 0.5, 0.5)


# -- checks


def kinds(report: data.Report) -> set[str]:
    return {p.kind for p in report.problems}


def test_good_data_is_good() -> None:
    (x, y), _ = data.digits()
    report = data.check(x + np.random.default_rng(0).normal(0, 0.1, x.shape), y, classes=10)
    assert report.problems == ()
    assert report.ok
    assert str(report) == "1438 examples\nnothing wrong"
    report.require()


def test_bad_numbers_are_named_with_their_rows() -> None:
    x = np.random.default_rng(0).normal(0, 1, (100, 3))
    x[[7, 9], 1], x[50, 2] = np.nan, -np.inf
    report = data.check(x, np.zeros(99))
    assert kinds(report) == {"nan", "infinite", "count"}
    nan = next(p for p in report.problems if p.kind == "nan")
    assert nan.where == (7, 9)
    assert nan.message == "x has 2 nan values, the first at x[7, 1]; rows 7, 9"
    assert not report.ok
    with pytest.raises(ArgumentError, match=r"bad data: x has 2 nan values.*and 2 more"):
        report.require()


@pytest.mark.parametrize(
    ("x", "y", "expected", "ok"),
    [
        (np.array([["a"]]), None, {"dtype"}, False),
        (np.zeros((0, 3)), np.zeros(0, int), {"empty"}, False),
        (np.array(1.0), None, {"empty"}, False),
        (np.c_[np.arange(9.0), np.ones(9)], None, {"constant"}, True),
        (np.c_[np.arange(9.0), np.arange(9.0) * 1e4], None, {"scale"}, True),
        (np.arange(9.0), np.array([0, 1, 2] * 3) - 1, {"label", "absent"}, False),
        (np.arange(9.0), np.array([0, 1, 3] * 3), {"absent", "label"}, False),
        (np.arange(9.0), np.array([1, 1, 1] * 3), {"absent", "single"}, True),
        (np.arange(48.0), np.eye(3, dtype=int)[[0] * 44 + [1, 1, 2, 2]], {"imbalance"}, True),
        (np.arange(3.0), np.array([1.5, np.nan, 2.0]), {"nan"}, False),
        (np.arange(3.0), np.array([100, 2000, 31]), set(), True),  # counts, no labels
    ],
)
def test_problems(x: Any, y: Any, expected: set[str], ok: bool) -> None:
    report = data.check(x, y, classes=3 if "label" in expected else None)
    assert (kinds(report), report.ok) == (expected, ok)


# -- padding


@given(
    st.lists(st.lists(st.integers(-5, 5), max_size=9), min_size=1, max_size=8), st.integers(1, 4)
)
def test_pad_keeps_what_the_mask_shows(sequences: list[list[int]], multiple: int) -> None:
    x, mask = data.pad(sequences, value=9, multiple=multiple)
    assert x.shape == mask.shape
    assert x.shape[1] % multiple == 0
    assert [row[kept].tolist() for row, kept in zip(x, mask)] == sequences
    assert (x[~mask] == 9).all()


def test_pad_of_vectors_and_lengths() -> None:
    x, mask = data.pad([np.ones((2, 3), np.float32), np.ones((4, 3), np.float32)], 5)
    assert (x.shape, x.dtype, mask.sum()) == ((2, 5, 3), np.float32, 6)
    assert data.pad([[1, 2, 3]], 2, truncate=True)[0].tolist() == [[1, 2]]
    assert data.pad([])[0].shape == (0, 0)
    with pytest.raises(ArgumentError, match="sequence 1 has 3 elements, more than length=2"):
        data.pad([[1], [1, 2, 3]], 2)
    with pytest.raises(ShapeError, match=r"sequence 1 have shape \(2,\), others \(3,\)"):
        data.pad([np.ones((2, 3)), np.ones((2, 2))])
    with pytest.raises(ArgumentError, match="sequence 0 is no array of numbers"):
        data.pad(["ab"])


def test_buckets_give_every_example_once_an_epoch() -> None:
    rng = np.random.default_rng(0)
    words = [np.full(n, i, np.int32) for i, n in enumerate(rng.integers(1, 40, 101))]
    batches = data.Buckets(words, np.arange(101), batch_size=8, boundaries=[10, 20, 40], value=-1)
    epochs = [list(batches), list(batches)]
    for epoch in epochs:
        assert len(epoch) == len(batches)
        assert {x.shape[1] for x, _, _ in epoch} == {10, 20, 40}
        assert sorted(np.concatenate([y for _, _, y in epoch])) == list(range(101))
        for x, mask, y in epoch:
            assert [set(row[kept]) for row, kept in zip(x, mask)] == [{i} for i in y]
            assert mask.sum(1).tolist() == [len(words[i]) for i in y]
    first = [y.tolist() for _, _, y in epochs[0]]
    assert first != [y.tolist() for _, _, y in epochs[1]]
    again = data.Buckets(words, np.arange(101), batch_size=8, boundaries=[10, 20, 40], value=-1)
    assert first == [y.tolist() for _, _, y in again]
    even = data.Buckets(words, batch_size=8, drop_last=True)
    assert {len(x) for x, _ in even} == {8}
    pairs = data.Buckets(words, words[::-1], batch_size=4)
    assert all(a.shape == b.shape for a, _, b, _ in pairs)


def test_buckets_say_what_they_need() -> None:
    with pytest.raises(ArgumentError, match="a sequence has 3 elements, the last boundary is 2"):
        data.Buckets([[1, 2, 3]], boundaries=[2])
    with pytest.raises(ArgumentError, match=r"columns have \[1, 2\] examples"):
        data.Buckets([[1]], np.ones(2))
    with pytest.raises(ArgumentError, match="at least one column that is a list"):
        data.Buckets(np.ones(2))
    with pytest.raises(ArgumentError, match="batch_size must be 1 or more"):
        data.Buckets([[1]], batch_size=0)


def test_buckets_go_to_the_epoch_that_they_are_told() -> None:
    words = [[1], [2, 3], [4], [5, 6], [7, 8, 9]]
    buckets = data.Buckets(words, batch_size=2, seed=3)
    epochs = [[x.tolist() for x, _ in buckets] for _ in range(3)]
    assert epochs[0] != epochs[1] or epochs[1] != epochs[2]
    buckets.set_epoch(1)
    assert [[x.tolist() for x, _ in buckets] for _ in range(2)] == epochs[1:]
    gx.seed(3)
    assert [x.tolist() for x, _ in data.Buckets(words, batch_size=2)] == epochs[0]


def test_unpaired_data_begin_again_until_the_longest_ends() -> None:
    a, b, c = np.arange(10), np.arange(4), np.arange(4) * 1.5
    batches = data.Unpaired(a, (b, c), batch_size=3, seed=1)
    epochs = [list(batches), list(batches)]
    for epoch in epochs:
        assert [tuple(map(len, batch)) for batch in epoch] == [(3,) * 3] * 3 + [(1,) * 3]
        first, second, third = (np.concatenate(column) for column in zip(*epoch))
        assert sorted(first) == list(range(10))
        assert sorted(second[:4]) == sorted(second[4:8]) == list(range(4))
        np.testing.assert_array_equal(third, second * 1.5)
        assert second[:4].tolist() != second[4:8].tolist()
    assert not np.array_equal(epochs[0][0][0], epochs[1][0][0])
    batches.set_epoch(1)
    for again, batch in zip(batches, epochs[1]):
        np.testing.assert_array_equal(again[1], batch[1])
    assert len(data.Unpaired(a, b, batch_size=3, drop_last=True)) == 3


def test_a_step_trains_on_data_without_pairs() -> None:
    a, b = gx.input("a", ("batch", 2)), gx.input("b", ("batch", 2))
    w = gx.parameter("w", (2,), gx.init.zeros())
    loss = ((a - w) ** 2).mean() + ((b - w) ** 2).mean()
    step = gx.compile([a, b], loss, gx.optim.SGD(0.1).minimize(loss), target="interpret")
    arrays = np.ones((9, 2), "f4"), np.full((4, 2), 3, "f4")
    gx.fit(step, data.Unpaired(*arrays, batch_size=3), 20, verbose=False)
    assert_close(w.value, np.full(2, 2, "f4"), "float32")
    with pytest.raises(ShapeError, match="a has 9 samples, b has 4") as error:
        gx.fit(step, arrays, verbose=False)
    assert "gx.data.Unpaired" in (error.value.hint or "")


@pytest.mark.parametrize(
    ("columns", "options", "text"),
    [
        ([], {}, "needs at least one array"),
        ([np.ones(0)], {}, "column 0 has no rows"),
        ([np.ones(2), (np.ones(2), np.ones(3))], {}, r"column 1 have \[2, 3\] rows"),
        ([np.ones(2)], {"batch_size": 0}, "batch_size must be 1 or more"),
        ([np.ones(2)], {"batch_size": 3, "drop_last": True}, "2 rows make no batch of 3"),
    ],
)
def test_unpaired_says_what_it_needs(columns: Any, options: Any, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        data.Unpaired(*columns, **options)


# -- standardising


def test_standardize_gives_mean_0_and_deviation_1() -> None:
    gx.seed(0)
    rng = np.random.default_rng(0)
    raw = (rng.normal(0, 1, (70000, 3)) * [1e-3, 5, 1e4] + [1e-2, 0, -1e5]).astype(np.float64)
    layer = gx.nn.Standardize()
    x = gx.input("x", ("batch", 3), "float64")
    layer.adapt(raw)
    found = gx.compile([x], layer(x))(raw)
    assert_close(found, (raw - raw.mean(0)) / raw.std(0), floor=1.0)
    layer.adapt(raw * 2)  # of a layer that is called already
    assert_close(gx.compile([x], layer(x))(raw * 2), found, floor=1.0)
    back = gx.nn.Standardize(invert=True)
    back.adapt(raw)
    assert_close(gx.compile([x], back(x))(found), raw, floor=1e6)
    assert [p.trainable for p in layer.parameters] == [False, False]


def test_standardize_of_bytes_and_constants() -> None:
    pixels = np.full((10, 4, 4, 2), 7, np.uint8)
    pixels[::2, ..., 1] = 9
    layer = gx.nn.Standardize()
    layer.adapt(pixels)
    x = gx.input("x", ("batch", 4, 4, 2), "uint8")
    found = gx.compile([x], layer(x))(pixels)
    assert found.dtype == np.float32
    assert_close(found[..., 0], np.zeros((10, 4, 4)))
    assert_close(np.unique(found[..., 1]), np.array([-1.0, 1.0]))
    third = gx.nn.Standardize()
    third.adapt(np.full((1000, 1), 0.1))
    assert third._seen is not None
    assert third._seen[1].tolist() == [1.0]


def test_standardize_travels_with_saved_parameters(tmp_path: Path) -> None:
    def model() -> gx.nn.Sequential:
        gx.seed(0)
        net = gx.nn.Sequential([gx.nn.Standardize(), gx.nn.Dense(2)])
        net.compile("adam", "mse")
        return net

    raw = np.random.default_rng(1).normal(100, 20, (50, 3)).astype(np.float32)
    first, second = model(), model()
    first.layers[0].adapt(raw)  # type: ignore[attr-defined]
    expected = first.predict(raw)
    first.save(tmp_path / "m.safetensors")
    assert np.abs(second.predict(raw) - expected).max() > 1.0
    second.load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(second.predict(raw), expected)


def test_standardize_says_what_it_needs() -> None:
    layer = gx.nn.Standardize(name="scale")
    with pytest.raises(ArgumentError, match=r"needs numbers of shape .* got float64\[3\]"):
        layer.adapt(np.ones(3))
    with pytest.raises(ArgumentError, match="row 1 has values that are not finite"):
        layer.adapt([[1.0], [np.nan]])
    layer.adapt(np.ones((2, 3)))
    with pytest.raises(ShapeError, match="scale: adapted to 3 features, the input has 4"):
        layer(gx.input("x", ("batch", 4)))
    layer(gx.input("x", ("batch", 3)))
    with pytest.raises(ShapeError, match="scale: adapted to 2 features, the input has 3"):
        layer.adapt(np.ones((2, 2)))
