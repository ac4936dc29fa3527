"""Metrics that are means, and what follows from means."""

from __future__ import annotations

from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import fail
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.frontend.typing import TensorLike
from graphc.ir.types import float64
from graphc.metrics.base import Metric, ratio, spread
from graphc.nn.losses import softmax_cross_entropy
from graphc.nn.pairs import paired
from graphc.nn.scores import rank_of_label
from graphc.optim.updates import Updates


class OfMeans(Metric):
    """A metric that is a function of one mean over elements."""

    def add(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> dict[Parameter, Tensor]:
        """Add up the elements and how many there are."""
        return self._taken(self.each(outputs, targets), weights)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What the mean is of."""
        raise NotImplementedError

    def _taken(self, values: Tensor, weights: Tensor | None) -> dict[Parameter, Tensor]:
        total, count = self.state("total"), self.state("count")
        each, w = fn.astype(values, float64), spread(weights, values, self.name)
        if weights is not None:
            each = fn.where(w == 0, 0.0, each * w)
        return {total: total + fn.sum(each), count: count + fn.sum(w)}

    @property
    def result(self) -> Tensor:
        """The mean; NaN of nothing."""
        self._check_used()
        return ratio(self.state("total"), self.state("count"), float("nan"))


class Mean(OfMeans):
    """The mean of any tensor: `update(values)`."""

    kind = "mean"

    def update(  # type: ignore[override]
        self, values: TensorLike, weights: TensorLike | None = None
    ) -> Updates:
        """The updates that take values in, all elements of them."""
        return super().update(values, values, weights)

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The values."""
        return outputs


class MSE(OfMeans):
    """The mean squared error, of operands of one shape."""

    kind = "mse"

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Squares."""
        x, y, _ = paired(self.kind, ("outputs", "targets"), outputs, targets)
        d = fn.astype(x, float64) - fn.astype(y, float64)
        return d * d


class RMSE(MSE):
    """The root of the mean squared error."""

    kind = "rmse"

    @property
    def result(self) -> Tensor:
        """The root of the mean."""
        return fn.sqrt(super().result)


class MAE(OfMeans):
    """The mean absolute error, of operands of one shape."""

    kind = "mae"

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Sizes of differences."""
        x, y, _ = paired(self.kind, ("outputs", "targets"), outputs, targets)
        return fn.abs(fn.astype(x, float64) - fn.astype(y, float64))


class Perplexity(OfMeans):
    """exp of the mean cross-entropy of logits (..., classes) and integer labels (...)."""

    kind = "perplexity"

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropies."""
        return softmax_cross_entropy(outputs, targets)

    @property
    def result(self) -> Tensor:
        """exp of the mean, in nats."""
        return fn.exp(super().result)


class TopKAccuracy(OfMeans):
    """The share of labels among the k largest of logits (..., classes)."""

    kind = "top_k_accuracy"

    def __init__(self, k: int = 5, name: str | None = None) -> None:
        super().__init__(name)
        if k < 1:
            raise ArgumentError(f"TopKAccuracy: k must be at least 1, got {k}")
        self.k = k

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Whether each label is."""
        return rank_of_label(outputs, targets) < self.k


class R2(Metric):
    """1 - sum of (outputs - targets)^2 / sum of (targets - their mean)^2.

    Of (batch, ...), for every column by itself, then their mean. 0 where the targets are all equal
    and the outputs are not (1 where they are, too), as in scikit-learn.
    """

    kind = "r2"

    def add(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> dict[Parameter, Tensor]:
        """Merge counts, means and squares about them (Chan, Golub and LeVeque 1979)."""
        x, y, _ = paired("r2", ("outputs", "targets"), outputs, targets)
        if not x.ndim or not all(isinstance(n, int) for n in x.shape[1:]):
            fail(ShapeError, f"r2: needs a batch axis and known columns, got {x.type}", (x, y))
        x, y = fn.astype(x, float64), fn.astype(y, float64)
        w = spread(weights, x, self.name)
        columns = tuple(n for n in x.shape[1:] if isinstance(n, int))
        count, mean, squares, errors = (
            self.state(r, columns) for r in ("count", "mean", "squares", "errors")
        )
        n = fn.sum(w, axis=0)
        here = ratio(fn.sum(w * y, axis=0), n)
        d = y - here
        both = count + n
        off = here - mean
        return {
            count: both,
            mean: mean + off * ratio(n, both),
            squares: squares + fn.sum(w * d * d, axis=0) + off * off * ratio(count * n, both),
            errors: errors + fn.sum(w * (x - y) * (x - y), axis=0),
        }

    @property
    def result(self) -> Tensor:
        """The mean over columns; NaN of nothing."""
        self._check_used()
        squares, errors = self.state("squares"), self.state("errors")
        flat = squares == 0
        score = 1.0 - errors / fn.where(flat, 1.0, squares)
        score = fn.where(flat, fn.where(errors == 0, 1.0, 0.0), score)
        return fn.mean(fn.where(self.state("count") > 0, score, float("nan")))
