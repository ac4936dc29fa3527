"""Device programs made by hand: every statement, every intrinsic, names that must be changed."""

from __future__ import annotations

from graphc.ir.types import DType, bool_, float32, int32, int64, uint8, uint16, uint32, uint64
from graphc_cuda.device.program import (
    BLOCK_INDEX,
    GRID_SIZE,
    LOCAL,
    SHARED,
    THREAD,
    Assign,
    Barrier,
    Call,
    Comment,
    Declare,
    DeviceArray,
    DeviceFunction,
    DeviceKernel,
    For,
    Get,
    If,
    Intrinsic,
    Literal,
    Op,
    Program,
    Put,
    Return,
    Select,
    Shuffle,
    Special,
    Stmt,
    Value,
    Variable,
    WarpBarrier,
    While,
    literal,
)

ZERO, ONE = Literal(float32, 0.0), Literal(float32, 1.0)
FULL = Literal(uint32, 0xFFFFFFFF)


def index(name: str) -> Variable:
    """A variable that is an index."""
    return Variable(int32, name, is_index=True)


def op(function: str, *args: Value, dtype: DType = float32, is_index: bool = False) -> Op:
    """An operation."""
    return Op(dtype, function, args, is_index=is_index)


def add(*args: Value) -> Op:
    """The sum of two indices."""
    return op("add", *args, dtype=int32, is_index=True)


def mul(*args: Value) -> Op:
    """The product of two indices."""
    return op("mul", *args, dtype=int32, is_index=True)


def less(a: Value, b: Value) -> Op:
    """a < b"""
    return op("lt", a, b, dtype=bool_)


def numbered(kind: DType, name: str, count: int) -> tuple[Variable, ...]:
    """Variables with numbers."""
    return tuple(Variable(kind, f"{name}{i}") for i in range(count))


def matmul() -> Program:
    """A product by threads of one row each, with a function that it calls."""
    x = DeviceArray("x", float32, 8192 * 64)
    kernel = DeviceArray("dense/kernel", float32, 64 * 32)
    relu = DeviceArray("relu", float32, 8192)
    i, k, acc, y = index("i"), index("k"), Variable(float32, "acc"), Variable(float32, "y")
    t = Variable(float32, "t0")
    square = DeviceFunction("square", (y,), (Assign(t, op("mul", y, y)),), t, "y * y")
    left = Get(float32, x, add(mul(i, literal(64)), k))
    right = Get(float32, kernel, mul(k, literal(32)))
    inner = (Assign(acc, op("fma", left, right, acc)),)
    positive = Select(float32, less(ZERO, acc), Call(float32, square, (acc,)), ZERO)
    body: tuple[Stmt, ...] = (
        Assign(i, add(mul(BLOCK_INDEX, literal(256)), THREAD)),
        If(
            less(i, literal(8192)),
            (
                Assign(acc, ZERO),
                For(k, literal(0), literal(64), literal(1), inner),
                Put(relu, i, positive),
            ),
        ),
    )
    note = ("model.py:7  m = nn.Dense(32)",)
    device = DeviceKernel(
        "k00_matmul_relu", (x, kernel, relu), body, 256, frozenset({relu}), note=note
    )
    return Program("step", (square,), (device,))


def every_statement() -> Program:
    """One kernel with every statement of device programs."""
    x, flags = DeviceArray("x", float32, 64), DeviceArray("flags", uint8, 64, holds="bool")
    tile = DeviceArray("tile", float32, 64, SHARED)
    mine = DeviceArray("mine", int64, 4, LOCAL)
    i, n, v = index("i"), index("n"), Variable(float32, "v")
    wide, word = Variable(int64, "wide"), Variable(uint64, "word")
    flag, byte = Variable(bool_, "flag"), Variable(uint8, "byte")
    body: tuple[Stmt, ...] = (
        Declare(tile),
        Declare(mine),
        Comment("what this thread has"),
        Assign(i, add(mul(BLOCK_INDEX, literal(32)), THREAD)),
        If(less(literal(64), i), (Return(),)),
        Assign(v, Get(float32, x, i)),
        Put(tile, THREAD, v),
        Barrier(),
        Assign(v, op("add", v, Get(float32, tile, literal(9)))),
        Put(mine, literal(0), literal(7, int64)),
        Assign(wide, Get(int64, mine, literal(0))),
        Shuffle(v, v, literal(3), FULL),
        Shuffle(wide, wide, literal(3), FULL),
        Assign(flag, less(v, ZERO)),
        Shuffle(flag, flag, literal(0), FULL),
        Assign(byte, op("convert", flag, dtype=uint8)),
        Shuffle(byte, byte, literal(0), FULL),
        Assign(word, Literal(uint64, 5)),
        Shuffle(word, word, literal(0), FULL),
        WarpBarrier(FULL),
        Assign(n, literal(0)),
        While(less(n, GRID_SIZE), (Assign(n, add(n, literal(1))), Assign(v, op("mul", v, v)))),
        For(n, literal(0), literal(4), literal(2), (Assign(v, op("add", v, ONE)),)),
        If(
            flag,
            (Assign(v, op("neg", v)),),
            (If(less(v, ONE), (Comment("keeps it"),), (Assign(v, ONE),)),),
        ),
        Put(x, i, op("add", v, op("convert", wide))),
        Put(flags, i, op("logical_or", flag, op("logical_not", less(v, ONE), dtype=bool_))),
        If(op("ne", word, Literal(uint64, 5), dtype=bool_), (Put(flags, i, byte),)),
    )
    kernel = DeviceKernel("statements", (x, flags), body, 32, frozenset({x, flags}))
    return Program("every statement", (), (kernel,))


