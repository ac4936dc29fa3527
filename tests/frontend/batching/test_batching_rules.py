"""Many examples at once against a loop over examples."""

from __future__ import annotations

import itertools
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import UnsupportedError
from graphc.frontend.batching import batch_nodes
from graphc.frontend.substitute import substitute
from graphc.frontend.symbols import input as make_input
from graphc.frontend.tensor import Tensor, evaluate, handle, lift_op
from graphc.ir import ops
from graphc.ir.graph import topological
from graphc.ir.ops.base import Elementwise, Leaf, Op
from graphc.ir.ops.elementwise_math import Exp
from graphc.ir.ops.matrix import Matrix
from graphc.ir.ops.training import ModeSwitch, StateUpdate
from graphc.ir.types import TensorType
from graphc.runtime.function import compile
from graphc.testing.cases import Case, dtype_of
from tests.ir.ops.op_cases import CASES
from tests.tolerances import EACH_EXAMPLE, EACH_EXAMPLE_COMPILED

EXAMPLES = 3


def chosen() -> list[Case]:
    """Leave out what is slow, and of elementwise ops the dtypes."""
    return [
        case
        for case in CASES
        if all(int(t.size) <= 2000 for t in case.types)
        and (not isinstance(case.op, Elementwise) or case.types[0].shape != (17,))
    ]


def combinations(count: int) -> list[tuple[bool, ...]]:
    """Which operands vary: all but none of them."""
    return [c for c in itertools.product((False, True), repeat=count) if any(c)]


BATCHED = [
    pytest.param(case, varying, id=f"{case}-{''.join('01'[v] for v in varying)}")
    for case in chosen()
    for varying in combinations(len(case.types))
]


def several(case: Case, varying: tuple[bool, ...]) -> list[Any]:
    """Arrays for the operands, with a leading axis where they vary."""
    rng = np.random.default_rng(zlib.crc32(f"{case}{varying}".encode()))
    arrays = []
    for i, (array, varies) in enumerate(zip(case.arrays(), varying)):
        rows = [array]
        if i == 0 and isinstance(case.op, Matrix):
            rows += [2 * array, 3 * array]  # none of them singular
        else:
            # other examples: the same numbers elsewhere, so that they stay in the op's domain
            rows += [rng.permutation(array.ravel()).reshape(array.shape) for _ in range(2)]
        arrays.append(np.stack(rows) if varies else array)
    return arrays


def looped(case: Case, arrays: list[Any], varying: tuple[bool, ...]) -> Any:
    """The op on one example after the other."""
    results = [
        case.op.evaluate(*(a[i] if v else a for a, v in zip(arrays, varying)))
        for i in range(EXAMPLES)
    ]
    return np.stack(results)


def batched(case: Case, arrays: list[Any], varying: tuple[bool, ...]) -> tuple[list[Tensor], Any]:
    """Inputs with the leading axis and the op for all examples."""
    one = [make_input(f"x{i}", t.shape, dtype=t.dtype.name) for i, t in enumerate(case.types)]
    wide = [
        make_input(f"x{i}", a.shape, dtype=dtype_of(a).name) if v else x
        for i, (x, a, v) in enumerate(zip(one, arrays, varying))
    ]
    root = lift_op(case.op, *one).node
    mapping = {x.node: w.node for x, w, v in zip(one, wide, varying) if v}
    [(found, varies)] = batch_nodes([root], mapping, EXAMPLES)
    assert varies
    return wide, handle(found)


@pytest.mark.parametrize(("case", "varying"), BATCHED)
def test_every_op_is_that_of_each_example(case: Case, varying: tuple[bool, ...]) -> None:
    arrays = several(case, varying)
    inputs, result = batched(case, arrays, varying)
    [found] = evaluate([result], dict(zip(inputs, arrays)))
    expected = looped(case, arrays, varying)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(
        np.asarray(found, np.float64), np.asarray(expected, np.float64), **EACH_EXAMPLE
    )


