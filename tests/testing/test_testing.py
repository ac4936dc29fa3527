"""graphc.testing finds what is wrong, and passes what is right."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir import ops
from graphc.ir.ops.base import Elementwise
from graphc.ir.types import TensorType, float32
from graphc.testing import assert_close, check_op, random_graph


class Doubled(Elementwise):
    """x + x, compiled as a little more."""

    name = "doubled"
    kinds = "f"

    def evaluate(self, x: Any) -> Any:
        return x + x

    def emit(self, e: Any, x: Any) -> Any:
        return e.mul(x, e.const(2.0001, e.dtype(x)))


class Careless(ops.Sigmoid):
    vjp = ops.Tanh.vjp  # type: ignore[assignment]


ROW, ROWS = TensorType(float32, (17,)), TensorType(float32, (3, 5))


def test_an_op_that_agrees_with_itself_passes() -> None:
    check_op(ops.Sigmoid(), reference=lambda x: 1 / (1 + np.exp(-x)))
    check_op(
        ops.Dot((0, 1), (1, 2), (0, 2)), TensorType(float32, (3, 4)), TensorType(float32, (4, 5))
    )


def test_wrong_compiled_code_is_found() -> None:
    with pytest.raises(AssertionError, match=r"doubled.* on cpu: at \[\d+\]"):
        check_op(Doubled(), ROW, targets=("cpu",), gradient=False)


def test_a_wrong_reference_is_found() -> None:
    with pytest.raises(AssertionError, match="17 of 17 elements"):
        check_op(ops.Exp(), ROW, reference=np.expm1)


def test_a_wrong_gradient_is_found() -> None:
    with pytest.raises(AssertionError, match=r"slope .* instead of"):
        check_op(Careless(), ROW, targets=("interpret",))
    check_op(Careless(), ROW, targets=("interpret",), gradient=False)


def test_close_arrays() -> None:
    x = np.linspace(1, 1000, 7, dtype=np.float32)
    assert_close(x, x.astype(np.float64) * (1 + 1e-6))
    assert_close(x, x + 1e-3)  # of the largest magnitude
    with pytest.raises(AssertionError, match=r"gain: at \[1\] 167.5 instead of"):
        assert_close(x, x + 1e-3, each=True, message="gain")
    with pytest.raises(AssertionError):
        assert_close(x, x + 1e-3, "float64")
    with pytest.raises(AssertionError):
        assert_close(x, x.astype(np.float64) * (1 + 1.5e-6), tolerance="ulps")
    with pytest.raises(AssertionError, match=r"at \[0\].*1 of 2"):
        assert_close([2e-300, 1 + 1e-14], [1e-300, 1.0], each=True)
    assert_close(x, x * 1.0001, tolerance="sums")
    assert_close(x - 1000, x - 1000 + 1e-4, tolerance=1e-6, each=True, floor=1000.0)
    assert_close([np.nan, np.inf, 1], [np.nan, np.inf, 1.0])


@pytest.mark.parametrize(
    ("actual", "expected"),
    [
        ([1.0, np.nan], [1.0, 2.0]),
        ([1.0, 2.0], [1.0, np.nan]),
        ([1.0, np.inf], [1.0, -np.inf]),
        ([1.0], 1.0),
        ([[1.0]], [1.0]),
        ([1, 2], [1, 3]),
        ([True], [False]),
    ],
)
def test_arrays_that_are_not_close(actual: Any, expected: Any) -> None:
    with pytest.raises(AssertionError):
        assert_close(actual, expected)


def test_a_random_graph_is_drawn_from_its_seed() -> None:
    a, b = random_graph(12), random_graph(12)
    assert [t.type for t in a.outputs] == [t.type for t in b.outputs]
    for x, y in zip(a.arrays, b.arrays):
        np.testing.assert_array_equal(x, y)
    step = gx.compile(a.inputs, a.outputs, target="interpret")
    assert [v.shape for v in step(*a.arrays)] == [
        tuple(s if isinstance(s, int) else a.dims["batch"] for s in t.shape) for t in a.outputs
    ]


def test_needs_numpy_only() -> None:
    program = "import graphc as gx, sys; gx.testing.random_graph(3); print(*sys.modules)"
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"pytest", "scipy", "hypothesis", "onnx", "llvmlite"} & set(told.stdout.split())
