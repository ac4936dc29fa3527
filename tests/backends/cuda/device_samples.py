"""Small hand-built kernels: statements, intrinsics, memory."""

from __future__ import annotations

from graphc.ir.types import DType, bool_, float32, int32, int64, uint8, uint16, uint32
from graphc_cuda.device.program import (
    BLOCK_INDEX,
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
    Op,
    Program,
    Put,
    Return,
    Select,
    Shuffle,
    Stmt,
    Value,
    Variable,
    WarpBarrier,
    While,
    literal,
)

ALL_LANES = literal(0xFFFFFFFF, uint32)


def variable(name: str, dtype: DType = float32) -> Variable:
    """A variable; integers are indices."""
    return Variable(dtype, name, is_index=dtype.kind == "i")


def index(function: str, *args: Value) -> Op:
    """An operation on indices."""
    return Op(int32, function, args, is_index=True)


def plus(x: Value, y: Value) -> Op:
    """x + y of float32"""
    return Op(float32, "add", (x, y))


def below(x: Value, y: Value) -> Op:
    """x < y"""
    return Op(bool_, "lt", (x, y))


def kernel(
    name: str, arrays: tuple[DeviceArray, ...], body: tuple[Stmt, ...], block: int
) -> Program:
    """A program of one kernel that writes its last array only."""
    return Program(name, (), (DeviceKernel(name, arrays, body, block, frozenset(arrays[-1:])),))


X, Y = DeviceArray("x", float32, 64), DeviceArray("y", float32, 64)
AT, STEP = variable("i", int32), variable("j", int32)
PLACE = Assign(AT, index("add", index("mul", BLOCK_INDEX, literal(8)), THREAD))


def branches() -> Program:
    """Sums of the first elements below 3, of neighbours below 5, else -1; nothing from 7 on."""
    total = variable("total")
    following = index("add", AT, literal(1))
    neighbour = Select(
        float32, below(following, literal(6)), Get(float32, X, following), literal(100.0, float32)
    )
    pair = Put(Y, AT, plus(Get(float32, X, AT), neighbour))
    body = (
        PLACE,
        Comment("the last thread has nothing to do"),
        If(Op(bool_, "le", (literal(7), AT)), (Return(),)),
        Assign(total, literal(0.0, float32)),
        For(STEP, literal(0), AT, literal(1), (Assign(total, plus(total, Get(float32, X, STEP))),)),
        If(
            below(AT, literal(5)),
            (If(below(AT, literal(3)), (Put(Y, AT, total),), (pair,)),),
            (Put(Y, AT, literal(-1.0, float32)),),
        ),
    )
    return kernel("branches", (X, Y), body, 8)


def collatz() -> Program:
    """y[i] = how many steps i + 1 takes to 1, as a float; a While around an If."""
    n, steps = variable("n", int64), variable("steps", int64)
    odd = Op(bool_, "eq", (Op(int64, "bit_and", (n, literal(1, int64))), literal(1, int64)))
    tripled = Op(int64, "add", (Op(int64, "mul", (n, literal(3, int64))), literal(1, int64)))
    halved = Op(int64, "quotient", (n, literal(2, int64)))
    body = (
        PLACE,
        Assign(n, Op(int64, "add", (Op(int64, "convert", (AT,)), literal(1, int64)))),
        Assign(steps, literal(0, int64)),
        While(
            Op(bool_, "ne", (n, literal(1, int64))),
            (
                If(odd, (Assign(n, tripled),), (Assign(n, halved),)),
                Assign(steps, Op(int64, "add", (steps, literal(1, int64)))),
            ),
        ),
        Put(Y, AT, Op(float32, "convert", (steps,))),
    )
    return kernel("collatz", (Y,), body, 8)


def guarded() -> Program:
    """y[i] = x * x + x where x[i] is there and positive, -5 where it is not; bools in memory."""
    flags = DeviceArray("flags", uint8, 64, holds="bool")
    x, is_there = Variable(float32, "x"), variable("is_there", bool_)
    square = DeviceFunction(
        "square_plus", (x,), (Assign(Variable(float32, "s"), Op(float32, "mul", (x, x))),),
        plus(Variable(float32, "s"), x), note="x * x + x",
    )  # fmt: skip
    positive = below(literal(0.0, float32), Get(float32, X, AT))
    found = Op(bool_, "logical_and", (below(AT, literal(5)), positive))
    other = Op(bool_, "logical_or", (Op(bool_, "le", (literal(5), AT)), positive))
    body = (
        PLACE,
        Assign(is_there, found),
        Put(flags, AT, is_there),
        If(Get(bool_, flags, AT), (Put(Y, AT, Call(float32, square, (Get(float32, X, AT),))),)),
        If(Op(bool_, "logical_not", (other,)), (Put(Y, AT, literal(-5.0, float32)),)),
    )
    made = DeviceKernel("guarded", (X, flags, Y), body, 8, frozenset({flags, Y}))
    return Program("guarded", (square,), (made,))