def compiled_cases() -> list[list[Case]]:
    """For every op that is not elementwise a few cases, those of several axes first."""
    groups: dict[type, list[Case]] = {}
    for case in chosen():
        if not isinstance(case.op, Elementwise) and all(t.size for t in case.types):
            groups.setdefault(type(case.op), []).append(case)
    return [sorted(g, key=lambda c: -sum(t.ndim for t in c.types))[:3] for g in groups.values()]


@pytest.mark.parametrize("cases", compiled_cases(), ids=lambda cases: cases[0].op.name)
def test_compiled_ops_are_those_of_each_example(cases: list[Case]) -> None:
    inputs: list[Tensor] = []
    arrays, outputs, expected = [], {}, {}
    for case in cases:
        for varying in combinations(len(case.types)):
            values = several(case, varying)
            own, result = batched(case, values, varying)
            name = f"y{len(outputs)}"
            outputs[name], expected[name] = result, looped(case, values, varying)
            inputs += own
            arrays += values
    renamed = [make_input(f"x{i}", x.shape, dtype=x.dtype.name) for i, x in enumerate(inputs)]
    outputs = substitute(outputs, dict(zip(inputs, renamed)))
    found = compile(inputs=renamed, outputs=outputs, target="cpu")(*arrays)
    for name, want in expected.items():
        np.testing.assert_allclose(
            np.asarray(found[name], np.float64), want.astype(np.float64), **EACH_EXAMPLE_COMPILED
        )


def test_every_op_is_tried() -> None:
    tried = {type(case.op) for case in chosen()}
    assert [op for op in ops.ALL_OPS if not issubclass(op, Leaf) and op not in tried] == []


def test_a_long_chain_takes_linear_time() -> None:
    x, y = make_input("x", (2,)), make_input("y", (3, 2))
    end = x
    for _ in range(5000):
        end = end + end
    [(found, varies)] = batch_nodes([end.node], {x.node: y.node}, EXAMPLES)
    assert varies
    assert len(topological([found])) == len(topological([end.node]))


def test_an_op_without_a_rule_is_named() -> None:
    @dataclass(frozen=True)
    class Strange(Op):
        name = "strange"

        def infer(self, x: TensorType) -> TensorType:
            return x

    x, y = make_input("x", (2,)), make_input("y", (3, 2))
    root = lift_op(Strange(), x)
    with pytest.raises(UnsupportedError, match="strange has no rule for many examples") as caught:
        batch_nodes([root.node], {x.node: y.node}, EXAMPLES)
    assert caught.value.origin == root.node.origin


def test_what_is_shared_is_replaced() -> None:
    x, many, w, v = (make_input(n, s) for n, s in zip("xywv", ((2,), (3, 2), (2,), (2,))))
    [(found, varies), (kept, alike)] = batch_nodes(
        [(x * w).node, (w + w).node], {x.node: many.node}, EXAMPLES, {w.node: v.node}
    )
    assert (varies, alike) == (True, False)
    assert kept.inputs == (v.node, v.node)
    assert w.node not in topological([found])


def test_a_state_that_varies_is_refused() -> None:
    state = gx.parameter("state", (2,), trainable=False)
    x, many = make_input("x", (2,)), make_input("y", (3, 2))
    same = lift_op(StateUpdate(), x, state, state + 1.0)
    other = lift_op(StateUpdate(), x, state, state + x)
    [(found, varies)] = batch_nodes([same.node], {x.node: many.node}, EXAMPLES)
    assert varies
    assert found.inputs[1:] == same.node.inputs[1:]
    with pytest.raises(UnsupportedError, match="every example gives state another value"):
        batch_nodes([other.node], {x.node: many.node}, EXAMPLES)


def test_modes_are_kept() -> None:
    x, many = make_input("x", (2,)), make_input("y", (3, 2))
    root = lift_op(ModeSwitch(), x, lift_op(Exp(), make_input("z", (2,))))
    [(found, varies)] = batch_nodes([root.node], {x.node: many.node}, EXAMPLES)
    assert varies
    assert isinstance(found.op, ModeSwitch)
    assert found.inputs[0] is many.node
