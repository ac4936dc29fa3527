"""More ops of random graphs: integers, bits, order, places, loops, matrices, windows, casts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from graphc.frontend.tensor import Tensor
from graphc.testing.graph_maker import SIZES, Drawn, Maker

INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS = ("float16", "bfloat16", "float32", "float64")


def known(v: Drawn, axis: int = -1) -> bool:
    """Whether an axis is there, with a size that is a number above 0."""
    shape = v.tensor.shape
    if not -len(shape) <= axis < len(shape):
        return False
    size = shape[axis]
    return isinstance(size, int) and size > 0


def an_axis(m: Maker, x: Drawn) -> int:
    """Any axis."""
    return int(m.rng.integers(x.tensor.ndim))


def known_axis(m: Maker, x: Drawn) -> int | None:
    """An axis of known size."""
    found = [i for i in range(x.tensor.ndim) if known(x, i)]
    return int(m.rng.choice(found)) if found else None


def any_of(m: Maker, functions: list[Callable[..., Tensor]]) -> Callable[..., Tensor]:
    """One of some functions."""
    return functions[m.rng.integers(len(functions))]


# --------------------------------------------------------------------------------- integers


def counted(m: Maker) -> Drawn | None:
    """Whole numbers: an index, a position, a count, constants."""
    dtype = INTEGERS[m.rng.integers(len(INTEGERS))]
    choice = m.rng.integers(4)
    if choice == 0:
        shape = tuple(int(s) for s in m.rng.choice(SIZES, m.rng.integers(0, 3)))
        low = 0 if dtype[0] == "u" else -9
        return Drawn(gx.constant(m.rng.integers(low, 10, shape).astype(dtype)), True)
    if choice == 1:
        size = int(m.rng.choice(SIZES)) if m.rng.random() < 0.5 else m.batch
        return Drawn(gx.arange(size, dtype=dtype), True)
    x = m.pick(lambda v: v.exact and v.tensor.ndim > 0 and known(v))
    if x is None:
        return None
    if choice == 2 and x.tensor.dtype.kind != "b":
        function = gx.argmax if m.rng.random() < 0.5 else gx.argmin
        return Drawn(function(x.tensor, axis=-1, keepdims=bool(m.rng.integers(2))), True)
    return Drawn(gx.count_nonzero(x.tensor, axis=-1), True)


def whole(m: Maker) -> Drawn | None:
    """A whole number."""
    return m.pick(lambda v: v.tensor.dtype.is_integer)


def like(m: Maker, x: Drawn) -> Tensor:
    """A whole number for each of another."""
    y = m.pick(lambda v: v.tensor.type == x.tensor.type)
    if y is not None and m.rng.random() < 0.6:
        return y.tensor
    return gx.full(x.tensor.shape, int(m.rng.choice([0, 1, 2, 3, 5, 100])), x.tensor.dtype)


def whole_numbers(m: Maker) -> Drawn | None:
    """Arithmetic and bits of whole numbers; they wrap around."""
    x = whole(m)
    if x is None:
        return None
    functions: list[Callable[..., Tensor]] = [
        gx.add, gx.subtract, gx.multiply, gx.maximum, gx.minimum,
        gx.bitwise_and, gx.bitwise_or, gx.bitwise_xor, gx.bitwise_left_shift,
        gx.bitwise_right_shift, lambda a, b: gx.floor_divide(a, gx.maximum(b, 1)),
        lambda a, b: gx.remainder(a, gx.maximum(b, 1)), lambda a, b: gx.pow(a, 3),
        lambda a, b: gx.where(gx.less(a, b), a, b), lambda a, b: gx.clip(a, 0, 7),
        lambda a, b: gx.floor_divide(a, 3), lambda a, b: gx.remainder(a, 4),
    ]  # fmt: skip
    return Drawn(any_of(m, functions)(x.tensor, like(m, x)), True)


def whole_number(m: Maker) -> Drawn | None:
    """A function of one whole number."""
    x = whole(m)
    if x is None:
        return None
    functions = [gx.bitwise_invert, gx.square, gx.abs, gx.sign, gx.positive, gx.nn.relu]
    if x.tensor.dtype.kind == "u":
        functions = functions[:2]
    return Drawn(any_of(m, functions)(x.tensor), True)


def whole_compared(m: Maker) -> Drawn | None:
    """Truth values of whole numbers."""
    x = whole(m)
    if x is None:
        return None
    functions = [gx.less, gx.less_equal, gx.equal, gx.not_equal, gx.greater, gx.greater_equal]
    return Drawn(any_of(m, functions)(x.tensor, like(m, x)), True)


def whole_reduced(m: Maker) -> Drawn | None:
    """Sums, products, extremes and contractions of whole numbers, all or running."""
    x = m.pick(lambda v: v.tensor.dtype.is_integer and v.tensor.ndim > 0)
    if x is None:
        return None
    axis = an_axis(m, x)
    t = x.tensor
    functions: list[Callable[[], Tensor]] = [
        lambda: gx.sum(t, axis=axis), lambda: gx.prod(t, axis=axis, keepdims=True),
        lambda: gx.max(t, axis=axis), lambda: gx.min(t, axis=axis),
        lambda: gx.cumulative_sum(t, axis=axis), lambda: gx.cumulative_prod(t, axis=axis),
        lambda: gx.vecdot(t, t, axis=axis), lambda: gx.sum(t, axis=axis, dtype=t.dtype),
    ]  # fmt: skip
    return Drawn(functions[m.rng.integers(len(functions))](), True)


def some_or_all(m: Maker) -> Drawn | None:
    """Whether any, or all."""
    x = m.pick(lambda v: v.tensor.dtype.kind == "b" and v.tensor.ndim > 0)
    if x is None:
        return None
    function = gx.any if m.rng.random() < 0.5 else gx.all
    return Drawn(function(x.tensor, axis=an_axis(m, x), keepdims=bool(m.rng.integers(2))), True)


def cast(m: Maker) -> Drawn | None:
    """Any dtype to any other; what comes from large whole numbers is made small."""
    x = m.pick(lambda v: v.exact)
    if x is None:
        return None
    t = x.tensor
    to = (*INTEGERS, *FLOATS, "bool")[m.rng.integers(13)]
    if to in FLOATS and t.dtype.is_integer:
        t = gx.remainder(t, 7)
    return Drawn(gx.astype(t, to), True)


def narrowed(m: Maker) -> Drawn | None:
    """A float as another float."""
    x = m.number()
    if x is None:
        return None
    to = FLOATS[m.rng.integers(4)] if m.rng.random() < 0.4 else m.dtype
    return Drawn(gx.astype(x.tensor, to), x.exact)


def rounded(m: Maker) -> Drawn | None:
    """Whole floats, signs, kinds of floats; of exact numbers."""
    x = m.pick(lambda v: v.exact and v.tensor.dtype.is_float)
    if x is None:
        return None
    partner = m.partner(x)
    y = partner.tensor if partner.exact else x.tensor
    functions: list[Callable[[Tensor], Tensor]] = [
        gx.floor, gx.ceil, gx.trunc, gx.round, gx.sign, gx.isnan, gx.isinf, gx.isfinite,
        gx.signbit, lambda t: gx.copysign(t, gx.broadcast_to(y, t.shape)),
        lambda t: gx.remainder(t, 0.5), lambda t: gx.floor_divide(t, 2.0),
        lambda t: gx.clip(t, -1.0, 1.5),
    ]  # fmt: skip
    if not m.integral:
        functions.append(lambda t: gx.nextafter(t, gx.broadcast_to(y, t.shape)))
    return Drawn(any_of(m, functions)(x.tensor), True)


# ------------------------------------------------------------------------- order and places


def ordered(m: Maker) -> Drawn | None:
    """Sorted, the best, running extremes, of exact values."""
    x = m.pick(lambda v: v.exact and v.tensor.dtype.kind != "b" and v.tensor.ndim > 0)
    if x is None:
        return None
    t, axis = x.tensor, an_axis(m, x)
    down = bool(m.rng.integers(2))
    size = t.shape[axis]
    k = int(m.rng.integers(1, size + 1)) if isinstance(size, int) and size else size
    functions: list[Callable[[], Tensor]] = [
        lambda: gx.sort(t, axis=axis, descending=down),
        lambda: gx.argsort(t, axis=axis, descending=down),
        lambda: gx.topk(t, k, axis=axis, largest=down)[0],
        lambda: gx.topk(t, k, axis=axis, largest=down)[1],
        lambda: gx.cumulative_max(t, axis=axis), lambda: gx.cumulative_min(t, axis=axis),
        lambda: gx.isin(t, gx.constant(np.array([0, 1, 3], t.dtype.numpy))),
        lambda: gx.unique_values(t, 4)[0], lambda: gx.unique_counts(t, 3)[1],
        lambda: gx.searchsorted(gx.sort(gx.reshape(t, (-1,))), t, side="right" if down else "left"),
    ]  # fmt: skip
    return Drawn(functions[m.rng.integers(len(functions))](), True)


def indices(m: Maker, size: int, shape: tuple[Any, ...] | None = None) -> Tensor:
    """Indices below a size: constants or computed, of any integer dtype."""
    dtype = INTEGERS[m.rng.integers(len(INTEGERS))] if size < 100 else "int32"
    x = whole(m) if shape is None else None
    if x is not None and m.rng.random() < 0.6:
        return gx.remainder(gx.astype(x.tensor, "int32"), size)
    shape = (int(m.rng.choice(SIZES)),) if shape is None else shape
    low = 0 if dtype[0] == "u" else -size
    if size == 0:
        shape = (*shape[:-1], 0) if shape else (0,)
    if any(not isinstance(s, int) for s in shape):
        spread = gx.arange(shape[-1], dtype="int32")
        return gx.broadcast_to(gx.remainder(spread * 3 + 1, size), shape)
    return gx.constant(m.rng.integers(low, size if size else 1, shape).astype(dtype))


def gathered(m: Maker) -> Drawn | None:
    """Elements at indices."""
    x = m.pick(lambda v: v.tensor.ndim > 0 and any(known(v, i) for i in range(v.tensor.ndim)))
    axis = None if x is None else known_axis(m, x)
    if x is None or axis is None:
        return None
    t = x.tensor
    size = t.shape[axis]
    assert isinstance(size, int)
    if m.rng.random() < 0.5:
        return Drawn(gx.take(t, indices(m, size), axis=axis), x.exact)
    shape = (*t.shape[:axis], int(m.rng.choice(SIZES)), *t.shape[axis + 1 :])
    return Drawn(gx.take_along_axis(t, indices(m, size, shape), axis=axis), x.exact)


def scattered(m: Maker) -> Drawn | None:
    """Elements put, or added, at indices."""
    x = m.pick(lambda v: v.tensor.dtype.kind != "b" and known(v, 0))
    if x is None:
        return None
    t = x.tensor
    size = t.shape[0]
    assert isinstance(size, int)
    exact = x.exact and (t.dtype.is_integer or m.integral)
    y = m.pick(lambda v: v.tensor.type == t.type) or x
    both = exact and y.exact
    modes = ["set", "min", "max", "add", "mul"]
    mode = modes[m.rng.integers(5 if t.dtype.is_integer else 4)]
    choice = m.rng.integers(5)
    at = indices(m, size, t.shape)
    rows = indices(m, size, (size,))
    if choice == 0:
        made = gx.put_along_axis(t, at, y.tensor, axis=0, mode=mode)
    elif choice == 1:
        made, mode = gx.scatter_add(t, rows, y.tensor), "add"
    elif choice == 2:
        made, mode = gx.scatter_set(t, rows, y.tensor), "set"
    elif choice == 3:
        made, mode = t.at[int(m.rng.integers(size))].set(y.tensor[0]), "set"
    else:
        made, mode = t.at[: int(m.rng.integers(1, size + 1))].add(1), "add"
    if mode in ("set", "min", "max"):
        return Drawn(made, x.exact and y.exact)
    return tamed(m, made, both)


def tamed(m: Maker, made: Tensor, exact: bool) -> Drawn:
    """A sum whose size is limited."""
    if made.dtype.is_integer:
        return Drawn(made, exact)
    if m.integral:
        return Drawn(gx.maximum(gx.minimum(made, 3.0), -3.0), exact)
    return Drawn(gx.tanh(made), False)


def viewed(m: Maker) -> Drawn | None:
    """Rolled, padded, tiled, cut, stacked, transposed, the diagonal, a triangle."""
    x = m.pick(lambda v: v.tensor.ndim > 0)
    if x is None:
        return None
    t, axis = x.tensor, an_axis(m, x)
    other = an_axis(m, x)
    shift = int(m.rng.integers(-4, 5))
    mode = ["constant", "edge", "reflect", "wrap"][m.rng.integers(4)]
    widths = [(int(a), int(b)) for a, b in m.rng.integers(0, 3, (t.ndim, 2))]
    functions: list[Callable[[], Tensor]] = [
        lambda: gx.roll(t, shift, axis=axis), lambda: gx.pad(t, widths, mode=mode),
        lambda: gx.tile(t, (2,) + (1,) * (t.ndim - 1)), lambda: gx.flip(t, axis=axis),
        lambda: gx.stack([t, t], axis=axis), lambda: gx.swapaxes(t, axis, other),
        lambda: gx.moveaxis(t, axis, other), lambda: gx.diagonal(t, shift // 3, axis, other),
        lambda: gx.tril(t, shift // 2), lambda: gx.triu(t, shift // 2),
        lambda: gx.split(t, [1, t.shape[axis] - 1], axis=axis)[int(m.rng.integers(2))],
        lambda: gx.expand_dims(t, axis=axis), lambda: gx.repeat(t, 3, axis=axis),
        lambda: gx.concat([t, gx.flip(t, axis=axis), t], axis=axis), lambda: gx.diff(t),
        lambda: gx.reshape(t, (-1,)),
    ]  # fmt: skip
    number = int(m.rng.integers(len(functions)))
    made = functions[number]()
    exact = x.exact and (number != 14 or t.dtype.is_integer or m.integral)
    return Drawn(made, exact)


def one_hot(m: Maker) -> Drawn | None:
    """Ones at indices."""
    x = whole(m)
    if x is None or x.tensor.dtype.kind == "u":
        return None
    return Drawn(gx.one_hot(gx.remainder(x.tensor, 5), 5, dtype=m.dtype), True)


def guarded(m: Maker) -> Drawn | None:
    """A value with a check, which rarely fails."""
    x = m.pick(lambda v: v.exact and v.tensor.dtype.is_float)
    if x is None:
        return None
    limit = 1.5 if m.rng.random() < 0.02 else 3e4
    return Drawn(gx.check(x.tensor, ~(gx.abs(x.tensor) > limit), "too large"), True)


EXACT = (
    counted, counted, whole_numbers, whole_numbers, whole_number, whole_compared, whole_reduced,
    some_or_all, cast, cast, rounded, ordered, ordered, gathered, gathered, scattered, scattered,
    viewed, viewed, one_hot, guarded,
)  # fmt: skip
SMOOTH = (narrowed,)
