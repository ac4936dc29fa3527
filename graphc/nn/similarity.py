"""Lengths and angles of vectors along an axis."""

from __future__ import annotations

from graphc.errors import ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import cast, fail, floating, one_axis, same_dtype, widened
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.ir.types import DType, float64
from graphc.linalg.norms import scale_of_squares


def l2_normalize(x: TensorLike, axis: int = -1, epsilon: float = 1e-12) -> Tensor:
    """x over its Euclidean length along an axis, lengths below `epsilon` counting as that.

    The gradient is finite everywhere, also at 0.
    """
    x = floating("l2_normalize", x)
    return cast(_normalized(widened(x), axis, epsilon), x.dtype)


def _normalized(x: Tensor, axis: int, epsilon: float) -> Tensor:
    result: Tensor = x / _length(x, axis, epsilon)
    return result


def _length(x: Tensor, axis: int, epsilon: float) -> Tensor:
    """The Euclidean length, whose squares stay in range: they are float64, or scaled."""
    if x.dtype != float64:
        wide = fn.astype(x, float64)
        square = fn.sum(wide * wide, axis=axis, keepdims=True)
        return fn.astype(fn.sqrt(fn.maximum(square, epsilon * epsilon)), x.dtype)
    axes = (one_axis("l2_normalize", axis, x.ndim, (x,)),)
    scale = scale_of_squares(x, axes, vanishing=False)
    small, least = x / scale, epsilon / scale
    square = fn.sum(small * small, axis=axis, keepdims=True)
    return fn.sqrt(fn.maximum(square, least * least)) * scale


def cosine_similarity(
    x: TensorLike, y: TensorLike, axis: int = -1, epsilon: float = 1e-12
) -> Tensor:
    """The cosine of the angle between x and y along an axis; 0 where one of them is 0.

    They have equal ranks (other axes may be 1 in one of them), or one is a single vector.
    """
    x, y, dtype = _pair(x, y, axis)
    return cast(_cosine(x, y, axis, epsilon), dtype)


def _pair(x: TensorLike, y: TensorLike, axis: int) -> tuple[Tensor, Tensor, DType]:
    """Two operands as wide as sums need it, and the dtype of the result."""
    x, y = lift(x), lift(y)
    _check_pair(x, y, axis)
    x, y = floating("l2_normalize", x), floating("l2_normalize", y)
    both = same_dtype("cosine_similarity", (x, y))
    return widened(x), widened(y), both[0].dtype


def _cosine(x: Tensor, y: Tensor, axis: int, epsilon: float) -> Tensor:
    product = _normalized(x, axis, epsilon) * _normalized(y, axis, epsilon)
    return fn.sum(product, axis=axis)


def _check_pair(x: Tensor, y: Tensor, axis: int) -> None:
    """Raise where vectors of other lengths, or every row with every row, would be compared."""
    name = "cosine_similarity"
    axes = [one_axis(name, axis, t.ndim, (t,)) - t.ndim for t in (x, y)]
    if x.ndim != y.ndim and (1 not in (x.ndim, y.ndim) or axes != [-1, -1]):
        text = f"{name}: x and y need equal ranks: {x.type} vs {y.type}"
        fail(ShapeError, text, (x, y), "gx.expand_dims where every x meets every y")
    p, q = (t.shape[a] for t, a in zip((x, y), axes))
    if p != q:
        text = f"{name}: sizes along axis {axis} differ: {p} vs {q} ({x.type} vs {y.type})"
        fail(ShapeError, text, (x, y))


def cosine_distance(x: TensorLike, y: TensorLike, axis: int = -1, epsilon: float = 1e-12) -> Tensor:
    """1 - cosine_similarity."""
    x, y, dtype = _pair(x, y, axis)
    return cast(1.0 - _cosine(x, y, axis, epsilon), dtype)
