"""The order in which a sum adds is its own: what else is asked for changes no bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import graphc as gx
from graphc.compiler.fusion.group import SumOrder, are_compatible
from graphc.compiler.fusion.summing import AxisOrder, SumOrders
from graphc.frontend.tensor import Tensor
from graphc.ir.graph import Graph

Array = NDArray[Any]
SHAPES = ((1000, 50), (20000, 3), (30, 20, 40))


def values(x: Tensor, rng: np.random.Generator) -> dict[str, Tensor]:
    """Sums of one tensor over several axes, some of its transpose, and what they stand beside."""
    weights = gx.constant(rng.standard_normal(x.shape).astype(np.float32))
    y, e = gx.tanh(x * weights), gx.exp(x)
    turned = gx.permute_dims(y, tuple(reversed(range(x.ndim))))
    columns = gx.constant(rng.standard_normal((x.shape[-1], 16)).astype(np.float32))
    product = gx.einsum("...c,cd->d...", y, columns)
    return {
        "values": y, "turned": turned * 2.0, "product": product,
        "columns": gx.sum(y, axis=0), "rows": gx.sum(y, axis=-1), "all": gx.sum(y),
        "turned columns": gx.sum(turned * turned, axis=0), "turned rows": gx.sum(turned, axis=-1),
        "all turned": gx.sum(turned * turned), "products": gx.sum(product, axis=0),
        "softmax": gx.sum(gx.square(e / gx.sum(e, axis=0) - y), axis=0),
        "variance": gx.var(y, axis=0), "spread": gx.var(y),
        "gradient": gx.grad(gx.sum(gx.square(y - gx.mean(y, axis=0))), x),
    }  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_what_else_is_asked_for_changes_no_bit(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    x = gx.input("x", shape)
    outputs, given = values(x, rng), rng.standard_normal(shape).astype(np.float32)
    together = gx.compile([x], outputs)(given)
    for name, output in outputs.items():
        alone = np.asarray(gx.compile([x], output)(given))
        assert alone.tobytes() == np.asarray(together[name]).tobytes(), name


def test_a_sum_inside_a_product_is_there_whoever_reads_the_product() -> None:
    x, y = (gx.input(n, (30, 8, 9), dtype="float32") for n in "xy")
    product = gx.einsum("tij,tkj->tik", x, y)
    total = gx.sum(product, axis=0)
    rng = np.random.default_rng(0)
    given = [rng.standard_normal((30, 8, 9)).astype(np.float32) for _ in "xy"]
    alone = gx.compile([x, y], total)(*given)
    np.testing.assert_array_equal(gx.compile([x, y], [total, product])(*given)[0], alone)


def order(y: Tensor, *inputs: Tensor) -> AxisOrder:
    """The order of the last sum."""
    graph = Graph(tuple(t.node for t in inputs), (("y", y.node),))
    return SumOrders(graph).of(y.node)


def test_lanes_follow_the_memory_that_is_read() -> None:
    x = gx.input("x", (100, 64))
    assert order(gx.sum(x, axis=1), x) == AxisOrder(False, False, False, inside=True, lane=1)
    assert order(gx.sum(x, axis=0), x) == AxisOrder(False, False, False, inside=False, lane=1)
    assert order(gx.sum(gx.exp(x.T), axis=0), x) == AxisOrder(False, False, False, True, lane=0)
    assert order(gx.max(x, axis=0), x).free
    assert order(gx.sum(gx.input("i", (4, 5), dtype="int32")), x).free


def test_chunks_are_one_axis_where_memory_is() -> None:
    x = gx.input("x", (300, 40, 50))
    scale, rows = gx.input("scale", (50,)), gx.input("rows", (300, 40, 1))
    assert order(gx.sum(x * scale - rows, axis=(0, 1)), x, scale, rows).joined
    assert not order(gx.sum(x[:, ::-1], axis=(0, 1)), x).joined
    assert order(gx.sum(x), x).joined
    assert not order(gx.sum(x * scale), x, scale).joined


def test_orders_that_one_kernel_has() -> None:
    along, beside, free = SumOrder(False, inside=True), SumOrder(False), SumOrder(True)
    chunks = SumOrder(False, chunked=True, joined=True, reduced=(0,))
    scattered = SumOrder(True, scattered=True)
    assert are_compatible([along, along, free, scattered])
    assert not are_compatible([along, beside])
    assert not are_compatible([chunks, free])
    assert not are_compatible([chunks, scattered])
    assert are_compatible([SumOrder(False, chunked=True, reduced=(0,)), scattered])
