"""A small embedded language for dense loops over matrices.

`LoopWriter` emits loops and scratch into a `KernelBuilder`; `Scalar` is an expression with
operators; `ArrayView` is a buffer that is read and assigned by subscript.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Union

from graphc.compiler.fusion.kernel_builder import At, KernelBuilder
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

Operand = Union["Scalar", float]


class Scalar:
    """A scalar expression with Python's operators."""

    __slots__ = ("e", "expr")

    def __init__(self, e: ExprEmitter, expr: Expr) -> None:
        self.e, self.expr = e, expr

    def _of(self, other: Operand) -> Expr:
        if isinstance(other, Scalar):
            return other.expr
        found: Expr = self.e.const(other, self.expr.dtype)
        return found

    def _apply(self, function: str, *others: Operand) -> Scalar:
        return Scalar(self.e, self.e.apply(function, self.expr, *map(self._of, others)))

    def __add__(self, other: Operand) -> Scalar:
        return Scalar(self.e, self.e.add(self.expr, self._of(other)))

    def __sub__(self, other: Operand) -> Scalar:
        return Scalar(self.e, self.e.sub(self.expr, self._of(other)))

    def __rsub__(self, other: Operand) -> Scalar:
        return Scalar(self.e, self.e.sub(self._of(other), self.expr))

    def __mul__(self, other: Operand) -> Scalar:
        return Scalar(self.e, self.e.mul(self.expr, self._of(other)))

    def __truediv__(self, other: Operand) -> Scalar:
        return self._apply("div", other)

    def __rtruediv__(self, other: Operand) -> Scalar:
        return Scalar(self.e, self._of(other)) / self

    def __neg__(self) -> Scalar:
        return self._apply("neg")

    def __abs__(self) -> Scalar:
        return self._apply("abs")

    def __lt__(self, other: Operand) -> Scalar:
        return self._apply("lt", other)

    def __le__(self, other: Operand) -> Scalar:
        return self._apply("le", other)

    def __gt__(self, other: Operand) -> Scalar:
        return Scalar(self.e, self.e.apply("lt", self._of(other), self.expr))

    def __and__(self, other: Scalar) -> Scalar:
        return self._apply("logical_and", other)

    def __or__(self, other: Scalar) -> Scalar:
        return self._apply("logical_or", other)

    def __invert__(self) -> Scalar:
        return self._apply("logical_not")

    def equals(self, other: Operand) -> Scalar:
        """Whether the two are equal."""
        return self._apply("eq", other)

    def sqrt(self) -> Scalar:
        """The square root."""
        return self._apply("sqrt")

    def exp(self) -> Scalar:
        """e to this power."""
        return self._apply("exp")

    def log(self) -> Scalar:
        """The natural logarithm."""
        return self._apply("log")

    def maximum(self, other: Operand) -> Scalar:
        """The larger of the two; NaN if one of them is."""
        return self._apply("maximum", other)

    def over(self, divisor: int) -> Scalar:
        """How often the divisor goes into this index of 0 or more."""
        return Scalar(self.e, self.e.over(self.expr, divisor))

    def minus_product(self, x: Scalar, y: Scalar) -> Scalar:
        """self - x * y, rounded once where the target can."""
        return Scalar(self.e, self.e.apply("fma", (-x).expr, y.expr, self.expr))

    def plus_product(self, x: Scalar, y: Scalar) -> Scalar:
        """self + x * y, rounded once where the target can."""
        return Scalar(self.e, self.e.apply("fma", x.expr, y.expr, self.expr))

    def choose(self, x: Operand, y: Operand) -> Scalar:
        """x where this bool is true, y elsewhere; one of them is a Scalar."""
        like = x if isinstance(x, Scalar) else y
        assert isinstance(like, Scalar)
        return Scalar(self.e, self.e.apply("select", self.expr, like._of(x), like._of(y)))

    def cast(self, dtype: DType) -> Scalar:
        """Convert the value."""
        return Scalar(self.e, self.e.cast(self.expr, dtype))


Subscript = Scalar | int | tuple[Scalar | int, ...]


class ArrayView:
    """A buffer with subscripts: ``w[i, k] = w[i, k] * 2``."""

    def __init__(self, writer: LoopWriter, buffer: Buffer, lead: tuple[Expr, ...] = ()) -> None:
        self.writer, self.buffer, self.lead = writer, buffer, lead

    def _place(self, at: Subscript) -> tuple[Expr, ...]:
        places = at if isinstance(at, tuple) else (at,)
        return self.lead + tuple(self.writer.number(i).expr for i in places)

    def __getitem__(self, at: Subscript) -> Scalar:
        return Scalar(self.writer.e, Load(self.buffer.dtype, self.buffer, self._place(at)))

    def __setitem__(self, at: Subscript, value: Scalar | float) -> None:
        self.put(at, value)

    def put(self, at: Subscript, value: Scalar | float, where: Scalar | None = None) -> None:
        """Store where a condition holds."""
        expr = (
            value.expr
            if isinstance(value, Scalar)
            else self.writer.e.const(value, self.buffer.dtype)
        )
        condition = None if where is None else where.expr
        self.writer.builder.emit(Store(self.buffer, self._place(at), expr, condition))


