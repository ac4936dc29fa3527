"""The state of code generation: values of axes, refs, sizes and buffers at the insertion point."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import reduce
from math import gcd

from graphc.ir.dims import Atom, Dim, MinSize, Size, evaluate, floordiv, product
from graphc.ir.loops.contraction.index import affine
from graphc.ir.loops.ir import Accumulator, Axis, Buffer, Expr, Loop, Store, walk
from graphc.ir.types import int64
from graphc_llvm.emit_limit import UnrollBudget
from graphc_llvm.emit_scalar import LaneEmitter
from graphc_llvm.ir_builder import FunctionBuilder, Operand
from graphc_llvm.target import CACHE_LINE, Target
from graphc_llvm.values import Value


@dataclass(frozen=True)
class Lane:
    """The axis that runs along vectors: lane l is at the axis' value + l.

    `mask` tells which lanes exist (None: all); `count` is how many these are, where that is
    known. The axis' value is a multiple of `multiple`.
    """

    axis: Axis
    width: int
    mask: Value | None = None
    multiple: int = 1
    count: int | None = None

    @property
    def existing(self) -> int | None:
        """How many lanes exist, where that is known."""
        return self.width if self.mask is None else self.count


CURRENT, TOTAL, STEPS, UNKNOWN = "current", "total", "steps", "unknown"


@dataclass
class AccumulatorState:
    """The running values of one accumulator.

    `laned` says that they are the 16 virtual lanes of a loop inside; otherwise each has the
    width of the place where the loop stands. Where long sums are cut into blocks, `total` holds
    the finished blocks, and `counted` says that `steps` counts what is in the current one.
    `skips_nan` says that `current` passes over NaN, and `unknown` tells where one was.
    """

    accumulator: Accumulator
    width: int
    laned: bool
    blocked: bool
    counted: bool
    skips_nan: bool = False
    current: tuple[Value, ...] = ()
    total: tuple[Value, ...] = ()
    steps: tuple[Value, ...] = ()
    unknown: tuple[Value, ...] = ()

    @property
    def parts(self) -> tuple[str, ...]:
        """The running values that change inside the loop (inside one block of it)."""
        if self.skips_nan:
            return CURRENT, UNKNOWN
        return (CURRENT, TOTAL, STEPS) if self.counted else (CURRENT,)


@dataclass
class EmitContext:
    """The state of an emission.

    `memo` holds what expressions are worth here; `versions` and `pins` keep loads of buffers
    that the kernel writes from being merged or moved across the writes. `prefetches` tells which
    loops ask for memory on behalf of others.
    """

    builder: FunctionBuilder
    target: Target
    sizes: Mapping[str, int] | None
    dims: tuple[str, ...]
    written: frozenset[Buffer]
    emit: LaneEmitter = field(init=False)
    pointers: dict[Buffer, str] = field(default_factory=dict)
    axes: dict[Axis, Operand] = field(default_factory=dict)
    refs: dict[str, Value] = field(default_factory=dict)
    lane: Lane | None = None
    memo: dict[Expr, Value] = field(default_factory=dict)
    transient: dict[Expr, Value] = field(default_factory=dict)
    versions: dict[Buffer, int] = field(default_factory=dict)
    pins: dict[Buffer, int] = field(default_factory=dict)
    running: dict[Accumulator, AccumulatorState] = field(default_factory=dict)
    scratch: Size = 0
    unroll: UnrollBudget = field(default_factory=UnrollBudget)
    prefetches: dict[Loop, Callable[[], None]] = field(default_factory=dict)
    _dummy_memory: str | None = None

    def __post_init__(self) -> None:
        self.emit = LaneEmitter(self.builder, self.target)

    # ------------------------------------------------------------------ sizes

    def size(self, size: Size) -> Operand:
        """A size as a number, or as an i64 computed from the dims."""
        if isinstance(size, int):
            return size
        if self.sizes is not None:
            return evaluate(size, self.sizes)
        total: Operand = 0
        for monomial, coefficient in size.terms:
            term: Operand = coefficient
            for atom in monomial:
                term = self.builder.mul(term, self._atom(atom), "size")
            total = self.builder.add(total, term, "size")
        return total

    def _atom(self, atom: Atom) -> Operand:
        if isinstance(atom, Dim):
            return self._dim(atom.name)
        if isinstance(atom, MinSize):
            return reduce(self.builder.minimum, map(self.size, atom.sizes))
        return self.builder.div(self.size(atom.numerator), self.size(atom.denominator))

    def _dim(self, name: str) -> Operand:
        f = self.builder
        place = f.gep("%sizes", "i64", self.dims.index(name), f"size.{name}")
        return f.define(name, f"load i64, ptr {place}, align 8", (place,))

    def trips(self, loop: Loop) -> int | None:
        """How often a loop runs, where that is known."""
        form = affine(loop.extent)
        count = self.size(form.constant) if form.is_constant else None
        return count if isinstance(count, int) else None

    def divisor(self, loop: Loop) -> int:
        """A number that divides how often a loop runs, whatever the dims are."""
        form = affine(loop.extent)
        size = form.constant if form.is_constant else 1
        if self.sizes is not None:
            return evaluate(size, self.sizes)
        return size if isinstance(size, int) else gcd(*(c for _, c in size.terms))

    # ------------------------------------------------------------------ i64 operands and values

    def number(self, operand: Operand) -> Value:
        """An i64 operand as a value."""
        if isinstance(operand, int):
            return Value(str(operand), int64, literal=True)
        return Value(operand, int64)

    def operand(self, value: Value) -> Operand:
        """A single int64 as an i64 operand."""
        assert (value.width, value.dtype) == (1, int64)
        return int(value.text) if value.literal else value.text

    def lane_numbers(self) -> Value:
        """0, 1, 2, ... along the lanes."""
        assert self.lane is not None
        return self.emit.vector_of(range(self.lane.width), int64)

    def dummy_memory(self) -> str:
        """Readable dummy memory for accesses that are masked off."""
        if self._dummy_memory is None:
            self._dummy_memory = self.builder.stack("nowhere", "i8", 16, 16)
        return self._dummy_memory

    def reserve(self, buffer: Buffer, copies: int = 1) -> Operand:
        """Give a buffer a place in the thread's scratch; return how far its copies are apart."""
        self.pointers[buffer] = self.builder.gep(
            "%scratch", "i8", self.size(self.scratch), buffer.name
        )
        lines = floordiv(product(buffer.shape) * buffer.dtype.itemsize + CACHE_LINE - 1, CACHE_LINE)
        self.scratch = self.scratch + lines * CACHE_LINE * copies
        return self.size(lines * CACHE_LINE)

    # ------------------------------------------------------------------ places

    @contextmanager
    def inside(self, loop: Loop | None = None, lane: Lane | None = None) -> Iterator[None]:
        """Enter the body of a loop: what becomes known in it is forgotten after it."""
        memo, pins, outer = self.memo, self.pins, self.lane
        self.memo, self.transient = dict(memo), {}
        active = self.emit.active
        if lane is not None:
            self.lane = lane
            self.emit.active = lane.mask
        if loop is not None:
            stored = stored_buffers(loop)
            self.pins = pins | dict.fromkeys(stored, self.builder.level)
            self.touch(stored)
        yield
        if loop is not None:
            self.touch(stored_buffers(loop))
        self.memo, self.pins, self.lane = memo, pins, outer
        self.transient, self.emit.active = {}, active

    def touch(self, buffers: tuple[Buffer, ...]) -> None:
        """Invalidate what is known about buffers that may have been written."""
        for buffer in buffers:
            self.versions[buffer] = self.versions.get(buffer, 0) + 1


def stored_buffers(loop: Loop) -> tuple[Buffer, ...]:
    """The buffers that a loop writes, each once."""
    return tuple(dict.fromkeys(s.buffer for s in walk(loop.body) if isinstance(s, Store)))
