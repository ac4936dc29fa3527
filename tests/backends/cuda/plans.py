"""Small launch plans for tests, made by hand."""

from __future__ import annotations

from graphc.ir.types import bool_, int32, int64, uint32
from graphc_cuda.device.program import (
    BLOCK_INDEX,
    THREAD,
    WARP,
    DeviceArray,
    DeviceKernel,
    Get,
    If,
    Intrinsic,
    Op,
    Program,
    Put,
    literal,
)
from graphc_cuda.launch import (
    ARENA,
    INPUT,
    OUTPUT,
    PARAMETER,
    STATUS,
    FillNode,
    KernelNode,
    LaunchPlan,
    Node,
    Place,
    Region,
)

X, Y, W, T, OUT, S = (
    Region(INPUT, 0), Region(INPUT, 1), Region(PARAMETER, 0), Region(ARENA), Region(OUTPUT, 0),
    Region(STATUS),
)  # fmt: skip
REGIONS = {X: 8, Y: 8, W: 8, T: 64, OUT: 8, S: 4}
WORD = 8  # bytes of an int64


def array(name: str) -> DeviceArray:
    """One int64."""
    return DeviceArray(name, int64, 1)


def first_thread() -> Op:
    """Whether this is the first of all threads."""
    return Op(bool_, "eq", (Op(int32, "add", (THREAD, BLOCK_INDEX)), literal(0)))


def accumulate(name: str) -> DeviceKernel:
    """b += a"""
    a, b = array("a"), array("b")
    total = Op(int64, "add", (Get(int64, b, literal(0)), Get(int64, a, literal(0))))
    body = If(first_thread(), (Put(b, literal(0), total),))
    return DeviceKernel(f"accumulate_{name}", (a, b), (body,), WARP, frozenset({b}))


def move(name: str) -> DeviceKernel:
    """b = a"""
    a, b = array("a"), array("b")
    body = If(first_thread(), (Put(b, literal(0), Get(int64, a, literal(0))),))
    return DeviceKernel(f"move_{name}", (a, b), (body,), WARP, frozenset({b}))


def check(name: str) -> DeviceKernel:
    """Lower the status where a is negative."""
    a, status = array("a"), DeviceArray("status", uint32, 1)
    lower = Intrinsic((), "atomic_min", (status, literal(0), literal(3, uint32)))
    bad = Op(bool_, "lt", (Get(int64, a, literal(0)), literal(0, int64)))
    return DeviceKernel(
        f"check_{name}", (a, status), (If(bad, (lower,)),), WARP, frozenset({status})
    )


def update(name: str) -> DeviceKernel:
    """b += a unless a check has failed."""
    a, b, status = array("a"), array("b"), DeviceArray("status", uint32, 1)
    fine = Op(bool_, "eq", (Get(uint32, status, literal(0)), literal(0xFFFFFFFF, uint32)))
    total = Op(int64, "add", (Get(int64, b, literal(0)), Get(int64, a, literal(0))))
    body = If(fine, (Put(b, literal(0), total),))
    return DeviceKernel(f"accumulate_unless_{name}", (a, status, b), (body,), WARP, frozenset({b}))


def word(region: Region, index: int = 0, size: int = WORD) -> Place:
    """The place of the index-th int64."""
    return Place(region, index * WORD, size)


def launch(kernel: DeviceKernel, *places: Place, grid: int = 1) -> KernelNode:
    """A launch."""
    return KernelNode(kernel, grid, places)


def plan_of(
    *nodes: Node,
    edges: tuple[tuple[int, int], ...] = (),
    commit: int | None = None,
    prepare: tuple[Node, ...] = (),
    regions: dict[Region, int] | None = None,
) -> LaunchPlan:
    """A plan of these nodes, with the program that they need."""
    kernels: dict[DeviceKernel, None] = {}
    for node in (*prepare, *nodes):
        inner = getattr(node, "every", (node,))
        kernels |= {n.kernel: None for n in inner if isinstance(n, KernelNode)}
    program = Program("hand", (), tuple(kernels))
    last = len(nodes) if commit is None else commit
    return LaunchPlan("hand", program, nodes, edges, prepare, last, regions or REGIONS)


def training() -> LaunchPlan:
    """t0 = 0; t0 += x; t1 = 0; t1 += y; out = t0; check t0; w += t1"""
    zero0, zero1 = FillNode(word(T, 0), 0), FillNode(word(T, 1), 0)
    status = FillNode(Place(S, 0, 4), 0xFFFFFFFF)
    return plan_of(
        status,
        zero0,
        zero1,
        launch(accumulate("x"), word(X), word(T, 0)),
        launch(accumulate("y"), word(Y), word(T, 1)),
        launch(move("out"), word(T, 0), word(OUT), grid=2),
        launch(check("t"), word(T, 0), Place(S, 0, 4)),
        launch(update("w"), word(T, 1), Place(S, 0, 4), word(W)),
        edges=((0, 6), (1, 3), (2, 4), (3, 5), (3, 6), (4, 7), (6, 7)),
        commit=7,
    )  # fmt: skip
