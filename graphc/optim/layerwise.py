"""Optimisers that look at a whole parameter: its sign, its norm, its rows and columns."""

from __future__ import annotations

import math

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.ir.types import float64
from graphc.linalg.norms import vector_norm
from graphc.optim.base import Optimizer
from graphc.optim.checks import check_decay, check_not_negative, check_positive
from graphc.optim.masks import Mask, chosen_by
from graphc.optim.moments import AdamW
from graphc.optim.transform import Rate, Scalar


class Lion(Optimizer):
    """Steps of one size in the direction of a sign (Chen et al. 2023).

    p -= rate * (sign(beta1 m + (1 - beta1) g) + decay p), then m = beta2 m + (1 - beta2) g.
    Rates are three to ten times smaller than Adam's, decays as many times larger.
    """

    kind = "lion"

    def __init__(
        self,
        learning_rate: Rate = 1e-4,
        beta1: Scalar = 0.9,
        beta2: Scalar = 0.99,
        weight_decay: Scalar = 0.0,
        mask: Mask | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        check_decay("Lion", "beta1", beta1)
        check_decay("Lion", "beta2", beta2)
        check_not_negative("Lion", "weight_decay", weight_decay)
        self.beta1, self.beta2, self.weight_decay = beta1, beta2, weight_decay
        self._decays = chosen_by("Lion", "mask", mask)

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        mean = self.slot(parameter, "m")
        kept, taken = self.weights(self.beta1, value.dtype)
        move = fn.sign(kept * mean + taken * gradient)
        kept, taken = self.weights(self.beta2, value.dtype)
        new[mean] = kept * mean + taken * gradient
        if self._decays(parameter):
            move = move + self.scalar(self.weight_decay, value.dtype) * value
        return self.rate(value.dtype) * move


class LAMB(AdamW):
    """Adam's steps, each as long as its parameter's norm says (You et al. 2020).

    r = (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon) + decay p,
    p -= rate * |p| / |r| * r; the quotient is 1 where a norm is 0. For very large batches.
    """

    kind = "lamb"
    needs_whole = True

    def __init__(
        self,
        learning_rate: Scalar = 1e-3,
        beta1: Scalar = 0.9,
        beta2: Scalar = 0.999,
        epsilon: float = 1e-6,
        weight_decay: Scalar = 0.01,
        mask: Mask | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, beta1, beta2, epsilon, weight_decay, mask, name)

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        return value - self.move(parameter, value, gradient, new)

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """What is subtracted."""
        m, v = self.moments(parameter, gradient, new)
        root = fn.sqrt(self.correction("beta2", self.beta2))
        factor = fn.astype(root / self.correction("beta1", self.beta1), value.dtype)
        direction = factor * m / (fn.sqrt(v) + fn.astype(self.epsilon * root, value.dtype))
        if self._decays(parameter):
            direction = direction + self.scalar(self.weight_decay, value.dtype) * value
        size, length = _norm(value), _norm(direction)
        some = (size > 0) & (length > 0)
        trust = fn.where(some, size / fn.where(some, length, 1.0), 1.0)
        return fn.astype(self.rate() * trust, value.dtype) * direction


class Adafactor(Optimizer):
    """Adam's step sizes from sums of squares over rows and columns (Shazeer and Stern 2018).

    Of a parameter of rank 2 or more, the running mean squares are kept for rows and columns of
    the last two axes alone, V = R C / mean(R): memory for their sum instead of their product.
    With beta_t = 1 - t^-decay_power: u = g / sqrt(V), u /= max(1, rms(u) / clip_threshold),
    p -= max(1e-3, rms(p)) * min(rate, 1 / sqrt(t)) * u.
    """

    kind = "adafactor"
    needs_whole = True

    def __init__(
        self,
        learning_rate: Scalar = 0.01,
        decay_power: float = 0.8,
        clip_threshold: float = 1.0,
        weight_decay: Scalar = 0.0,
        mask: Mask | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        check_positive("Adafactor", "decay_power", decay_power)
        check_positive("Adafactor", "clip_threshold", clip_threshold)
        check_not_negative("Adafactor", "weight_decay", weight_decay)
        self.decay_power, self.clip_threshold = decay_power, clip_threshold
        self.weight_decay = weight_decay
        self._decays = chosen_by("Adafactor", "mask", mask)

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter, whose decay comes first."""
        moved = self._step_of(parameter, value, gradient, new)
        if self._decays(parameter):
            left = 1.0 - self.rate() * self.scalar(self.weight_decay)
            value = value * fn.astype(left, value.dtype)
        return value - moved

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The same as one difference."""
        moved = self._step_of(parameter, value, gradient, new)
        if not self._decays(parameter):
            return moved
        share = self.rate() * self.scalar(self.weight_decay)
        return moved + fn.astype(share, value.dtype) * value

    def _step_of(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        t = fn.astype(self.next_count(), float64)
        taken = fn.exp(fn.log(t) * -self.decay_power)
        squares = self._squares(parameter, gradient, fn.astype(taken, value.dtype), new)
        tiny = _eps(value) ** 2
        u = gradient / fn.sqrt(fn.maximum(squares, tiny))
        size = _rms(u) / self.clip_threshold
        rate = fn.minimum(self.rate(), 1.0 / fn.sqrt(t)) * fn.maximum(_rms(value), 1e-3)
        return fn.astype(rate / fn.maximum(size, 1.0), value.dtype) * u

    def _squares(
        self, parameter: Parameter, gradient: Tensor, taken: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The running mean squares, of rank 2 and more from rows and columns."""
        squares, shape = gradient * gradient, parameter.shape
        if len(shape) < 2:
            whole = self.slot(parameter, "v")
            new[whole] = whole + taken * (squares - whole)
            return new[whole]
        rows = self.slot(parameter, "rows", shape=(*shape[:-1], 1))
        columns = self.slot(parameter, "columns", shape=(*shape[:-2], 1, shape[-1]))
        r = new[rows] = rows + taken * (fn.mean(squares, axis=-1, keepdims=True) - rows)
        c = new[columns] = columns + taken * (fn.mean(squares, axis=-2, keepdims=True) - columns)
        mean = fn.mean(r, axis=-2, keepdims=True)
        return r * c / fn.maximum(mean, _eps(r))


class Muon(Optimizer):
    """Momentum whose singular values are all made about 1 (Jordan et al. 2024).

    v = momentum v + (1 - momentum) g, u = (1 - momentum) g + momentum v (Nesterov), then five
    Newton-Schulz steps towards the nearest orthogonal matrix, X = a X + (b A + c A^2) X with
    A = X X^T, and p -= rate * sqrt(max(1, rows / columns)) * X. Kernels of convolutions are
    matrices with one column for each output. For matrices inside a network: give embeddings,
    outputs, biases and scales to another optimiser with `gx.optim.groups`.
    """

    kind = "muon"
    needs_whole = True
    COEFFICIENTS = 3.4445, -4.775, 2.0315

    def __init__(
        self,
        learning_rate: Scalar = 0.02,
        momentum: Scalar = 0.95,
        nesterov: bool = True,
        weight_decay: Scalar = 0.0,
        iterations: int = 5,
        mask: Mask | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        check_decay("Muon", "momentum", momentum)
        check_not_negative("Muon", "weight_decay", weight_decay)
        check_positive("Muon", "iterations", iterations)
        self.momentum, self.nesterov, self.weight_decay = momentum, nesterov, weight_decay
        self.iterations = int(iterations)
        self._decays = chosen_by("Muon", "mask", mask)

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """One step for one parameter."""
        if parameter.ndim < 2:
            raise ArgumentError(
                f"Muon: {parameter.name} is {parameter.type}, not a matrix",
                origin=origins.find_origin(),
                hint="give it to another optimiser: gx.optim.groups([('*/kernel', muon), ...])",
            )
        velocity = self.slot(parameter, "velocity")
        kept, taken = self.weights(self.momentum, value.dtype)
        v = new[velocity] = kept * velocity + taken * gradient
        direction = taken * gradient + kept * v if self.nesterov else v
        *others, columns = (n for n in parameter.shape if isinstance(n, int))
        rows = math.prod(others)
        flat = fn.reshape(direction, (rows, columns))
        turned = self.orthogonal(flat, rows <= columns) * math.sqrt(
            max(1.0, rows / max(columns, 1))
        )
        move = fn.reshape(turned, parameter.shape)
        if self._decays(parameter):
            move = move + self.scalar(self.weight_decay, value.dtype) * value
        return self.rate(value.dtype) * move

    def orthogonal(self, x: Tensor, wide: bool) -> Tensor:
        """A matrix with the singular vectors of x and singular values near 1."""
        a, b, c = self.COEFFICIENTS
        x = x if wide else fn.matrix_transpose(x)
        x = x / fn.astype(fn.maximum(_norm(x), 1e-7), x.dtype)
        for _ in range(self.iterations):
            square = x @ fn.matrix_transpose(x)
            x = a * x + (b * square + c * (square @ square)) @ x
        return x if wide else fn.matrix_transpose(x)


def _norm(x: Tensor) -> Tensor:
    """The Euclidean norm of all elements, float64."""
    return vector_norm(fn.astype(x, float64))


def _rms(x: Tensor) -> Tensor:
    """The root of the mean square, float64."""
    wide = fn.astype(x, float64)
    return fn.sqrt(fn.mean(wide * wide))


def _eps(x: Tensor) -> float:
    return float(np.finfo(x.dtype.numpy).eps)
