"""Both texts of a device program compute the same bits: the simulator runs one, this processor the
other, launch by launch of small training steps."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
import pytest

import graphc as gx
from graphc.ir.types import Array, DType, float32, uint16
from graphc_cuda.device.program import (
    Assign,
    Declare,
    DeviceArray,
    DeviceKernel,
    Intrinsic,
    Program,
    Put,
    Variable,
    literal,
)
from graphc_cuda.launch import (
    NO_FAILURE,
    STATUS,
    DynamicLoop,
    FillNode,
    KernelNode,
    LaunchPlan,
    Node,
    Place,
    Region,
)
from graphc_cuda.plan_launches import plan_launches
from graphc_cuda.print_numba import numba_text
from graphc_cuda.print_nvptx import nvptx_text
from graphc_cuda.simulate import simulate
from tests.backends.cuda import device_samples as samples
from tests.backends.cuda.host_threads import HostThreads
from tests.backends.cuda.networks import NETWORKS, plan_for
from tests.backends.cuda.numba_host import NumbaThreads

pytest.importorskip("greenlet")
needs_numba = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason="numba-cuda is not installed"
)
Memory = dict[Region, Array]


def random_elements(array: DeviceArray, rng: np.random.Generator) -> Array:
    """Ordinary numbers; small integers, which are also legal indices."""
    dtype: DType = array.dtype
    if dtype.is_float:
        return np.abs(rng.standard_normal(array.size)).astype(dtype.numpy)
    if dtype == uint16:
        bits = rng.standard_normal(array.size).astype(np.float32).view(np.uint32)
        return (bits >> np.uint32(16)).astype(np.uint16)
    return rng.integers(0, 4 if dtype.bits > 8 else 2, array.size).astype(dtype.numpy)


def same(found: Array, wanted: Array) -> bool:
    """Equal bits, or NaN on both sides."""
    word = f"u{found.itemsize}"
    equal = found.view(word) == wanted.view(word)
    if found.dtype.kind == "f":
        equal |= np.isnan(found) & np.isnan(wanted)
    return bool(np.all(equal))


@pytest.mark.parametrize(
    "sample",
    samples.SAMPLES,
    ids=lambda sample: sample.__name__,
)
def test_samples(sample: object) -> None:
    assert callable(sample)
    program = sample()
    (kernel,) = program.kernels
    rng = np.random.default_rng(3)
    given = [random_elements(a, rng) for a in kernel.arrays]
    found, wanted = ([a.copy() for a in given] for _ in range(2))
    # the simulator first: it refuses accesses out of bounds, which would end this process
    simulate(numba_text(program), kernel.name, 1, kernel.block, wanted, check=False)
    HostThreads(nvptx_text(program, (9, 0))).launch(kernel.name, 1, kernel.block, found)
    assert all(map(same, found, wanted))


# ---------------------------------------------------------------- whole steps


class BothRoutes:
    """A plan in memory, every launch run twice."""

    def __init__(self, plan: LaunchPlan, by_numba: bool = False) -> None:
        self.plan = plan
        self.text = numba_text(plan.program)
        self.host: HostThreads | NumbaThreads = (
            NumbaThreads(plan.program)
            if by_numba
            else HostThreads(nvptx_text(plan.program, (9, 0)))
        )
        self.memory: Memory = {r: np.zeros(max(n, 1), np.uint8) for r, n in plan.regions.items()}
        rng = np.random.default_rng(11)
        nodes = [n for n in launches((*plan.prepare, *plan.nodes)) if isinstance(n, KernelNode)]
        written: set[Region] = set()
        for node in nodes:
            for array, place in zip(node.kernel.arrays, node.arguments):
                if place.region not in written and place.region.role != STATUS:
                    self.view(array, place)[...] = random_elements(array, rng)
            written |= {p.region for p in node.writes}
        for place in (p for p in self.memory if p.role == STATUS):
            self.memory[place].view(np.uint32)[:] = NO_FAILURE

    def view(self, array: DeviceArray, place: Place, memory: Memory | None = None) -> Array:
        """The elements of an argument."""
        held = (self.memory if memory is None else memory)[place.region]
        return held[place.offset : place.offset + array.nbytes].view(array.dtype.numpy)

    def run(self, node: Node) -> None:
        """Run a launch both ways and compare what they leave."""
        if isinstance(node, FillNode):
            place = node.place
            part = self.memory[place.region][place.offset : place.offset + place.size]
            part[...] = np.resize(np.array([node.value], np.uint32).view(np.uint8), place.size)
        if not isinstance(node, KernelNode):
            return
        kernel, pairs = node.kernel, list(zip(node.kernel.arrays, node.arguments))
        other = {region: held.copy() for region, held in self.memory.items()}
        mine = [self.view(a, p) for a, p in pairs]
        theirs = [self.view(a, p, other) for a, p in pairs]
        simulate(self.text, kernel.name, node.grid, kernel.block, theirs, check=False)
        self.host.launch(kernel.name, node.grid, kernel.block, mine)
        for (array, _), found, wanted in zip(pairs, mine, theirs):
            assert same(found, wanted), f"{kernel.name}: {array.name}"


def launches(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Every launch that there may be, in order."""
    for node in nodes:
        yield from node.every if isinstance(node, DynamicLoop) else (node,)


