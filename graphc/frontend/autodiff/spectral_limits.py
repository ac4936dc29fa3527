"""Gradients of eigenvectors and singular vectors where the values are equal, or 0.

The vectors of equal values are any basis of their space. What a function that does not depend on
the basis passes back is 0/0 there, and its value is a limit: that of the quotient while the values
move apart, each at its own speed, and the vectors stay (de l'Hospital's rule). How the cotangents
change then is their own derivative by the values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.frontend import functions as fn
from graphc.frontend.autodiff.custom import custom_gradient
from graphc.frontend.functions.control import cond
from graphc.frontend.functions.factors import on_diagonal_of, parts, split
from graphc.frontend.tensor import Tensor
from graphc.ir.dims import Size

Slopes = Sequence[tuple[Tensor, Tensor]]
Pushforward = Callable[[Tensor, Tensor, Tensor], Tensor]  # of y, x and the tangent of x
NOISE_EPSILONS = 64.0  # what is below so many times the precision, beside the largest, is rounding


@dataclass(frozen=True)
class Quotient:
    """above / below, with a limit in the places that are `close` to 0/0.

    `above` counts as 0 up to what `rounding` and the limit make of it.
    """

    above: Tensor
    below: Tensor
    close: Tensor
    rounding: Tensor

    def plain(self) -> Tensor:
        """The quotient, 0 where `below` is 0."""
        zero = self.below == 0.0
        return fn.where(zero, 0.0, self.above / fn.where(zero, 1.0, self.below))

    def limit(self, above: Tensor, below: Tensor) -> Tensor:
        """The quotient, that of the slopes where it is close to 0/0, NaN for others over 0."""
        flat = below == 0.0
        slope = fn.where(flat, 0.0, above / fn.where(flat, 1.0, below))
        vanishes = fn.abs(self.above) <= self.rounding + 4.0 * fn.abs(slope * self.below)
        plain = fn.where(self.below == 0.0, float("nan"), self.plain())
        return fn.where(self.close, fn.where(vanishes, slope, plain), self.plain())


def with_limits(quotients: Sequence[Quotient], slopes: Callable[[], Slopes]) -> list[Tensor]:
    """The quotients; the slopes are computed where one of them is close to 0/0."""
    needed = fn.any(quotients[0].close)
    for q in quotients[1:]:
        needed = needed | fn.any(q.close)
    plains = tuple(q.plain() for q in quotients)

    def limits() -> tuple[Tensor, ...]:
        return tuple(q.limit(*slope) for q, slope in zip(quotients, slopes()))

    found = cond(needed, limits, lambda: plains)
    return [
        fn.where(q.close, once(fn.stop_gradient(f)), p) for q, f, p in zip(quotients, found, plains)
    ]


def once(x: Tensor) -> Tensor:
    """x, whose derivative is unknown: NaN where it is asked for."""

    def known(x: Tensor) -> Any:
        return x, lambda dy: fn.where(dy == 0.0, 0.0, float("nan"))

    result: Tensor = custom_gradient(known, apart=x.ndim)(x)
    return result


def eigh_cotangent(jvp: Pushforward, y: Tensor, dy: Tensor) -> Tensor:
    """The cotangent of a symmetric matrix, given that of its eigenvalues and eigenvectors."""
    (w, v), (dw, dv) = split(y, 1), split(dy, 1)
    turn, gaps, speeds = v.mT @ dv, w - w.mT, moving(y)
    close = pairs_of(fn.abs(gaps) <= root_precision(w) * size_of(w))

    def slopes() -> Slopes:
        _, moved = split(change(jvp, dy, y, speeds), 1)
        return ((antisymmetric(v.mT @ moved), speeds - speeds.mT),)

    quotient = Quotient(antisymmetric(turn), gaps, close, noise_of(turn))
    (mixed,) = with_limits((quotient,), slopes)
    da = v @ (0.5 * mixed + on_diagonal_of(dw)) @ v.mT
    return 0.5 * (da + da.mT)


def svd_cotangent(jvp: Pushforward, y: Tensor, dy: Tensor, m: Size) -> Tensor:
    """The cotangent of a matrix of m rows, given that of its singular values and vectors."""
    (s, u, v), (ds, du, dv) = parts(y, m), parts(dy, m)
    speeds, least = moving(y), root_precision(s) * size_of(s)
    left, right = u.mT @ du, v.mT @ dv
    turn_u, turn_v = antisymmetric(left), antisymmetric(right)
    vanishing = s <= least
    noise = fn.maximum(noise_of(left), noise_of(right))

    def slopes() -> Slopes:
        _, du_moved, dv_moved = parts(change(jvp, dy, y, speeds), m)
        left_moved, right_moved = u.mT @ du_moved, v.mT @ dv_moved
        first, second = antisymmetric(left_moved), antisymmetric(right_moved)
        above = first * s + s.mT * second + turn_u * speeds + speeds.mT * turn_v
        # of two that vanish: half the second derivatives, once the first ones are 0
        deeper = first * speeds + speeds.mT * second
        undefined = fn.abs(turn_u) + fn.abs(turn_v) > noise
        deeper = fn.where(undefined, float("nan"), deeper)
        both = vanishing & vanishing.mT
        squares, ahead = antisymmetric(speeds * speeds), 2.0 * (s * speeds - (s * speeds).mT)
        return (
            (fn.where(both, deeper, above), fn.where(both, squares, ahead)),
            (du_moved - u @ left_moved, speeds),
            (dv_moved - v @ right_moved, speeds),
        )

    above = turn_u * s + s.mT * turn_v
    close = pairs_of(fn.abs(s - s.mT) <= least)
    core, outside_u, outside_v = with_limits(
        (
            Quotient(above, s * s - (s * s).mT, close, noise * size_of(s)),
            Quotient(du - u @ left, s, fn.broadcast_to(vanishing, du.shape), noise_of(du)),
            Quotient(dv - v @ right, s, fn.broadcast_to(vanishing, dv.shape), noise_of(dv)),
        ),
        slopes,
    )
    core = core + on_diagonal_of(ds)
    return (u @ core + outside_u) @ v.mT + u @ outside_v.mT


# ------------------------------------------------------------------------------- parts


def moving(y: Tensor) -> Tensor:
    """The speeds at which the values in the first row of a factorisation move apart: 1, 2, ..."""
    n = y.shape[-1]
    return fn.broadcast_to(fn.arange(1, n + 1, dtype=y.dtype), (*y.shape[:-2], 1, n))


def change(jvp: Pushforward, dy: Tensor, y: Tensor, speeds: Tensor) -> Tensor:
    """How the cotangent of a factorisation changes while its values move and its vectors stay."""
    rest = fn.zeros((*y.shape[:-2], y.shape[-2] - 1, y.shape[-1]), dtype=y.dtype)
    return jvp(dy, y, fn.concat([speeds, rest], axis=-2))


def pairs_of(condition: Tensor) -> Tensor:
    """The condition off the diagonal."""
    return condition & ~fn.eye(condition.shape[-1], dtype="bool")


def antisymmetric(x: Tensor) -> Tensor:
    """x - x^T."""
    return x - x.mT


def root_precision(x: Tensor) -> float:
    """Below it, times the largest value, a limit is nearer than a quotient of roundings."""
    return math.sqrt(np.finfo(x.dtype.numpy).eps)


def noise_of(x: Tensor) -> Tensor:
    """What may be rounding in a matrix, as a matrix of one element."""
    return NOISE_EPSILONS * float(np.finfo(x.dtype.numpy).eps) * size_of(x)


def size_of(x: Tensor) -> Tensor:
    """The largest magnitude of each matrix, as a matrix of one element; 0 for nothing."""
    wide = fn.pad(fn.abs(x), [(0, 0)] * (x.ndim - 2) + [(0, 1), (0, 1)])
    result: Tensor = fn.max(fn.stop_gradient(wide), axis=(-2, -1), keepdims=True)
    return result
