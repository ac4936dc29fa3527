"""Data that give batch after batch: iterables, iterators, functions, loaders."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, GraphcError, ShapeError
from graphc.testing import assert_close
from tests.train.streaming import SIZE, Loader, cut, prefetching, regression, value


class Shuffled(Loader):
    """Its order depends on the number of the epoch."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self) -> Iterator[Any]:
        order = np.random.default_rng(self.epoch).permutation(len(self.arrays[0]))
        return cut([a[order] for a in self.arrays])


class Unsized:
    """Its length is not known, and it fills the same memory again for every batch."""

    def __init__(self, arrays: list[Any]) -> None:
        self.arrays = arrays

    def __iter__(self) -> Iterator[Any]:
        memory = [np.empty((SIZE, *a.shape[1:]), a.dtype) for a in self.arrays]
        for batch in cut(self.arrays):
            for place, part in zip(memory, batch):
                place[: len(part)] = part
            yield [place[: len(batch[0])] for place in memory]


SOURCES = {
    "tuples": Loader,
    "lists": lambda arrays: Loader(arrays, "list"),
    "dicts": lambda arrays: Loader(arrays, "dict"),
    "unsized": Unsized,
    "function": lambda arrays: lambda: cut(arrays),
    "function of loader": lambda arrays: lambda: Loader(arrays),
    "one iterator": lambda arrays: (b for _ in range(3) for b in cut(arrays)),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_batches_train_as_arrays_do(kind: str) -> None:
    step, check, arrays = regression()
    wanted = gx.fit(step, arrays, 3, SIZE, validation=(check, arrays), shuffle=False, verbose=False)
    other, check, _ = regression()
    cuts = {"steps_per_epoch": 6} if kind == "one iterator" else {}
    found = gx.fit(
        other, SOURCES[kind](arrays), 3, validation=(check, Loader(arrays)), verbose=False, **cuts
    )
    np.testing.assert_array_equal(value(step), value(other))
    assert list(found) == list(wanted)
    assert found["loss"] == wanted["loss"]
    assert_close(found["val_loss"], wanted["val_loss"])
    assert (found.epochs, found.steps, found.note) == (3, 18, "")
    assert not prefetching()


@pytest.mark.parametrize("options", [{"threads": 1}, {"threads": 2}])
def test_compiled_steps_have_the_bits_of_arrays(options: Any) -> None:
    step, check, arrays = regression("cpu", **options)
    wanted = gx.fit(step, arrays, 2, SIZE, (check, arrays), shuffle=False, verbose=False)
    other, check, _ = regression("cpu", **options)
    data = Unsized(arrays)
    found = gx.fit(other, data, 2, validation=(check, data), verbose=False)
    np.testing.assert_array_equal(value(step), value(other))
    assert found["loss"] == wanted["loss"]


def test_a_list_of_batches_is_told_from_a_list_of_arrays() -> None:
    step, _, arrays = regression()
    gx.fit(step, arrays, 1, 2 * SIZE, shuffle=False, verbose=False)
    for kind in ("tuple", "list", "dict"):
        other, _, _ = regression()
        gx.fit(other, list(Loader(arrays, kind, 2 * SIZE)), 1, verbose=False)
        np.testing.assert_array_equal(value(step), value(other))
    other, _, _ = regression()
    gx.fit(other, [list(a) for a in arrays], 1, 2 * SIZE, shuffle=False, verbose=False)
    np.testing.assert_array_equal(value(step), value(other))


def test_evaluate_and_predict_take_batches() -> None:
    _, check, arrays = regression()
    wanted = gx.evaluate(check, arrays, batch_size=SIZE)
    assert_close(gx.evaluate(check, Loader(arrays))["loss"], wanted["loss"])
    x = gx.input("x", ("batch", 3))
    double = gx.compile([x], {"y": 2.0 * x}, target="interpret")
    found = gx.predict(double, (x for x, _ in cut(arrays)))
    np.testing.assert_array_equal(found["y"], 2.0 * arrays[0])


def test_a_loader_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from torch.utils.data import DataLoader, TensorDataset

    step, _, arrays = regression()
    gx.fit(step, arrays, 2, SIZE, shuffle=False, verbose=False)
    other, _, _ = regression()
    loader = DataLoader(TensorDataset(*map(torch.from_numpy, arrays)), batch_size=SIZE)
    gx.fit(other, loader, 2, verbose=False)
    np.testing.assert_array_equal(value(step), value(other))


def test_a_resumed_run_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    step, _, arrays = regression()
    wanted = gx.fit(step, Shuffled(arrays), 4, verbose=False)
    first, _, _ = regression()
    saved = gx.callbacks.Checkpoint(tmp_path / "run.gx")
    gx.fit(first, Shuffled(arrays), 2, callbacks=[saved], verbose=False)
    second, _, _ = regression()
    gx.callbacks.Checkpoint(tmp_path / "run.gx").restore(second)
    found = gx.fit(second, Shuffled(arrays), 2, verbose=False)
    np.testing.assert_array_equal(value(step), value(second))
    assert found["loss"] == wanted["loss"][2:]


def test_buckets_go_on_in_a_resumed_run(tmp_path: Path) -> None:
    """Batches of several lengths, with masks, in an order that the number of the epoch decides."""
    rng = np.random.default_rng(0)
    words = [rng.normal(size=int(n)) for n in rng.integers(1, 12, 30)]
    lengths = np.array([len(w) for w in words], np.float32)

    def built() -> tuple[Any, Any]:
        gx.seed(0)
        x, t = gx.input("x", ("batch", "time")), gx.input("t", ("batch",))
        mask = gx.input("mask", ("batch", "time"), dtype="bool")
        w = gx.parameter("w", (), gx.init.zeros())
        loss = gx.nn.mse(gx.where(mask, x * w, 0.0).sum(axis=1), t).mean()
        step = gx.compile([x, mask, t], {"loss": loss}, gx.optim.Adam(0.1).minimize(loss))
        return step, gx.data.Buckets(words, lengths, batch_size=4)

    whole, part, rest = built(), built(), built()
    wanted = gx.fit(*whole, 3, verbose=False)
    saved = gx.callbacks.Checkpoint(tmp_path / "run")
    gx.fit(*part, 2, callbacks=[saved], verbose=False)
    saved.restore(rest[0])
    found = gx.fit(*rest, 1, verbose=False)
    assert value(rest[0]) == value(whole[0])
    assert found["loss"] == wanted["loss"][2:]


class Sampled(Loader):
    """As torch's loaders in several processes: the sampler is told the epoch."""

    def __init__(self, arrays: list[Any]) -> None:
        super().__init__(arrays)
        self.sampler = Shuffled(arrays)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sampler)


