"""Kernels whose stages contain contractions, by one block: bits, barriers, machine code."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest

import graphc as gx
from graphc.ir.loops.ir import Kernel
from graphc_cuda.assemble import KernelResources, assemble
from graphc_cuda.contract import find, shape
from graphc_cuda.contract.shape import MatrixTile, Tile
from graphc_cuda.cuda_tools import find_tool
from graphc_cuda.device.program import Program
from graphc_cuda.lower import stages
from graphc_cuda.lower.kernel import lower_kernel
from graphc_cuda.lower.launches import LoweredLaunch
from graphc_cuda.lower.scalars import Functions
from graphc_cuda.print_numba import numba_text
from tests.backends.cuda.all_kernels import ROUTES
from tests.backends.cuda.executors import executors
from tests.backends.cuda.kernel_runs import check_kernel
from tests.backends.cuda.stage_kernels import attention, two_layers
from tests.backends.cuda.stepwise import Stepwise, has_matrices

FEW = 64  # threads: the simulator takes its time
SMALL = Tile(16, 16, 8, 2, 2)
MATRIX = MatrixTile(32, 32, 16, 16, 32, 2)
needs_assembler = pytest.mark.skipif(find_tool("ptxas") is None, reason="ptxas is not installed")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few threads, and no size that is too small."""
    monkeypatch.setattr(shape, "TILES", (SMALL,))
    monkeypatch.setattr(shape, "STAGE_MATRIX_TILES", (MATRIX,))
    monkeypatch.setattr(stages, "STAGE_THREADS", FEW)
    monkeypatch.setattr("graphc_cuda.lower.mapping.STAGE_THREADS", FEW)
    monkeypatch.setattr(stages, "MIN_PRODUCTS", 0)
    monkeypatch.setattr(find, "MIN_MATRIX_SIZE", 0)


def check(kernel: Kernel, executor: str = "vector", tiles: int = 2) -> LoweredLaunch:
    """Run a kernel beside the interpreter; its only launch."""
    (launch,) = check_kernel(kernel, {}, executor=executor)
    assert launch.segment.stages is not None
    assert len(launch.segment.stages.tiles) == tiles
    return launch


@pytest.mark.usefixtures("small")
@executors
@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal: bool, executor: str) -> None:
    """Ragged blocks at both ends; a causal one leaves out blocks of keys."""
    launch = check(attention(20, 21, 5, causal, batch=2, block=16), executor)
    assert launch.grid == 4
    assert not has_matrices(launch.kernel)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("rows", [16, 10])
def test_sizes_that_fit_and_rows_of_one_thread(rows: int) -> None:
    check(attention(rows, 32, 8, block=16, lanes=False))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("size", [1, 3])
def test_small_heads(size: int) -> None:
    """A product of few columns or steps is no tile."""
    (launch,) = check_kernel(attention(18, 20, size, block=16), {})
    assert launch.segment.stages is None


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["bf16", "fp16", "tf32"])
def test_rounded_operands(kind: str) -> None:
    """Scores beyond the last key hold no numbers, which 0 would not hide."""
    launch = check(attention(18, 20, 8, True, kind, block=16))
    assert has_matrices(launch.kernel)


@pytest.mark.usefixtures("small")
@executors
def test_two_layers(executor: str) -> None:
    check(two_layers(18, 9, 20, block=16), executor)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("causal", [pytest.param(False, marks=pytest.mark.slow), True])
def test_attention_of_a_graph_and_its_gradient(causal: bool) -> None:
    """All of its products are stages: two, three and four."""
    inputs = [gx.input(name, (1, length, 5)) for name, length in (("q", 35), ("k", 34), ("v", 34))]
    attend = gx.nn.scaled_dot_product_attention
    y = attend(*inputs, is_causal=causal, store_weights=False)
    outputs = [y, *gx.grad((y * y).sum(), inputs)]
    compiled = gx.compile(inputs, outputs, target="cuda-simulate")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(1, length, 5)).astype(np.float32) for length in (35, 34, 34)]
    steps = Stepwise(compiled.program, {})
    steps.bind(arrays)
    steps.run()
    forms = [k.form for k in steps.plan.program.kernels if "in tiles of" in k.form]
    assert sorted(form.count("a thread") for form in forms) == [2, 3, 4]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["", "bf16", "tf32"])
@pytest.mark.parametrize("size", [64, 80, 128])
def test_blocks_as_they_are(size: int, kind: str) -> None:
    """One whole block and a ragged one each way; the interpreter takes minutes for all."""
    check(attention(33, 34, size, True, kind, block=32))


@pytest.mark.usefixtures("small")
def test_barriers_stand_where_they_are_due() -> None:
    """In front of what other threads made; around each tile of steps and each row of results."""
    functions = Functions()
    (launch,) = lower_kernel(attention(32, 32, 8, block=16), {}, functions, "k")
    text = numba_text(Program("k", functions.listed(), (launch.kernel,)))
    assert len(re.findall(r"cuda\.syncthreads\(\)", text)) == 9


# ------------------------------------------------------------------ machine code


def assembled(kernel: Kernel, route: str, capability: tuple[int, int]) -> KernelResources:
    """What the machine code of the only launch takes."""
    functions = Functions()
    (launch,) = lower_kernel(kernel, {}, functions, "k")
    program = Program("stages", functions.listed(), (launch.kernel,))
    made = assemble(ROUTES[route](program, capability), capability)
    (facts,) = made.kernels.values()
    return facts


MOST_SPILLED = 64  # bytes of a thread: what the assembler puts aside around the loop of the steps
large = partial(attention, 1024, 1024, batch=16)


@needs_assembler
@pytest.mark.parametrize("route", [pytest.param(r, marks=[pytest.mark.slow] * (r == "numba"))
                                   for r in ROUTES])  # fmt: skip
@pytest.mark.parametrize("kind", ["", "bf16"])
def test_machine_code(kind: str, route: str) -> None:
    facts = assembled(large(64, causal=True, kind=kind), route, (9, 0))
    assert facts.spill_stores + facts.spill_loads <= MOST_SPILLED
    assert facts.registers <= 168
