"""Write the statements of one device kernel: names, blocks, and expressions of the loop level."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Protocol

from graphc.ir.dims import evaluate
from graphc.ir.loops.ir import (
    Accumulator,
    Apply,
    Axis,
    Buffer,
    Const,
    Expr,
    Extent,
    Index,
    Load,
    Loop,
    Ref,
    walk_new,
)
from graphc.ir.types import DType, bool_, int32, int64, uint32
from graphc_cuda.device.program import (
    GLOBAL,
    SHARED,
    Assign,
    Declare,
    DeviceArray,
    For,
    Get,
    If,
    Intrinsic,
    Literal,
    Op,
    Put,
    Select,
    Special,
    Stmt,
    Value,
    Variable,
)
from graphc_cuda.lower.naming import name_shared
from graphc_cuda.lower.ranges import INT32
from graphc_cuda.lower.scalar import SHORT, Scalar, as_index, held_as, index_of, stored_as
from graphc_cuda.lower.scalars import DeviceEmitter, Functions

# names of the text that buffers and variables do not take
RESERVED = frozenset(("status", "thread", "block", "lane", "row", "point", "cuda"))
_NOT_LETTER = re.compile(r"\W")


class Placed:
    """Where a buffer of the loop level lies: an array, from an element on."""

    def __init__(self, array: DeviceArray, shape: tuple[int, ...], start: Scalar | None = None):
        self.array, self.shape, self.start = array, shape, start


class Extents(Protocol):
    """What is known of the iterations of loops."""

    def trips(self, loop: Loop) -> int:
        """The iterations of a loop at most."""
        ...

    def is_fixed(self, loop: Loop) -> bool:
        """Whether a loop always has as many iterations."""
        ...


class Merging(Protocol):
    """The running values of an accumulator (`running.Running`)."""

    def merge(self, values: tuple[Scalar, ...]) -> None:
        """Merge new values into the current ones."""
        ...

    def before(self) -> tuple[Scalar, ...]:
        """What has been accumulated so far."""
        ...


class Writer:
    """The kernel as it grows; `sizes` are the values of all dims."""

    def __init__(self, functions: Functions, sizes: Mapping[str, int]) -> None:
        self.emit = DeviceEmitter(functions)
        self.sizes = sizes
        self.extents: Extents | None = None
        self.aliased: frozenset[Buffer] = frozenset()  # buffers that may share bytes
        self.body: list[Stmt] = []
        self.top: list[Stmt] = []  # declarations
        self.arrays: dict[Buffer, Placed] = {}
        self.axes: dict[Axis, Scalar] = {}
        self.refs: dict[str, Scalar] = {}
        self.written: set[DeviceArray] = set()
        self.names: set[str] = set(RESERVED)
        self.status: DeviceArray | None = None
        self.running: dict[Accumulator, Merging] = {}
        self.stages: dict[tuple[str, DType, int], DeviceArray] | None = None  # used in turns

    @property
    def known(self) -> Extents:
        """What is known of the kernel's loops."""
        assert self.extents is not None
        return self.extents

    # -- names and declarations --------------------------------------------------------

    def name(self, wish: str) -> str:
        """A name that nothing in the kernel has yet."""
        base = name = _NOT_LETTER.sub("_", wish) or "v"
        count = 1
        while name in self.names:
            name, count = f"{base}_{count}", count + 1
        self.names.add(name)
        return name

    def variable(self, wish: str, dtype: DType, is_index: bool = False) -> Variable:
        """A new variable."""
        return Variable(dtype, self.name(wish), is_index=is_index)

    def fresh(self, dtype: DType) -> Variable:
        """A new variable for a shared value."""
        return self.variable("t", dtype)

    def trips(self, loop: Loop) -> Scalar:
        """The iterations of a loop; a literal unless the loops around it or data decide."""
        found = self.assign(f"{loop.axis.name}_end", self.evaluate(loop.extent))
        return found if found.range is not None else self._clipped(found, INT32[1] - 1)

    def shape(self, buffer: Buffer) -> tuple[int, ...]:
        """The shape of a buffer."""
        return tuple(evaluate(s, self.sizes) for s in buffer.shape)

    def declare(self, wish: str, dtype: DType, size: int, space: str = SHARED) -> DeviceArray:
        """Memory of the block or of the thread."""
        holds = dtype.name if stored_as(dtype) != dtype else ""
        array = DeviceArray(self.name(wish), stored_as(dtype), max(1, size), space, holds)
        self.top.append(Declare(array))
        return array

    def stage(self, wish: str, dtype: DType, size: int) -> DeviceArray:
        """Memory of the block for a while: stages that follow each other have the same."""
        if self.stages is None:
            return self.declare(wish, dtype, size)
        key = wish, dtype, size
        if key not in self.stages:
            self.stages[key] = self.declare(wish, dtype, size)
        return self.stages[key]

    def argument(self, wish: str, dtype: DType, size: int) -> DeviceArray:
        """An array of global memory."""
        holds = dtype.name if stored_as(dtype) != dtype else ""
        return DeviceArray(self.name(wish), stored_as(dtype), size, GLOBAL, holds)

    # -- statements -------------------------------------------------------------------

    def add(self, stmt: Stmt) -> None:
        """One more statement."""
        self.body.append(stmt)

    @contextmanager
    def inside(self) -> Iterator[list[Stmt]]:
        """Collect the statements of a block."""
        outer, self.body = self.body, []
        refs = dict(self.refs)
        try:
            yield self.body
        finally:
            self.body, self.refs = outer, refs

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Statements that run where a condition holds."""
        if isinstance(condition, Literal) and condition.value:
            yield
            return
        with self.inside() as body:
            yield
        if body:
            self.add(If(condition, tuple(body)))

    @contextmanager
    def loop(self, wish: str, start: Scalar, stop: Scalar, step: int) -> Iterator[Scalar]:
        """Statements that run for start, start + step, ... below stop."""
        low, high = start.range or (0, 0), stop.range or (0, 0)
        dtype = int32 if high[1] + step < 2**31 else int64
        variable = self.variable(wish, dtype, is_index=True)
        with self.inside() as body:
            yield index_of(variable, low[0], max(low[0], high[1] - 1))
        first, last = self._at_width(start, dtype), self._at_width(stop, dtype)
        by = Literal(dtype, step, is_index=True)
        self.add(For(variable, first, last, by, tuple(body)))

    def _at_width(self, x: Scalar, dtype: DType) -> Value:
        if x.value.dtype == dtype:
            return x.value
        if isinstance(x.value, Literal):
            return Literal(dtype, x.value.value, is_index=True)
        return Op(dtype, "convert", (x.value,), is_index=True)

    def assign(self, wish: str, value: Scalar) -> Scalar:
        """Give a value a name; literals and variables keep theirs."""
        if isinstance(value.value, (Literal, Special, Variable)):
            return value
        kept = self.kept(value)
        variable = self.variable(wish, kept.value.dtype, kept.value.is_index)
        self.add(Assign(variable, kept.value))
        return replace(value, value=variable)

    def set(self, variable: Variable, value: Scalar) -> None:
        """Change a variable."""
        value = self.kept(value)
        wide = value.value if value.value.dtype == variable.dtype else self.emit.wide(value)
        if wide is not variable:
            self.add(Assign(variable, wide))

    def kept(self, value: Scalar) -> Scalar:
        """The value with assignments in front for what it uses several times."""
        return self.kept_all([value])[0]

    def kept_all(self, values: Sequence[Scalar]) -> list[Scalar]:
        """The same for values that one statement uses."""
        assigns, found = name_shared([v.value for v in values], self.fresh)
        self.body += assigns
        return [replace(v, value=new) for v, new in zip(values, found)]

    # -- memory -----------------------------------------------------------------------

    def get(self, array: DeviceArray, at: Scalar, dtype: DType) -> Scalar:
        """An element as a value of the dtype it means."""
        found = Get(array.dtype, array, at.value)
        if dtype == bool_:
            return Scalar(Op(bool_, "ne", (found, Literal(array.dtype, 0))), bool_)
        return Scalar(found, dtype)

    def put(self, array: DeviceArray, at: Scalar, value: Scalar) -> None:
        """array[at] = value"""
        at, value = self.kept_all([at, value])
        held = self.emit.wide(value)
        if value.dtype == bool_:
            held = Op(array.dtype, "convert", (held,))
        self.add(Put(array, at.value, held))
        self.written.add(array)

    def place(self, buffer: Buffer, at: Sequence[Scalar]) -> Scalar:
        """The flat index of an element: narrow wherever the array allows."""
        placed, e = self.arrays[buffer], self.emit
        total = placed.start or as_index(0)
        limit = placed.array.size
        for position, part in enumerate(at):
            stride = 1
            for extent in placed.shape[position + 1 :]:
                stride *= extent
            # what is read is inside the array, whatever is known of the index
            high = max(0, placed.shape[position] - 1)
            near = part if part.range and _is_near(part.range) else self._clipped(part, high)
            total = e.add(total, e.mul(near, as_index(stride)))
        return replace(total, range=(0, max(0, limit - 1)))

    def _clipped(self, at: Scalar, high: int) -> Scalar:
        """An index that is known to be in range, of a value of which nothing else is known."""
        if high < 2**31 and at.value.dtype == int64:
            return index_of(Op(int32, "convert", (at.value,), is_index=True), 0, high)
        return Scalar(at.value, int64, (0, high))

    def load(self, buffer: Buffer, at: Sequence[Scalar]) -> Scalar:
        """An element of a buffer."""
        return self.get(self.arrays[buffer].array, self.place(buffer, at), buffer.dtype)

    def store(self, buffer: Buffer, at: Sequence[Scalar], value: Scalar) -> None:
        """buffer[at] = value"""
        self.put(self.arrays[buffer].array, self.place(buffer, at), value)

    def check(self, condition: Scalar, code: int) -> None:
        """Record a failure where the condition is false."""
        assert self.status is not None
        failed = self.kept(self.emit.logical_not(condition))
        first = Literal(int32, 0, is_index=True)
        note = Intrinsic((), "atomic_min", (self.status, first, Literal(uint32, code)))
        if isinstance(failed.value, Literal) and not failed.value.value:
            return
        self.add(If(failed.value, (note,)))
        self.written.add(self.status)

    # -- expressions of the loop level --------------------------------------------------

    def evaluate(self, expr: Expr, memo: dict[Expr, Scalar] | None = None) -> Scalar:
        """The value of an expression; a memo keeps what one statement shares."""
        known = {} if memo is None else memo
        for current in walk_new(expr, lambda x: x in known):
            known[current] = self._compute(current, known)
        return known[expr]

    def _compute(self, expr: Expr, known: dict[Expr, Scalar]) -> Scalar:
        match expr:
            case Const(value=value, dtype=dtype):
                return self.emit.const(value, dtype)
            case Extent(size=size):
                return as_index(evaluate(size, self.sizes))
            case Index(axis=axis):
                return self.axes[axis]
            case Ref(name=name):
                return self.refs[name]
            case Load(buffer=buffer, index=at, where=where):
                found = self.load(buffer, [known[i] for i in at])
                if where is None:
                    return found
                return self._guarded(known[where], found, buffer.dtype)
            case Apply(function=function, args=args, dtype=dtype):
                values = [known[x] for x in args]
                if function in ("cast", "bitcast"):
                    convert: Callable[[Scalar, DType], Scalar] = getattr(self.emit, function)
                    return convert(values[0], dtype)
                return self.emit.apply(function, *values)
        raise AssertionError(f"unknown expression {expr}")

    def _guarded(self, where: Scalar, found: Scalar, dtype: DType) -> Scalar:
        """What is read where a condition holds, else 0."""
        zero = self.emit.const(0, dtype)
        if isinstance(where.value, Literal):
            return found if where.value.value else zero
        value = Select(held_as(dtype), where.value, found.value, self.emit.wide(zero))
        return Scalar(value, dtype)


def _is_near(found: tuple[int, int]) -> bool:
    """Whether index arithmetic with such a value stays narrow."""
    return found[0] >= -(2**31) and found[1] < 2**31


__all__ = ["SHORT", "Placed", "Writer"]
