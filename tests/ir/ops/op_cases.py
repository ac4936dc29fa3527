"""The cases of the op harness, and what numpy and scipy say about them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.special
from numpy.typing import NDArray

from graphc.ir import ops
from graphc.ir.ops.base import Leaf, Op
from graphc.testing.cases import cases_of
from tests.ir.ops import bit_references, matrix_references, ordered_references

Array = NDArray[Any]
CASES = [case for cls in ops.ALL_OPS if not issubclass(cls, Leaf) for case in cases_of(cls)]


def unit_bits(bits: Array) -> Array:
    """The upper 24 bits as a fraction."""
    return (bits // 256) / 2**24


def normal_of_bits(first: Array, second: Array) -> Array:
    """Box and Muller's transform, as the real part of a complex exponential."""
    u, v = np.float32(first) / 2**32 + np.float32(2.0**-33), second / 2**32
    return np.real(np.sqrt(-2 * np.log(u)) * np.exp(2j * np.pi * v))


def position(best: Callable[..., Any], x: Array, axes: tuple[int, ...]) -> Array:
    """Where the best element is: the first index, in row-major order, that attains it."""
    order = [i for i in range(x.ndim) if i not in axes] + list(axes)
    rows = x.transpose(order).reshape(*[x.shape[i] for i in order[: x.ndim - len(axes)]], -1)
    return np.apply_along_axis(lambda row: np.flatnonzero(row == best(row))[0], -1, rows)


def scattered(x: Array, indices: Array, updates: Array) -> Array:
    """One addition after the other."""
    result = x.copy()
    rows = updates.reshape(indices.size, *x.shape[1:])
    for i, row in zip(indices.ravel(), rows):
        result[i] += row
    return result


def padded(op: ops.Pad, x: Array) -> Array:
    """Zeros, with x written into a strided slice."""
    sizes = zip(op.before, x.shape, op.steps, op.after)
    result = np.zeros([b + (n - 1) * k + 1 + a for b, n, k, a in sizes], x.dtype)
    if x.size:
        stops = [b + (n - 1) * k + 1 for b, n, k in zip(op.before, x.shape, op.steps)]
        result[tuple(map(slice, op.before, stops, op.steps))] = x
    return result


def sliced(op: ops.Slice, x: Array) -> Array:
    """numpy's slices."""
    key = []
    for start, size, step in zip(op.starts, op.sizes, op.steps):
        stop = start + size * step
        key.append(slice(start, None if stop < 0 else stop, step))
    return x[tuple(key)]


