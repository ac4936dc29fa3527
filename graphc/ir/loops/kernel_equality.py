"""Structural equality of kernels, up to names."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from graphc.ir.loops.ir import (
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
    walk_new,
)


def first_equal_kernels(kernels: Iterable[Kernel]) -> dict[Kernel, Kernel]:
    """Map every kernel to the first one that is structurally equal."""
    known: dict[Hashable, Kernel] = {}
    found: dict[Kernel, Kernel] = {}
    for kernel in kernels:
        if kernel not in found:
            found[kernel] = known.setdefault(kernel_key(kernel), kernel)
    return found


def kernel_key(kernel: Kernel) -> Hashable:
    """A hashable key: equal for kernels that differ in names only."""
    return _KeyWriter(kernel).found


class _KeyWriter:
    """Builds the key of a kernel; buffers, axes, refs and expressions are numbered at first use."""

    def __init__(self, kernel: Kernel) -> None:
        self.parts: list[Hashable] = []
        self.numbers: dict[object, int] = {}
        arguments = tuple(self._buffer(b) for b in kernel.arguments)
        written = tuple(self._buffer(b) for b in kernel.writes)
        self._block(kernel.body)
        self.found = (arguments, written, *self.parts)

    def _number(self, thing: object) -> int:
        return self.numbers.setdefault(thing, len(self.numbers))

    def _buffer(self, buffer: Buffer) -> int:
        if buffer not in self.numbers:
            self.parts.append((buffer.dtype.short, buffer.shape))
        return self._number(buffer)

    def _axis(self, axis: Axis) -> int:
        return self._number(axis)

    def _ref(self, ref: Ref) -> tuple[int, str]:
        return self._number(ref.name), ref.dtype.short

    # -- statements -----------------------------------------------------------------

    def _block(self, body: tuple[Stmt, ...]) -> None:
        for statement in body:
            self.parts.append(type(statement).__name__)
            self._statement(statement)
        self.parts.append("end")

    def _statement(self, statement: Stmt) -> None:
        match statement:
            case Loop():
                self._loop(statement)
            case Scratch(buffer=buffer):
                self.parts.append(self._buffer(buffer))
            case Let(ref=ref, value=value):
                self.parts.append((self._expression(value), self._ref(ref)))
            case Accumulate(accumulator=accumulator, values=values):
                self.parts.append((self._number(accumulator), *map(self._expression, values)))
            case Store(buffer=buffer, index=index, value=value, where=where):
                at = tuple(map(self._expression, index))
                self.parts.append(
                    (self._buffer(buffer), at, self._expression(value), self._optional(where))
                )
            case Check(condition=condition, code=code):
                self.parts.append((self._expression(condition), code))

    def _loop(self, loop: Loop) -> None:
        head = (self._axis(loop.axis), self._expression(loop.extent), loop.kind, loop.lanes)
        self.parts.append((head, *map(self._accumulator, loop.accumulators)))
        self._block(loop.body)

    def _accumulator(self, accumulator: Accumulator) -> Hashable:
        refs = tuple(map(self._ref, accumulator.refs))
        return self._number(accumulator), accumulator.combine, refs

    # -- expressions ----------------------------------------------------------------

    def _optional(self, expr: Expr | None) -> int | None:
        return None if expr is None else self._expression(expr)

    def _expression(self, root: Expr) -> int:
        """The number of an expression; its operands are numbered first."""
        for expr in walk_new(root, self.numbers.__contains__):
            self.parts.append(self._written(expr))
            self._number(expr)
        return self.numbers[root]

    def _written(self, expr: Expr) -> Hashable:
        numbers, dtype = self.numbers, expr.dtype.short
        match expr:
            case Const(value=value):
                return "const", dtype, type(value).__name__, repr(value)
            case Index(axis=axis):
                return "index", self._axis(axis)
            case Extent(size=size):
                return "extent", size
            case Load(buffer=buffer, index=index, where=where):
                at = tuple([numbers[x] for x in index])
                return "load", self._buffer(buffer), at, where and numbers[where]
            case Ref():
                return "ref", *self._ref(expr)
            case Apply(function=function, args=args):
                return function, dtype, tuple([numbers[x] for x in args])
        raise AssertionError(f"no such expression: {expr}")


__all__ = ["first_equal_kernels", "kernel_key"]
