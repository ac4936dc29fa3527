"""Expressions of the loop level as LLVM values."""

from __future__ import annotations

from typing import Any

from graphc.ir.loops.contraction.index import Affine, affine, loads_of
from graphc.ir.loops.expression import COMPARISONS
from graphc.ir.loops.ir import (
    LANES,
    Apply,
    Const,
    Expr,
    Extent,
    Index,
    Load,
    Ref,
    operands,
    walk_new,
)
from graphc.ir.loops.random_bits import philox_block
from graphc.ir.types import DType, bool_, int32, int64, uint64
from graphc_llvm.emit_context import EmitContext
from graphc_llvm.emit_memory import load
from graphc_llvm.emit_width import RANDOM_WIDTH
from graphc_llvm.ir_builder import Operand
from graphc_llvm.values import Value

# terms of a sum of axes
_MAX_TERMS = 64
# sums of axes stay far below; what user data may be beyond it compares the same
_FAR_INDEX = 2**62
_INDEX_ARITHMETIC = ("add", "sub", "mul", "neg")


def evaluate(c: EmitContext, expr: Expr) -> Value:
    """The value of an expression in all lanes; computed once per scope."""
    for current in walk_new(expr, lambda x: x in c.memo or x in c.transient, _needed):
        value = _compute(c, current)
        known = c.transient if _volatile(c, current) else c.memo
        known[current] = value
    return c.memo[expr] if expr in c.memo else c.transient[expr]


def uniform(c: EmitContext, expr: Expr) -> Operand:
    """The i64 operand of an int64 expression that is uniform over the lanes."""
    form = affine(expr)
    if form.is_constant:
        return c.size(form.constant)
    return c.operand(evaluate(c, expr))


def _needed(expr: Expr) -> tuple[Expr, ...]:
    if not isinstance(expr, Apply) or _is_index_arithmetic(expr):
        return ()
    if expr.function == "cast" and expr.dtype.is_integer and _is_index(expr.args[0]):
        return ()
    return () if _compares_indices(expr) else expr.args


def _volatile(c: EmitContext, expr: Expr) -> bool:
    """True for what a write of the kernel may change; the operands are known already."""
    if not c.written:
        return False
    if not isinstance(expr, Load):
        return any(x in c.transient for x in operands(expr))
    inner = [load for x in operands(expr) for load in loads_of(x)]
    return any(load.buffer in c.written for load in (expr, *inner))


def _compute(c: EmitContext, expr: Expr) -> Value:
    match expr:
        case Const(value=value, dtype=dtype):
            return c.emit.const(value, dtype)
        case Extent(size=size):
            return c.number(c.size(size))
        case Index():
            return _index_value(c, affine(expr))
        case Ref(name=name):
            return c.refs[name]
        case Load():
            return load(c, expr, evaluate)
        case Apply() if _compares_indices(expr):
            return _compare_indices(c, expr)
        case Apply() if _is_index_arithmetic(expr):
            return _index_value(c, affine(expr))
        case Apply(function="cast", dtype=dtype, args=(x,)) if dtype.is_integer and _is_index(x):
            return _index_value(c, affine(x), dtype)
        case Apply():
            return _apply(c, expr)
    raise AssertionError(f"no such expression: {expr}")


def _apply(c: EmitContext, expr: Apply) -> Value:
    arguments: list[Any] = [evaluate(c, x) for x in expr.args]
    if expr.function == "philox" and all(x.width == 1 for x in arguments[:3]):
        start = _block_start(c, expr.args[3])
        if start is not None:
            return _philox(c, arguments[:3], start)
    if expr.function in ("cast", "bitcast"):
        arguments.append(expr.dtype)
    return c.emit.apply(expr.function, *arguments)


# ------------------------------------------------------------------ random bits


def _block_start(c: EmitContext, number: Expr) -> Operand | None:
    """The first element's number if the lanes are the elements of sixteen Philox counters."""
    if c.lane is None or c.lane.width != RANDOM_WIDTH or c.lane.multiple % RANDOM_WIDTH:
        return None
    if not isinstance(number, Apply) or number.function != "cast":
        return None
    form = affine(number.args[0])
    rest = [k for axis, k in form.axes.items() if axis is not c.lane.axis]
    sizes = [c.size(k) for k in (*rest, form.constant)]
    aligned = all(isinstance(k, int) and k % RANDOM_WIDTH == 0 for k in sizes)
    base, stride = _split(c, form)
    return base if aligned and not form.others and stride == 1 else None


def _philox(c: EmitContext, stream: list[Value], start: Operand) -> Value:
    """Each counter makes four elements, sixteen apart."""
    f, (low, high, step) = c.builder, stream
    first = f.mul(f.div(start, RANDOM_WIDTH), LANES, "counter")
    counter = c.emit.add(
        c.emit.cast(c.number(first), uint64), c.emit.vector_of(range(LANES), uint64)
    )
    return c.emit.join(philox_block(c.emit, low, high, step, counter))


# ------------------------------------------------------------------ index arithmetic


