"""Convolutions whose operand is staged by position: the bits of the plain loops, however staged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.compiler.fusion.fuse import fuse
from graphc.ir.dims import dims_of
from graphc.ir.loops.ir import Kernel, Loop
from graphc.ir.loops.kernel_printer import kernel_text
from graphc_llvm import contract_cut, contract_steps
from graphc_llvm.contract_choose import match
from graphc_llvm.emit_kernel import emit_kernel
from graphc_llvm.target import Target, host_target, make_target
from tests.backends.llvm.contractions import operands, run
from tests.backends.llvm.native import Native

nn = gx.nn
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A convolution: shapes of input and kernel, arguments, what is fused into the operand."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    arguments: dict[str, Any] = field(default_factory=dict)
    fused: bool = False

    def kernels(self, batch: int | str) -> list[Kernel]:
        """Forward, to the input, to the weights."""
        x, w = gx.input("x", (batch, *self.x)), gx.input("w", self.w)
        y = nn.conv(gx.maximum(x, 0.25) if self.fused else x, w, **self.arguments)
        dy = gx.input("dy", y.shape)
        outputs = [y, *gx.vjp(y, [x, w], gx.minimum(dy, 0.5) if self.fused else dy)]
        found = []
        for n, output in enumerate(outputs):
            function = gx.compile([x, w, dy], output, target="interpret")
            calls = [c.kernel for c in fuse(function.graph).calls if c.kernel.name != "copy"]
            found.append(calls[0 if n else -1])
        return found


CASES = {
    "same": Case((9, 7, 5), (3, 3, 5, 18), {"padding": "same"}),
    "wide": Case((8, 8, 16), (3, 3, 16, 33), {"padding": "same"}),
    "strided": Case((9, 8, 4), (3, 3, 4, 8), {"padding": 1, "strides": 2}),
    "dilated": Case((9, 9, 3), (3, 2, 3, 16), {"padding": 2, "dilation": (2, 3)}),
    "uneven": Case((6, 11, 1), (2, 5, 1, 16), {"padding": ((0, 1), (3, 1)), "strides": (1, 2)}),
    "outside": Case((2, 3, 4), (5, 4, 4, 16), {"padding": 4}),
    "fused": Case((7, 6, 3), (3, 3, 3, 16), {"padding": "same"}, fused=True),
    "valid": Case((7, 6, 3), (3, 3, 3, 16), {}, fused=True),
    "first": Case((6, 7, 9), (3, 3, 6, 16), {"padding": 1, "layout": "channels_first"}),
    "groups": Case((6, 7, 8), (3, 3, 4, 32), {"padding": 1, "groups": 2}),
    "depthwise": Case((7, 6, 18), (3, 3, 1, 18), {"padding": 1, "groups": 18}),
    "depthwise strided": Case((9, 5, 16), (2, 3, 1, 16), {"strides": 2, "groups": 16}),
    "line": Case((37, 6), (7, 6, 16), {"padding": "same"}),
    "flat": Case((1, 19, 4), (1, 3, 4, 16), {"padding": "same"}),
    "solid": Case((4, 5, 6, 3), (3, 3, 3, 3, 16), {"padding": 1}),
    "few": Case((3, 3, 8), (3, 3, 8, 48), {"padding": "same"}),
}
DIRECTIONS = ("forward", "input", "weights")


def dims(kernel: Kernel, batch: int) -> dict[str, int]:
    names = {d.name for b in kernel.arguments for s in b.shape for d in dims_of(s)}
    return dict.fromkeys(names, batch)


def plain(
    kernel: Kernel, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int], target: Target
):
    """The results of the loops as they stand."""
    text = emit_kernel(kernel, target, sizes, tiles=False).module()
    return run(Native(kernel, sizes, target, text), arrays, sizes)


@cache
def reference(
    name: str, direction: int, batch: int | str, isa: str = ""
) -> tuple[Kernel, Arrays, Arrays]:
    """A kernel, its arrays, and what the plain loops make of them (of three images)."""
    kernel = CASES[name].kernels(batch)[direction]
    sizes = dims(kernel, 3)
    arrays = operands(kernel, sizes)
    target = make_target(isa) if isa else host_target()
    return kernel, arrays, plain(kernel, arrays, sizes, target)


def check(
    name: str, direction: int, batch: int | str = 3, isa: str = "", threads: Sequence[int] = (1, 3)
) -> None:
    """Specialised and generic tiles give the bits of the plain loops."""
    kernel, arrays, expected = reference(name, direction, batch, isa)
    target = make_target(isa) if isa else host_target()
    sizes = dims(kernel, 3)
    for known in (sizes, None) if sizes else (sizes,):
        native = Native(kernel, known, target)
        for count in threads:
            for buffer, found in run(native, arrays, sizes, threads=count).items():
                assert found.tobytes() == expected[buffer].tobytes(), (known, count)


def boxes(kernel: Kernel, batch: int) -> int:
    """How many boxes the plans of a kernel have."""
    nests = [s for s in kernel.body if isinstance(s, Loop)]
    plans = [match((nest,), host_target(), dims(kernel, batch)) for nest in nests]
    return sum(len(plan.boxes) for plan in plans if plan is not None)


@pytest.mark.parametrize("direction", range(3), ids=DIRECTIONS)
@pytest.mark.parametrize("name", CASES)
def test_bits(name: str, direction: int) -> None:
    generic = name in ("same", "fused", "first", "line")
    check(name, direction, "batch" if generic else 3)


BOXED = ("same", "wide", "strided", "fused", "line", "solid", "groups", "depthwise")


@pytest.mark.parametrize("name", BOXED)
def test_padded_convolutions_have_boxes(name: str) -> None:
    forward, _, weights = CASES[name].kernels("batch")
    assert boxes(forward, 3) == 1
    assert boxes(weights, 3) == 1


CHOICES: tuple[dict[str, int], ...] = (
    {"L2_BOX_BYTES": 1500},
    {"L2_BOX_BYTES": 1, "MAX_WHOLE_BOX_BYTES": 1 << 20},
    {"L2_BOX_BYTES": 1, "MAX_WHOLE_BOX_BYTES": 1},
    {"MAX_PANEL_BYTES": 1},
    {"DEPTH_BLOCK": 2, "MAX_CHAIN_STEPS": 1},
    {"DEPTH_BLOCK": 64, "MAX_CHAIN_STEPS": 1, "MAX_PARTIAL_SUM_BYTES": 2048},
)


@pytest.mark.parametrize("choices", CHOICES, ids=str)
def test_choices_of_the_plan_change_no_bit(
    choices: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in choices.items():
        monkeypatch.setattr(contract_cut, name, value)
    for name in ("strided", "dilated"):
        for direction in range(3):
            check(name, direction, threads=(1, 2))


def test_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract_cut, "L2_BOX_BYTES", 1500)
    kernel, _, _ = reference("same", 0, 3)
    plan = match(kernel.body, host_target(), {})
    assert plan is not None
    assert plan.band in range(1, 9)
    check("same", 0, threads=(1, 2, 3))


def test_rows_of_images_as_blocks_of_the_reduction(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one image is too much for a box, the sum over an image is cut too."""
    monkeypatch.setattr(contract_cut, "L2_BOX_BYTES", 1500)
    monkeypatch.setattr(contract_cut, "MAX_WHOLE_BOX_BYTES", 1500)
    kernel, _, _ = reference("same", 2, 3)
    plan = match(kernel.body, host_target(), {})
    assert plan is not None
    assert (plan.cut, len(plan.boxes)) == (1, 1)
    check("same", 2, 3, threads=(1, 2))
    check("same", 2, "batch", threads=(1, 2))
    kernel = CASES["same"].kernels("batch")[2]
    arrays = operands(kernel, {"batch": 0})
    (found,) = run(Native(kernel, None), arrays, {"batch": 0}).values()
    assert (found == 0).all()