def test_the_epoch_is_told_to_what_asks_for_it() -> None:
    step, _, arrays = regression()
    gx.fit(step, Shuffled(arrays), 3, verbose=False)
    order = Shuffled(arrays)

    def batches(epoch: int, other: int = 0) -> Iterator[Any]:
        order.set_epoch(epoch)
        return iter(order)

    for data in (Sampled(arrays), batches):
        again, _, _ = regression()
        gx.fit(again, data, 3, verbose=False)
        np.testing.assert_array_equal(value(step), value(again))


def test_steps_per_epoch_ends_every_pass() -> None:
    step, _, arrays = regression()
    gx.fit(step, [a[: 2 * SIZE] for a in arrays], 3, SIZE, shuffle=False, verbose=False)
    other, _, _ = regression()
    history = gx.fit(other, Loader(arrays), 3, steps_per_epoch=2, verbose=False)
    assert history.steps == 6
    np.testing.assert_array_equal(value(step), value(other))


def test_an_iterator_gives_no_more_than_is_used() -> None:
    step, _, arrays = regression()
    taken: list[int] = []

    def endless() -> Iterator[Any]:
        while True:
            for batch in cut(arrays):
                taken.append(1)
                yield batch

    history = gx.fit(step, endless(), 3, steps_per_epoch=4, verbose=False)
    assert (history.steps, len(taken)) == (12, 12)


def test_an_iterator_that_ends_early_ends_the_run() -> None:
    step, _, arrays = regression()
    history = gx.fit(step, cut(arrays), 5, steps_per_epoch=3, verbose=False)
    assert (history.epochs, history.steps) == (2, 6)
    assert history.note == "the data ended after 2 of 5 epochs"


def test_slices_of_large_batches_are_short(monkeypatch: Any) -> None:
    """Batches of a slice are kept: not many of them, and a step is taken back all the same."""
    monkeypatch.setattr("graphc.train.stream._SLICE_BYTES", 100)
    step, _, arrays = regression()
    arrays[0][14, 1] = np.nan
    stop = gx.callbacks.StopOnNaN()
    history = gx.fit(step, Loader(arrays), callbacks=[stop], verbose=False)
    assert "step 4 of epoch 1 (taken back): input x holds nan in row 2" in history.note
    other, _, _ = regression()
    gx.fit(other, [a[:12] for a in arrays], 1, SIZE, shuffle=False, verbose=False)
    np.testing.assert_array_equal(value(step), value(other))


