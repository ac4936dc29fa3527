"""Neighbours that one thread takes: the bits of the loop interpreter, and vector accesses."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import graphc as gx
from graphc.ir.loops.ir import Kernel
from graphc_cuda.assemble import assemble
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Intrinsic, Program, walk
from graphc_cuda.lower import mapping, vectors
from graphc_cuda.lower.kernel import lower_kernel
from graphc_cuda.lower.mapping import map_kernel
from graphc_cuda.lower.scalars import Functions
from graphc_cuda.ptx import ptx_of
from tests.backends.cuda.executors import executors
from tests.backends.cuda.kernel_runs import check_kernel


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few points are worth being taken together."""
    monkeypatch.setattr(mapping, "SMALL", 0)
    monkeypatch.setattr(vectors, "MIN_POINTS", 1)


def kernel_of(make: Callable[..., gx.Tensor], *types: tuple[tuple[int, ...], str]) -> Kernel:
    """The one kernel of a function."""
    inputs = [gx.input(f"x{i}", shape, dtype=dtype) for i, (shape, dtype) in enumerate(types)]
    (kernel,) = gx.compile(inputs, [make(*inputs)], target="cuda-simulate").program.schedule.kernels
    return kernel


def width(kernel: Kernel) -> int:
    """How many neighbours a thread takes; the bits are compared."""
    check_kernel(kernel, {})
    (segment,) = map_kernel(kernel, {})
    return segment.width


@pytest.mark.parametrize(
    ("dtype", "wanted"),
    [("float32", 4), ("float64", 2), ("bfloat16", 8), ("float16", 8), ("int32", 4), ("int64", 2)],
)
def test_dtypes(small: None, dtype: str, wanted: int) -> None:
    kernel = kernel_of(lambda x, y: x * y + x, ((3, 8), dtype), ((3, 8), dtype))
    assert width(kernel) == wanted


@pytest.mark.parametrize(("columns", "wanted"), [(1, 1), (2, 2), (6, 2), (7, 1), (12, 4), (0, 4)])
def test_rows_that_neighbours_do_not_divide(small: None, columns: int, wanted: int) -> None:
    row = ((3, columns), "float32")
    found = width(kernel_of(lambda x, b: gx.exp(x) * b, row, ((3, 1), "float32")))
    assert found == wanted or columns == 0


def test_bools_and_what_rows_have_in_common(small: None) -> None:
    kernel = kernel_of(
        lambda x, b, m: gx.where(m, b + x, x * b),
        ((5, 8), "float32"), ((5, 1), "float32"), ((5, 8), "bool"),
    )  # fmt: skip
    assert width(kernel) == 4
    assert width(kernel_of(lambda x, y: x < y, *[((5, 8), "float32")] * 2)) == 4


def test_rows_of_a_table_are_read_together(small: None) -> None:
    take = kernel_of(lambda x, i: gx.take(x, i, axis=0) * 2, ((9, 8), "float32"), ((6,), "int32"))
    assert width(take) == 4


def test_what_is_shifted_or_turned_is_read_alone(small: None) -> None:
    assert width(kernel_of(lambda x: x[:, 1:9] + 1, ((3, 12), "float32"))) == 1
    assert width(kernel_of(lambda x: gx.permute_dims(x, (1, 0)) + 1, ((8, 8), "float32"))) == 1
    assert width(kernel_of(lambda x: x[:, 4:8] + 1, ((3, 12), "float32"))) == 4


def test_few_points_have_a_thread_each() -> None:
    few, many = (kernel_of(lambda x: x + 1, ((n, 64), "float32")) for n in (64, 1 << 13))
    assert [str(s) for s in map_kernel(few, {})] == ["element: 4096 points"]
    assert [str(s) for s in map_kernel(many, {})] == ["element: 524288 points, 4 a thread"]
    some, more = (kernel_of(lambda x: x + 1, ((n, 64), "bfloat16")) for n in (1 << 13, 1 << 14))
    assert [str(s) for s in map_kernel(some, {})] == ["element: 524288 points, 4 a thread"]
    assert [str(s) for s in map_kernel(more, {})] == ["element: 1048576 points, 8 a thread"]


@executors
@pytest.mark.parametrize("dtype", ["bfloat16", "uint8", "bool"])
def test_eight_narrow_elements(small: None, executor: str, dtype: str) -> None:
    kernel = kernel_of(lambda x, y: gx.where(x == y, x, y), *[((5, 16), dtype)] * 2)
    check_kernel(kernel, {}, executor=executor, seed=1)
    assert width(kernel) == 8


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_machine_code_moves_sixteen_bytes(dtype: str) -> None:
    kernel = kernel_of(lambda x, y: x * y, *[((1 << 14, 64), dtype)] * 2)
    functions = Functions()
    (launch,) = lower_kernel(kernel, {}, functions, "k")
    used = [s.function for s in walk(launch.kernel.body) if isinstance(s, Intrinsic)]
    assert used == ["load_vector", "load_vector", "store_vector"]
    ptx = ptx_of(Program("p", functions.listed(), (launch.kernel,)), (9, 0))
    assert ptx.count("ld.global.nc.v4.") + ptx.count("ld.global.v4.") == 2
    assert ptx.count("st.global.v4.") == 1
    if find_tool("ptxas") is not None:
        (resources,) = assemble(ptx, (9, 0)).kernels.values()
        assert resources.spill_stores == 0
        assert resources.registers <= 32


def test_sizes_that_are_known_late(small: None) -> None:
    n, m = gx.dim("n"), gx.dim("m")
    x = gx.input("x", (n, m))
    step = gx.compile([x], [x * 2 + 1], target="cuda-simulate")
    (kernel,) = step.program.schedule.kernels
    for columns, wanted in ((8, 4), (6, 2), (5, 1)):
        sizes = {"n": 3, "m": columns}
        check_kernel(kernel, sizes)
        (segment,) = map_kernel(kernel, sizes)
        assert segment.width == wanted