class LoopWriter:
    """Emits loops, scratch and reductions into a `KernelBuilder`."""

    def __init__(self, builder: KernelBuilder) -> None:
        self.builder, self.e = builder, builder.e

    def number(self, value: Scalar | Expr | Size) -> Scalar:
        """An index or a size as a number."""
        if isinstance(value, Scalar):
            return value
        return Scalar(self.e, value if isinstance(value, Expr) else self.e.extent(value))

    def constant(self, value: float, dtype: DType) -> Scalar:
        """A literal."""
        return Scalar(self.e, self.e.const(value, dtype))

    def scratch(self, name: str, dtype: DType, *shape: Size) -> ArrayView:
        """Memory that lives to the end of the open block."""
        buffer = Buffer(self.builder.name(name), dtype, shape)
        self.builder.emit(Scratch(buffer))
        return ArrayView(self, buffer)

    def named(self, value: Scalar, name: str = "value") -> Scalar:
        """Bind a value to a name here."""
        ref = Ref(value.expr.dtype, self.builder.name(name))
        self.builder.emit(Let(ref, value.expr))
        return Scalar(self.e, ref)

    @contextmanager
    def loop(
        self,
        count: Scalar | Size,
        *,
        parallel: bool = False,
        lanes: bool = True,
        name: str = "i",
    ) -> Iterator[Scalar]:
        """Emit a loop around the block: sequential, or parallel, with lanes or around others."""
        axis = Axis(self.builder.name(name))
        self.builder.open()
        yield Scalar(self.e, self.e.index(axis))
        body = self.builder.close()
        kind = PARALLEL if parallel else SEQUENTIAL
        extent = self.number(count).expr
        self.builder.emit(Loop(axis, extent, kind, body, lanes=parallel and lanes))

    @contextmanager
    def when(self, condition: Scalar) -> Iterator[None]:
        """Run the block where a condition holds."""
        with self.loop(condition.choose(self.number(1), 0), name="once"):
            yield

    def reduce(
        self,
        combine: Combine,
        count: Scalar | Size,
        terms: Callable[[Scalar], tuple[Scalar, ...]],
        lanes: bool = True,
    ) -> tuple[Scalar, ...]:
        """Merge the terms of all iterations."""
        axis = Axis(self.builder.name("r"))
        self.builder.open()
        new = terms(Scalar(self.e, self.e.index(axis)))
        refs = tuple(Ref(x.expr.dtype, self.builder.name(combine.name)) for x in new)
        accumulator = Accumulator(combine, refs)
        self.builder.emit(Accumulate(accumulator, tuple(x.expr for x in new)))
        body = self.builder.close()
        extent = self.number(count).expr
        self.builder.emit(Loop(axis, extent, SEQUENTIAL, body, (accumulator,), lanes))
        return tuple(Scalar(self.e, ref) for ref in refs)

    def product(
        self, count: Scalar | Size, factors: Callable[[Scalar], tuple[Scalar, Scalar]]
    ) -> Scalar:
        """The ascending chain of products of two factors."""
        axis = Axis(self.builder.name("k"))
        self.builder.open()
        pair = factors(Scalar(self.e, self.e.index(axis)))
        ref = Ref(pair[0].expr.dtype, self.builder.name("product"))
        accumulator = Accumulator(combine.DOT, (ref,))
        self.builder.emit(Accumulate(accumulator, tuple(x.expr for x in pair)))
        body = self.builder.close()
        self.builder.emit(Loop(axis, self.number(count).expr, SEQUENTIAL, body, (accumulator,)))
        return Scalar(self.e, ref)

    def total(self, count: Scalar | Size, term: Callable[[Scalar], Scalar]) -> Scalar:
        """The sum of terms that lie next to each other."""
        return self.reduce(combine.SUM, count, lambda i: (term(i),))[0]

    def largest(self, count: Scalar | Size, term: Callable[[Scalar], Scalar]) -> Scalar:
        """The index of the largest term, the first of equals."""
        return self.reduce(combine.ARGMAX, count, lambda i: (term(i), i), lanes=False)[1]

    def count(self, count: Scalar | Size, holds: Callable[[Scalar], Scalar]) -> Scalar:
        """How many iterations hold."""
        return self.total(count, lambda i: holds(i).cast(int64))


class MatrixTask:
    """One matrix of a stack: how to read its operands and write its result."""

    def __init__(
        self, node: Node, targets: tuple[Storage, ...], writer: LoopWriter, batch: At
    ) -> None:
        self.node, self.targets, self.writer, self.batch = node, targets, writer, batch
        self.dtype = node.type.dtype

    @property
    def rows(self) -> Size:
        """The rows of the first operand."""
        return self.node.inputs[0].type.shape[-2]

    @property
    def columns(self) -> Size:
        """The columns of the first operand."""
        return self.node.inputs[0].type.shape[-1]

    def read(self, operand: int, i: Scalar, j: Scalar) -> Scalar:
        """An element of an operand."""
        builder = self.writer.builder
        return Scalar(
            self.writer.e, builder.at(self.node.inputs[operand], (*self.batch, i.expr, j.expr))
        )

    def write(self, i: Scalar | int, j: Scalar | int, value: Scalar) -> None:
        """Store an element of the result."""
        for storage in self.targets:
            ArrayView(self.writer, self.writer.builder.buffer(storage), self.batch)[i, j] = value

    def matrix(self, name: str, rows: Size, columns: Size) -> ArrayView:
        """Scratch for a matrix."""
        return self.writer.scratch(name, self.dtype, rows, columns)

    def copy_operand(self, name: str, operand: int, rows: Size, columns: Size) -> ArrayView:
        """An operand in scratch."""
        w, grid = self.writer, self.matrix(name, rows, columns)
        with w.loop(rows) as i, w.loop(columns, parallel=True) as j:
            grid[i, j] = self.read(operand, i, j)
        return grid
