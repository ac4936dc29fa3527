"""Mixed precision: what contractions round their operands to, and how losses are scaled."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ContextDecorator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.ir.types import Array, DType, bfloat16, float16

FP32, TF32, BF16, FP16 = NAMES = ("fp32", "tf32", "bf16", "fp16")
DTYPES: dict[str, DType] = {BF16: bfloat16, FP16: float16}

TF32_HALF, TF32_MASK = 0x1000, 0xFFFFE000  # half of the last bit of ten, and all that stay
INITIAL_SCALE, MAX_SCALE, MIN_SCALE = 2.0**16, 2.0**24, 1.0

Function = TypeVar("Function", bound=Callable[..., Any])

_regions: ContextVar[tuple[Precision, ...]] = ContextVar("graphc_precision", default=())


@dataclass(frozen=True)
class Precision(ContextDecorator):
    """What `precision` returns: a context, and what `compile` takes.

    `name` is "fp32", "tf32", "bf16" or "fp16"; `loss_scale` the scale that losses start with (1.0
    for none), `dynamic` whether it changes: it doubles after `growth_steps` good steps.
    """

    name: str
    loss_scale: float = 1.0
    dynamic: bool = False
    growth_steps: int = 2000

    @property
    def dtype(self) -> DType | None:
        """The dtype that operands are rounded to; None for TF32, which is none, and for float32."""
        return DTYPES.get(self.name)

    @property
    def rounds(self) -> bool:
        """Whether operands are rounded at all."""
        return self.name != FP32

    @property
    def scales(self) -> bool:
        """Whether losses are scaled."""
        return self.dynamic or self.loss_scale != 1.0

    def __enter__(self) -> Precision:
        _regions.set((*_regions.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _regions.set(_regions.get()[:-1])


FULL = Precision(FP32)


def precision(
    kind: str, loss_scale: float | str | None = None, growth_steps: int = 2000
) -> Precision:
    """Mixed precision: matrix products and convolutions round their operands, and add in float32.

    - `kind`: "bf16", "fp16", "tf32" (10 bits behind the point), or "fp32" for no rounding.
    - `loss_scale`: what `minimize` multiplies the loss with while it differentiates. "dynamic",
      the default of "fp16", starts at 65536: gradients that are not finite skip the whole update
      and halve it. A number stays as it is; 1.0 stands for no scaling.
    - `growth_steps`: a dynamic scale doubles after so many good steps in a row.

    As a context it holds for what is defined in the block, its gradients included, and for
    functions compiled in it; `compile(..., precision=)` for one function. The innermost one counts,
    so a layer in a block of "fp32" stays exact. float64 is never rounded.
    """
    if not isinstance(kind, str) or kind not in NAMES:
        _fail(f"kind must be one of {', '.join(NAMES)}, got {kind!r}")
    whole = isinstance(growth_steps, (int, np.integer)) and not isinstance(growth_steps, bool)
    if not whole or growth_steps < 1:
        _fail(f"growth_steps must be an int of 1 or more, got {growth_steps!r}")
    if loss_scale is None:
        loss_scale = "dynamic" if kind == FP16 else 1.0
    if isinstance(loss_scale, str) and loss_scale == "dynamic":
        return Precision(kind, INITIAL_SCALE, True, int(growth_steps))
    number = isinstance(loss_scale, (int, float, np.integer, np.floating))
    if not number or isinstance(loss_scale, bool) or not 0 < float(loss_scale) < math.inf:
        _fail(f'loss_scale must be "dynamic" or a positive finite number, got {loss_scale!r}')
    return Precision(kind, float(loss_scale), False, int(growth_steps))


def current() -> Precision | None:
    """The precision of the innermost block; None outside of all."""
    regions = _regions.get()
    return regions[-1] if regions else None


def in_region(function: Function) -> Function:
    """The function as it runs in the block around this call, wherever it is called."""
    region = current()
    return function if region is None else region(function)


def chosen(argument: object) -> Precision | None:
    """What an argument `precision` of `compile` stands for; None: that of the block around it."""
    if argument is None:
        return current()
    if isinstance(argument, Precision):
        return argument
    if not isinstance(argument, str) or argument not in NAMES:
        raise ArgumentError(
            f"compile: precision must be one of {', '.join(NAMES)}, got {argument!r}",
            origin=origins.find_origin(),
            hint="gx.precision(kind, ...) has options",
        )
    return precision(argument)


def rounded(x: Array, to: Precision | None) -> Array:
    """An operand as a contraction sees it: float32 rounded, anything else as it is."""
    if to is None or not to.rounds or x.dtype != np.float32:
        return x
    if to.dtype is None:
        return rounded_to_tf32(x)
    with np.errstate(all="ignore"):
        low: Array = x.astype(to.dtype.numpy)
        return low.astype(np.float32)


def rounded_to_tf32(x: Array) -> Array:
    """The nearest number of 10 bits behind the point, of two the one away from 0; NaN stays."""
    bits = np.ascontiguousarray(x).view(np.uint32).reshape(x.shape).astype(np.uint64)
    near = ((bits + TF32_HALF) & TF32_MASK).astype(np.uint32).view(np.float32)
    return np.where(np.isnan(x), x, near)


def _fail(text: str) -> Any:
    raise ArgumentError(f"precision: {text}", origin=origins.find_origin())
