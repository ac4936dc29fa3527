"""References of ops along rows and at indices, for the op harness: element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from graphc.ir import ops
from graphc.ir.ops.base import Op
from graphc.ir.types import Array, TensorType, float32

MERGE: dict[str, Callable[[Any, Any], Any]] = {
    "set": lambda old, new: new,
    "add": lambda old, new: old + new,
    "mul": lambda old, new: old * new,
    "min": min,
    "max": max,
}


def along_rows(axis: int, function: Callable[..., Any], *arrays: Array) -> Array:
    """A function of one row of every array, applied to all of them."""
    moved = [np.moveaxis(a, axis, -1) for a in arrays]
    shape = moved[0].shape[:-1]
    rows = [function(*(m[i] for m in moved)) for i in np.ndindex(*shape)]
    like = rows[0] if rows else function(*(np.zeros(m.shape[-1], m.dtype) for m in moved))
    return np.moveaxis(np.array(rows, like.dtype).reshape(*shape, len(like)), -1, axis)


def folded(merge: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """Running results."""

    def row(x: Array) -> Array:
        result = np.array(x)
        for i in range(1, len(x)):
            result[i] = merge(result[i - 1], x[i])
        return result

    return lambda op, x: along_rows(op.axis, row, x)


def recurrence(op: ops.Recurrence, a: Array, b: Array) -> Array:
    """Every element as the sum of all terms before it, times the factors between."""

    def row(factors: Array, terms: Array) -> Array:
        n = len(terms)
        values = [
            sum(terms[j] * np.prod(factors[j + 1 : i + 1]) for j in range(i + 1)) for i in range(n)
        ]
        return np.array(values, terms.dtype)

    return along_rows(op.axis, row, a, b)


def put_row(mode: str) -> Callable[[Array, Array, Array], Array]:
    """Updates put into one row."""

    def row(x: Array, indices: Array, updates: Array) -> Array:
        result = np.array(x)
        for i, u in zip(indices, updates):
            result[i] = MERGE[mode](result[i], u)
        return result

    return row


def put_rows(op: ops.PutRows, x: Array, indices: Array, updates: Array) -> Array:
    """Updates put element by element."""
    result = np.array(x)
    rows = updates.reshape(indices.size, *x.shape[1:])
    for i, row in zip(indices.ravel(), rows):
        for at in np.ndindex(*x.shape[1:]):
            result[(i, *at)] = MERGE[op.mode](result[(i, *at)], row[at])
    return result


def first_same(op: ops.FirstOccurrence, indices: Array) -> Array:
    """A search from the front."""
    rows = [int(i) % op.size for i in indices]  # type: ignore[operator]
    return np.array([rows.index(i) for i in rows], np.int64)


def order(descending: bool, row: Array) -> Array:
    """Python's sort of positions: stable, NaN last."""
    sign = -1.0 if descending else 1.0
    keys = [(bool(v != v), sign * float(v) if v == v else 0.0, i) for i, v in enumerate(row)]
    if row.dtype.kind in "biu":
        keys = [(False, int(sign) * int(v), i) for i, v in enumerate(row)]
    return np.array([i for _, _, i in sorted(keys)], np.int64)


def found(op: ops.SearchSorted, x: Array, values: Array) -> Array:
    """How many come before each."""
    return np.array(
        [np.sum(x <= v) if op.right else np.sum(x < v) for v in values.ravel()], np.int64
    ).reshape(values.shape)


def extended(op: ops.Extend, x: Array) -> Array:
    """Positions spelled out."""
    n, before, after = x.shape[op.axis], int(op.before), int(op.after)  # type: ignore[arg-type]
    reflected = [*range(n), *range(n - 2, 0, -1)]
    mirrored = [*range(n), *range(n - 1, -1, -1)]
    rounds = {"reflect": reflected, "symmetric": mirrored, "wrap": range(n)}
    places = range(-before, n + after)
    if op.mode == "edge":
        chosen = [min(max(i, 0), n - 1) for i in places]
    else:
        once = rounds[op.mode]
        chosen = [once[i % len(once)] for i in places]
    return x.take(chosen, axis=op.axis)


def rolled(op: ops.Roll, x: Array) -> Array:
    """The end, then the start."""
    at = x.shape[op.axis] - int(op.shift)  # type: ignore[arg-type]
    first, second = np.split(x, [at], axis=op.axis)
    return np.concatenate([second, first], op.axis)


REFERENCES: dict[type[Op], Callable[..., Any]] = {
    ops.CumulativeSum: folded(MERGE["add"]),
    ops.CumulativeProd: folded(MERGE["mul"]),
    ops.CumulativeMax: folded(max),
    ops.CumulativeMin: folded(min),
    ops.Recurrence: recurrence,
    ops.TakeAlong: lambda op, x, i: along_rows(op.axis, lambda row, at: row[at], x, i),
    ops.PutAlong: lambda op, x, i, u: along_rows(op.axis, put_row(op.mode), x, i, u),
    ops.PutRows: put_rows,
    ops.FirstOccurrence: first_same,
    ops.Diagonal: lambda op, x: (
        np.stack(
            [
                x[..., i, i + op.offset]
                for i in range(max(0, -op.offset), x.shape[-2])
                if i + op.offset < x.shape[-1]
            ],
            -1,
        )
        if op.infer(TensorType(float32, x.shape)).shape[-1]
        else x[..., 0, :0]
    ),
    ops.Extend: extended,
    ops.Roll: rolled,
    ops.Sort: lambda op, x: along_rows(op.axis, lambda r: r[order(op.descending, r)], x),
    ops.ArgSort: lambda op, x: along_rows(op.axis, lambda r: order(op.descending, r), x),
    ops.TopK: lambda op, x: along_rows(op.axis, lambda r: order(op.largest, r)[: op.k], x),
    ops.SearchSorted: found,
}
