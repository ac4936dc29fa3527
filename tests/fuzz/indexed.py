"""The functions that take indices, and what numpy makes of them: for the net `indices`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx

Array = np.ndarray[Any, Any]
Rng = np.random.Generator
Drawn = tuple[Array, list[Array], Callable[..., Any], Callable[..., Array], list[str], bool]
DTYPES = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
UFUNCS = {"add": np.add, "mul": np.multiply, "min": np.minimum, "max": np.maximum}


def drawn_x(rng: Rng, rank: int | None = None) -> Array:
    """Small whole numbers in an array of few elements."""
    rank = int(rng.integers(1, 4)) if rank is None else rank
    shape = rng.choice([1, 2, 3, 3, 5], rank)
    dtype = rng.choice(["float32", "float32", "float64", "int32"])
    return rng.integers(-4, 5, shape).astype(dtype)


def drawn_shape(rng: Rng) -> tuple[int, ...]:
    """The shape of an array of indices: none, one or many."""
    shapes: list[tuple[int, ...]] = [(), (0,), (1,), (4,), (2, 3), (6,)]
    return shapes[int(rng.integers(len(shapes)))]


def drawn_indices(
    rng: Rng, n: int, shape: tuple[int, ...], negative: bool = True, least: int = 0
) -> Array:
    """Indices of an axis of size n, many at its ends; in some programs, some out of range."""
    info = np.iinfo(rng.choice(DTYPES))
    low = -n if negative and info.min < 0 else least
    inside = [i for i in {low, low + 1, -1, 0, 1, n - 1, n // 2} if low <= i < n and i <= info.max]
    beyond = [i for i in {low - 1, n, n + 1, info.min, info.max} if not low <= i < n]
    beyond = [i for i in beyond if info.min <= i <= info.max]
    values = rng.choice(np.array(inside or [0], object), shape)
    values = np.asarray(values, object)
    if beyond and values.size and (rng.random() < 0.45 or not inside):
        flat = values.reshape(-1)
        for place in rng.integers(values.size, size=int(rng.integers(1, 3))):
            flat[place] = beyond[int(rng.integers(len(beyond)))]
        values = flat.reshape(shape)
    return values.astype(info.dtype)


def faults(indices: Array, n: int, axis: int | None = None, low: int | None = None) -> list[str]:
    """What an error says about the first index out of range; nothing if there is none."""
    least, found = (-n if low is None else low), []
    for place in np.ndindex(indices.shape):
        value = int(indices[place])
        if not least <= value < n:
            where = f" at {list(place)}" if place else ""
            if value >= 2**63:  # checked by itself, perhaps before the others
                return [*found, f": {value}{where}"]
            if not found and axis is None:
                found = [f"{value}{where}"]
            elif not found:
                both = f"index {value}{where} is out of range for axis {axis} of size {n}"
                found = [both, f"axis {axis} of size {n}: {value}{where}"]
    return found


def wide(indices: Array) -> Array:
    """Legal indices as numpy takes them."""
    return np.asarray(indices).astype(np.int64)


def smooth(x: Array) -> bool:
    """Whether there are gradients."""
    return x.dtype.kind == "f"


def axis_of(rng: Rng, x: Array) -> int:
    """One of the axes."""
    return int(rng.integers(x.ndim))


def spelled(axis: int, ndim: int, index: Any) -> tuple[Any, ...]:
    """An index on one axis."""
    return (*(slice(None),) * axis, index, *((...,) if axis < ndim - 1 else ()))


# ------------------------------------------------------------------------ gathers


def take(rng: Rng) -> Drawn:
    """gx.take along an axis."""
    x = drawn_x(rng)
    a = axis_of(rng, x)
    i = drawn_indices(rng, x.shape[a], drawn_shape(rng))

    def right(x: Array, i: Array) -> Array:
        return np.take(x, wide(i), a)

    wrong = faults(i, x.shape[a], a)
    return x, [i], lambda x, i: gx.take(x, i, axis=a), right, wrong, smooth(x)


def getitem(rng: Rng) -> Drawn:
    """x[:, i]."""
    x = drawn_x(rng)
    a = axis_of(rng, x)
    i = drawn_indices(rng, x.shape[a], drawn_shape(rng))

    def build(x: Any, i: Any) -> Any:
        return x[spelled(a, x.ndim, i)]

    return x, [i], build, lambda x, i: build(x, wide(i)), faults(i, x.shape[a], a), smooth(x)


def pair_of(rng: Rng) -> tuple[Array, list[Array], tuple[int, int], list[str]]:
    """x, and two index arrays of one shape for two of its axes."""
    x = drawn_x(rng, int(rng.integers(2, 4)))
    a, b = sorted(int(k) for k in rng.choice(x.ndim, 2, replace=False))
    shape = drawn_shape(rng)
    i, j = (drawn_indices(rng, x.shape[k], shape) for k in (a, b))
    return x, [i, j], (a, b), [*faults(i, x.shape[a], a), *faults(j, x.shape[b], b)]


def together(a: int, b: int, ndim: int, i: Any, j: Any) -> tuple[Any, ...]:
    """Two indices among slices."""
    return tuple(i if k == a else j if k == b else slice(None) for k in range(ndim))


def pairs(rng: Rng) -> Drawn:
    """x[i, :, j]."""
    x, indices, (a, b), wrong = pair_of(rng)

    def build(x: Any, i: Any, j: Any) -> Any:
        return x[together(a, b, x.ndim, i, j)]

    return x, indices, build, lambda x, i, j: build(x, wide(i), wide(j)), wrong, smooth(x)


def along(rng: Rng) -> tuple[Array, Array, int]:
    """x, and indices of its shape outside of an axis."""
    x = drawn_x(rng)
    a = axis_of(rng, x)
    shape = (*x.shape[:a], int(rng.integers(0, 4)), *x.shape[a + 1 :])
    return x, drawn_indices(rng, x.shape[a], shape), a


def take_along(rng: Rng) -> Drawn:
    """gx.take_along_axis."""
    x, i, a = along(rng)

    def build(x: Any, i: Any) -> Any:
        return gx.take_along_axis(x, i, axis=a)

    def right(x: Array, i: Array) -> Array:
        return np.take_along_axis(x, wide(i), a)

    return x, [i], build, right, faults(i, x.shape[a], a), smooth(x)


def positions(rng: Rng) -> Drawn:
    """gx.gather_nd."""
    x = drawn_x(rng)
    count = int(rng.integers(1, x.ndim + 1))
    columns = [drawn_indices(rng, x.shape[k], (3,)).astype(object) for k in range(count)]
    i = np.stack([np.clip(c, -(2**63), 2**63 - 1) for c in columns], 1).astype(np.int64)
    wrong = [f for k in range(count) for f in faults(i[:, k], x.shape[k], k)]
    return x, [i], gx.gather_nd, lambda x, i: x[tuple(i.T)], wrong, smooth(x)


# ------------------------------------------------------------------------ scatters


def merged(x: Array, places: Any, new: Any, mode: str) -> Array:
    """x with numbers put at places, one after the other."""
    result = np.array(x)
    if mode == "set":
        result[places] = new
    else:
        UFUNCS[mode].at(result, places, np.asarray(new, x.dtype))
    return result


def put(rng: Rng) -> Drawn:
    """x.at[:, i]."""
    x = drawn_x(rng)
    a = axis_of(rng, x)
    i = drawn_indices(rng, x.shape[a], drawn_shape(rng))
    mode = str(rng.choice(["set", "add", "mul", "min", "max"]))
    method = {"mul": "multiply"}.get(mode, mode)

    def build(x: Any, i: Any) -> Any:
        return getattr(x.at[spelled(a, x.ndim, i)], method)(2)

    def right(x: Array, i: Array) -> Array:
        return merged(x, spelled(a, x.ndim, wide(i)), 2, mode)

    return x, [i], build, right, faults(i, x.shape[a], a), smooth(x) and mode in ("set", "add")


def put_pairs(rng: Rng) -> Drawn:
    """x.at[i, :, j]."""
    x, indices, (a, b), wrong = pair_of(rng)
    mode = str(rng.choice(["set", "add"]))

    def build(x: Any, i: Any, j: Any) -> Any:
        return getattr(x.at[together(a, b, x.ndim, i, j)], mode)(2)

    def right(x: Array, i: Array, j: Array) -> Array:
        return merged(x, together(a, b, x.ndim, wide(i), wide(j)), 2, mode)

    return x, indices, build, right, wrong, smooth(x)


def scatter(rng: Rng) -> Drawn:
    """gx.scatter_add and gx.scatter_set along an axis."""
    x = drawn_x(rng)
    a = axis_of(rng, x)
    i = drawn_indices(rng, x.shape[a], drawn_shape(rng))
    mode = str(rng.choice(["set", "add"]))
    function = {"set": gx.scatter_set, "add": gx.scatter_add}[mode]

    def right(x: Array, i: Array) -> Array:
        return merged(x, spelled(a, x.ndim, wide(i)), 3, mode)

    wrong = faults(i, x.shape[a], a)
    return x, [i], lambda x, i: function(x, i, 3, axis=a), right, wrong, smooth(x)


def put_along(rng: Rng) -> Drawn:
    """gx.put_along_axis."""
    x, i, a = along(rng)
    mode = str(rng.choice(["set", "add", "mul", "min", "max"]))

    def right(x: Array, i: Array) -> Array:
        places = list(np.indices(i.shape, sparse=True))
        places[a] = wide(i)
        return merged(x, tuple(places), 2, mode)

    def build(x: Any, i: Any) -> Any:
        return gx.put_along_axis(x, i, 2, axis=a, mode=mode)

    linear = smooth(x) and mode in ("set", "add")
    return x, [i], build, right, faults(i, x.shape[a], a), linear


# ------------------------------------------------------------------------ labels


def one_hot(rng: Rng) -> Drawn:
    """gx.one_hot, whose indices are not negative."""
    n = int(rng.integers(1, 6))
    i = drawn_indices(rng, n, drawn_shape(rng), negative=False)
    x = rng.integers(-4, 5, (n,)).astype("float32")

    def right(x: Array, i: Array) -> Array:
        return np.asarray(np.eye(n)[wide(i)] * x)

    return x, [i], lambda x, i: gx.one_hot(i, n) * x, right, faults(i, n, low=0), True


def labels_of(rng: Rng) -> tuple[Array, Array]:
    """Logits and labels."""
    x = rng.normal(size=(int(rng.choice([1, 3])), int(rng.integers(1, 5)))).astype("float32")
    return x, drawn_indices(rng, x.shape[1], x.shape[:1], negative=False)


def cross_entropy(rng: Rng) -> Drawn:
    """softmax_cross_entropy with integer labels."""
    x, i = labels_of(rng)

    def right(x: Array, i: Array) -> Array:
        logs = x - np.log(np.exp(x.astype(float)).sum(1, keepdims=True))
        return -np.take_along_axis(logs, wide(i)[:, None], 1)[:, 0]

    return x, [i], gx.nn.softmax_cross_entropy, right, faults(i, x.shape[1], low=0), False


def top_k(rng: Rng) -> Drawn:
    """top_k_accuracy."""
    x, i = labels_of(rng)

    def right(x: Array, i: Array) -> Array:
        own = np.take_along_axis(x, wide(i)[:, None], 1)
        return np.float32(((x > own).sum(1) < 2).mean())

    wrong = faults(i, x.shape[1], low=0)
    return x, [i], lambda x, i: gx.nn.top_k_accuracy(x, i, 2), right, wrong, False


def sampled(rng: Rng) -> Drawn:
    """sampled_softmax: only whether it refuses, since its classes are drawn."""
    x, i = labels_of(rng)

    def build(x: Any, i: Any) -> Any:
        table = gx.permute_dims(x, (1, 0))[: x.shape[1]] @ gx.ones((x.shape[0], 2))
        loss = gx.nn.sampled_softmax(gx.ones((*i.shape, 2)), table, i, 2)
        return gx.sum(gx.isfinite(loss).astype("int32"))

    return x, [i], build, lambda x, i: np.int64(i.size), faults(i, x.shape[1], low=0), False


def ctc(rng: Rng) -> Drawn:
    """Labels of ctc, which are not the blank either."""
    x = rng.normal(size=(2, 5, 4)).astype("float32")
    i = drawn_indices(rng, 4, (2, 2), negative=False, least=1)

    def build(x: Any, i: Any) -> Any:
        return gx.nn.ctc(x, i) > 0

    return x, [i], build, lambda x, i: np.ones(2, bool), faults(i, 4, low=1), False


def divisor(rng: Rng) -> Drawn:
    """Integer division: an index of sorts, whose range is all but 0."""
    i = rng.integers(-2, 3, drawn_shape(rng)).astype(rng.choice(["int8", "int32", "int64"]))
    zeros = [p for p in np.ndindex(i.shape) if not i[p]]
    wrong = [f"by zero at {list(zeros[0])}" if i.shape else "by zero"] if zeros else []
    x = np.ones((), i.dtype) * i.dtype.type(7)
    function = rng.choice(["floor_divide", "remainder"])
    return x, [i], getattr(gx, function), getattr(np, function), wrong, False


# ------------------------------------------------------------------------ in other functions


def examples(rng: Rng) -> Drawn:
    """A gather or scatter of every example: gx.vmap."""
    x = drawn_x(rng, int(rng.integers(2, 4)))
    i = drawn_indices(rng, x.shape[1], (x.shape[0], int(rng.integers(1, 4))))
    puts = bool(rng.random() < 0.5)

    def one(x: Any, i: Any) -> Any:
        return x.at[i].add(1) if puts else x[i]

    def right(x: Array, i: Array) -> Array:
        return np.stack(
            [merged(r, wide(k), 1, "add") if puts else r[wide(k)] for r, k in zip(x, i)]
        )

    return x, [i], gx.vmap(one), right, faults(i, x.shape[1]), smooth(x)


def loop(rng: Rng) -> Drawn:
    """One index after the other: gx.scan."""
    x = drawn_x(rng)
    i = drawn_indices(rng, x.shape[0], (int(rng.integers(1, 5)),))

    def build(x: Any, i: Any) -> Any:
        return gx.scan(lambda c, k: (c + x[k], None), x[0] * 0, i)[0]

    wrong = [f"index {k} is" for k in i.tolist() if not -x.shape[0] <= k < x.shape[0]]
    wrong += [f": {k}" for k in i.tolist() if k >= 2**63]  # backwards in the gradient: any of them
    return x, [i], build, lambda x, i: x[wide(i)].sum(0), wrong, smooth(x)


def branch(rng: Rng) -> Drawn:
    """In a branch that is taken, and in one that is not."""
    x = drawn_x(rng)
    i = drawn_indices(rng, x.shape[0], (2,))
    taken = bool(rng.random() < 0.5)

    def build(x: Any, i: Any) -> Any:
        taking = gx.isfinite(gx.sum(x.astype("float32"))) == taken
        return gx.cond(taking, lambda: x[i][0] + x[i][1], lambda: x[0])

    def right(x: Array, i: Array) -> Array:
        return x[wide(i)].sum(0) if taken else x[0]

    return x, [i], build, right, faults(i, x.shape[0], 0) if taken else [], smooth(x)


KINDS: dict[str, Callable[[Rng], Drawn]] = {
    f.__name__: f
    for f in (
        take, getitem, pairs, take_along, positions, put, put_pairs, scatter, put_along, one_hot,
        cross_entropy, top_k, sampled, ctc, divisor, examples, loop, branch,
    )
}  # fmt: skip
NAMES = sorted(KINDS)
KNOWN = {
    "one_hot",
    "positions",
    "ctc",
    "sampled",
    "cross_entropy",
    "top_k",
}  # with sizes that must be known