def _is_index_arithmetic(expr: Expr) -> bool:
    if not isinstance(expr, Apply) or expr.dtype != int64 or expr.function not in _INDEX_ARITHMETIC:
        return False
    leaves = _leaves(expr)
    if leaves is None or not all(isinstance(x, Index | Const | Extent) for x in leaves):
        return False
    form = affine(expr)
    return bool(form.axes) and not form.others


def _leaves(expr: Expr) -> list[Expr] | None:
    """What a sum is made of; None for long ones (shared parts count each time they occur)."""
    waiting, leaves, count = [expr], [], 0
    while waiting and count < _MAX_TERMS:
        current = waiting.pop()
        count += 1
        if isinstance(current, Apply) and current.function in _INDEX_ARITHMETIC:
            waiting.extend(current.args)
        else:
            leaves.append(current)
    return None if waiting else leaves


def _index_value(c: EmitContext, form: Affine, dtype: DType = int64) -> Value:
    """A sum of axes, wrapped to an integer dtype: one scalar, plus the numbers of the lanes."""
    base, stride = _split(c, form)
    first = c.emit.cast(c.number(base), dtype)
    if stride == 0:
        return first
    assert c.lane is not None
    steps = c.emit.vector_of(range(c.lane.width), dtype)
    if stride != 1:
        steps = c.emit.mul(steps, c.emit.cast(c.number(stride), dtype))
    return steps if base == 0 else c.emit.add(first, steps)


def _split(c: EmitContext, form: Affine) -> tuple[Operand, Operand]:
    """The form's value in lane 0, and what each further lane adds; the others are single."""
    f = c.builder
    total: Operand = c.size(form.constant)
    terms = [f.mul(c.size(k), c.axes[axis], axis.name) for axis, k in form.axes.items()]
    for k, other in form.others:
        value = c.operand(evaluate(c, other))
        terms.append(f.mul(c.size(k), f.maximum(f.minimum(value, _FAR_INDEX), -_FAR_INDEX)))
    for term in sorted(terms, key=f.level_of):
        total = f.add(total, term, "index")
    stride = 0 if c.lane is None else c.size(form.coefficient(c.lane.axis))
    return total, stride


def _is_index(expr: Expr) -> bool:
    return isinstance(expr, Index) or _is_index_arithmetic(expr)


def _compares_indices(expr: Apply) -> bool:
    if expr.function not in COMPARISONS or expr.args[0].dtype != int64:
        return False
    if any(_leaves(x) is None for x in expr.args):
        return False
    return any(_is_index(x) for x in expr.args)


def _compare_indices(c: EmitContext, expr: Apply) -> Value:
    """Compare sums of axes with one scalar subtraction and 32-bit lane numbers."""
    f = c.builder
    distance = affine(expr.args[1]) + affine(expr.args[0]).scaled(-1)
    if not _is_near(c, distance) or any(evaluate(c, x).width > 1 for _, x in distance.others):
        return c.emit.apply(expr.function, *(evaluate(c, x) for x in expr.args))
    base, stride = _split(c, distance)
    if stride == 0:
        return _compare_zero(c, expr.function, base)
    # base + stride * lane against 0; the base only matters as far as the lanes reach
    assert c.lane is not None
    assert isinstance(stride, int)
    reach = abs(stride) * c.lane.width + 1
    near = f.maximum(f.minimum(base, reach), -reach)
    steps = c.emit.vector_of([stride * lane for lane in range(c.lane.width)], int32)
    if isinstance(near, int):
        values = [_holds(expr.function, near + stride * lane) for lane in range(c.lane.width)]
        return c.emit.const(values[0], bool_) if len({*values}) == 1 else _mask(c, values)
    position = c.emit.add(c.emit.cast(Value(near, int64), int32), steps)
    return c.emit.apply(expr.function, c.emit.const(0, int32), position)


def _is_near(c: EmitContext, distance: Affine) -> bool:
    """True where the distance neither wraps around nor moves far along the lanes."""
    stride = 0 if c.lane is None else c.size(distance.coefficient(c.lane.axis))
    sizes = [c.size(k) for k in (distance.constant, *distance.axes.values())]
    small = all(not isinstance(k, int) or abs(k) < 2**40 for k in sizes)
    single = [abs(k) == 1 for k, _ in distance.others if isinstance(k, int)]
    alone = len(distance.others) == sum(single) <= 1
    return small and alone and isinstance(stride, int) and abs(stride) < 2**20


def _compare_zero(c: EmitContext, function: str, distance: Operand) -> Value:
    if isinstance(distance, int):
        return c.emit.const(_holds(function, distance), bool_)
    how = {"lt": "sgt", "le": "sge", "eq": "eq", "ne": "ne"}[function]
    return Value(c.builder.compare(how, distance, 0), bool_)


def _holds(function: str, distance: int) -> bool:
    """Whether x function y, where y - x is the distance."""
    return {"lt": distance > 0, "le": distance >= 0, "eq": distance == 0, "ne": distance != 0}[
        function
    ]


def _mask(c: EmitContext, values: list[bool]) -> Value:
    return c.emit.vector_of(values, bool_)
