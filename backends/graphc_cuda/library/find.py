"""Which contractions are products that a library computes, and what is left to our kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from graphc.ir.loops.contraction.index import Substitution, flat_offset
from graphc.ir.loops.contraction.match import Span
from graphc.ir.loops.ir import (
    PARALLEL,
    Axis,
    Buffer,
    Expr,
    Kernel,
    Let,
    Load,
    Loop,
    Ref,
    Scratch,
    Stmt,
    Store,
    index,
    is_dot,
)
from graphc.ir.loops.rounding import rounded_operand
from graphc.ir.precision import TF32 as TF32_PRECISION
from graphc.ir.types import float32, float64
from graphc_cuda.contract.find import TiledContraction, count, find_contraction, known
from graphc_cuda.library.epilogue import PLAIN, Epilogue, find_epilogue
from graphc_cuda.library.product import (
    ALIGNMENT,
    F32,
    F64,
    MIN_PRODUCTS,
    TF32,
    Matrix,
    Product,
)
from graphc_cuda.lower.sizes import Sizes, is_separable


@dataclass(frozen=True)
class FoundProduct:
    """A product, and where it finds a, b, c and a bias: buffers, and elements from their start."""

    product: Product
    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]


def find_product(tile: TiledContraction) -> FoundProduct | None:
    """The product that a whole contraction is, with what the library does behind it at most."""
    found = tile.contraction
    s = tile.sizes
    plain = not (found.conditions or found.boxes or found.paired)
    if not plain or s.batch * s.rows * s.columns * s.steps < MIN_PRODUCTS:
        return None
    if [len(x) for x in (found.rows, found.columns, found.reduction)] != [1, 1, 1]:
        return None
    *front, store = found.epilogue
    if not all(isinstance(s, Let) for s in front):
        return None
    if not isinstance(store, Store) or store.where is not None:
        return None
    if len(found.batch) > 1:
        return None
    total = found.accumulator.refs[0]
    after = find_epilogue(_written_out(front, store.value, total), total, found.columns[0])
    single = not found.batch and store.buffer.dtype == float32
    if after is None or not (single or after[0] == PLAIN):
        return None
    return _found(tile, Load(store.buffer.dtype, store.buffer, store.index), *after)


def _written_out(front: Sequence[Stmt], value: Expr, total: Ref) -> Expr:
    """A value of the sums without the names in front of it."""
    refs: dict[str, Expr] = {total.name: total}
    for stmt in front:
        assert isinstance(stmt, Let)
        refs[stmt.ref.name] = Substitution(refs)(stmt.value)
    return Substitution(refs)(value)


def _found(
    tile: TiledContraction, result: Load, epilogue: Epilogue, bias: Load | None
) -> FoundProduct | None:
    c = tile.contraction
    (row,), (column,), (step,) = c.rows, c.columns, c.reduction
    batch = c.batch[0] if c.batch else None
    sides = (
        (_source(tile.right.value), column, step),
        (_source(tile.left.value), step, row),
        (result, column, row),
    )
    made = [_matrix(load, first, second, batch) for load, first, second in sides]
    loads = [load for load, _, _ in sides]
    matrices = [m for m in made if m is not None]
    if len(matrices) != 3 or matrices[0].dtype != matrices[1].dtype:
        return None
    if not _is_dense(matrices[2], batch is not None):
        return None
    a, b, to = matrices
    product = Product(count(c.batch), tile.sizes.steps, a, b, to, _compute(tile, a), epilogue)
    every = [x for x in (*loads, bias) if x is not None]
    offsets = tuple(known(flat_offset(x.buffer, x.index).constant) for x in every)
    if any(o * x.dtype.itemsize % ALIGNMENT for o, x in zip(offsets, every)):
        return None
    buffers = tuple(c.aliases.get(x.buffer, x.buffer) for x in every)
    if buffers[2] in buffers[3:]:
        return None
    return FoundProduct(product, buffers, offsets)


def _source(value: Expr) -> Load | None:
    """What an operand reads, where it is nothing but that; the library rounds to TF32 itself."""
    rounded = rounded_operand(value)
    if rounded is not None and rounded[0] == TF32_PRECISION:
        value = rounded[1]
    return value if isinstance(value, Load) and value.where is None else None


def _compute(tile: TiledContraction, operand: Matrix) -> str:
    if operand.dtype == float64:
        return F64
    return TF32 if tile.kind == TF32_PRECISION else F32


def _matrix(load: Load | None, first: Span, second: Span, batch: Span | None) -> Matrix | None:
    """What is read along two axes as a matrix in columns; None where neither has neighbours."""
    if load is None:
        return None
    at = flat_offset(load.buffer, load.index)
    down, across = (known(at.coefficient(s.axis)) for s in (first, second))
    stride = 0 if batch is None else known(at.coefficient(batch.axis))
    if at.others or min(down, across, stride + 1) < 1:
        return None
    rows, columns = known(first.size), known(second.size)
    if down == 1 and across >= rows:
        return Matrix(load.dtype, rows, columns, across, stride)
    if across == 1 and down >= columns:
        return Matrix(load.dtype, columns, rows, down, stride, True)
    return None


def _is_dense(result: Matrix, is_batch: bool) -> bool:
    """Whether a call writes every byte from the first to the last one, each once."""
    whole = result.rows * result.columns
    dense = result.leading == result.rows and result.stride == whole * is_batch
    return dense and not result.transposed


# ------------------------------------------------------------------ epilogues


def split_products(kernel: Kernel, dims: Mapping[str, int]) -> Kernel:
    """The kernel with every product that is worth a call apart from what its results go through.

    The product goes to scratch memory, and a nest of its own does the rest with the same bits.
    """
    body: list[Stmt] = []
    lets = [s for s in kernel.body if isinstance(s, Let)]
    for stmt in kernel.body:
        parts = _split(stmt, lets, Sizes(kernel, dims)) if isinstance(stmt, Loop) else None
        body += [stmt] if parts is None else parts
    found = replace(kernel, body=tuple(body))
    return found if len(body) > len(kernel.body) and is_separable(found) else kernel


def _split(loop: Loop, lets: Sequence[Let], sizes: Sizes) -> list[Stmt] | None:
    if loop.kind != PARALLEL:
        return None
    tile = find_contraction((*lets, loop), sizes.dims)
    if tile is None or find_product(tile) is not None:
        return None
    apart = _apart(loop, sizes, [])
    if apart is None:
        return None
    scratch, product, rest = apart
    tile = find_contraction((*lets, product), sizes.dims)
    if tile is None or find_product(tile) is None:
        return None
    return [scratch, product, rest]


def _apart(
    loop: Loop, sizes: Sizes, outer: list[tuple[Axis, int]]
) -> tuple[Scratch, Loop, Loop] | None:
    """Scratch for the sums of a nest, the nest that stores them there, and the one that reads."""
    axes = [*outer, (loop.axis, sizes.trips(loop))]
    if len(loop.body) == 1 and isinstance(loop.body[0], Loop) and loop.body[0].kind == PARALLEL:
        inner = _apart(loop.body[0], sizes, axes)
        if inner is None:
            return None
        scratch, product, rest = inner
        return scratch, replace(loop, body=(product,)), replace(loop, body=(rest,))
    place = next((i for i, s in enumerate(loop.body) if isinstance(s, Loop)), None)
    if place is None:
        return None
    dot = loop.body[place]
    if not isinstance(dot, Loop) or not is_dot(dot):
        return None
    (ref,) = dot.accumulators[0].refs
    buffer = Buffer("products", ref.dtype, tuple(n for _, n in axes))
    at = tuple(index(axis) for axis, _ in axes)
    front, behind = loop.body[:place], loop.body[place + 1 :]
    product = replace(loop, body=(*front, dot, Store(buffer, at, ref)))
    again = Let(Ref(ref.dtype, ref.name), Load(ref.dtype, buffer, at))
    return Scratch(buffer), product, replace(loop, body=(*front, again, *behind))
