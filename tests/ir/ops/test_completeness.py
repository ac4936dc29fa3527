"""Every op has an independent reference, a checked gradient, and compiled code; or a reason."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.ir import ops
from graphc.ir.ops.base import Leaf, Op
from graphc.testing.op import TARGETS
from tests.ir.ops.op_cases import CASES, REFERENCES
from tests.ir.ops.test_every_op import KINDS_OF_OP, SMOOTH

# Leaves have no operands: what they are is checked below, the generator's bits by known answers
# (tests/ir/loops/test_random_bits.py).
LEAVES = {c for c in ops.ALL_OPS if issubclass(c, Leaf)}

# Why an op has no gradient. Where it says so itself, `differentiable` must be False.
STEPS = "constant between its jumps"
WHOLE = "its results are truth values, whole numbers, bits or positions"
DRAWN = "a function of random bits, which depend on nothing"
NO_GRADIENT: dict[type[Op], str] = {
    **dict.fromkeys((ops.FloorDivide, ops.Sign, ops.Floor, ops.Ceil, ops.Trunc, ops.Round), STEPS),
    ops.RoundToTF32: STEPS,
    **dict.fromkeys((ops.Less, ops.LessEqual, ops.Equal, ops.NotEqual, ops.Any_, ops.All), WHOLE),
    **dict.fromkeys((ops.LogicalAnd, ops.LogicalOr, ops.LogicalNot), WHOLE),
    **dict.fromkeys((ops.BitAnd, ops.BitOr, ops.BitXor, ops.BitNot, ops.Bitcast), WHOLE),
    **dict.fromkeys((ops.ShiftLeft, ops.ShiftRight, ops.ArgMax, ops.ArgMin), WHOLE),
    **dict.fromkeys((ops.FirstOccurrence, ops.ArgSort, ops.TopK, ops.SearchSorted), WHOLE),
    **dict.fromkeys((ops.UnitFloat, ops.NormalFloat, ops.ExponentialFloat, ops.BitExact), DRAWN),
    ops.NextAfter: "the steps between neighbouring floats are no slope",
    ops.StopGradient: "zero by definition: test_flat_ops_have_no_gradient",
    ops.Lu: "what is made of it (solve, det, inv) has gradients: tests/linalg",
}
# Their gradients are symmetric, so one entry alone cannot be moved.
ELSEWHERE = {ops.Cholesky: "tests/linalg/test_gradients.py", ops.Eigh: "tests/linalg"}


def test_every_op_has_an_independent_reference() -> None:
    assert set(ops.ALL_OPS) - LEAVES - set(REFERENCES) == set()
    assert set(REFERENCES) - set(ops.ALL_OPS) == set()


def test_every_op_has_a_checked_gradient_or_a_reason() -> None:
    checked = {type(c.op) for c in SMOOTH}
    reasons = set(NO_GRADIENT) | set(ELSEWHERE)
    assert set(ops.ALL_OPS) - LEAVES - checked - reasons == set()
    assert checked & reasons == set()  # the reason is out of date


@pytest.mark.parametrize("kind", NO_GRADIENT, ids=lambda kind: kind.__name__)
def test_an_op_without_a_gradient_says_so(kind: type[Op]) -> None:
    assert not any(c.op.differentiable for c in CASES if type(c.op) is kind)


def test_every_op_is_compared_with_compiled_code() -> None:
    assert "cpu" in TARGETS
    assert set(ops.ALL_OPS) - LEAVES - set(KINDS_OF_OP) == set()


@pytest.mark.parametrize("target", TARGETS)
def test_leaves(target: str) -> None:
    gx.seed(3)
    x = gx.input("x", ("rows", 2), dtype="float64")
    p = gx.parameter("p", value=np.array([7.0, 8.0]))
    tensors = {
        ops.Input: x, ops.Parameter: p, ops.Constant: gx.constant(np.array([1.0, -2.0])),
        ops.Literal: gx.constant(2.5), ops.SizeOf: gx.asarray(x.shape[0]),
        ops.Iota: gx.arange(5), ops.RandomBits: gx.random.bits((4,)),
    }  # fmt: skip
    assert set(tensors) == LEAVES
    for kind, tensor in tensors.items():
        assert kind in {type(n.op) for n in gx.compile([x], tensor)._definition.graph.nodes}
    given = np.arange(6.0).reshape(3, 2)
    found = gx.compile([x], list(tensors.values()), target=target)(given)
    wanted = [given, [7.0, 8.0], [1.0, -2.0], 2.5, 3, [0, 1, 2, 3, 4]]
    for a, b in zip(found, wanted):
        np.testing.assert_array_equal(a, b)
    assert found[-1].dtype == np.uint32
    assert len(set(found[-1].tolist())) == 4
