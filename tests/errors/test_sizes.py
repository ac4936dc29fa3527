"""What does not fit into memory is said before anything is computed or updated."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import MemoryBudgetError
from graphc.ir.limits import physical_bytes

TARGETS = pytest.mark.parametrize("target", ["cpu", "interpret"])


def refuse(call: Any, *parts: str) -> None:
    with pytest.raises(MemoryBudgetError) as caught:
        call()
    for part in parts:
        assert part in str(caught.value), caught.value


@TARGETS
def test_an_output_of_some_sizes(target: str) -> None:
    x = gx.input("x", ("batch",))
    p = gx.parameter("p", value=np.zeros(2, np.float32))
    wide = gx.broadcast_to(gx.expand_dims(x, axis=1), (x.shape[0], 2**38)) * 2.0
    function = gx.compile([x], {"wide": wide}, {p: p + 1.0}, target=target)
    for _ in range(2):
        refuse(
            lambda: function(np.ones(4, np.float32)),
            "step: output wide f32[batch,274877906944] needs 4398046511104 bytes for batch = 4",
            f"this machine has {physical_bytes()}",
            "test_sizes.py",
        )
    assert not p.value.any()


@TARGETS
@pytest.mark.parametrize("shape", [(2**40, 2**40), (2**30, 2**33), (2**30, 2**15)])
def test_an_output_of_any_sizes(target: str, shape: tuple[int, int]) -> None:
    function = gx.compile([], gx.zeros(shape), target=target)
    refuse(function, "step: the output f32[", "bytes, this machine has")


def test_what_the_interpreter_computes_on_the_way() -> None:
    x = gx.input("x", (3,))
    for size in (2**40, 2**62):
        wide = gx.exp(gx.broadcast_to(x, (size, 3)))
        function = gx.compile([x], gx.sum(wide), target="interpret")
        refuse(lambda: function(np.ones(3, np.float32)), f"f32[{size},3]", f"{12 * size} bytes")  # noqa: B023


def test_leaves_that_no_address_can_count() -> None:
    refuse(lambda: gx.input("x", (2**62, 4)), "input x: f32[4611686018427387904,4] has")
    refuse(lambda: gx.parameter("w", (2**62, 4)), "parameter w: f32[4611686018427387904,4] has")


@TARGETS
def test_a_parameter_that_the_machine_does_not_give(target: str) -> None:
    w = gx.parameter("w", (2**45,))
    function = gx.compile([], gx.sum(w), {w: w * 2.0}, target=target)
    refuse(function, "parameter w: f32[35184372088832] needs 140737488355328 bytes")


def test_an_arena_beyond_its_limit() -> None:
    x = gx.input("x", ("batch", 256))
    weights = gx.ones((256, 256))
    function = gx.compile([x], gx.exp(x @ weights) @ weights, memory="1KB")
    refuse(
        lambda: function(np.ones((100, 256), np.float32)),
        "step: the arena needs 102,400 bytes, 1,000 are allowed",
        "test_sizes.py",
    )


def test_an_arena_beyond_its_limit_with_code_from_the_cache() -> None:
    x = gx.input("x", ("batch", 256))
    outputs = gx.exp(x @ gx.ones((256, 256))) @ gx.ones((256, 256))
    gx.compile([x], outputs).specialize(batch=100)
    limited = gx.compile([x], outputs, memory="1KB")
    refuse(lambda: limited.specialize(batch=100), "step: the arena needs 102,400 bytes, 1,000 are")
