"""Many examples at once against a loop over examples."""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import numpy as np
import pytest

from graphc import ops
from graphc.autodiff.batching import batch_nodes
from graphc.interpret import evaluate
from graphc.ops.base import Leaf
from graphc.symbols import input as make_input
from graphc.tensor import Tensor, face, lift_op
from tests.every_op import CASES, Case, dtype_of

EXAMPLES = 3


def small(case: Case) -> bool:
    """Leave out what is slow and shows nothing new."""
    return all(int(t.size) <= 2000 for t in case.types)


def combinations(count: int) -> list[tuple[bool, ...]]:
    """Which operands vary: all but none of them."""
    return [c for c in itertools.product((False, True), repeat=count) if any(c)]


BATCHED = [
    pytest.param(case, varying, id=f"{case}-{''.join('01'[v] for v in varying)}")
    for case in filter(small, CASES)
    for varying in combinations(len(case.types))
]


def several(case: Case, varying: tuple[bool, ...]) -> list[Any]:
    """Arrays for the operands, with a leading axis where they vary."""
    rng = np.random.default_rng(zlib.crc32(f"{case}{varying}".encode()))
    arrays = []
    for array, varies in zip(case.arrays(), varying):
        rows = [array]
        if varies and array.dtype != bool:
            # other examples: the same numbers elsewhere, so that they stay in the op's domain
            rows += [rng.permutation(array.ravel()).reshape(array.shape) for _ in range(2)]
        elif varies:
            rows += [array, array]
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
    return wide, face(found)


@pytest.mark.parametrize(("case", "varying"), BATCHED)
def test_every_op_is_that_of_each_example(case: Case, varying: tuple[bool, ...]) -> None:
    arrays = several(case, varying)
    inputs, result = batched(case, arrays, varying)
    [found] = evaluate([result], dict(zip(inputs, arrays)))
    expected = looped(case, arrays, varying)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(
        np.asarray(found, np.float64), np.asarray(expected, np.float64), rtol=2e-6, atol=1e-5
    )


def test_every_op_is_tried() -> None:
    tried = {type(p.values[0].op) for p in BATCHED}  # type: ignore[union-attr]
    assert [op for op in ops.ALL_OPS if not issubclass(op, Leaf) and op not in tried] == []