def test_an_operand_at_quotients_of_positions() -> None:
    """What undoes a pooling is read at quotients and remainders; windows still share a box."""
    x, w = gx.input("x", (3, 8, 6, 4)), gx.input("w", (3, 3, 4, 16))
    pooled = nn.max_pool(x, 2)
    dy = gx.input("dy", pooled.shape)
    y = nn.conv(gx.vjp(pooled, x, dy), w, padding="same")
    function = gx.compile([x, w, dy], y, target="interpret")
    kernel = fuse(function.graph).calls[-1].kernel
    assert "rem(" in kernel_text(kernel)
    assert boxes(kernel, 3) == 1
    given = operands(kernel, {})
    for buffer in kernel.arguments:
        if buffer.dtype.kind == "u":
            given[buffer.name][...] = np.random.default_rng(1).integers(0, 4, buffer.shape)
    expected = plain(kernel, given, {}, host_target())
    for threads in (1, 2):
        found = run(Native(kernel, {}), given, {}, threads=threads)
        assert all(found[name].tobytes() == expected[name].tobytes() for name in found)


def test_lanes_of_both_operands() -> None:
    for kernel in CASES["depthwise"].kernels(3):
        plan = match(kernel.body, host_target(), {})
        assert plan is not None
        assert plan.contraction.paired


