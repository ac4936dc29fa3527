"""The two operands of a loss or metric: of one shape, or refused."""

from __future__ import annotations

from typing import NoReturn

from graphc.errors import ShapeError
from graphc.frontend import functions as fn
from graphc.frontend.functions.operands import fail, same_dtype, widened
from graphc.frontend.tensor import Tensor, lift
from graphc.frontend.typing import TensorLike
from graphc.ir.types import DType


def paired(
    name: str, roles: tuple[str, str], prediction: TensorLike, target: TensorLike
) -> tuple[Tensor, Tensor, DType]:
    """Two operands of one shape (or one of them a number), the second in the dtype of the first;
    16-bit floats as float32; and the dtype of the result.

    Broadcasting here would pair every prediction with every target. Bools, integers and arrays
    convert.
    """
    x = lift(prediction)
    y = lift(target, x.dtype)
    if x.dtype.is_float and (not isinstance(target, Tensor) or not y.dtype.is_float):
        y = fn.astype(y, x.dtype)
    if x.shape != y.shape and x.ndim and y.ndim:
        refuse_shapes(name, roles, x, y)
    dtype = same_dtype(name, (x, y))[0].dtype
    return widened(x), widened(y), dtype


def refuse_shapes(name: str, roles: tuple[str, str], x: Tensor, y: Tensor) -> NoReturn:
    """Complain about two operands of a loss or metric, with what would make them fit."""
    hint = None
    for (role, t), (other, u) in (((roles[0], x), (roles[1], y)), ((roles[1], y), (roles[0], x))):
        if t.shape == (*u.shape, 1):
            hint = f"{role}[..., 0] has the shape of {other}"
        elif u.shape == t.shape[t.ndim - u.ndim :]:
            hint = f"gx.broadcast_to({other}, {role}.shape) where every {role} meets {other}"
    wanted = "must have one shape"
    if name == "accuracy":
        wanted += ", or the logits one axis of classes more"
        hint = hint or label_hint(x, y)
    fail(
        ShapeError,
        f"{name}: {roles[0]} and {roles[1]} {wanted}: {x.type} vs {y.type}",
        (x, y),
        hint,
    )


def label_hint(logits: Tensor, labels: Tensor) -> str | None:
    if labels.shape == (*logits.shape[:-1], 1):
        return "labels[..., 0] would fit"
    if labels.shape == logits.shape:
        return "a distribution over the classes is given as floats: astype('float32')"
    return None
