"""The loop-level IR, from which backends generate code.

A `Kernel` is a tree of loops over buffers. The tree says *what* is computed and in which order
floats are added; it does not say how (tiles, registers, unrolling, threads are the backend's).

    kernel  ::= Kernel(name, reads, writes, block, spread)   of buffers
    block   ::= stmt*                                  one after the other
    stmt    ::= Loop(axis, extent, kind, block, accumulators, lanes)
              | Scratch(buffer)                        lives to the end of the block
              | Let(ref, expr)
              | Accumulate(accumulator, exprs)         into an accumulator of an enclosing loop
              | Store(buffer, index, expr, where)
              | Check(expr, code)                      a failure where the condition is false
    expr    ::= Const(value) | Index(axis) | Extent(size) | Load(buffer, index, where)
              | Ref(name) | Apply(function, exprs)

    Buffer(name, dtype, shape), Axis(name), Accumulator(combine, refs),
    Combine(name, arity, identities, merge, carried)

Meaning
  - A ``parallel`` loop's iterations are independent; it is complete before the next statement
    starts. A ``sequential`` loop runs in ascending order. `lanes` marks the loop that backends
    map to vector lanes (at most one on a path, never around another one).
  - An accumulator starts at its combine's identity when its loop starts and is a `Ref` after the
    loop. `Accumulate` may stand at any depth inside that loop, under sequential loops.
  - The order of summation is part of the meaning (`Combine`).
  - The refs of a *carried* accumulator may also be read inside its loop, where they are what the
    iteration before accumulated: a state that a sequential loop hands on (`Combine.carried`).
  - `Load` with `where` reads nothing and is 0 where the condition is false; `Store` with `where`
    writes only where it is true.
  - A `Check` that fails records its code; execution goes on, and the caller looks at the recorded
    code before anything persistent is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.ir.dims import Size, dims_of
from graphc.ir.types import DType, bool_, int64

# ----------------------------------------------------------------- expressions


@dataclass(frozen=True, eq=False)
class Buffer:
    """Elements in row-major order; an argument of the kernel, or scratch inside it."""

    name: str
    dtype: DType
    shape: tuple[Size, ...]

    def __str__(self) -> str:
        return f"{self.name} {self.dtype.short}[{','.join(map(str, self.shape))}]"


@dataclass(frozen=True, eq=False)
class Axis:
    """The variable of one loop."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Expr:
    """A scalar value; compared by identity, shared freely."""

    dtype: DType


@dataclass(frozen=True, eq=False)
class Const(Expr):
    """A literal: Python int, float or bool."""

    value: Any


@dataclass(frozen=True, eq=False)
class Index(Expr):
    """The current value of the loop variable `axis`, as int64."""

    axis: Axis


@dataclass(frozen=True, eq=False)
class Extent(Expr):
    """A size, as int64; a constant in a specialised variant, an argument in the generic one."""

    size: Size


@dataclass(frozen=True, eq=False)
class Load(Expr):
    """The element of a buffer at an index with one int64 per axis; 0 where `where` is false."""

    buffer: Buffer
    index: tuple[Expr, ...]
    where: Expr | None = None


@dataclass(frozen=True, eq=False)
class Ref(Expr):
    """The value of a `Let`, or of an accumulator after its loop."""

    name: str


@dataclass(frozen=True, eq=False)
class Apply(Expr):
    """A scalar function of `graphc.ir.loops.scalar.FUNCTIONS` applied to values."""

    function: str
    args: tuple[Expr, ...]


# -------------------------------------------------------------------- statements

PARALLEL, SEQUENTIAL = "parallel", "sequential"


@dataclass(frozen=True)
class Combine:
    """How values are accumulated: `arity` running values, each with its identity.

    Orders of floating-point sums:
      ``dot``    one value, fed with two factors: the ascending chain acc = fma(a, b, acc)
                 (mul then add on targets without fma).
      others     over a loop with `lanes`: element i goes to virtual lane i % 16; a lane adds its
                 elements in ascending order within blocks of `BLOCK` lane steps, block results are
                 added in ascending order to the lane's total, and the 16 totals are combined as
                 the tree l + (l+8), then +4, +2, +1.
                 without `lanes`: the same with one lane.
    """

    name: str
    arity: int
    identities: Callable[[DType], tuple[float, ...]]
    # (emitter, running values, new values) -> running values; see scalar.ScalarEmitter
    merge: Callable[[Any, tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]]
    # merge takes the new values as they are; accumulated once, directly in a sequential loop
    carried: bool = False

    def __str__(self) -> str:
        return self.name


LANES = 16
BLOCK = 256


@dataclass(frozen=True, eq=False)
class Accumulator:
    """Running values of a loop; `refs` hold them after it."""

    combine: Combine
    refs: tuple[Ref, ...]


@dataclass(frozen=True, eq=False)
class Loop:
    """For axis in range(extent): body."""

    axis: Axis
    extent: Expr
    kind: str
    body: tuple[Stmt, ...]
    accumulators: tuple[Accumulator, ...] = ()
    lanes: bool = False


@dataclass(frozen=True, eq=False)
class Scratch:
    """A buffer that lives from here to the end of the block."""

    buffer: Buffer


@dataclass(frozen=True, eq=False)
class Let:
    """Name a value."""

    ref: Ref
    value: Expr


