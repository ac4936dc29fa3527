"""Metrics over many batches: exact however the data are cut, with their state in the step.

A metric's counts and sums are parameters; `update` adds a batch to them inside the compiled
function, `result` is computed from them. `fit` resets the metrics of its functions at every epoch
and logs them:

    f1 = gx.metrics.F1()
    step = gx.compile([x, y], {"loss": loss}, [optimizer.minimize(loss), f1.update(logits, y)])
"""

from graphc.frontend.arguments import check_all
from graphc.metrics.base import Metric
from graphc.metrics.classes import F1, Accuracy, ConfusionMatrix, MeanIoU, Precision, Recall
from graphc.metrics.curves import AUC
from graphc.metrics.distributions import DeadUnits, Histogram
from graphc.metrics.means import (
    MAE,
    MSE,
    R2,
    RMSE,
    Mean,
    Perplexity,
    TopKAccuracy,
)

__all__ = [
    "AUC",
    "F1",
    "MAE",
    "MSE",
    "R2",
    "RMSE",
    "Accuracy",
    "ConfusionMatrix",
    "DeadUnits",
    "Histogram",
    "Mean",
    "MeanIoU",
    "Metric",
    "Perplexity",
    "Precision",
    "Recall",
    "TopKAccuracy",
]

check_all(globals(), __all__)
