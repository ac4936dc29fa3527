"""Kernels of the loop level to try emitters on, with their meaning in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from graphc.ir.dims import Dim, Size
from graphc.ir.loops import ir
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.types import DType, float32

M, N, K = Dim("m"), Dim("n"), Dim("k")
e = ExprEmitter()


def load(buffer: ir.Buffer, *at: ir.Expr | ir.Axis, where: ir.Expr | None = None) -> ir.Load:
    """buffer[at]"""
    return ir.Load(buffer.dtype, buffer, _places(at), where)


def store(
    buffer: ir.Buffer, at: Sequence[ir.Expr | ir.Axis], value: ir.Expr, where: Any = None
) -> ir.Store:
    """buffer[at] = value"""
    return ir.Store(buffer, _places(at), value, where)


def _places(at: Sequence[ir.Expr | ir.Axis]) -> tuple[ir.Expr, ...]:
    return tuple(e.index(x) if isinstance(x, ir.Axis) else x for x in at)


def parallel(axis: ir.Axis, size: Size, *body: ir.Stmt, lanes: bool = False) -> ir.Loop:
    """for axis in range(size), in any order"""
    return ir.Loop(axis, ir.extent(size), ir.PARALLEL, body, lanes=lanes)


def lanes(axis: ir.Axis, size: Size, *body: ir.Stmt) -> ir.Loop:
    """for axis in range(size), along vectors"""
    return parallel(axis, size, *body, lanes=True)


def reduction(
    axis: ir.Axis,
    size: Size,
    combine: ir.Combine,
    refs: Sequence[ir.Ref],
    values: Sequence[ir.Expr],
    lanes: bool = True,
    before: Sequence[ir.Stmt] = (),
) -> ir.Loop:
    """Accumulate values over an axis into refs."""
    accumulator = ir.Accumulator(combine, tuple(refs))
    body = (*before, ir.Accumulate(accumulator, tuple(values)))
    return ir.Loop(axis, ir.extent(size), ir.SEQUENTIAL, body, (accumulator,), lanes)


def ref(name: str, dtype: DType = float32) -> ir.Ref:
    """A name for a value."""
    return ir.Ref(dtype, name)


def axes(names: str) -> tuple[ir.Axis, ...]:
    """Axes by name."""
    return tuple(ir.Axis(name) for name in names.split())


def number(value: Any, dtype: DType = float32) -> ir.Expr:
    """A literal."""
    return e.const(value, dtype)


# ------------------------------------------------------------------ order of summation


def blocked_sum(x: np.ndarray, virtual_lanes: int) -> Any:
    """Sum the last axis in the order that `ir.Combine` fixes."""
    count = x.shape[-1]
    totals = np.zeros((*x.shape[:-1], virtual_lanes), x.dtype)
    step = ir.BLOCK * virtual_lanes
    for first in range(0, count, step):
        block = np.zeros_like(totals)
        for start in range(first, min(first + step, count), virtual_lanes):
            part = x[..., start : min(start + virtual_lanes, count)]
            block[..., : part.shape[-1]] += part
        totals += block
    while totals.shape[-1] > 1:
        half = totals.shape[-1] // 2
        totals = totals[..., :half] + totals[..., half:]
    return totals[..., 0]