def vectors() -> Program:
    """y = x, four at a time reversed; two 16-bit elements swapped; the smallest word of all."""
    words = DeviceArray("words", uint32, 1)
    halves, swapped = DeviceArray("halves", uint16, 16), DeviceArray("swapped", uint16, 16)
    a, b, c, d = (variable(name) for name in "abcd")
    low, high = Variable(uint16, "low"), Variable(uint16, "high")
    four, two = index("mul", THREAD, literal(4)), index("mul", THREAD, literal(2))
    body = (
        Intrinsic((a, b, c, d), "load_vector", (X, four)),
        Intrinsic((), "store_vector", (Y, four, d, c, b, a)),
        Intrinsic((low, high), "load_vector", (halves, two)),
        Intrinsic((), "store_vector", (swapped, two, high, low)),
        Intrinsic((), "atomic_min", (words, literal(0), Op(uint32, "saturate", (a,)))),
    )
    arrays = (X, halves, Y, swapped, words)
    return Program(
        "vectors", (), (DeviceKernel("vectors", arrays, body, 8, frozenset(arrays[2:])),)
    )


def packing() -> Program:
    """Two numbers in a word, bf16, fp16; TF32."""
    words = DeviceArray("words", uint32, 192)
    names = ("pack_bf16", "pack_f16")
    got = tuple(Get(float32, X, index("add", AT, literal(k))) for k in (0, 1))
    body: list[Stmt] = [PLACE]
    for k, name in enumerate((*names, "round_tf32")):
        word = Variable(uint32, f"word_{k}")
        body.append(Intrinsic((word,), name, got if name in names else got[:1]))
        body.append(Put(words, index("add", index("mul", AT, literal(3)), literal(k)), word))
    return kernel("packing", (X, words), tuple(body), 8)


def together() -> Program:
    """Shared and local memory, barriers, shuffles of every width."""
    tile, own = DeviceArray("tile", float32, 64, SHARED), DeviceArray("own", float32, 4, LOCAL)
    moved_in = Put(own, STEP, Get(float32, tile, STEP))
    body: list[Stmt] = [
        Declare(tile), Declare(own), PLACE, Put(tile, THREAD, Get(float32, X, AT)), Barrier(),
        For(STEP, literal(0), literal(4), literal(1), (moved_in,), unroll=4),
    ]  # fmt: skip
    total: Value = plus(Get(float32, own, literal(3)), Get(float32, tile, THREAD))
    for dtype in (float32, int64, uint8, bool_, uint16, int32):
        source = Op(dtype, "saturate", (total,)) if dtype.is_integer else total
        source = below(total, literal(2.0, float32)) if dtype == bool_ else source
        moved = Variable(dtype, f"moved_{dtype.short}")
        lane = index("bit_xor", THREAD, literal(1))
        body += [Shuffle(moved, source, lane, ALL_LANES), WarpBarrier(ALL_LANES)]
        body.append(Put(Y, AT, plus(Get(float32, Y, AT), Op(float32, "convert", (moved,)))))
    return kernel("together", (X, Y), tuple(body), 32)


def matrices() -> Program:
    """Copies without waiting, matrices from shared memory, products of every kind."""
    tile = DeviceArray("tile", uint16, 2048, SHARED)
    start = index("mul", THREAD, literal(8))
    halves, out = DeviceArray("halves", uint16, 4096), DeviceArray("out", float32, 128)
    a, b, t = ([Variable(uint32, f"{n}{i}") for i in range(4)] for n in "abt")
    c = [Variable(float32, f"c{i}") for i in range(4)]
    body: list[Stmt] = [
        Declare(tile),
        Intrinsic((), "copy_async", (tile, start, halves, start, 8)),
        Intrinsic((), "copy_async_commit", ()),
        Intrinsic((), "copy_async_wait", (0,)),
        Barrier(),
        *(Assign(x, literal(0.0, float32)) for x in c),
        Intrinsic(tuple(a), "load_matrix", (tile, start)),
        Intrinsic(tuple(t), "load_matrix_transposed", (tile, start)),
        Intrinsic(tuple(b), "load_matrix", (tile, index("add", start, literal(8)))),
    ]
    for name, left in (("mma_bf16", a), ("mma_f16", t), ("mma_tf32", a)):
        body.append(Intrinsic(tuple(c), name, (*left, b[0], b[1], *c)))
    four = index("mul", THREAD, literal(4))
    body.append(Intrinsic((), "store_vector", (out, four, *c)))
    return kernel("matrices", (halves, out), tuple(body), 32)


def copies() -> Program:
    """Copies of 4 and 8 bytes."""
    tile = DeviceArray("tile", float32, 64, SHARED)
    two = index("mul", THREAD, literal(2))
    body = (
        Declare(tile),
        Intrinsic((), "copy_async", (tile, THREAD, X, THREAD, 1)),
        Intrinsic((), "copy_async", (tile, two, X, two, 2)),
        Intrinsic((), "copy_async_commit", ()),
        Intrinsic((), "copy_async_wait", (0,)),
        Barrier(),
        Put(Y, THREAD, Get(float32, tile, two)),
    )
    return kernel("copies", (X, Y), body, 32)


def much_shared() -> Program:
    """More shared memory than machine code may name."""
    tiles = [DeviceArray(name, float32, 7000, SHARED) for name in ("first", "second")]
    body = (
        *(Declare(t) for t in tiles),
        *(Put(t, THREAD, Get(float32, X, THREAD)) for t in tiles),
        Barrier(),
        Put(Y, THREAD, plus(Get(float32, tiles[0], literal(3)), Get(float32, tiles[1], THREAD))),
    )
    return kernel("much_shared", (X, Y), body, 32)


SAMPLES = (
    branches, collatz, guarded, vectors, packing, together, matrices, copies, much_shared,
)  # fmt: skip
