"""Metrics over ragged batches against scikit-learn, and what `fit` makes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as theirs

import graphc as gx
from graphc.errors import ArgumentError, RuntimeCheckError, ShapeError
from graphc.testing import assert_close

M = gx.metrics
RNG = np.random.default_rng(0)
N, K = 101, 4
LOGITS = RNG.normal(size=(N, K)).astype(np.float32)
LABELS = RNG.integers(0, K, N).astype(np.int32)
SCORES = RNG.normal(size=N).astype(np.float32)
BITS = RNG.integers(0, 2, N).astype(np.int32)
FOUND, WANTED = RNG.normal(size=(2, N, 3))
WEIGHTS = RNG.integers(0, 3, N).astype(float)
ANSWERS = LOGITS.argmax(-1)


def run(metric: Any, outputs: Any, targets: Any, weights: Any = None, batch: int = 17) -> Any:
    """The value after all batches, of which the last is shorter."""
    arrays = [outputs, targets] if weights is None else [outputs, targets, weights]
    inputs = [
        gx.input(f"x{i}", ("batch", *a.shape[1:]), str(a.dtype)) for i, a in enumerate(arrays)
    ]
    step = gx.compile(inputs, {}, metric.update(*inputs))
    for start in range(0, len(outputs), batch):
        step(*(a[start : start + batch] for a in arrays))
    return metric.value


def per_class(function: Callable[..., Any], average: str | None) -> Callable[[Any], Any]:
    """scikit-learn's score of the classes."""
    return lambda w: function(LABELS, ANSWERS, average=average, sample_weight=w, zero_division=0)