@dataclass(frozen=True, eq=False)
class Accumulate:
    """Merge values into an accumulator of an enclosing loop."""

    accumulator: Accumulator
    values: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Store:
    """buffer[index] = value, where the condition holds."""

    buffer: Buffer
    index: tuple[Expr, ...]
    value: Expr
    where: Expr | None = None


@dataclass(frozen=True, eq=False)
class Check:
    """Record failure number `code` where the condition is false; execution goes on.

    The caller looks at the recorded code before anything persistent is written.
    """

    condition: Expr
    code: int


Stmt = Loop | Scratch | Let | Accumulate | Store | Check
Spread = Callable[[Mapping[str, int]], tuple[Stmt, ...]]


@dataclass(frozen=True, eq=False)
class Kernel:
    """One native function: a tree of loops over argument buffers.

    A buffer in both `reads` and `writes` is updated in place: every element is read, by the
    iteration that writes it, before it is written.

    `spread`, if any, makes another body with the same results for given sizes: for machines with
    thousands of threads. The body may be empty, where the first one suits the sizes; it may leave
    alone what the first one both writes and reads: memory that it works in.
    """

    name: str
    reads: tuple[Buffer, ...]
    writes: tuple[Buffer, ...]
    body: tuple[Stmt, ...]
    note: str = field(default="", compare=False)
    spread: Spread | None = None

    @property
    def arguments(self) -> tuple[Buffer, ...]:
        """Buffers in the order of the native function's pointer arguments."""
        return self.reads + tuple(b for b in self.writes if b not in self.reads)


# ----------------------------------------------------------------- walking


def const(value: float, dtype: DType = int64) -> Const:
    """A literal."""
    return Const(dtype, value)


def index(axis: Axis) -> Index:
    """The value of a loop's variable."""
    return Index(int64, axis)


def extent(size: Size) -> Expr:
    """A size as a value."""
    return Const(int64, size) if isinstance(size, int) else Extent(int64, size)


def operands(expr: Expr) -> tuple[Expr, ...]:
    """The operands of an expression."""
    match expr:
        case Apply(args=args):
            return args
        case Load(index=at, where=where):
            return at if where is None else (*at, where)
    return ()


def reversed_operands(expr: Expr) -> tuple[Expr, ...]:
    """The operands from the last to the first."""
    return operands(expr)[::-1]


def expressions(stmt: Stmt) -> tuple[Expr, ...]:
    """The expressions directly inside a statement."""
    match stmt:
        case Loop(extent=size):
            return (size,)
        case Let(value=value):
            return (value,)
        case Accumulate(values=values):
            return values
        case Store(index=at, value=value, where=where):
            return (*at, value) if where is None else (*at, value, where)
        case Check(condition=condition):
            return (condition,)
    return ()


def walk(body: Iterable[Stmt]) -> Iterator[Stmt]:
    """Every statement, outer before inner."""
    for stmt in body:
        yield stmt
        if isinstance(stmt, Loop):
            yield from walk(stmt.body)


def walk_exprs(
    roots: Iterable[Expr], into: Callable[[Expr], Sequence[Expr]] = operands
) -> Iterator[Expr]:
    """Every expression that occurs in some, each once, outer before inner, left before right.

    `into` chooses which operands are visited.
    """
    seen: set[Expr] = set()
    waiting = list(roots)[::-1]
    while waiting:
        expr = waiting.pop()
        if expr not in seen:
            seen.add(expr)
            yield expr
            waiting.extend(reversed(into(expr)))


def exprs_in(
    body: Iterable[Stmt], into: Callable[[Expr], Sequence[Expr]] = operands
) -> Iterator[Expr]:
    """Every expression in statements and in the loops among them, each once."""
    return walk_exprs((e for stmt in walk(body) for e in expressions(stmt)), into)


def walk_new(
    root: Expr,
    is_known: Callable[[Expr], bool],
    into: Callable[[Expr], Sequence[Expr]] = operands,
) -> Iterator[Expr]:
    """Every expression in one that is not known yet, operands first, then the one itself.

    The caller makes each known before it asks for the next.
    """
    waiting = [root]
    while waiting:
        expr = waiting[-1]
        missing = [] if is_known(expr) else [x for x in into(expr) if not is_known(x)]
        waiting.extend(reversed(missing))
        if not missing:
            waiting.pop()
            if not is_known(expr):
                yield expr


def kernel_dims(kernel: Kernel) -> tuple[str, ...]:
    """The names of the dims that a kernel mentions, sorted."""
    shapes = [b.shape for b in kernel.arguments]
    shapes += [s.buffer.shape for s in walk(kernel.body) if isinstance(s, Scratch)]
    sizes = [size for shape in shapes for size in shape]
    sizes += [e.size for e in exprs_in(kernel.body) if isinstance(e, Extent)]
    return tuple(sorted({dim.name for size in sizes for dim in dims_of(size)}))


def is_dot(loop: Loop) -> bool:
    """True for the reduction loops of a contraction."""
    return len(loop.accumulators) == 1 and loop.accumulators[0].combine.name == "dot"


def all_of(conditions: list[Expr]) -> Expr | None:
    """The conjunction of conditions; None for none."""
    result: Expr | None = None
    for c in conditions:
        result = c if result is None else Apply(bool_, "logical_and", (result, c))
    return result
