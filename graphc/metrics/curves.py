"""Areas under curves over all thresholds."""

from __future__ import annotations

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.ir.types import float64, int64
from graphc.metrics.base import Metric, ratio, spread
from graphc.nn.activations import sigmoid
from graphc.nn.pairs import paired


class AUC(Metric):
    """The area under the ROC curve, or the average precision (curve="PR").

    Logits and labels 0 and 1 of one shape; the probabilities (of `from_logits=False`, the outputs)
    fall into `thresholds` bins of equal width, and two in one bin count as equal: the error is at
    most the share of pairs that meet in a bin.
    """

    kind = "auc"

    def __init__(
        self,
        curve: str = "ROC",
        thresholds: int = 1000,
        from_logits: bool = True,
        name: str | None = None,
    ) -> None:
        super().__init__(name)
        if curve not in ("ROC", "PR"):
            raise ArgumentError(
                f'AUC: curve must be "ROC" or "PR", got {curve!r}', origin=origins.find_origin()
            )
        if thresholds < 2:
            raise ArgumentError(
                f"AUC: thresholds must be 2 or more, got {thresholds}",
                origin=origins.find_origin(),
            )
        self.curve, self.thresholds, self.from_logits = curve, thresholds, from_logits

    def add(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> dict[Parameter, Tensor]:
        """Count ones and zeros in every bin."""
        x, _, _ = paired("auc", ("outputs", "targets"), outputs, targets)
        p = fn.astype(sigmoid(x) if self.from_logits else x, float64)
        place = fn.astype(fn.floor(p * self.thresholds), int64)
        place = fn.reshape(fn.clip(place, 0, self.thresholds - 1), (-1,))
        w = spread(weights, targets, self.name)
        ones, zeros = (self.state(r, (self.thresholds,)) for r in ("ones", "zeros"))
        is_one = targets != 0
        found = {}
        for state, chosen in ((ones, is_one), (zeros, ~is_one)):
            each = fn.reshape(fn.where(chosen, w, 0.0), (-1,))
            found[state] = state + fn.zeros((self.thresholds,), "float64").at[place].add(each)
        return found

    @property
    def result(self) -> Tensor:
        """The area; NaN where one of the classes does not occur."""
        self._check_used()
        ones, zeros = self.state("ones"), self.state("zeros")
        above = fn.flip(fn.cumulative_sum(fn.flip(ones, axis=0)), axis=0)  # in this bin or higher
        if self.curve == "ROC":
            better = fn.sum(zeros * (above - 0.5 * ones))
            return ratio(better, fn.sum(ones) * fn.sum(zeros), float("nan"))
        said = above + fn.flip(fn.cumulative_sum(fn.flip(zeros, axis=0)), axis=0)
        return ratio(fn.sum(ones * ratio(above, said)), fn.sum(ones), float("nan"))