def overlap(op: ops.Unfold | ops.Fold, inputs: Any, outputs: Any) -> list[Any]:
    """For each window a tensor that is 1 where input, meeting, output and tap go together."""
    terms: list[Any] = []
    for number, w in enumerate(op.windows):
        shape = inputs[w.input], inputs[w.tap], outputs[w.output], outputs[w.tap]
        i, u, o, t = np.indices(shape)
        met = i == w.stride * o + w.dilation * t - w.before
        terms += [(met & (u == t // step_of(w))) * 1]
        terms += [[w.input, w.tap, 10 + number, 20 + number]]
    return terms


def step_of(w: ops.Window) -> int:
    """The least number of taps further on at which another output meets the same input."""
    return next(k for k in range(1, w.stride + 1) if k * w.dilation % w.stride == 0)


def slid(op: ops.Unfold | ops.Fold, x: Array) -> Array:
    """One product with what meets."""
    shape = list(x.shape)
    labels = list(range(x.ndim))
    shown = list(labels)
    for number, (w, size) in enumerate(zip(op.windows, op.sizes)):
        shape[w.input] = size  # type: ignore[call-overload]
        if isinstance(op, ops.Unfold):
            shape[w.tap] = op.taps[number]
        else:
            shape[w.tap] = -(-shape[w.tap] // step_of(w))
        shown[w.output], shown[w.tap] = 10 + number, 20 + number
    if isinstance(op, ops.Unfold):
        return np.einsum(x, labels, *overlap(op, x.shape, shape), shown)
    return np.einsum(x, shown, *overlap(op, shape, x.shape), labels)


def convolved(op: ops.Conv, x: Array, y: Array) -> Array:
    """One product over everything, with a tensor for each window that is 1 where it meets."""
    sizes = dict(zip(op.a + op.b + op.out, x.shape + y.shape + op.shape))
    terms: list[Any] = [x, op.a, y, op.b]
    for w in op.windows:
        i, o, t = np.indices([sizes[label] for label in w.labels])
        terms += [(i == w.stride * o + w.dilation * t - w.before) * 1, w.labels]
    return np.einsum(*terms, op.out)


def triangle(op: ops.SolveTriangular, a: Array) -> Array:
    """What the op reads of a matrix."""
    kept = np.tril(a) if op.lower else np.triu(a)
    return np.where(np.eye(a.shape[-1], dtype=bool), 1.0, kept) if op.unit else kept


PLAIN = {
    "log": np.vectorize(math.log, otypes=[float]),
    "exp": np.vectorize(math.exp, otypes=[float]),
    "erf_inv": scipy.special.erfinv,
}


def to_eleven_bits(x: float) -> float:
    """The nearest number whose mantissa has eleven bits, of two the one away from 0."""
    fraction, exponent = math.frexp(x)
    whole = math.floor(abs(fraction) * 2.0**11 + 0.5)
    return math.copysign(math.ldexp(whole, exponent - 11), x)


# Computed in float64 from the inputs as they are; not by the functions that `evaluate` uses,
# where there is another way.
REFERENCES: dict[type[Op], Callable[..., Any]] = {
    ops.Add: lambda op, x, y: x - -y,
    ops.Sub: lambda op, x, y: x + -y,
    ops.Mul: lambda op, x, y: x * y,
    ops.Div: lambda op, x, y: x * (1 / y),
    ops.FloorDivide: lambda op, x, y: np.floor(x / y),
    ops.Remainder: lambda op, x, y: x - np.floor(x / y) * y,
    ops.Pow: lambda op, x, y: np.vectorize(math.pow, otypes=[float])(x, y),
    ops.Neg: lambda op, x: 0 - x,
    ops.Relu: lambda op, x: (x + np.where(x < 0, -x, x)) / 2,
    ops.BitExact: lambda op, x: PLAIN[op.function](x),
    ops.Abs: lambda op, x: np.where(x < 0, -x, x),
    ops.Sign: lambda op, x: (x > 0) * 1.0 - (x < 0),
    ops.Maximum: lambda op, x, y: np.where(x > y, x, y),
    ops.Minimum: lambda op, x, y: np.where(x < y, x, y),
    ops.Exp: lambda op, x: np.vectorize(math.exp, otypes=[float])(x),
    ops.Exp2: lambda op, x: np.vectorize(lambda v: 2.0**v, otypes=[float])(x),
    ops.Expm1: lambda op, x: np.vectorize(math.expm1, otypes=[float])(x),
    ops.Log: lambda op, x: np.vectorize(math.log, otypes=[float])(x),
    ops.Log2: lambda op, x: np.vectorize(math.log2, otypes=[float])(x),
    ops.Log1p: lambda op, x: np.vectorize(math.log1p, otypes=[float])(x),
    ops.Sqrt: lambda op, x: np.vectorize(math.sqrt, otypes=[float])(x),
    ops.Tanh: lambda op, x: np.vectorize(math.tanh, otypes=[float])(x),
    ops.Sigmoid: lambda op, x: scipy.special.expit(x),
    ops.Softplus: lambda op, x: -scipy.special.log_expit(-x),
    ops.Sin: lambda op, x: np.vectorize(math.sin, otypes=[float])(x),
    ops.Cos: lambda op, x: np.vectorize(math.cos, otypes=[float])(x),
    ops.Erf: lambda op, x: scipy.special.erf(x),
    ops.Erfc: lambda op, x: scipy.special.erfc(x),
    ops.ErfInv: lambda op, x: scipy.special.erfinv(x),
    ops.LogGamma: lambda op, x: scipy.special.gammaln(x),
    ops.Digamma: lambda op, x: scipy.special.digamma(x),
    ops.BesselI: lambda op, x: getattr(scipy.special, f"i{op.order}" + "e" * op.scaled)(x),
    ops.Polygamma: lambda op, x: scipy.special.polygamma(op.order, x),
    ops.Atan: lambda op, x: np.angle(1 + 1j * x),
    ops.Atan2: lambda op, y, x: np.angle(x + 1j * y),
    ops.Asin: lambda op, x: np.angle(np.sqrt(1 - x * x) + 1j * x),
    ops.Acos: lambda op, x: np.angle(x + 1j * np.sqrt(1 - x * x)),
    ops.Sinh: lambda op, x: (np.exp(x) - np.exp(-x)) / 2,
    ops.Cosh: lambda op, x: (np.exp(x) + np.exp(-x)) / 2,
    ops.Asinh: lambda op, x: np.log(x + np.sqrt(x * x + 1)),
    ops.Acosh: lambda op, x: np.log(x + np.sqrt(x * x - 1)),
    ops.Atanh: lambda op, x: np.log((1 + x) / (1 - x)) / 2,
    ops.Hypot: lambda op, x, y: np.abs(x + 1j * y),
    ops.CopySign: lambda op, x, y: np.abs(x) * np.where(y < 0, -1, 1),
    ops.Floor: lambda op, x: np.vectorize(math.floor, otypes=[float])(x),
    ops.Ceil: lambda op, x: np.vectorize(math.ceil, otypes=[float])(x),
    ops.Trunc: lambda op, x: np.vectorize(math.trunc, otypes=[float])(x),
    ops.Round: lambda op, x: np.vectorize(round, otypes=[float])(x),
    ops.RoundToTF32: lambda op, x: np.vectorize(to_eleven_bits, otypes=[float])(x),
    ops.Less: lambda op, x, y: y > x,
    ops.LessEqual: lambda op, x, y: ~(x > y),
    ops.Equal: lambda op, x, y: ~((x < y) | (x > y)),
    ops.NotEqual: lambda op, x, y: (x < y) | (x > y),
    ops.LogicalAnd: lambda op, x, y: x * y,
    ops.LogicalOr: lambda op, x, y: np.maximum(x, y),
    ops.LogicalNot: lambda op, x: 1 - x,
    ops.Where: lambda op, c, x, y: np.choose(c, (y, x)),
    ops.StopGradient: lambda op, x: x,
    ops.Stored: lambda op, x: x,
    ops.Guard: lambda op, x, c: x,
    ops.UnitFloat: lambda op, x: unit_bits(x),
    ops.NormalFloat: lambda op, x, y: normal_of_bits(x, y),
    ops.ExponentialFloat: lambda op, x: np.log1p((2**32 - x - 0.5) / (x + 0.5)),
    ops.Sum: lambda op, x: np.add.reduce(x, axis=op.axes),
    ops.Prod: lambda op, x: np.multiply.reduce(x, axis=op.axes),
    ops.Max: lambda op, x: -np.min(-x, axis=op.axes),
    ops.FirstMax: lambda op, x: -np.min(-x, axis=op.axes),
    ops.Min: lambda op, x: -np.max(-x, axis=op.axes),
    ops.Any_: lambda op, x: np.max(x, axis=op.axes, initial=0),
    ops.All: lambda op, x: np.min(x, axis=op.axes, initial=1),
    ops.ArgMax: lambda op, x: position(np.max, x, op.axes),
    ops.ArgMin: lambda op, x: position(np.min, x, op.axes),
    ops.BroadcastTo: lambda op, x: x + np.zeros(op.shape),
    ops.Reshape: lambda op, x: np.array(list(x.flat)).reshape(op.shape),
    ops.Permute: lambda op, x: np.einsum(x, list(range(x.ndim)), list(op.axes)),
    ops.Slice: sliced,
    ops.Pad: padded,
    ops.Unfold: slid,
    ops.Fold: slid,
    ops.Concat: lambda op, *xs: np.swapaxes(
        np.vstack([np.swapaxes(x, 0, op.axis) for x in xs]), 0, op.axis
    ),
    ops.Dot: lambda op, x, y: np.einsum(x, op.a, y, op.b, op.out),
    ops.Conv: convolved,
    ops.Solve: lambda op, a, b: np.linalg.inv(a) @ b,
    ops.SolveTriangular: lambda op, a, b: np.linalg.inv(triangle(op, a)) @ b,
    ops.Take: lambda op, x, i: x[i],
    ops.ScatterAdd: lambda op, x, i, u: scattered(x, i, u),
}  # fmt: skip
REFERENCES |= ordered_references.REFERENCES | matrix_references.REFERENCES
REFERENCES |= bit_references.REFERENCES
NARROW = tuple(bit_references.REFERENCES)  # these look at the dtypes as they are
