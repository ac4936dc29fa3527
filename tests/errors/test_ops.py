"""What operations refuse: the message, its numbers, the operands, the user's line, the hint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import errors
from graphc.frontend import functions as fn

X = gx.input("x", (64, 784))
W = gx.input("w", (10, 784))
H = gx.input("h", (64, 10))
K = gx.input("k", (64,), dtype="int32")
I = gx.input("i", (3,), dtype="int64")  # noqa: E741
U = gx.input("u", (3,), dtype="uint64")
P = gx.input("p", (64, 784), dtype="bool")
B = gx.input("b", ("batch", 5))
T = gx.input("t", ("time", 5))
C = gx.input("c", (2, 3, 4))
S = gx.input("s", ())
Z = gx.input("z", (0, 3))

Case = tuple[Callable[[], Any], type[Exception], str, tuple[str, ...], str | None]

# what is done, the class, the first line, the operands in order, (part of) the hint
CASES: list[Case] = [
    # -- broadcasting --
    (lambda: X + H, errors.ShapeError,
     "add: shapes do not broadcast: f32[64,784] vs f32[64,10]:"
     " 784 (axis 1 of input 0) vs 10 (axis 1 of input 1)", ("x", "h"), None),
    (lambda: H - fn.sum(H, axis=1), errors.ShapeError,
     "subtract: shapes do not broadcast: f32[64,10] vs f32[64]:"
     " 10 (axis 1 of input 0) vs 64 (axis 0 of input 1)", ("h", "sum"), "keepdims=True"),
    (lambda: X * fn.permute_dims(X, (1, 0)), errors.ShapeError,
     "multiply: shapes do not broadcast: f32[64,784] vs f32[784,64]:"
     " 64 (axis 0 of input 0) vs 784 (axis 0 of input 1)", ("x", "permute_dims"),
     "input 1 fits transposed: .mT"),
    (lambda: B < T, errors.ShapeError,
     "less: shapes do not broadcast: f32[batch,5] vs f32[time,5]:"
     " batch (axis 0 of input 0) vs time (axis 0 of input 1)", ("b", "t"), "same polynomial"),
    (lambda: fn.greater_equal(B, gx.input("e", (3, 5))), errors.ShapeError,
     "greater_equal: shapes do not broadcast: f32[batch,5] vs f32[3,5]:"
     " batch (axis 0 of input 0) vs 3 (axis 0 of input 1)", ("b", "e"), "same polynomial"),
    (lambda: fn.where(P, X, H), errors.ShapeError,
     "where: shapes do not broadcast: bool[64,784] vs f32[64,10]:"
     " 784 (axis 1 of input 0) vs 10 (axis 1 of input 2)", ("p", "x", "h"), None),
    (lambda: fn.broadcast_to(X, (64, 10)), errors.ShapeError,
     "broadcast_to: 784 (axis 1 of input 0) is neither 1 nor 10 (axis 1 of [64,10])", ("x",), None),
    (lambda: fn.broadcast_to(X, 784), errors.ShapeError,
     "broadcast_to: f32[64,784] has more axes than [784]", ("x",), None),
    (lambda: fn.broadcast_shapes((3, 4), (5,)), errors.ShapeError,
     "broadcast_shapes: [5] (input 1) does not fit [3,4]: 5 vs 4", (), None),
    # -- dtypes --
    (lambda: X * fn.broadcast_to(K[0], (64, 784)), errors.DTypeError,
     "multiply: no dtype holds both float32 and int32 (input 1)", ("x", "broadcast_to"),
     'x.astype("float32")'),
    (lambda: K + H[:, 0], errors.DTypeError,
     "add: no dtype holds both int32 and float32 (input 1)", ("k", "reshape"),
     'k.astype("float32")'),
    (lambda: X + P, errors.DTypeError,
     "add: no dtype holds both float32 and bool (input 1)", ("x", "p"), 'p.astype("float32")'),
    (lambda: U + I, errors.DTypeError,
     "add: no dtype holds both uint64 and int64 (input 1)", ("u", "i"), 'astype("uint64")'),
    (lambda: fn.where(P, X, K), errors.DTypeError,
     "where: no dtype holds both float32 and int32 (input 2)", ("p", "x", "k"),
     'k.astype("float32")'),
    (lambda: fn.where(X, X, 0.0), errors.DTypeError,
     "where: the condition must be bool, got float32 (input 0)", ("x", "x", "broadcast_to"),
     "condition != 0"),
    (lambda: P + P, errors.DTypeError,
     "add: needs integers or floats, got bool (input 0)", ("p", "p"), None),
    (lambda: P > P, errors.DTypeError,
     "greater: needs numbers, got bool (input 0)", ("p", "p"), None),
    (lambda: -P, errors.DTypeError,
     "negative: needs integers or floats, got bool (input 0)", ("p",), None),
    (lambda: fn.exp(K), errors.DTypeError, "exp: needs floats, got int32 (input 0)", ("k",),
     'k.astype("float32")'),
    (lambda: X << 1, errors.DTypeError,
     "bitwise_left_shift: needs integers, got float32 (input 0)", ("x", "broadcast_to"), None),
    (lambda: ~X, errors.DTypeError,
     "bitwise_invert: needs integers, got float32 (input 0)", ("x",), None),
    (lambda: fn.max(P), errors.DTypeError,
     "max: needs integers or floats, got bool (input 0)", ("p",), None),
    (lambda: fn.round(P), errors.DTypeError,
     "round: needs numbers, got bool (input 0)", ("p",), None),
    (lambda: fn.clip(K, 0.5, 2), errors.DTypeError,
     "clip: the bound 0.5 is no int32", ("k",), "use an int"),
    (lambda: K + 2**40, errors.DTypeError,
     "add: 1099511627776 does not fit into int32", ("k",), "wider"),
    (lambda: X.astype("float31"), errors.DTypeError,
     "astype: no dtype is called 'float31'", ("x",), "bfloat16"),
    (lambda: fn.sum(X, dtype="real"), errors.DTypeError,
     "sum: no dtype is called 'real'", ("x",), "float16"),
    # -- products --
    (lambda: X @ W, errors.ShapeError,
     "matmul: inner sizes differ: 784 (axis 1 of input 0) vs 10 (axis 0 of input 1)", ("x", "w"),
     "transpose(input 1) would fit"),
    (lambda: H @ X, errors.ShapeError,
     "matmul: inner sizes differ: 10 (axis 1 of input 0) vs 64 (axis 0 of input 1)", ("h", "x"),
     "transpose(input 0) would fit"),
    (lambda: X @ gx.input("v", (3,)), errors.ShapeError,
     "matmul: inner sizes differ: 784 (axis 1 of input 0) vs 3 (axis 0 of input 1)",
     ("x", "v"), None),
    (lambda: C @ gx.input("d", (3, 4, 2)), errors.ShapeError,
     "matmul: sizes differ: 2 (axis 0 of input 0) vs 3 (axis 0 of input 1)", ("c", "d"), None),
    (lambda: X @ S, errors.ShapeError,
     "matmul: needs vectors or matrices, got f32[] (input 1)", ("x", "s"), "use * to scale"),
    (lambda: P @ P.T, errors.DTypeError, "matmul: needs numbers, got bool", ("p", "p"), None),
    (lambda: X @ K, errors.DTypeError,
     "matmul: no dtype holds both float32 and int32 (input 1)", ("x", "k"), "astype"),
    (lambda: fn.einsum("ij,jk->ik", X, W), errors.ShapeError,
     "einsum: sizes of 'j' differ in 'ij,jk->ik':"
     " 784 (axis 1 of input 0) vs 10 (axis 0 of input 1)",
     ("x", "w"), None),
    (lambda: fn.einsum("ij->ik", X), errors.ArgumentError,
     "einsum: 'ik' of 'ij->ik' must name inputs' labels once", ("x",), None),
    (lambda: fn.einsum("ijk,j", X, X), errors.ShapeError,
     "einsum: 'ijk' of 'ijk,j' does not fit the 2 axes of f32[64,784] (input 0)", ("x", "x"), None),
    (lambda: fn.einsum("ij", X, X), errors.ArgumentError,
     "einsum: 'ij' has labels for 1, got 2 operands", ("x", "x"), None),
    (lambda: fn.einsum("i1", X), errors.ArgumentError,
     "einsum: 'i1' of 'i1' is no list of letters", ("x",), None),
    (lambda: fn.einsum("ii->i", gx.input("q", ("n", "n"))), errors.UnsupportedError,
     "einsum: no diagonal over the unknown size n", ("q",), None),
    (lambda: fn.tensordot(X, W, 1), errors.ShapeError,
     "tensordot: sizes differ: 784 (axis 1 of input 0) vs 10 (axis 0 of input 1)",
     ("x", "w"), None),
    (lambda: fn.tensordot(X, W, 3), errors.ArgumentError,
     "tensordot: f32[64,784] and f32[10,784] lack 3 axes", ("x", "w"), None),
    (lambda: fn.vecdot(X, H), errors.ShapeError,
     "vecdot: sizes differ: 784 (axis 1 of input 0) vs 10 (axis 1 of input 1)", ("x", "h"), None),
    (lambda: fn.outer(X, K), errors.DTypeError,
     "outer: no dtype holds both float32 and int32 (input 1)", ("x", "k"), "astype"),
    (lambda: fn.outer(X, H), errors.ShapeError,
     "outer: needs two vectors, got f32[64,784] and f32[64,10]", ("x", "h"), None),
    (lambda: fn.trace(K), errors.ShapeError,
     "trace: needs 2 axes or more, got i32[64]", ("k",), None),
    # -- reductions and axes --
    (lambda: fn.sum(X, axis=2), errors.AxisError,
     "sum: axis 2 is out of range of f32[64,784]: there are 2 axes", ("x",), "axes are -2 to 1"),
    (lambda: fn.mean(X, axis=-3), errors.AxisError,
     "mean: axis -3 is out of range of f32[64,784]: there are 2 axes", ("x",), "axes are -2 to 1"),
    (lambda: fn.sum(X, axis=(0, -2)), errors.AxisError,
     "sum: axis 0 is given twice in (0, -2)", ("x",), None),
    (lambda: fn.sum(X, axis=1.5), errors.ArgumentError,
     "sum: an axis is an int, got 1.5", ("x",), None),
    (lambda: fn.max(Z, axis=0), errors.ShapeError,
     "max: axis 0 of f32[0,3] (input 0) is empty", ("z",), None),
    (lambda: fn.argmin(Z), errors.ShapeError,
     "argmin: axis 0 of f32[0,3] (input 0) is empty", ("z",), None),
    (lambda: fn.argmax(X, axis=(0, 1)), errors.ArgumentError,
     "argmax: the axis is one int or None, got (0, 1)", ("x",), None),
    (lambda: fn.flip(S, 0), errors.AxisError,
     "flip: axis 0 is out of range of f32[]: there are 0 axes", ("s",), "it has rank 0"),
    (lambda: fn.expand_dims(X, 5), errors.AxisError,
     "expand_dims: axis 5 is out of range: there are 3 axes", ("x",), "axes are -3 to 2"),
]  # fmt: skip

CASES += [
    # -- views --
    (lambda: X.reshape(3, -1), errors.ShapeError,
     "reshape: f32[64,784] has 50176 elements (input 0), which is no multiple of 3,"
     " the product of the other sizes of [3,-1]", ("x",), None),
    (lambda: X.reshape((-1, -1)), errors.ArgumentError,
     "reshape: at most one size may be -1, got [-1,-1]", ("x",), None),
    (lambda: X.reshape((64, 783)), errors.ShapeError,
     "reshape: f32[64,784] has 50176 elements (input 0) and [64,783] has 50112", ("x",), None),
    (lambda: B.reshape((-1, 3)), errors.ShapeError,
     "reshape: f32[batch,5] has 5*batch elements (input 0), which is no multiple of 3,"
     " the product of the other sizes of [-1,3]", ("b",), None),
    (lambda: X.reshape((64, 78.4)), errors.ShapeError,
     "reshape: sizes are ints or dims, got 78.4 (axis 1)", ("x",), None),
    (lambda: fn.permute_dims(C, (0, 1)), errors.ShapeError,
     "permute_dims: (0, 1) is no order of the 3 axes of f32[2,3,4] (input 0)", ("c",), None),
    (lambda: fn.permute_dims(C, (0, 1, 1)), errors.AxisError,
     "permute_dims: axis 1 is given twice in (0, 1, 1)", ("c",), None),
    (lambda: fn.matrix_transpose(K), errors.ShapeError,
     "matrix_transpose: needs 2 axes or more, got i32[64]", ("k",), None),
    (lambda: C.T, errors.ShapeError, "T: needs a matrix, got f32[2,3,4]", ("c",), ".mT"),
    (lambda: fn.moveaxis(C, (0, 1), 2), errors.ArgumentError,
     "moveaxis: 2 axes cannot go to 1 places", ("c",), None),
    (lambda: fn.squeeze(X, 0), errors.ShapeError,
     "squeeze: axis 0 of f32[64,784] has size 64, not 1", ("x",), None),
    (lambda: fn.tril(K), errors.ShapeError,
     "tril: needs 2 axes or more, got i32[64]", ("k",), None),
    # -- joining and splitting --
    (lambda: fn.concat([X, H], axis=0), errors.ShapeError,
     "concat: sizes differ outside axis 0: 784 (axis 1 of input 0) vs 10 (axis 1 of input 1)",
     ("x", "h"), None),
    (lambda: fn.concat([X, H[0]]), errors.ShapeError,
     "concat: ranks differ: f32[64,784] (input 0) vs f32[10] (input 1)", ("x", "reshape"), None),
    (lambda: fn.concat([X, K]), errors.DTypeError,
     "concat: no dtype holds both float32 and int32 (input 1)", ("x", "k"), "astype"),
    (lambda: fn.concat([]), errors.ArgumentError,
     "concat: needs one tensor or more, got none", (), None),
    (lambda: fn.stack([X, H]), errors.ShapeError,
     "stack: shapes differ: f32[64,784] (input 0) vs f32[64,10] (input 1)", ("x", "h"), None),
    (lambda: fn.split(X, 3), errors.ShapeError,
     "split: 64 (axis 0) is no multiple of 3", ("x",), None),
    (lambda: fn.split(X, [60, 5]), errors.ShapeError,
     "split: the sizes add up to 65, axis 0 has 64", ("x",), None),
    (lambda: fn.unstack(B), errors.ShapeError,
     "unstack: axis 0 of f32[batch,5] has the unknown size batch", ("b",), None),
    (lambda: fn.roll(B, 2, 0), errors.ShapeError,
     "roll: axis 0 of f32[batch,5] may be too short to move by 2", ("b",), "min="),
    (lambda: fn.repeat(X, -1), errors.ArgumentError,
     "repeat: counts are ints, 0 or more, got -1", ("x",), None),
    (lambda: fn.tile(X, (2, 1.5)), errors.ArgumentError,
     "tile: counts are ints, 0 or more, got 1.5", ("x",), None),
    (lambda: fn.pad(X, (1, 2, 3)), errors.ArgumentError,
     "pad: needs one (before, after) an axis of f32[64,784], got (1, 2, 3)", ("x",), None),
    (lambda: fn.meshgrid(K, X), errors.ShapeError,
     "meshgrid: needs vectors, got f32[64,784] (input 1)", ("k", "x"), None),
    # -- indices --
    (lambda: fn.take_along_axis(X, K), errors.ShapeError,
     "take_along_axis: ranks differ: f32[64,784] (input 0) vs i32[64] (input 1)", ("x", "k"), None),
    (lambda: X[64], errors.AxisError,
     "index: 64 is out of range for axis 0 of f32[64,784], which has size 64", ("x",), None),
    (lambda: X[0, -785], errors.AxisError,
     "index: -785 is out of range for axis 1 of f32[64,784], which has size 784", ("x",), None),
    (lambda: X[0, 0, 0], errors.AxisError,
     "index: 3 indices for f32[64,784], which has 2 axes", ("x",), None),
    (lambda: X[1.5], errors.ArgumentError,
     "index: takes ints, slices, None, `...` and integer tensors, got 1.5", ("x",), None),
    (lambda: X[P], errors.DTypeError, "index: must be integers, got bool", ("x", "p"), "gx.where"),
    (lambda: X[H], errors.DTypeError, "index: must be integers, got float32", ("x", "h"), "astype"),
    (lambda: X[np.ones(3)], errors.DTypeError,
     "index: must be integers, got float64", ("x",), None),
    (lambda: X[..., ...], errors.ArgumentError, "index: `...` may stand once", ("x",), None),
    (lambda: X[::0], errors.ArgumentError,
     "index: the step of a slice is an int and not 0, got 0", ("x",), None),
    (lambda: X[:, :1.5], errors.ArgumentError,
     "index: slices end at ints, got 1.5 (axis 1)", ("x",), None),
    (lambda: fn.take(X, H), errors.DTypeError,
     "take: indices must be integers, got float32 (input 1)", ("h",), "astype"),
    (lambda: fn.one_hot(H, 3), errors.DTypeError,
     "one_hot: indices must be integers, got float32 (input 1)", ("h",), "astype"),
    (lambda: fn.scatter_add(X, K, H), errors.ShapeError,
     "scatter_add: updates must broadcast to [64,784], got f32[64,10] (input 2)",
     ("x", "k", "h"), None),
    (lambda: fn.scatter_add(P, K, P), errors.DTypeError,
     "scatter_add: needs numbers, got bool (input 0)", ("p", "k", "p"), None),
    (lambda: fn.check(X, K, "never"), errors.DTypeError,
     "check: the condition must be bool, got int32 (input 1)", ("x", "k"), "compare"),
    # -- creation --
    (lambda: fn.full((-3,), 0.0), errors.ShapeError,
     "full: sizes are 0 or more, got -3 (axis 0)", (), None),
    (lambda: fn.eye(2, -1), errors.ShapeError,
     "eye: sizes are 0 or more, got -1 (axis 1)", (), None),
    (lambda: fn.arange(0, 3, 0), errors.ArgumentError, "arange: the step must not be 0", (), None),
    (lambda: fn.linspace(0, 1, -1), errors.ArgumentError,
     "linspace: the number of values is 0 or more, got -1", (), None),
    (lambda: X + "a", errors.DTypeError,
     "add: cannot make a tensor of 'a' (dtype <U1) (input 1)", ("x",), None),
    (lambda: X + None, errors.DTypeError,
     "add: cannot make a tensor of None (input 1)", ("x",), None),
    (lambda: 1j * X, errors.DTypeError,
     "multiply: cannot make a tensor of 1j (dtype complex128) (input 0)", ("x",), None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{i}: {c[2][:50]}" for i, c in enumerate(CASES)])
def test_message(case: Case) -> None:
    build, error, text, operands, hint = case
    with pytest.raises(error) as caught:
        build()
    e = caught.value
    assert isinstance(e, errors.GraphcError)
    assert e.message.startswith(text)
    assert tuple(row[1].split()[0] for row in e.operands) == operands
    assert all(row[2] is not None and row[2].filename == __file__ for row in e.operands)
    assert e.origin is not None
    assert e.origin.filename == __file__
    assert e.origin.line == build.__code__.co_firstlineno
    if hint is None:
        assert e.hint is None
    else:
        assert hint in (e.hint or "")


def test_the_whole_text() -> None:
    x = gx.input("x", (64, 784))
    w = gx.input("w1", (10, 784))
    with pytest.raises(errors.ShapeError) as caught:
        h = x @ w  # noqa: F841
    line = test_the_whole_text.__code__.co_firstlineno
    assert str(caught.value).splitlines() == [
        "matmul: inner sizes differ: 784 (axis 1 of input 0) vs 10 (axis 0 of input 1)",
        f"  input 0   x f32[64,784]            test_ops.py:{line + 1}",
        f"  input 1   w1 f32[10,784]           test_ops.py:{line + 2}",
        f"  at        h = x @ w  # noqa: F841  test_ops.py:{line + 4}",
        "  hint      transpose(input 1) would fit: w1.mT",
    ]


@pytest.mark.parametrize("class_and_builtin", [
    (lambda: X + H, ValueError), (lambda: X + P, TypeError), (lambda: X[99], IndexError),
    (lambda: fn.sum(X, axis=5), IndexError), (lambda: fn.concat([]), ValueError),
    (lambda: X[1.5], TypeError),
    (lambda: fn.einsum("ii", gx.input("q", ("n", "n"))), NotImplementedError),
])  # fmt: skip
def test_errors_are_built_in_ones_too(class_and_builtin: Any) -> None:
    build, builtin = class_and_builtin
    with pytest.raises(builtin):
        build()
