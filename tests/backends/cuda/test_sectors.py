"""Sectors of memory that warps touch, counted in the device program: no launch fetches in vain."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

import graphc as gx
from graphc.ir.types import float32, int32
from graphc_cuda.device.program import (
    BLOCK_INDEX,
    THREAD,
    DeviceArray,
    DeviceKernel,
    For,
    Get,
    If,
    Intrinsic,
    Literal,
    Op,
    Put,
    Return,
    Stmt,
    Value,
    Variable,
    literal,
)
from graphc_cuda.launch import ARENA, KernelNode, Place, Region
from graphc_cuda.lower import turning
from graphc_cuda.plan_launches import plan_launches
from graphc_cuda.sectors import count_sectors, sector_ratio

SIZE = 1 << 20
X, Y = DeviceArray("x", float32, SIZE), DeviceArray("y", float32, SIZE)
ONE = Literal(float32, 1.0)


def node_of(*body: Stmt, block: int = 64, grid: int = 3, offset: int = 0) -> KernelNode:
    """A launch of statements on x, and on y from an offset on."""
    kernel = DeviceKernel("k", (X, Y), body, block, frozenset({X, Y}))
    places = [Place(Region(ARENA), start, SIZE * 4) for start in (0, SIZE * 4 + offset)]
    return KernelNode(kernel, grid, tuple(places))


def op(function: str, *args: Value) -> Op:
    """An operation on indices."""
    return Op(int32, function, args, is_index=True)


def times(x: Value, factor: int) -> Value:
    return op("mul", x, literal(factor))


NUMBER = op("add", times(BLOCK_INDEX, 64), THREAD)


@pytest.mark.parametrize(
    ("index", "touched"),
    [
        (NUMBER, 1.0),
        (times(NUMBER, 2), 2.0),
        (times(NUMBER, 8), 8.0),
        (times(NUMBER, 320), 8.0),
        (op("floordiv", NUMBER, literal(2)), 1.0),
        (literal(5), 1.0),
        (op("add", NUMBER, literal(4)), 5 / 4),
        (op("mod", op("mul", NUMBER, literal(16)), literal(64)), 4.0),
    ],
    ids=["neighbours", "every other", "far", "columns", "pairs", "one", "moved", "few"],
)
def test_an_access(index: Value, touched: float) -> None:
    node = node_of(Put(X, index, ONE))
    assert count_sectors(node)[X].ratio == pytest.approx(touched)


def test_where_an_array_begins_counts() -> None:
    assert sector_ratio(node_of(Put(Y, NUMBER, ONE), offset=16)) == pytest.approx(5 / 4)
    assert sector_ratio(node_of(Put(Y, NUMBER, ONE), offset=64)) == 1.0


def test_vectors_fill_sectors() -> None:
    names = tuple(Variable(float32, n) for n in "abcd")
    read = Intrinsic(names, "load_vector", (X, times(NUMBER, 4)))
    far = Intrinsic((), "store_vector", (Y, times(NUMBER, 8), *names))
    found = count_sectors(node_of(read, far))
    assert (found[X].ratio, found[Y].ratio) == (1.0, 2.0)


def test_loops_count_as_often_as_they_run() -> None:
    i = Variable(int32, "i", is_index=True)
    body = (Put(X, op("add", times(NUMBER, 8), i), ONE),)
    node = node_of(For(i, literal(0), literal(7), literal(1), body), Put(Y, NUMBER, ONE))
    found = count_sectors(node)
    assert found[X].touched == 7 * 8 * found[Y].touched
    assert sector_ratio(node) == pytest.approx((7 * 8 + 1) / 8)


def test_threads_that_take_no_part_touch_nothing() -> None:
    first = Op(Literal(int32, 0).dtype, "lt", (THREAD, literal(8)))
    inside = If(first, (Put(X, times(NUMBER, 8), ONE),))
    gone = If(first, (Return(),))
    found = count_sectors(node_of(inside, gone, Put(Y, NUMBER, ONE), block=32, grid=1))
    assert (found[X].touched, found[Y].touched) == (8, 3)


def test_places_that_data_decides_are_left_out() -> None:
    node = node_of(Put(X, Get(int32, DeviceArray("i", int32, SIZE), NUMBER), ONE))
    assert X not in count_sectors(node)
    assert sector_ratio(node_of(Return())) is None


# ------------------------------------------------------------------ what functions become

Make = Callable[..., gx.Tensor | list[gx.Tensor]]


def ratios(make: Make, *shapes: Sequence[int]) -> list[float | None]:
    """Those of every launch of a function."""
    inputs = [gx.input(f"x{i}", tuple(s)) for i, s in enumerate(shapes)]
    made = make(*inputs)
    plan = plan_launches(gx.compile(inputs, made).program, {}, merge=False)
    return [sector_ratio(n) for n in plan.nodes if isinstance(n, KernelNode)]


def transposed(x: gx.Tensor) -> gx.Tensor:
    return gx.permute_dims(x, (1, 0))


FORMS: dict[str, tuple[Make, Sequence[int]]] = {
    "elementwise": (lambda x: gx.exp(x) * 2, (512, 320)),
    "broadcast": (lambda x: x + gx.constant([1.0, 2.0, 3.0, 4.0]), (70_000, 4)),
    "transpose": (lambda x: transposed(x) * 2, (512, 320)),
    "both ways": (lambda x: [x * 2, transposed(x * 2) + 1], (512, 320)),
    "channels first": (lambda x: gx.permute_dims(x, (0, 3, 1, 2)) + 1, (8, 32, 32, 16)),
    "rows": (lambda x: gx.sum(x, axis=1), (4096, 64)),
    "long rows": (lambda x: gx.max(x, axis=1), (64, 8192)),
    "columns": (lambda x: gx.sum(x, axis=0), (4096, 64)),
    "softmax of rows": (gx.nn.softmax, (512, 320)),
    "softmax of columns": (lambda x: gx.nn.softmax(x, axis=0), (512, 320)),
    "pool": (lambda x: gx.nn.max_pool(x, 2), (8, 32, 32, 16)),
}


@pytest.mark.parametrize("name", FORMS)
def test_no_sector_is_fetched_in_vain(name: str) -> None:
    make, shape = FORMS[name]
    found = ratios(make, shape)
    assert found
    assert all(x is not None and x <= 1.05 for x in found)


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True)])
def test_products(turned: tuple[bool, bool]) -> None:
    def make(a: gx.Tensor, b: gx.Tensor) -> gx.Tensor:
        a, b = (transposed(x) if t else x for x, t in zip((a, b), turned))
        return a @ b

    assert all(x is not None and x <= 1.05 for x in ratios(make, (256, 256), (256, 256)))


def joined_heads(h: gx.Tensor) -> gx.Tensor:
    """(batch, heads, steps, width) as (batch * steps, heads * width), which no memory holds."""
    batch, heads, steps, width = (int(s) for s in h.shape)
    return gx.reshape(gx.permute_dims(h, (0, 2, 1, 3)), (batch * steps, heads * width))


def test_products_of_heads_side_by_side() -> None:
    heads, square, long = (4, 4, 64, 32), (128, 128), (256, 128)
    forward = ratios(lambda h, w: joined_heads(h) @ w, heads, square)
    weights = ratios(lambda h, x: transposed(x) @ joined_heads(h), heads, long)
    for found in (forward, weights):
        assert found
        assert all(x is not None and x <= 1.05 for x in found)


@pytest.mark.parametrize("name", ["transpose", "both ways", "channels first"])
def test_without_tiles_it_would_be_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turning, "MIN_POINTS", 1 << 30)
    make, shape = FORMS[name]
    (found,) = ratios(make, shape)
    assert found is not None
    assert found > 3


def test_the_report_says_so() -> None:
    x = gx.input("x", (512, 320))
    step = gx.compile([x], transposed(x) * 2, name="turn", target="cuda-simulate")
    step.specialize()
    heads, row = step.report().splitlines()[-2:]
    assert dict(zip(heads.split(), row.split()))["sectors"] == "1.0"
