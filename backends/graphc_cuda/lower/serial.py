"""Statements that one thread runs by itself, in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from graphc.ir.loops.ir import (
    BLOCK,
    Accumulate,
    Accumulator,
    Check,
    Expr,
    Let,
    Loop,
    Scratch,
    Stmt,
    Store,
)
from graphc.ir.types import DType, int32, int64
from graphc_cuda.device.program import LOCAL, Assign, Op, Value
from graphc_cuda.lower.running import Running, start
from graphc_cuda.lower.scalar import Scalar, as_index
from graphc_cuda.lower.writer import Placed, Writer

Body = Callable[[Writer, Sequence[Stmt]], None]


def serial_block(w: Writer, body: Sequence[Stmt]) -> None:
    """Statements, one after the other."""
    for stmt in body:
        serial(w, stmt)


def serial(w: Writer, stmt: Stmt) -> None:
    """One statement."""
    match stmt:
        case Let() | Accumulate() | Check():
            simple(w, stmt)
        case Store():
            store(w, stmt)
        case Scratch(buffer=buffer):
            shape = w.shape(buffer)
            size = 1
            for extent in shape:
                size *= extent
            array = w.declare(buffer.name, buffer.dtype, size, LOCAL)
            w.arrays[buffer] = Placed(array, shape)
        case Loop():
            whole_loop(w, stmt)


def simple(w: Writer, stmt: Let | Accumulate | Check) -> None:
    """A statement that writes no memory."""
    memo: dict[Expr, Scalar] = {}
    match stmt:
        case Let(ref=ref, value=value):
            w.refs[ref.name] = w.assign(ref.name, w.evaluate(value, memo))
        case Accumulate(accumulator=accumulator, values=values):
            w.running[accumulator].merge(tuple(w.evaluate(v, memo) for v in values))
        case Check(condition=condition, code=code):
            w.check(w.evaluate(condition, memo), code)


def store(w: Writer, stmt: Store) -> None:
    """Write an element, where the condition holds."""
    if stmt.where is None:
        _put(w, stmt)
        return
    condition = w.kept(w.evaluate(stmt.where))
    with w.when(condition.value):
        _put(w, stmt)


def _put(w: Writer, stmt: Store) -> None:
    memo: dict[Expr, Scalar] = {}
    at = [w.evaluate(i, memo) for i in stmt.index]
    w.store(stmt.buffer, at, w.evaluate(stmt.value, memo))


def whole_loop(w: Writer, loop: Loop) -> None:
    """A loop, and what its accumulators hold after it."""
    for running in iterate(w, loop, as_index(0), 1, serial_block):
        name_values(w, running, running.finish())


def name_values(w: Writer, running: Running, values: Sequence[Scalar]) -> None:
    """Let an accumulator's refs hold values."""
    for ref, value in zip(running.accumulator.refs, values):
        w.refs[ref.name] = value


def iterate(w: Writer, loop: Loop, first: Scalar, step: int, body: Body) -> list[Running]:
    """Run iterations first, first + step, ...; returns the accumulators, not yet finished."""
    runnings = [start(w, loop, a) for a in loop.accumulators]
    direct = [r for r in runnings if r.total and r.steps is None]
    count = w.trips(loop)
    if not direct:
        _repeat(w, loop, first, count, step, body)
        return runnings
    size = BLOCK * step
    with w.loop(f"{loop.axis.name}_block", as_index(0), count, size) as begin:
        for running in direct:
            running.begin_block()
        end = smaller(w.emit.add(begin, as_index(size)), count)
        _repeat(w, loop, w.emit.add(begin, first), end, step, body)
        for running in direct:
            running.end_block()
    return runnings


def smaller(x: Scalar, y: Scalar) -> Scalar:
    """The smaller of two indices."""
    assert x.range is not None
    assert y.range is not None
    if x.range[1] <= y.range[0]:
        return x
    found = min(x.range[0], y.range[0]), min(x.range[1], y.range[1])
    dtype = int32 if x.value.dtype == y.value.dtype == int32 else int64
    args = tuple(_widened(v, dtype) for v in (x, y))
    return Scalar(Op(dtype, "min", args, is_index=True), int64, found)


def _widened(x: Scalar, dtype: DType) -> Value:
    if x.value.dtype == dtype:
        return x.value
    return Op(dtype, "convert", (x.value,), is_index=True)


def _repeat(w: Writer, loop: Loop, first: Scalar, end: Scalar, step: int, body: Body) -> None:
    with w.loop(loop.axis.name, first, end, step) as index:
        w.axes[loop.axis] = index
        for accumulator in loop.accumulators:
            if accumulator.combine.carried:
                _show_carried(w, accumulator)
        body(w, loop.body)


def _show_carried(w: Writer, accumulator: Accumulator) -> None:
    """What the iteration before accumulated, under the names of the refs."""
    for ref, value in zip(accumulator.refs, w.running[accumulator].before()):
        variable = w.variable(f"{ref.name}_before", value.value.dtype)
        w.add(Assign(variable, value.value))
        w.refs[ref.name] = Scalar(variable, ref.dtype)
