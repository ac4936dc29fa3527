"""A schedule of many calls is compiled in pieces; checks and barriers stand between them too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import RuntimeCheckError
from graphc.testing import assert_close
from graphc_llvm.emit_schedule import CALLS_PER_FUNCTION

LAYERS = CALLS_PER_FUNCTION + 9
TABLE = np.linspace(-1, 1, 40, dtype=np.float32).reshape(5, 8)


def deep(target: str, threads: int) -> Any:
    """Normalised over one axis and the other in turn, so that nearly every layer is a kernel."""
    ids = gx.input("ids", ("batch",), "int32")
    table = gx.parameter("table", value=TABLE.copy())
    w = gx.parameter("w", value=np.float32(1.5))
    h = table[ids]
    for i in range(LAYERS):
        h = gx.tanh(w * h) + h.mean(i % 2, keepdims=True)
    loss = (h * h).mean()
    updates = gx.optim.SGD(0.1).minimize(loss)
    return gx.compile([ids], loss, updates, target=target, threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_agrees_with_the_interpreter(threads: int) -> None:
    step, expected = deep("cpu", threads), deep("interpret", threads)
    for size in (3, 4, 6, 7):  # the last ones run code for any size
        ids = np.arange(size, dtype=np.int32) % 5
        assert_close(step(ids), expected(ids))
    for name in ("table", "w"):
        found, wanted = step.parameters[name].value, expected.parameters[name].value
        assert_close(found, wanted, tolerance="sums", each=True)
    assert len(step.program.schedule.calls) > CALLS_PER_FUNCTION
    assert {v.dims is None or not v.dims for v in step.variants} == {True, False}


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failed_check_updates_nothing(threads: int) -> None:
    step = deep("cpu", threads)
    with pytest.raises(RuntimeCheckError):
        step(np.array([0, 1, 5], np.int32))
    np.testing.assert_array_equal(step.parameters["table"].value, TABLE)
    assert step.parameters["w"].value == np.float32(1.5)
