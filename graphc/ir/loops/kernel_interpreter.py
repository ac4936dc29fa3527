"""Interpret kernels one scalar at a time: the reference semantics of ir.py.

The oracle of backends. Indices are checked, scratch starts as NaN or as the largest integer, and
a guarded load or store that does not happen touches nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from graphc.ir.dims import evaluate
from graphc.ir.loops.accumulators import is_laned
from graphc.ir.loops.combine import highest
from graphc.ir.loops.ir import (
    BLOCK,
    LANES,
    Accumulate,
    Accumulator,
    Apply,
    Axis,
    Buffer,
    Check,
    Const,
    Expr,
    Extent,
    Index,
    Kernel,
    Let,
    Load,
    Loop,
    Ref,
    Scratch,
    Stmt,
    Store,
)
from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.types import Array

Values = tuple[Any, ...]


def run_kernel(kernel: Kernel, arrays: Mapping[str, Array], dims: Mapping[str, int]) -> int | None:
    """Run a kernel on arrays by buffer name, in place; return the lowest code of a failed check.

    Raises ValueError for an array of another shape or dtype, IndexError for an index outside.
    """
    run = _Frame(dims)
    for buffer in kernel.arguments:
        array = arrays[buffer.name]
        shape = tuple(evaluate(size, dims) for size in buffer.shape)
        if array.shape != shape or array.dtype != buffer.dtype.numpy:
            raise ValueError(f"{kernel.name}: {buffer} is {array.dtype}{array.shape}")
        run.arrays[buffer] = array
    with np.errstate(all="ignore"):
        run.block(kernel.body)
    return min(run.failures, default=None)


class _AccumulatorState:
    """The values of an accumulator: one current and one total for each virtual lane."""

    def __init__(self, emitter: NumpyEmitter, accumulator: Accumulator, laned: bool) -> None:
        self.emitter, self.combine = emitter, accumulator.combine
        refs = accumulator.refs
        start = self.combine.identities(refs[0].dtype)
        self.identity = tuple(emitter.const(v, r.dtype) for v, r in zip(start, refs))
        count = LANES if laned else 1
        self.current, self.total = [self.identity] * count, [self.identity] * count
        self.blocks = [0] * count
        self.steps = 0
        self.blocked = self.combine.name != "dot" and not self.combine.carried

    def merge(self, values: Values, lane: int) -> None:
        """Merge values into a lane; a full block goes to the lane's total first."""
        if self.blocked and self.steps // BLOCK != self.blocks[lane]:
            self.blocks[lane] = self.steps // BLOCK
            self.total[lane] = self.join(self.total[lane], self.current[lane])
            self.current[lane] = self.identity
        self.current[lane] = self.join(self.current[lane], values)
        self.steps += 1

    def join(self, old: Values, new: Values) -> Values:
        return self.combine.merge(self.emitter, old, new)

    def finish(self) -> Values:
        """Add the last blocks to the totals, and the totals as a tree."""
        if not self.blocked:
            return self.current[0]
        values = [self.join(t, c) for t, c in zip(self.total, self.current)]
        while len(values) > 1:
            half = len(values) // 2
            values = [self.join(low, high) for low, high in zip(values[:half], values[half:])]
        return values[0]