def test_a_bar_without_an_end() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    step, _, arrays = regression()
    bar = gx.callbacks.ProgressBar(Terminal())
    gx.fit(step, Unsized(arrays), 3, callbacks=[bar])
    assert "100%" in bar.stream.getvalue()  # type: ignore[attr-defined]


def test_the_note_of_a_bad_number_names_the_row_of_the_batch() -> None:
    step, _, arrays = regression()
    arrays[0][6, 1] = np.nan
    history = gx.fit(step, Loader(arrays), callbacks=[gx.callbacks.StopOnNaN()], verbose=False)
    assert "step 2 of epoch 1 (taken back): input x holds nan in row 2 of the batch" in history.note
    assert np.isfinite(value(step)).all()


def _items(*batches: Any) -> Any:
    return lambda: iter(batches)


X, T = np.ones((4, 3), "float32"), np.ones(4, "float32")


@pytest.mark.parametrize(
    ("data", "kind", "text"),
    [
        (_items(), ArgumentError, "the data gave no batch"),
        (_items((X[:0], T[:0])), ArgumentError, "step: batch 1 has no samples in x"),
        (_items((X, T), (X, T[:3])), ShapeError, r"batch 2: .*batch.*4.*x.*3"),
        (_items((X, T), (X[:, :2], T)), ShapeError, r"batch 2: .*x.*2"),
        (_items((X, T, T)), ArgumentError, "batch 1: .*takes 2 inputs, got 3"),
        (_items({"x": X, "u": T}), GraphcError, "batch 1: .*has no input u"),
        (_items((X, T[:, None])), ShapeError, "batch 1: .*input t must have 1 axes, got 2"),
        (_items((X.astype(complex), T)), GraphcError, "batch 1: .*input x must be float32"),
        (None, ArgumentError, "the data must be arrays or give batches, got None"),
        (lambda: None, ArgumentError, "must return an iterable, got None"),
        ((X, T), ArgumentError, "steps_per_epoch is for data that give batches"),
    ],
)  # fmt: skip
def test_bad_batches_are_errors(data: Any, kind: type[Exception], text: str) -> None:
    step, _, _ = regression()
    cuts = {"steps_per_epoch": 2} if isinstance(data, tuple) else {}
    with pytest.raises(kind, match=text) as error:
        gx.fit(step, data, verbose=False, **cuts)
    assert Path(__file__).name in str(error.value)
    assert np.isfinite(value(step)).all()


def test_an_iterator_is_gone_through_once() -> None:
    step, check, arrays = regression()
    with pytest.raises(ArgumentError, match="ends after one of 2 epochs") as error:
        gx.fit(step, cut(arrays), 2, verbose=False)
    assert "steps_per_epoch" in str(error.value)
    with pytest.raises(ArgumentError, match="the validation data are an iterator"):
        gx.fit(step, arrays, 2, validation=(check, cut(arrays)), verbose=False)


@pytest.mark.parametrize("steps", [0, -1, True, 1.5])
def test_bad_numbers_of_steps(steps: Any) -> None:
    step, _, arrays = regression()
    with pytest.raises(ArgumentError, match=r"steps_per_epoch must be (1 or more|an int), got"):
        gx.fit(step, Loader(arrays), steps_per_epoch=steps, verbose=False)


def test_what_looks_inside_takes_batches() -> None:
    step, _, arrays = regression()
    wanted = gx.callbacks.Histograms("*/gradient", samples=8)
    gx.fit(step, arrays, 2, SIZE, callbacks=[wanted], shuffle=False, verbose=False)
    for data, samples in ((Loader(arrays), 8), (Loader(arrays, size=8), 3), (cut(arrays, 8), None)):
        other, _, _ = regression()
        found = gx.callbacks.Histograms("*/gradient", samples=samples)
        options = {"steps_per_epoch": 2} if samples is None else {}
        gx.fit(other, data, 1, callbacks=[found], verbose=False, **options)
        if isinstance(data, Loader) and data.size == SIZE:
            for a, b in zip(found.series["w/gradient"][0], wanted.series["w/gradient"][0]):
                np.testing.assert_array_equal(a, b)
        assert found.seen == 8


def test_a_sweep_over_rates_takes_batches() -> None:
    step, _, arrays = regression()
    options: Any = {"steps": 10, "high": 1e-3}
    wanted = gx.lr_find(step, [a[:8] for a in arrays], batch_size=8, **options)
    batches = [tuple(a[:8] for a in arrays)]
    found = gx.lr_find(step, lambda: iter(batches), **options)
    assert_close(found.losses, wanted.losses, "float32")  # the samples have another order
    with pytest.raises(ArgumentError, match="the data ended after 1 of 10 steps"):
        gx.lr_find(step, iter(batches), **options)
    assert not prefetching()