@pytest.mark.parametrize("isa", ["avx2", "baseline"])
def test_instruction_sets(isa: str) -> None:
    for name in ("fused", "depthwise"):
        for direction in range(3):
            check(name, direction, 3, isa, threads=(2,))


def test_no_images() -> None:
    for kernel in CASES["same"].kernels(0):
        arrays = operands(kernel, {})
        found = run(Native(kernel, {}), arrays, {})
        assert all((value == 0).all() for value in found.values())


def spoiled(kernel: Kernel, sizes: Mapping[str, int]) -> Arrays:
    """Operands of which a few elements are no finite numbers."""
    arrays, random = operands(kernel, sizes), np.random.default_rng(3)
    for buffer in kernel.reads:
        flat = arrays[buffer.name].reshape(-1)
        if flat.size:
            places = random.integers(0, flat.size, 4)
            flat[places] = np.inf, np.nan, -np.inf, np.inf
    return arrays


def check_spoiled(name: str, isa: str = "") -> None:
    """Tiles leave out the products that the plain loops leave out, and no others."""
    target = make_target(isa) if isa else host_target()
    for kernel in CASES[name].kernels("batch"):
        sizes = dims(kernel, 3)
        arrays = spoiled(kernel, sizes)
        expected = plain(kernel, arrays, sizes, target)
        for known in (sizes, None):
            for buffer, found in run(Native(kernel, known, target), arrays, sizes).items():
                np.testing.assert_array_equal(found, expected[buffer])


@pytest.mark.parametrize("name", CASES)
def test_infinity_beside_the_padding(name: str) -> None:
    check_spoiled(name)


@pytest.mark.parametrize("isa", ["avx2", "baseline"])
def test_infinity_with_other_instructions(isa: str) -> None:
    for name in ("same", "depthwise", "first", "uneven"):
        check_spoiled(name, isa)


@pytest.mark.parametrize("choices", CHOICES, ids=str)
def test_infinity_with_other_choices(
    choices: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in choices.items():
        monkeypatch.setattr(contract_cut, name, value)
    monkeypatch.setattr(contract_steps, "MAX_PARTS", 0 if "L2_BOX_BYTES" in choices else 64)
    for name in ("same", "strided", "uneven", "line"):
        check_spoiled(name)


def test_a_window_that_is_outside_of_everything() -> None:
    """Sums of no products are 0."""
    x, w = gx.input("x", (2, 1, 3)), gx.input("w", (4, 3, 16))
    y = nn.conv(x, w, padding=((7, 0),))
    found = gx.compile([x, w], y)(*(np.full(s, np.inf, np.float32) for s in (x.shape, w.shape)))
    assert y.shape == (2, 5, 16)
    assert (found[:, :4] == 0).all()
    assert np.isinf(found[:, 4]).all()