class _Frame:
    """One execution: the current values of buffers, axes, refs and accumulators."""

    def __init__(self, dims: Mapping[str, int]) -> None:
        self.dims, self.emitter = dims, NumpyEmitter()
        self.arrays: dict[Buffer, Array] = {}
        self.axes: dict[Axis, int] = {}
        self.refs: dict[str, Any] = {}
        self.running: dict[Accumulator, _AccumulatorState] = {}
        self.lane = 0
        self.failures: set[int] = set()

    # -- statements ----------------------------------------------------------------

    def block(self, body: tuple[Stmt, ...]) -> None:
        """Run statements one after the other."""
        for stmt in body:
            self.statement(stmt)

    def statement(self, stmt: Stmt) -> None:
        """Run one statement."""
        value = _Evaluator(self).value
        match stmt:
            case Loop():
                self.loop(stmt, int(value(stmt.extent)))
            case Scratch(buffer=buffer):
                self.arrays[buffer] = self.scratch(buffer)
            case Let(ref=ref, value=named):
                self.refs[ref.name] = value(named)
            case Accumulate(accumulator=accumulator, values=values):
                running = self.running[accumulator]
                lane = self.lane if len(running.current) > 1 else 0
                running.merge(tuple(value(v) for v in values), lane)
            case Store(buffer=buffer, index=at, value=stored, where=where):
                if where is None or value(where):
                    self.arrays[buffer][self.place(buffer, at, value)] = value(stored)
            case Check(condition=condition, code=code):
                if not value(condition):
                    self.failures.add(code)

    def loop(self, loop: Loop, trips: int) -> None:
        """Run a loop; the accumulators' refs hold their values after it."""
        for accumulator in loop.accumulators:
            laned = is_laned(loop, accumulator)
            self.running[accumulator] = _AccumulatorState(self.emitter, accumulator, laned)
        before = {}
        for i in range(trips):
            self.axes[loop.axis] = i
            for accumulator in loop.accumulators:
                if accumulator.combine.carried:
                    self.name_values(accumulator, self.running[accumulator].current[0])
            if loop.lanes:
                # sixteen iterations take their steps of summation together
                if i % LANES == 0:
                    before = {running: running.steps for running in self.running.values()}
                for running, steps in before.items():
                    if len(running.current) > 1:
                        running.steps = steps
                self.lane = i % LANES
            self.block(loop.body)
        for accumulator in loop.accumulators:
            self.name_values(accumulator, self.running.pop(accumulator).finish())

    def name_values(self, accumulator: Accumulator, values: Values) -> None:
        """Let an accumulator's refs hold values."""
        self.refs.update(zip((ref.name for ref in accumulator.refs), values))

    def scratch(self, buffer: Buffer) -> Array:
        """Allocate scratch filled so that reads before writes are visible."""
        shape = tuple(evaluate(size, self.dims) for size in buffer.shape)
        dtype = buffer.dtype
        poison = float("nan") if dtype.is_float else highest(dtype)
        return np.full(shape, self.emitter.const(poison, dtype), dtype.numpy)

    def place(
        self, buffer: Buffer, at: tuple[Expr, ...], value: Callable[[Expr], Any]
    ) -> tuple[int, ...]:
        """Return where in a buffer an index points."""
        place = tuple(int(value(i)) for i in at)
        shape = self.arrays[buffer].shape
        if len(place) != len(shape) or not all(0 <= i < n for i, n in zip(place, shape)):
            raise IndexError(f"{buffer.name}[{', '.join(map(str, place))}]: the shape is {shape}")
        return place


class _Evaluator:
    """The values of expressions in one statement, each computed once."""

    def __init__(self, run: _Frame) -> None:
        self.run = run
        self.known: dict[Expr, Any] = {}

    def value(self, expr: Expr) -> Any:
        """Return the value of an expression."""
        if expr not in self.known:
            self.known[expr] = self.compute(expr)
        return self.known[expr]

    def compute(self, expr: Expr) -> Any:
        """Compute the value of an expression."""
        run = self.run
        match expr:
            case Const(value=value, dtype=dtype):
                return run.emitter.const(value, dtype)
            case Index(axis=axis):
                return np.int64(run.axes[axis])
            case Extent(size=size):
                return np.int64(evaluate(size, run.dims))
            case Ref(name=name):
                return run.refs[name]
            case Load(buffer=buffer, index=at, where=where):
                if where is not None and not self.value(where):
                    return run.emitter.const(0, buffer.dtype)
                return run.arrays[buffer][run.place(buffer, at, self.value)]
            case Apply(function=function, args=args, dtype=dtype):
                values = [self.value(x) for x in args]
                if function in ("cast", "bitcast"):
                    return getattr(run.emitter, function)(*values, dtype)
                return run.emitter.apply(function, *values)
        raise AssertionError(f"unknown expression {expr}")
