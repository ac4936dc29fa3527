"""Metrics of classes: shares of right answers, precision, recall, confusion."""

from __future__ import annotations

from graphc import origin as origins
from graphc.errors import ArgumentError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import fail
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.ir.types import float64, int64
from graphc.linalg import diagonal
from graphc.metrics.base import Metric, ratio, spread
from graphc.metrics.means import OfMeans
from graphc.nn.losses import legal_labels
from graphc.nn.scores import are_right

AVERAGES = ("binary", "macro", "micro", "none")


class Accuracy(OfMeans):
    """The share of right answers; see `gx.nn.accuracy` for what is right."""

    kind = "accuracy"

    def each(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Whether each is right."""
        return are_right(outputs, targets)


class _OfConfusion(Metric):
    """A metric of how often each class was taken for each other."""

    def __init__(
        self, classes: int | None = None, threshold: float = 0.0, name: str | None = None
    ) -> None:
        super().__init__(name)
        if classes is not None and classes < 2:
            raise ArgumentError(
                f"{type(self).__name__}: classes must be 2 or more, got {classes}",
                origin=origins.find_origin(),
            )
        self.classes, self.threshold = classes, threshold

    def add(
        self, outputs: Tensor, targets: Tensor, weights: Tensor | None
    ) -> dict[Parameter, Tensor]:
        """Count (label, answer) pairs."""
        answers, labels, classes = self._answers(outputs, targets)
        if self.classes not in (None, classes):
            text = f"{self.name}: outputs have {classes} classes, not {self.classes}"
            fail(ShapeError, text, (outputs, targets))
        matrix = self.state("confusion", (classes, classes))
        w = spread(weights, labels, self.name)
        place = fn.reshape(labels * classes + answers, (-1,))
        counts = fn.zeros((classes * classes,), "float64").at[place].add(fn.reshape(w, (-1,)))
        return {matrix: matrix + fn.reshape(counts, (classes, classes))}

    def _answers(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, int]:
        """The class that outputs say, that of the labels, and how many classes there are."""
        if outputs.shape == targets.shape:
            labels = fn.astype(targets != 0, int64)
            return fn.astype(outputs > self.threshold, int64), labels, 2
        classes = outputs.shape[-1] if outputs.ndim else 0
        if outputs.shape[:-1] != targets.shape or not isinstance(classes, int):
            text = f"{self.name}: outputs must have the targets' shape, or an axis of classes more"
            fail(ShapeError, f"{text}: {outputs.type} vs {targets.type}", (outputs, targets))
        labels = fn.astype(legal_labels(self.name, targets, classes), int64)
        return fn.astype(fn.argmax(outputs, axis=-1), int64), labels, classes

    @property
    def confusion(self) -> Tensor:
        """Counts: a row for each label, a column for each answer."""
        self._check_used()
        return self.state("confusion")


class ConfusionMatrix(_OfConfusion):
    """How often each label got each answer: a row for each label.

    Outputs are logits with an axis of classes, or of the targets' shape, where more than
    `threshold` says 1.
    """

    kind = "confusion_matrix"

    @property
    def result(self) -> Tensor:
        """The counts."""
        return fn.astype(self.confusion, float64)


class MeanIoU(_OfConfusion):
    """The mean over classes of |right| / |label or answer| (Jaccard), as for segmentation.

    Classes that neither occur nor are said do not count.
    """

    kind = "mean_iou"

    @property
    def result(self) -> Tensor:
        """The mean; NaN of nothing."""
        m = self.confusion
        right = diagonal(m)
        union = fn.sum(m, axis=0) + fn.sum(m, axis=1) - right
        some = fn.astype(union > 0, float64)
        return ratio(fn.sum(ratio(right, union)), fn.sum(some), float("nan"))


class _PerClass(_OfConfusion):
    """A metric for each class, and its average."""

    def __init__(
        self,
        average: str | None = None,
        classes: int | None = None,
        threshold: float = 0.0,
        name: str | None = None,
    ) -> None:
        super().__init__(classes, threshold, name)
        if average is not None and average not in AVERAGES:
            raise ArgumentError(
                f"{type(self).__name__}: average must be one of {', '.join(AVERAGES)}, got"
                f" {average!r}",
                origin=origins.find_origin(),
            )
        self.average = average

    def score(self, right: Tensor, said: Tensor, there: Tensor) -> Tensor:
        """From right answers, answers, and labels."""
        raise NotImplementedError

    @property
    def result(self) -> Tensor:
        """The score of class 1 of two, else the mean over classes; 0 for 0 / 0."""
        m = self.confusion
        right, said, there = diagonal(m), fn.sum(m, axis=0), fn.sum(m, axis=1)
        average = self.average or ("binary" if m.shape[0] == 2 else "macro")
        if average == "micro":
            return self.score(fn.sum(right), fn.sum(said), fn.sum(there))
        scores = self.score(right, said, there)
        if average == "none":
            return scores
        if average == "macro":
            return fn.mean(scores)
        if m.shape[0] != 2:
            raise ArgumentError(f"{self.name}: average='binary' needs 2 classes, not {m.shape[0]}")
        return scores[1]


class Precision(_PerClass):
    """The share of right ones among the answers of a class.

    Of two classes that of class 1, of more the mean over classes;
    `average` is "binary", "macro" (the mean), "micro" (of all answers) or "none" (all). Outputs
    are logits with an axis of classes, or of the targets' shape, where more than `threshold` says
    1.
    """

    kind = "precision"

    def score(self, right: Tensor, said: Tensor, there: Tensor) -> Tensor:
        """right / said."""
        return ratio(right, said)


class Recall(_PerClass):
    """The share of right ones among the labels of a class; see Precision."""

    kind = "recall"

    def score(self, right: Tensor, said: Tensor, there: Tensor) -> Tensor:
        """right / there."""
        return ratio(right, there)


class F1(_PerClass):
    """The harmonic mean of precision and recall, 2 right / (said + there); see Precision."""

    kind = "f1"

    def score(self, right: Tensor, said: Tensor, there: Tensor) -> Tensor:
        """2 right / (said + there)."""
        return ratio(2.0 * right, said + there)
