"""Write loops over matrices the way one writes them on paper.

`Work` opens loops and scratch in a kernel under construction; `Number` is a scalar expression with
operators; `Grid` is a buffer that is read and assigned by index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Union

from graphc.compiler.fusion.values import At, Values
from graphc.ir.dims import Size
from graphc.ir.graph import Node
from graphc.ir.loops import combine
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import (
    PARALLEL,
    SEQUENTIAL,
    Accumulate,
    Accumulator,
    Axis,
    Buffer,
    Combine,
    Expr,
    Let,
    Load,
    Loop,
    Ref,
    Scratch,
    Store,
)
from graphc.ir.schedule import Storage
from graphc.ir.types import DType, int64

Operand = Union["Number", float]


class Number:
    """A scalar of a kernel under construction."""

    __slots__ = ("e", "expr")

    def __init__(self, e: ExprEmitter, expr: Expr) -> None:
        self.e, self.expr = e, expr

    def _of(self, other: Operand) -> Expr:
        if isinstance(other, Number):
            return other.expr
        found: Expr = self.e.const(other, self.expr.dtype)
        return found

    def _apply(self, function: str, *others: Operand) -> Number:
        return Number(self.e, self.e.apply(function, self.expr, *map(self._of, others)))

    def __add__(self, other: Operand) -> Number:
        return Number(self.e, self.e.add(self.expr, self._of(other)))

    def __sub__(self, other: Operand) -> Number:
        return Number(self.e, self.e.sub(self.expr, self._of(other)))

    def __rsub__(self, other: Operand) -> Number:
        return Number(self.e, self.e.sub(self._of(other), self.expr))

    def __mul__(self, other: Operand) -> Number:
        return Number(self.e, self.e.mul(self.expr, self._of(other)))

    def __truediv__(self, other: Operand) -> Number:
        return self._apply("div", other)

    def __rtruediv__(self, other: Operand) -> Number:
        return Number(self.e, self._of(other)) / self

    def __neg__(self) -> Number:
        return self._apply("neg")

    def __abs__(self) -> Number:
        return self._apply("abs")

    def __lt__(self, other: Operand) -> Number:
        return self._apply("lt", other)

    def __le__(self, other: Operand) -> Number:
        return self._apply("le", other)

    def __gt__(self, other: Operand) -> Number:
        return Number(self.e, self.e.apply("lt", self._of(other), self.expr))

    def __and__(self, other: Number) -> Number:
        return self._apply("logical_and", other)

    def __or__(self, other: Number) -> Number:
        return self._apply("logical_or", other)

    def __invert__(self) -> Number:
        return self._apply("logical_not")

    def equals(self, other: Operand) -> Number:
        """Whether the two are equal."""
        return self._apply("eq", other)

    def sqrt(self) -> Number:
        """The square root."""
        return self._apply("sqrt")

    def less_product(self, x: Number, y: Number) -> Number:
        """self - x * y, rounded once where the target can."""
        return Number(self.e, self.e.apply("fma", (-x).expr, y.expr, self.expr))

    def plus_product(self, x: Number, y: Number) -> Number:
        """self + x * y, rounded once where the target can."""
        return Number(self.e, self.e.apply("fma", x.expr, y.expr, self.expr))

    def choose(self, x: Operand, y: Operand) -> Number:
        """x where this bool is true, y elsewhere; one of them is a Number."""
        like = x if isinstance(x, Number) else y
        assert isinstance(like, Number)
        return Number(self.e, self.e.apply("select", self.expr, like._of(x), like._of(y)))

    def cast(self, dtype: DType) -> Number:
        """Convert the value."""
        return Number(self.e, self.e.cast(self.expr, dtype))


Place = Number | int | tuple[Number | int, ...]


class Grid:
    """A buffer as something to index: ``w[i, k] = w[i, k] * 2``."""

    def __init__(self, work: Work, buffer: Buffer, lead: tuple[Expr, ...] = ()) -> None:
        self.work, self.buffer, self.lead = work, buffer, lead

    def _place(self, at: Place) -> tuple[Expr, ...]:
        places = at if isinstance(at, tuple) else (at,)
        return self.lead + tuple(self.work.number(i).expr for i in places)

    def __getitem__(self, at: Place) -> Number:
        return Number(self.work.e, Load(self.buffer.dtype, self.buffer, self._place(at)))

    def __setitem__(self, at: Place, value: Number | float) -> None:
        self.put(at, value)

    def put(self, at: Place, value: Number | float, where: Number | None = None) -> None:
        """Assign, where a condition holds."""
        expr = (
            value.expr if isinstance(value, Number) else self.work.e.const(value, self.buffer.dtype)
        )
        condition = None if where is None else where.expr
        self.work.values.emit(Store(self.buffer, self._place(at), expr, condition))


class Work:
    """A kernel under construction, as a place to write loops in."""

    def __init__(self, values: Values) -> None:
        self.values, self.e = values, values.e

    def number(self, value: Number | Expr | Size) -> Number:
        """An index or a size as a number."""
        if isinstance(value, Number):
            return value
        return Number(self.e, value if isinstance(value, Expr) else self.e.extent(value))

    def constant(self, value: float, dtype: DType) -> Number:
        """A literal."""
        return Number(self.e, self.e.const(value, dtype))

    def scratch(self, name: str, dtype: DType, *shape: Size) -> Grid:
        """Memory that lives to the end of the open block."""
        buffer = Buffer(self.values.name(name), dtype, shape)
        self.values.emit(Scratch(buffer))
        return Grid(self, buffer)

    def named(self, value: Number, name: str = "value") -> Number:
        """Compute a value here, once."""
        ref = Ref(value.expr.dtype, self.values.name(name))
        self.values.emit(Let(ref, value.expr))
        return Number(self.e, ref)

    @contextmanager
    def loop(
        self, count: Number | Size, *, side_by_side: bool = False, name: str = "i"
    ) -> Iterator[Number]:
        """Repeat the block: one after the other, or side by side in lanes."""
        axis = Axis(self.values.name(name))
        self.values.open()
        yield Number(self.e, self.e.index(axis))
        body = self.values.close()
        kind = PARALLEL if side_by_side else SEQUENTIAL
        extent = self.number(count).expr
        self.values.emit(Loop(axis, extent, kind, body, lanes=side_by_side))

    @contextmanager
    def when(self, condition: Number) -> Iterator[None]:
        """Run the block where a condition holds."""
        with self.loop(condition.choose(self.number(1), 0), name="once"):
            yield

    def reduce(
        self,
        combine: Combine,
        count: Number | Size,
        terms: Callable[[Number], tuple[Number, ...]],
        lanes: bool = True,
    ) -> tuple[Number, ...]:
        """Merge the terms of all iterations."""
        axis = Axis(self.values.name("r"))
        self.values.open()
        new = terms(Number(self.e, self.e.index(axis)))
        refs = tuple(Ref(x.expr.dtype, self.values.name(combine.name)) for x in new)
        accumulator = Accumulator(combine, refs)
        self.values.emit(Accumulate(accumulator, tuple(x.expr for x in new)))
        body = self.values.close()
        extent = self.number(count).expr
        self.values.emit(Loop(axis, extent, SEQUENTIAL, body, (accumulator,), lanes))
        return tuple(Number(self.e, ref) for ref in refs)

    def total(self, count: Number | Size, term: Callable[[Number], Number]) -> Number:
        """The sum of terms that lie next to each other."""
        return self.reduce(combine.SUM, count, lambda i: (term(i),))[0]

    def largest(self, count: Number | Size, term: Callable[[Number], Number]) -> Number:
        """The index of the largest term, the first of equals."""
        return self.reduce(combine.ARGMAX, count, lambda i: (term(i), i), lanes=False)[1]

    def count(self, count: Number | Size, holds: Callable[[Number], Number]) -> Number:
        """How many iterations hold."""
        return self.total(count, lambda i: holds(i).cast(int64))


class Task:
    """One matrix of a stack: how to read its operands and write its result."""

    def __init__(self, node: Node, targets: tuple[Storage, ...], work: Work, batch: At) -> None:
        self.node, self.targets, self.work, self.batch = node, targets, work, batch
        self.dtype = node.type.dtype

    @property
    def rows(self) -> Size:
        """The rows of the first operand."""
        return self.node.inputs[0].type.shape[-2]

    @property
    def columns(self) -> Size:
        """The columns of the first operand."""
        return self.node.inputs[0].type.shape[-1]

    def read(self, operand: int, i: Number, j: Number) -> Number:
        """An element of an operand."""
        values = self.work.values
        return Number(
            self.work.e, values.at(self.node.inputs[operand], (*self.batch, i.expr, j.expr))
        )

    def write(self, i: Number | int, j: Number | int, value: Number) -> None:
        """Store an element of the result."""
        for storage in self.targets:
            Grid(self.work, self.work.values.buffer(storage), self.batch)[i, j] = value

    def matrix(self, name: str, rows: Size, columns: Size) -> Grid:
        """Scratch for a matrix."""
        return self.work.scratch(name, self.dtype, rows, columns)

    def copied(self, name: str, operand: int, rows: Size, columns: Size) -> Grid:
        """An operand in scratch."""
        w, grid = self.work, self.matrix(name, rows, columns)
        with w.loop(rows) as i, w.loop(columns, side_by_side=True) as j:
            grid[i, j] = self.read(operand, i, j)
        return grid
