"""Examples mixed with others of their batch, at training."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import cast, fail, widened
from graphc.frontend.tensor import Tensor, lift, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir import naming
from graphc.ir.ops.training import ModeSwitch
from graphc.random import draw
from graphc.random.distributions import gamma, permutation


def mixup(
    x: TensorLike, targets: TensorLike, alpha: float = 0.2, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """a * x + (1 - a) * x of a shuffled batch, and the same of the targets, at training (Zhang et
    al. 2018); inference gets both as they are.

    x (batch, ...) and targets (batch, ...) hold floats: labels as `gx.one_hot(labels, n)`, for
    `nn.softmax_cross_entropy` or `nn.categorical_crossentropy`. a is drawn from Beta(alpha, alpha)
    once in a step.
    """
    x, targets = _checked("mixup", x, targets, alpha)
    full = naming.scoped(name) if name else naming.automatic("mixup")
    share, order = _beta(alpha, full), _order(x, full)
    return _mixed(x, order, share), _mixed(targets, order, share)


def cutmix(
    x: TensorLike, targets: TensorLike, alpha: float = 1.0, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """Pictures (batch, height, width, channels) with a rectangle of another picture of the batch,
    and targets mixed by area, at training (Yun et al. 2019); inference gets both as they are.

    The rectangle has the share 1 - a of the area, for a drawn from Beta(alpha, alpha) once in a
    step, and its middle is anywhere; what lies outside of the picture does not count. Targets
    are as for `mixup`.
    """
    x, targets = _checked("cutmix", x, targets, alpha)
    if x.ndim != 4 or not all(isinstance(size, int) for size in x.shape[1:3]):
        text = "cutmix: needs pictures (batch, height, width, channels) of a known size"
        fail(ShapeError, f"{text}, got {x.type}", (x, targets))
    full = naming.scoped(name) if name else naming.automatic("cutmix")
    side, order = fn.sqrt(1.0 - _beta(alpha, full)), _order(x, full)
    down, right = (_between(x, axis, side, full) for axis in (1, 2))
    inside = down[:, None, None] & right[:, None]
    area = fn.mean(fn.astype(down, "float32")) * fn.mean(fn.astype(right, "float32"))
    mixed = fn.where(inside, fn.take(x, order, axis=0), x)
    return lift_op(ModeSwitch(), mixed, x), _mixed(targets, order, 1.0 - area)


def _between(x: Tensor, axis: int, side: Tensor, full: str) -> Tensor:
    """Which rows, or columns, the rectangle has, (size,)."""
    size = x.shape[axis]
    middle = fn.floor(draw.uniform((), 0.0, size, name=f"{full}/middle_{axis}"))  # type: ignore[arg-type]
    half = fn.floor(side * size) / 2.0
    places = fn.arange(size, dtype="float32")
    return (places >= fn.floor(middle - half)) & (places < fn.floor(middle + half))


def _beta(alpha: float, full: str) -> Tensor:
    """A variate of Beta(alpha, alpha), from two of Gamma(alpha)."""
    a, b = (gamma((), float(alpha), name=f"{full}/{role}") for role in ("first", "second"))
    return fn.where(a + b > 0.0, a / fn.where(a + b > 0.0, a + b, 1.0), 0.5)


def _order(x: Tensor, full: str) -> Tensor:
    return permutation(fn.arange(x.shape[0]), name=f"{full}/order")


def _mixed(x: Tensor, order: Tensor, share: Tensor) -> Tensor:
    wide = widened(x)
    part = fn.astype(share, wide.dtype)
    mixed = part * wide + (1.0 - part) * fn.take(wide, order, axis=0)
    return lift_op(ModeSwitch(), cast(mixed, x.dtype), x)


def _checked(name: str, x: TensorLike, targets: Any, alpha: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of one batch; raises where they are not."""
    number = isinstance(alpha, (int, float, np.number)) and not isinstance(alpha, bool)
    if not number or not 0 < alpha < math.inf:
        fail(ArgumentError, f"{name}: alpha must be a number above 0, got {alpha!r}")
    x, targets = lift(x), lift(targets)
    for role, t in (("x", x), ("targets", targets)):
        if not t.dtype.is_float:
            hint = "gx.one_hot(labels, n) makes them" if role == "targets" else "astype('float32')"
            fail(DTypeError, f"{name}: {role} must hold floats, got {t.type}", (x, targets), hint)
    if not x.ndim or not targets.ndim or x.shape[0] != targets.shape[0]:
        text = f"{name}: x and targets must have the same batch, got {x.type} and {targets.type}"
        fail(ShapeError, text, (x, targets))
    return x, targets