@pytest.mark.parametrize("name", NETWORKS)
def test_launches_of_whole_steps(name: str) -> None:
    run_all(plan_for(name))


def run_all(plan: LaunchPlan, by_numba: bool = False) -> None:
    """Run every launch of a plan."""
    both = BothRoutes(plan, by_numba)
    for node in launches((*plan.prepare, *plan.nodes)):
        both.run(node)


@needs_numba
@pytest.mark.parametrize("name", ["embedding", "convolution", "until"])
def test_launches_by_numba(name: str) -> None:
    run_all(plan_for(name), by_numba=True)


@needs_numba
@pytest.mark.slow
@pytest.mark.parametrize("name", ["dense", "recurrent"])
def test_launches_of_larger_steps_by_numba(name: str) -> None:
    run_all(plan_for(name), by_numba=True)


# ------------------------------------------------------------------- matrices


PRECISIONS = {"bf16": "mma_bf16", "fp16": "mma_f16", "tf32": "mma_tf32"}


def low_precision(precision: str) -> LaunchPlan:
    """A convolution and its gradients in tensor cores."""
    with gx.precision(precision):
        x = gx.input("x", (2, 6, 6, 16))
        y = gx.nn.Conv2D(32, 3, activation="relu")(x)
        loss = (y * y).mean()
        step = gx.compile([x], {"loss": loss}, updates=gx.optim.SGD(0.1).minimize(loss))
    plan = plan_launches(step.program, {})
    assert PRECISIONS[precision] in numba_text(plan.program)
    return plan


@pytest.mark.parametrize("precision", PRECISIONS)
def test_launches_with_tensor_cores(precision: str) -> None:
    run_all(low_precision(precision))


@needs_numba
@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
def test_launches_with_tensor_cores_by_numba(precision: str) -> None:
    run_all(low_precision(precision), by_numba=True)


@pytest.mark.parametrize("is_transposed", [False, True])
def test_fragments_are_passed_in_their_places(is_transposed: bool) -> None:
    """C = A B of 16 x 16 and 16 x 8 numbers, B by rows or by columns."""
    program = _product(is_transposed)
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-3, 4, shape).astype(np.float32) for shape in ((16, 16), (16, 8)))
    stored = b if is_transposed else np.ascontiguousarray(b.T)
    halves = [(m.ravel().view(np.uint32) >> 16).astype(np.uint16) for m in (a, stored)]
    out = np.zeros(128, np.float32)
    host = HostThreads(nvptx_text(program, (9, 0)))
    host.launch("product", 1, 32, [np.concatenate(halves), out])
    assert np.array_equal(out.reshape(16, 8), a @ b)


def _product(is_transposed: bool) -> Program:
    given, out = DeviceArray("given", uint16, 384), DeviceArray("out", float32, 128)
    tile = DeviceArray("tile", uint16, 384, "shared")
    thread, index = samples.THREAD, samples.index
    lane, row = index("mod", thread, literal(8)), index("mod", thread, literal(16))
    half = index("floordiv", thread, literal(16))
    left = index("add", index("mul", row, literal(16)), index("mul", half, literal(8)))
    # columns of B as rows of 16, or rows of B of 8
    part = index("mod", index("floordiv", thread, literal(8)), literal(2))
    if is_transposed:
        right = index("add", index("mul", lane, literal(8)), index("mul", part, literal(64)))
    else:
        right = index("add", index("mul", lane, literal(16)), index("mul", part, literal(8)))
    load = "load_matrix_transposed" if is_transposed else "load_matrix"
    a, b = ([Variable(samples.uint32, f"{n}{i}") for i in range(4)] for n in "ab")
    c = [Variable(float32, f"c{i}") for i in range(4)]
    twelve = index("mul", thread, literal(4))
    copies = [
        Intrinsic((), "copy_async", (tile, at, given, at, 4))
        for k in range(3)
        for at in (index("add", twelve, literal(128 * k)),)
    ]
    group, pair = index("floordiv", thread, literal(4)), index("mod", thread, literal(4))
    first = index("add", index("mul", group, literal(8)), index("mul", pair, literal(2)))
    body = (
        Declare(tile),
        *copies,
        Intrinsic((), "copy_async_commit", ()),
        Intrinsic((), "copy_async_wait", (0,)),
        samples.Barrier(),
        *(Assign(x, literal(0.0, float32)) for x in c),
        Intrinsic(tuple(a), "load_matrix", (tile, left)),
        Intrinsic(tuple(b), load, (tile, index("add", right, literal(256)))),
        Intrinsic(tuple(c), "mma_bf16", (*a, b[0], b[1], *c)),
        *(Put(out, index("add", first, literal(k % 2 + 64 * (k // 2))), c[k]) for k in range(4)),
    )
    kernel = DeviceKernel("product", (given, out), body, 32, frozenset({out}))
    return Program("product", (), (kernel,))
