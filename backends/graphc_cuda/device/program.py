"""The device program: typed operations of one GPU thread, between the loop level and text.

Every thread of a launch runs the same statements; blocks of threads share memory and barriers.
The same program is printed twice, as numba-CUDA Python (`print_numba`: what people read and what
the simulator runs) and as LLVM text for the NVPTX target (`print_nvptx`).

    program  ::= Program(name, functions, kernels)
    kernel   ::= DeviceKernel(name, arrays, body, block)
    function ::= DeviceFunction(name, parameters, body, result)      straight-line, no memory
    stmt     ::= Assign(variable, value)            declares the variable or changes it
               | Put(array, index, value)
               | If(condition, body, otherwise) | While(condition, body)
               | For(variable, start, stop, step, body)
               | Declare(array)                     shared or local memory
               | Barrier() | WarpBarrier(mask)
               | Shuffle(variable, value, lane, mask)
               | Intrinsic(results, function, operands)
               | Return() | Comment(text)
    value    ::= Literal(value) | Variable(name) | Get(array, index) | Op(function, args)
               | Select(condition, value, otherwise) | Call(function, args) | Special(name)

Meaning
  - Values have the dtypes of graphc, but for what memory holds: bool is uint8 there, and the
    16-bit floats are their bits (uint16) everywhere; arithmetic on them goes through float32.
  - Integer operations wrap around in their own dtype. int32 and int64 values with `is_index` never
    overflow: they may be computed in any width that holds them.
  - `Select` evaluates only the value it takes. Memory is read where a statement stands: a `Get`
    sees what the thread has put before, and what other threads have put before a barrier.
  - A variable has one dtype in all of a kernel. What is assigned in a branch or loop may be used
    after it only if it was assigned before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from graphc.ir.types import DType, bool_, int32

GLOBAL, SHARED, LOCAL = "global", "shared", "local"
WARP = 32  # threads that run in step


# ------------------------------------------------------------------ values


@dataclass(frozen=True, eq=False)
class Value:
    """A scalar of one thread; compared by identity, shared freely."""

    dtype: DType
    is_index: bool = field(default=False, kw_only=True)


@dataclass(frozen=True, eq=False)
class Literal(Value):
    """A number: Python int, float or bool."""

    value: Any


@dataclass(frozen=True, eq=False)
class Variable(Value):
    """What a variable holds at the moment."""

    name: str


@dataclass(frozen=True, eq=False)
class DeviceArray:
    """Elements in memory: an argument of the kernel (global), of the block, or of the thread.

    `dtype` is that of the elements as memory holds them; `size` counts them. `holds` is what
    they mean where this differs ("bool", "bfloat16", "float16").
    """

    name: str
    dtype: DType
    size: int
    space: str = GLOBAL
    holds: str = ""

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.size * self.dtype.itemsize


@dataclass(frozen=True, eq=False)
class Get(Value):
    """array[index]"""

    array: DeviceArray
    index: Value


@dataclass(frozen=True, eq=False)
class Op(Value):
    """A function of `OPERATIONS` applied to values."""

    function: str
    args: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Select(Value):
    """The value where the condition holds, else the other; only one of them is evaluated."""

    condition: Value
    value: Value
    otherwise: Value


@dataclass(frozen=True, eq=False)
class Call(Value):
    """A device function applied to values."""

    function: DeviceFunction
    args: tuple[Value, ...]


@dataclass(frozen=True, eq=False)
class Special(Value):
    """`thread` in its block, `block` in the grid, or `blocks` of the grid (one dimension)."""

    name: str


THREAD = Special(int32, "thread", is_index=True)
BLOCK_INDEX = Special(int32, "block", is_index=True)
GRID_SIZE = Special(int32, "blocks", is_index=True)

# infix where Python has a sign for it; operands have one dtype, comparisons give bool
ARITHMETIC = ("add", "sub", "mul", "div", "neg", "bit_and", "bit_or", "bit_xor", "shl", "shr")
COMPARISONS = ("lt", "le", "eq", "ne")
LOGICAL = ("logical_and", "logical_or", "logical_not")
# floats: rounded once, to float32 or float64
ROUNDING = ("fma", "sqrt", "floor", "ceil", "trunc", "rint", "abs")
# integers: `quotient` and `remainder` truncate; `mulhi` is the upper half of uint32 products;
# `floordiv` and `mod` are for indices that are never negative, by a positive literal
INTEGER = ("quotient", "remainder", "mulhi", "floordiv", "mod", "min", "max")
# `convert` keeps numbers (integers wrap, bool is 0 or 1, integers round to floats); `saturate`
# takes floats to integers, NaN to 0; `bitcast` keeps bits
CONVERSIONS = ("convert", "saturate", "bitcast")
# the bits of 16-bit floats (uint16) from and to float32; the narrowing of float64 rounds once
HALVES = (
    "bf16_to_f32", "f16_to_f32", "f32_to_bf16", "f32_to_f16", "f64_to_bf16", "f64_to_f16",
)  # fmt: skip
OPERATIONS = ARITHMETIC + COMPARISONS + LOGICAL + ROUNDING + INTEGER + CONVERSIONS + HALVES


# -------------------------------------------------------------- statements


@dataclass(frozen=True, eq=False)
class Assign:
    """variable = value"""

    variable: Variable
    value: Value


@dataclass(frozen=True, eq=False)
class Put:
    """array[index] = value"""

    array: DeviceArray
    index: Value
    value: Value


@dataclass(frozen=True, eq=False)
class If:
    """Run the body where the condition holds, else `otherwise`."""

    condition: Value
    body: tuple[Stmt, ...]
    otherwise: tuple[Stmt, ...] = ()


@dataclass(frozen=True, eq=False)
class For:
    """For the variable from start below stop in steps of a positive literal.

    `unroll` asks for that many copies of the body (0: as the compiler likes).
    """

    variable: Variable
    start: Value
    stop: Value
    step: Value
    body: tuple[Stmt, ...]
    unroll: int = 0


@dataclass(frozen=True, eq=False)
class While:
    """Run the body as long as the condition holds."""

    condition: Value
    body: tuple[Stmt, ...]


@dataclass(frozen=True, eq=False)
class Declare:
    """Shared or local memory, at the top of a kernel; what it holds is not defined."""

    array: DeviceArray


@dataclass(frozen=True, eq=False)
class Barrier:
    """All threads of the block meet, and see what each of them has put."""


@dataclass(frozen=True, eq=False)
class WarpBarrier:
    """The threads of the warp that the mask (uint32) names meet, and see what each has put."""

    mask: Value


@dataclass(frozen=True, eq=False)
class Shuffle:
    """variable = what `value` is for the thread of the warp whose number is `lane`.

    All threads of the mask (uint32) do it together, and the lane is one of them.
    """

    variable: Variable
    value: Value
    lane: Value
    mask: Value


@dataclass(frozen=True, eq=False)
class Intrinsic:
    """results = function(operands): see `graphc_cuda.device.intrinsics`.

    Operands are values, arrays (followed by an index) and Python ints that choose a form.
    """

    results: tuple[Variable, ...]
    function: str
    operands: tuple[Value | DeviceArray | int, ...]


@dataclass(frozen=True, eq=False)
class Return:
    """The thread is done. No barrier may follow for other threads of the block."""


@dataclass(frozen=True, eq=False)
class Comment:
    """A line for the reader."""

    text: str


Stmt = (
    Assign | Put | If | For | While | Declare | Barrier | WarpBarrier | Shuffle | Intrinsic
    | Return | Comment
)  # fmt: skip


# ----------------------------------------------------------------- programs


@dataclass(frozen=True, eq=False)
class DeviceFunction:
    """A scalar function: assignments, then the result."""

    name: str
    parameters: tuple[Variable, ...]
    body: tuple[Assign, ...]
    result: Value
    note: str = ""


@dataclass(frozen=True, eq=False)
class DeviceKernel:
    """What every thread of a launch runs; `arrays` are its arguments, pointers in this order.

    `block` is the number of threads in a block, `written` are the arrays that are written.
    `aliased` arrays may share bytes with another one: an element is read, by the thread that
    writes it, before it is written. `note` says where it comes from: the user's lines; `form` how
    its threads share the work.
    """

    name: str
    arrays: tuple[DeviceArray, ...]
    body: tuple[Stmt, ...]
    block: int
    written: frozenset[DeviceArray] = frozenset()
    aliased: frozenset[DeviceArray] = frozenset()
    note: tuple[str, ...] = ()
    form: str = ""

    @property
    def shared_bytes(self) -> int:
        """Bytes of shared memory of a block, without padding between arrays."""
        declared = (s.array for s in walk(self.body) if isinstance(s, Declare))
        return sum(a.nbytes for a in declared if a.space == SHARED)


@dataclass(frozen=True, eq=False)
class Program:
    """Kernels that are compiled together, and the functions that they call, callees first."""

    name: str
    functions: tuple[DeviceFunction, ...]
    kernels: tuple[DeviceKernel, ...]


# ------------------------------------------------------------------ walking


def bodies(stmt: Stmt) -> tuple[tuple[Stmt, ...], ...]:
    """The blocks inside a statement."""
    match stmt:
        case If(body=body, otherwise=otherwise):
            return body, otherwise
        case For(body=body) | While(body=body):
            return (body,)
    return ()


def walk(body: Sequence[Stmt]) -> Iterator[Stmt]:
    """Every statement, outer before inner."""
    for stmt in body:
        yield stmt
        for inner in bodies(stmt):
            yield from walk(inner)


def values_of(stmt: Stmt) -> tuple[Value, ...]:
    """The values directly inside a statement."""
    match stmt:
        case Assign(value=value):
            return (value,)
        case Put(index=index, value=value):
            return index, value
        case If(condition=condition) | While(condition=condition):
            return (condition,)
        case For(start=start, stop=stop, step=step):
            return start, stop, step
        case WarpBarrier(mask=mask):
            return (mask,)
        case Shuffle(value=value, lane=lane, mask=mask):
            return value, lane, mask
        case Intrinsic(operands=operands):
            return tuple(x for x in operands if isinstance(x, Value))
    return ()


def operands_of(value: Value) -> tuple[Value, ...]:
    """The operands of a value."""
    match value:
        case Get(index=index):
            return (index,)
        case Op(args=args) | Call(args=args):
            return args
        case Select(condition=condition, value=taken, otherwise=otherwise):
            return condition, taken, otherwise
    return ()


def literal(value: float, dtype: DType = int32) -> Literal:
    """A number; whole numbers are indices."""
    return Literal(dtype, value, is_index=dtype.is_integer)


TRUE = Literal(bool_, True)