def every_intrinsic() -> Program:
    """One kernel with every intrinsic of device programs."""
    x, y = DeviceArray("x", float32, 4096), DeviceArray("y", float32, 4096)
    halves, status = DeviceArray("halves", uint16, 4096), DeviceArray("status", uint32, 1)
    words = DeviceArray("words", uint32, 4096)
    tile, half_tile = (
        DeviceArray("tile", float32, 1024, SHARED),
        DeviceArray("half_tile", uint16, 1024, SHARED),
    )
    at = index("at")
    r, p = numbered(float32, "r", 4), numbered(float32, "p", 2)
    a, c = numbered(uint32, "a", 4), numbered(float32, "c", 4)
    body: list[Stmt] = [
        Declare(tile), Declare(half_tile),
        Assign(at, mul(THREAD, literal(4))),
        Intrinsic((), "atomic_min", (status, literal(0), Literal(uint32, 7))),
        Intrinsic((), "copy_async", (tile, at, x, at, 4)),
        Intrinsic((), "copy_async", (half_tile, at, halves, at, 4)),
        Intrinsic((), "copy_async", (tile, add(at, literal(512)), x, at, 1)),
        Intrinsic((), "copy_async_commit", ()),
        Intrinsic((), "copy_async_wait", (1,)),
        Intrinsic((), "copy_async_wait", (0,)),
        Barrier(),
        Intrinsic(r, "load_vector", (x, at)),
        Intrinsic(p, "load_vector", (tile, at)),
        Intrinsic((), "store_vector", (y, at, *r)),
        Intrinsic((), "store_vector", (tile, at, *r[2:])),
        Intrinsic((a[0],), "pack_bf16", r[:2]),
        Intrinsic((a[1],), "pack_f16", r[2:]),
        Intrinsic((a[2],), "round_tf32", (p[0],)),
        Intrinsic((a[3],), "round_tf32", (p[1],)),
        *(Assign(v, ZERO) for v in c),
        *(
            Intrinsic(c, name, (*a, *a[:2], *c))
            for name in ("mma_bf16", "mma_f16", "mma_tf32")
        ),
        Intrinsic(a, "load_matrix", (half_tile, at)),
        Intrinsic((), "store_vector", (words, at, *a)),
        Intrinsic(a, "load_matrix_transposed", (half_tile, at)),
        Intrinsic((), "store_vector", (words, add(at, literal(128)), *a)),
        Intrinsic((), "store_vector", (y, add(at, literal(256)), *c)),
    ]  # fmt: skip
    kernel = DeviceKernel(
        "intrinsics", (x, halves, y, words, status), tuple(body), 32, frozenset({y, words, status})
    )
    return Program("every intrinsic", (), (kernel,))


def odd_names() -> Program:
    """Names that are Python's, the language's, a function's, another array's, or no names."""
    names = ("lambda", "cuda", "f32", "sum", "thread", "x", "x", "2d", "a.b", "match", "k_odd")
    arrays = tuple(DeviceArray(name, float32, 4) for name in names)
    x, fma = Variable(float32, "x"), Variable(float32, "fma")
    function = DeviceFunction("exp", (Variable(float32, "in"),), (), Variable(float32, "in"))
    body: tuple[Stmt, ...] = (
        Assign(x, Get(float32, arrays[0], THREAD)),
        Assign(fma, Call(float32, function, (x,))),
        *(Put(a, THREAD, fma) for a in arrays[1:]),
    )
    kernel = DeviceKernel("k_odd", arrays, body, 4, frozenset(arrays[1:]))
    return Program("odd", (function,), (kernel,))


def large_shared() -> Program:
    """Shared memory beyond what the machine code may name."""
    x = DeviceArray("x", float32, 32)
    first = DeviceArray("first", float32, 10_001, SHARED)
    second = DeviceArray("second", int32, 4000, SHARED)
    whole = op("convert", Get(int32, second, THREAD))
    body: tuple[Stmt, ...] = (
        Declare(first),
        Declare(second),
        Put(first, THREAD, Get(float32, x, THREAD)),
        Put(second, THREAD, literal(3)),
        Barrier(),
        Put(x, THREAD, op("add", Get(float32, first, literal(9)), whole)),
    )
    return Program("large", (), (DeviceKernel("large", (x,), body, 32, frozenset({x})),))


def product_and_sum(block: int = 32) -> Program:
    """x * y + x: two roundings."""
    x, y = DeviceArray("x", float32, 32), DeviceArray("y", float32, 32)
    place: Special = THREAD
    product = op("mul", Get(float32, x, place), Get(float32, y, place))
    body = (Put(x, place, op("add", product, Get(float32, x, place))),)
    return Program("two", (), (DeviceKernel("two", (x, y), body, block, frozenset({x})),))