def binary(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """scikit-learn's score of class 1."""
    return lambda w: function(BITS, SCORES > 0, sample_weight=w)


P, R, F = theirs.precision_score, theirs.recall_score, theirs.f1_score
CASES: dict[str, tuple[Callable[[], Any], tuple[Any, Any], Callable[[Any], Any]]] = {
    "accuracy": (M.Accuracy, (LOGITS, LABELS),
                 lambda w: theirs.accuracy_score(LABELS, ANSWERS, sample_weight=w)),
    "binary accuracy": (M.Accuracy, (SCORES, BITS), binary(theirs.accuracy_score)),
    "precision": (M.Precision, (SCORES, BITS), binary(P)),
    "recall": (M.Recall, (SCORES, BITS), binary(R)),
    "f1": (M.F1, (SCORES, BITS), binary(F)),
    "macro precision": (M.Precision, (LOGITS, LABELS), per_class(P, "macro")),
    "micro recall": (lambda: M.Recall("micro"), (LOGITS, LABELS), per_class(R, "micro")),
    "f1 of each": (lambda: M.F1("none", classes=K), (LOGITS, LABELS), per_class(F, None)),
    "confusion": (M.ConfusionMatrix, (LOGITS, LABELS),
                  lambda w: theirs.confusion_matrix(LABELS, ANSWERS, sample_weight=w)),
    "mean iou": (M.MeanIoU, (LOGITS, LABELS), per_class(theirs.jaccard_score, "macro")),
    "auc": (lambda: M.AUC(thresholds=100_000), (SCORES, BITS),
            lambda w: theirs.roc_auc_score(BITS, SCORES, sample_weight=w)),
    "average precision": (lambda: M.AUC("PR", thresholds=100_000), (SCORES, BITS),
                          lambda w: theirs.average_precision_score(BITS, SCORES, sample_weight=w)),
    "top 2": (lambda: M.TopKAccuracy(2), (LOGITS, LABELS),
              lambda w: theirs.top_k_accuracy_score(LABELS, LOGITS, k=2, sample_weight=w)),
    "perplexity": (M.Perplexity, (LOGITS.astype(float), LABELS),
                   lambda w: np.exp(theirs.log_loss(LABELS, softmax(), sample_weight=w))),
    "mse": (M.MSE, (FOUND, WANTED),
            lambda w: theirs.mean_squared_error(WANTED, FOUND, sample_weight=w)),
    "rmse": (M.RMSE, (FOUND, WANTED),
             lambda w: theirs.mean_squared_error(WANTED, FOUND, sample_weight=w) ** 0.5),
    "mae": (M.MAE, (FOUND, WANTED),
            lambda w: theirs.mean_absolute_error(WANTED, FOUND, sample_weight=w)),
    "r2": (M.R2, (FOUND, WANTED), lambda w: theirs.r2_score(WANTED, FOUND, sample_weight=w)),
}  # fmt: skip


def softmax() -> Any:
    """The probabilities of the logits."""
    powers = np.exp(LOGITS.astype(float))
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_scikit_learn_agrees(case: str, weighted: bool) -> None:
    make, arrays, oracle = CASES[case]
    weights = WEIGHTS if weighted else None
    assert_close(run(make(), *arrays, weights), oracle(weights), each=True)


@pytest.mark.parametrize("case", CASES)
def test_how_the_data_are_cut_does_not_matter(case: str) -> None:
    make, arrays, _ = CASES[case]
    values = [run(make(), *arrays, batch=b) for b in (1, 30, N)]
    assert_close(values[0], values[2], each=True)
    assert_close(values[1], values[2], each=True)


def test_r2_of_targets_far_from_zero_does_not_cancel() -> None:
    value = run(M.R2(), FOUND + 1e6, WANTED + 1e6)
    assert_close(value, theirs.r2_score(WANTED + 1e6, FOUND + 1e6), tolerance="sums")


def test_mean_of_anything() -> None:
    x = gx.input("x", ("batch", 3), "float64")
    metric = M.Mean("norm")
    step = gx.compile([x], {}, metric.update(gx.square(x)))
    step(FOUND[:5])
    step(FOUND[5:])
    assert_close(metric.value, (FOUND**2).mean())
    metric.reset()
    assert np.isnan(metric.value)


def test_a_share_of_nothing_is_zero_and_a_mean_of_nothing_nan() -> None:
    none = np.full(5, -1, np.float32), np.zeros(5, np.int32)
    assert [run(m(), *none) for m in (M.Precision, M.Recall, M.F1)] == [0.0, 0.0, 0.0]
    assert np.isnan(run(M.AUC(), *none))


def fitted(metrics: list[Any], epochs: int = 2, **options: Any) -> Any:
    """The history of a model that learns one weight, with metrics for both parts."""
    x, y = gx.input("x", ("batch",)), gx.input("y", ("batch",), "int32")
    w = gx.parameter("w", (), gx.init.ones())
    logits = x * w
    loss = gx.nn.sigmoid_cross_entropy(logits, y).mean()
    train, check = [m.update(logits, y) for m in metrics], [m.clone() for m in metrics]
    step = gx.compile([x, y], {"loss": loss}, [gx.optim.SGD(0.0).minimize(loss), *train])
    updates = [m.update(logits, y) for m in check]
    evaluate = gx.compile([x, y], {"loss": loss}, updates, mode="inference")
    data = [SCORES, BITS]
    options = {"validation": (evaluate, [SCORES[:20], BITS[:20]]), **options}
    return gx.fit(step, data, epochs, 16, verbose=False, **options)


def test_fit_logs_the_metrics_of_both_parts_and_begins_anew() -> None:
    history = fitted([M.F1(), M.AUC(thresholds=100_000), M.ConfusionMatrix()])
    assert_close(history["f1"], [F(BITS, SCORES > 0)] * 2)
    assert_close(history["auc"], [theirs.roc_auc_score(BITS, SCORES)] * 2)
    assert_close(history["val_f1"], [F(BITS[:20], SCORES[:20] > 0)] * 2)
    assert "confusion_matrix" not in history


def test_early_stopping_watches_a_metric() -> None:
    watcher = gx.callbacks.EarlyStopping("val_f1", patience=1)
    assert fitted([M.F1()], 9, callbacks=[watcher]).epochs == 2


def test_validation_that_learns_is_still_refused() -> None:
    x, w = gx.input("x", ("batch",)), gx.parameter("w", (), gx.init.ones())
    loss = (x * w).mean()
    step = gx.compile([x], {"loss": loss}, gx.optim.SGD(0.1).minimize(loss))
    mean = M.Mean()
    both = gx.compile([x], {"loss": loss}, [gx.optim.SGD(0.1).minimize(loss), mean.update(x)])
    with pytest.raises(ArgumentError, match="updates w"):
        gx.fit(step, [SCORES], validation=(both, [SCORES]))


def test_metrics_survive_merged_updates() -> None:
    x, w = gx.input("x", ("batch",)), gx.parameter("w", (), gx.init.ones())
    mean, loss = M.Mean(), (x * w).mean()
    merged = gx.optim.SGD(0.1).minimize(loss) | mean.update(x)
    assert gx.compile([x], loss, merged, target="interpret").metrics == (mean,)


def test_refusals() -> None:
    x, y = gx.input("x", ("batch", 3)), gx.input("y", ("batch",), "int32")
    with pytest.raises(ArgumentError, match="nothing to tell before its update is built"):
        _ = M.F1().value
    with pytest.raises(ArgumentError, match="average must be one of binary"):
        M.F1("mean")
    metric = M.Recall("binary")
    metric.update(x, y)
    with pytest.raises(ArgumentError, match="needs 2 classes, not 3"):
        _ = metric.result
    with pytest.raises(ArgumentError, match="classes must be 2 or more, got 1"):
        M.ConfusionMatrix(1)
    with pytest.raises(ShapeError, match="outputs have 3 classes, not 5"):
        M.ConfusionMatrix(5).update(x, y)
    with pytest.raises(ShapeError, match="or an axis of classes more"):
        M.F1().update(y, x)
    with pytest.raises(ShapeError, match="weights must have the shape"):
        M.Accuracy().update(x, y, gx.input("w", ("batch", 3)))
    with pytest.raises(ArgumentError, match='curve must be "ROC" or "PR"'):
        M.AUC("roc")
    with pytest.raises(ArgumentError, match="thresholds must be 2 or more, got 1"):
        M.AUC(thresholds=1)
    with pytest.raises(ArgumentError, match="k must be at least 1, got 0"):
        M.TopKAccuracy(0)
    step = gx.compile([x, y], {}, M.ConfusionMatrix().update(x, y))
    with pytest.raises(RuntimeCheckError, match="a label is outside 0 to 2"):
        step(np.zeros((1, 3), np.float32), np.array([3], np.int32))
