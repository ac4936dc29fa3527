"""Values that are no numbers, and places that must not matter.

Four kinds of programs, by seed: an op of the table, and its gradient, on inputs with infinities,
NaN, zeros of both signs, subnormals and extremes, compiled and interpreted; one of the public
compositions below, likewise; and programs guarded by `where`: what it does not choose is spoilt,
and the derivatives to second order must be those of the same program with harmless numbers there
in which a blend `m * a + (1 - m) * b` stands for every `where`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import graphc as gx
from graphc.ir.compare import TOLERANCE
from graphc.ir.ops.base import Elementwise
from graphc.ir.ops.gather import Guard
from graphc.ir.ops.matrix import Matrix
from graphc.ir.ops.sorting import SearchSorted
from graphc.testing.cases import Case, dtype_of
from tests.fuzz import guarded
from tests.ir.ops.op_cases import CASES

Array = np.ndarray[Any, Any]
FLOATS = ("float32", "float32", "float64", "float16", "bfloat16")


def check(seed: int) -> str:
    """Draw one program of the kind that the seed says."""
    rng = np.random.default_rng((seed, 27))
    with np.errstate(all="ignore"):
        if seed % 4 == 0:
            return one_op(rng)
        return composition(rng) if seed % 4 == 1 else guarded.compare(rng)


# ------------------------------------------------------------------------------ numbers


def specials(dtype: np.dtype[Any], extremes: bool) -> list[float]:
    """Numbers that are something special in a dtype."""
    info = gx.finfo(dtype_of(np.zeros((), dtype)).name)
    least = float(info.smallest_normal)
    found = [math.inf, -math.inf, math.nan, 0.0, -0.0, 1.0, -1.0, 0.5, 2.0]
    return [*found, float(info.max), float(info.min), least, least / 4] if extremes else found


def spoil(x: Array, rng: np.random.Generator, extremes: bool, share: float = 0.4) -> Array:
    """A float array with special numbers in some places."""
    if x.dtype.kind in "biu" or not x.size:
        return x
    bad = rng.choice(specials(x.dtype, extremes), x.shape).astype(x.dtype)
    return np.where(rng.random(x.shape) < share, bad, x).astype(x.dtype)


def disagreement(found: Array, right: Array, lenient: bool = False) -> str | None:
    """What is wrong: another pattern of NaN and infinities, or other numbers.

    Where it is `lenient` a finite value may stand for one that is not (a sum in another order,
    a form that does not overflow).
    """
    if found.dtype.kind in "biu":
        return None if np.array_equal(found, right) else f"{found} for {right}"
    a, b = np.asarray(found, np.float64), np.asarray(right, np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    bound = 8 * TOLERANCE["rounding"][dtype_of(right).name]
    scale = np.max(np.abs(b[np.isfinite(b)]), initial=1.0) if lenient else np.maximum(np.abs(b), 1)
    near = finite & (np.abs(a - b) <= bound * scale)
    same = (np.isnan(a) & np.isnan(b)) | (a == b) | near
    if lenient:
        same |= np.isfinite(a) & ~np.isfinite(b)
    if same.all():
        return None
    index = tuple(int(i) for i in np.argwhere(~same)[0])
    return f"{a[index]!r} for {b[index]!r} at {index}"


def both(inputs: list[gx.Tensor], outputs: list[gx.Tensor], arrays: list[Array]) -> list[Any]:
    """Pairs of compiled and interpreted results."""
    runs = [gx.compile(inputs, outputs, target=t)(*arrays) for t in ("cpu", "interpret")]
    return list(zip(*runs))


# ---------------------------------------------------------------------------------- ops

# Not: where one NaN leaves a whole matrix open, and a search in what is not sorted.
SMALL = [
    c
    for c in CASES
    if any(t.dtype.is_float for t in c.types)
    and not isinstance(c.op, (Matrix, Guard, SearchSorted))
    and all(math.prod(map(int, t.shape)) <= 200 for t in c.types)
]


def one_op(rng: np.random.Generator) -> str:
    """An op and its gradient on special numbers, compiled as interpreted."""
    case: Case = SMALL[int(rng.integers(len(SMALL)))]
    alone = isinstance(case.op, Elementwise)
    arrays = [spoil(a, rng, alone) for a in case.arrays()]
    inputs, y = case.tensors(arrays)
    outputs, names = [y], ["value"]
    floats = [x for x in inputs if x.dtype.is_float]
    if y.dtype.is_float and case.op.differentiable:
        dy = gx.input("dy", y.shape, dtype=y.dtype.name)
        with_dy = gx.vjp(y, floats, dy, unreachable="zero")
        outputs += with_dy
        names += [f"gradient {i}" for i in range(len(with_dy))]
        inputs = [*inputs, dy]
        drawn = rng.uniform(0.5, 2.0, tuple(map(int, y.shape))).astype(y.dtype.numpy)
        arrays = [*arrays, drawn]
    for (found, right), name in zip(both(inputs, outputs, arrays), names):
        lenient = not alone
        text = disagreement(found, right, lenient)
        assert text is None, f"{name} of {case}: {text}; inputs {arrays}"
    return "op"


# ------------------------------------------------------------------------- compositions


def _rows(f: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda x, y: f(x, axis=1)


def _one(f: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda x, y: f(x)


def _two(f: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda x, y: f(x, y)


COMPOSITIONS: dict[str, Callable[[Any, Any], Any]] = {
    **{f: _rows(getattr(gx, f)) for f in (
        "sum", "mean", "max", "min", "prod", "var", "std", "logsumexp", "argmax", "argmin", "sort",
        "argsort", "cumulative_sum", "cumulative_max", "cumulative_min", "cumulative_prod", "flip",
        "diff", "any", "all",
    )},
    **{f: _one(getattr(gx.nn, f)) for f in (
        "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "sigmoid", "tanh", "mish",
        "hard_sigmoid", "softsign", "softmax", "log_softmax", "layer_norm",
    )},
    **{f: _one(getattr(gx, f)) for f in (
        "abs", "sign", "round", "trunc", "floor", "ceil", "exp", "exp2", "expm1", "log", "log2",
        "log10", "log1p", "sqrt", "square", "reciprocal", "sin", "cos", "tan", "asin", "acosh",
        "atanh", "sinh", "erf", "erfc", "erfinv", "gamma", "lgamma", "digamma", "i0", "i1e",
        "isnan", "signbit", "logical_not", "count_nonzero",
    )},
    **{f: _two(getattr(gx, f)) for f in (
        "maximum", "minimum", "hypot", "atan2", "copysign", "logaddexp", "divide", "pow",
        "remainder", "floor_divide", "multiply", "equal", "less", "nextafter",
    )},
    **{f: _two(getattr(gx.nn, f)) for f in ("mse", "mae", "huber", "hinge")},
    "clip": lambda x, y: gx.clip(x, -1.0, 1.0),
    "clip by tensors": lambda x, y: gx.clip(x, y, y + 1.0),
    "where": lambda x, y: gx.where(x > y, x, y),
    "nan to num": lambda x, y: gx.where(gx.isnan(x), 0.0, x),
    "is finite": lambda x, y: gx.isfinite(x) & gx.isinf(y),
    "topk": lambda x, y: gx.topk(x, 2, axis=1)[0],
    "product of matrices": lambda x, y: x @ y.T,
    "norm": lambda x, y: gx.linalg.vector_norm(x, axis=1),
    "norm of order 3": lambda x, y: gx.linalg.vector_norm(x, ord=3, axis=1),
    "normalised": lambda x, y: x / gx.linalg.vector_norm(x, axis=1, keepdims=True),
    "max pool": lambda x, y: gx.nn.max_pool(x[:, :, None], 2),
    "mean pool": lambda x, y: gx.nn.avg_pool(x[:, :, None], 2),
    "running": lambda x, y: gx.scan(lambda c, r: (gx.maximum(c, r), c * r), x[0], x)[1],
    "reciprocal root": lambda x, y: 1.0 / gx.sqrt(x * x + 1e-3),
    "sigmoid cross entropy": lambda x, y: gx.nn.sigmoid_cross_entropy(x, gx.abs(y)),
    "choice of a log": lambda x, y: gx.where(x > 0, gx.log(x), y),
    "cosine": lambda x, y: gx.sum(x * y, axis=1),
    "cast": lambda x, y: gx.astype(x, "int32"),
    "cast to bool": lambda x, y: gx.astype(x, "bool"),
}  # fmt: skip


def composition(rng: np.random.Generator) -> str:
    """A composition and its gradients on special numbers."""
    name = sorted(COMPOSITIONS)[int(rng.integers(len(COMPOSITIONS)))]
    dtype = str(rng.choice(FLOATS))
    x, y = (gx.input(n, (3, 4), dtype=dtype) for n in "xy")
    z = COMPOSITIONS[name](x, y)
    arrays = [
        spoil(
            rng.normal(size=(3, 4)).astype(x.dtype.numpy),
            rng,
            extremes=bool(rng.random() < 0.5),
            share=0.25,
        )
        for _ in "xy"
    ]
    outputs = [z]
    if z.dtype.is_float:
        outputs += gx.grad(gx.sum(z), [x, y], unreachable="zero")
    for k, (found, right) in enumerate(both([x, y], outputs, arrays)):
        text = disagreement(found, right, lenient=True)
        assert text is None, f"{name} ({dtype}), output {k}: {text}; inputs {arrays}"
    return "composition"
