"""The simulator runs kernels like numpy, in both executors."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from graphc.errors import ArgumentError, BackendError, FormatError, UnsupportedError
from graphc.testing import assert_close
from graphc_cuda.simulate import simulate
from tests.backends.cuda import device_texts as texts
from tests.backends.cuda.executors import HAS_GREENLET, executors

RNG = np.random.default_rng(5)


def close(found: Any, wanted: Any) -> None:
    assert_close(found, wanted, "float32", tolerance="sums")


@executors
def test_tiled_product(executor: str) -> None:
    a, b = RNG.standard_normal((32, 32)), RNG.standard_normal((32, 48))
    a, b, c = a.astype("f4"), b.astype("f4"), np.zeros(32 * 48, "f4")
    simulate(texts.MATMUL, "matmul", 6, 256, [a.ravel(), b.ravel(), c], executor=executor)
    exact = np.float64(a) @ np.float64(b)
    close(c.reshape(32, 48), np.maximum(exact, 0))


@executors
@pytest.mark.parametrize("seed", [0, 3])
def test_block_reduction(executor: str, seed: int) -> None:
    x, total = RNG.standard_normal(3000).astype("f4"), np.zeros(3, "f4")
    simulate(texts.REDUCE, "reduce", 3, 128, [x, total], seed=seed, executor=executor)
    close(total, x.reshape(3, 1000).astype("f8").sum(1))


@executors
def test_running_sums(executor: str) -> None:
    x, y = RNG.integers(-(2**31), 2**31, 512).astype("i4"), np.zeros(512, "i4")
    simulate(texts.SCAN, "scan", 2, 256, [x, y], executor=executor)
    assert np.array_equal(y.reshape(2, 256), np.cumsum(x.reshape(2, 256), 1, "i4"))


NEGATIVE_ZERO = """
from graphc_cuda.language import cuda, f32

@cuda.jit
def zero(x, y):
    thread = cuda.threadIdx.x
    kept = f32(0.0)
    if thread == 0:
        product = f32(1.0)
        for i in range(0, 2, 1):
            product = product * x[i]
        kept = product
    y[thread] = kept
"""


@executors
def test_a_negative_zero_is_not_the_one_before(executor: str) -> None:
    x, y = np.array([-1.0, 0.0], "f4"), np.ones(32, "f4")
    simulate(NEGATIVE_ZERO, "zero", 1, 32, [x, y], executor=executor)
    assert np.signbit(y).tolist() == [True] + [False] * 31


@executors
def test_transpose(executor: str) -> None:
    x, y = RNG.standard_normal((50, 70)).astype("f4"), np.zeros(3500, "f4")
    simulate(texts.TRANSPOSE, "transpose", 6, 256, [x.ravel(), y], executor=executor)
    assert np.array_equal(y.reshape(70, 50), x.T)


@executors
def test_warp_barriers_of_half_warps(executor: str) -> None:
    x, y = RNG.standard_normal(64).astype("f4"), np.zeros(64, "f4")
    simulate(texts.HALF_WARPS, "half_warps", 1, 64, [x, y], executor=executor)
    close(y, np.repeat(x.reshape(4, 16).astype("f8").sum(1), 16))


@executors
def test_asynchronous_copies(executor: str) -> None:
    x, y = RNG.standard_normal(1024).astype("f4"), np.zeros(64, "f4")
    simulate(texts.PIPELINE, "pipeline", 1, 64, [x, y], executor=executor)
    close(y, x.reshape(4, 256)[:, ::-1][:, :64].astype("f8").sum(0))


def control_by_hand(x: Any, count: int) -> Any:
    result = np.zeros(192, "f4")
    one, half = np.float32(1), np.float32(0.5)
    for i in range(count):
        acc, held = half, [np.float32(j) for j in range(4)]
        for k in range(i % 7):
            acc = acc + (x[i - k] if i - k > 3 else one)
            held[k % 4] = acc
        m = i
        while m > 50:
            m = m - 37
            if m % 2 == 0:
                acc = acc - np.float32(m)
            elif m % 3 == 0:
                acc = acc * half
            else:
                held[m % 4] = held[m % 4] + one
        result[i] = acc + held[i % 4]
    return result


@executors
@pytest.mark.parametrize("count", [0, 64, 150])
def test_every_thread_goes_its_own_way(executor: str, count: int) -> None:
    x, y = RNG.standard_normal(192).astype("f4"), np.zeros(192, "f4")
    arguments = [x, np.array([count], "i4"), y]
    simulate(texts.CONTROL, "control", 3, 64, arguments, executor=executor)
    assert np.array_equal(y, control_by_hand(x, count))


@executors
def test_vectors_and_atomics(executor: str) -> None:
    x, y, status = RNG.random(256).astype("f4"), np.zeros(256, "f4"), np.full(1, 2**32 - 1, "u4")
    simulate(texts.VECTORS, "vectors", 2, 32, [x, y, status], executor=executor)
    assert np.array_equal(y.reshape(64, 4), x.reshape(64, 4)[:, ::-1])
    assert status[0] == 4 * np.argmax(x.reshape(64, 4)[:, 0] > 0.5)


@executors
def test_memory_may_be_shared_between_arguments(executor: str) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def twice(x, y):\n"
        "    i = cuda.blockIdx.x * 32 + cuda.threadIdx.x\n"
        "    y[i] = x[i] + x[i]\n"
    )
    x = np.arange(64, dtype="f4")
    simulate(text, "twice", 2, 32, [x, x], executor=executor)
    assert np.array_equal(x, 2 * np.arange(64))


def test_threads_need_greenlet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "greenlet", None)
    with pytest.raises(BackendError, match="needs greenlet") as caught:
        simulate(texts.SCAN, "scan", 1, 256, [np.zeros(256, "i4")] * 2, executor="threads")
    assert "[cuda]" in str(caught.value)


@pytest.mark.skipif(not HAS_GREENLET, reason="greenlet is not installed")
def test_a_print_in_a_thread_works(capsys: pytest.CaptureFixture[str]) -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def talk(x):\n"
        "    thread = cuda.threadIdx.x\n"
        "    cuda.syncthreads()\n"
        "    if thread == 5:\n"
        "        print('five', x[thread])\n"
    )
    simulate(text, "talk", 1, 32, [np.arange(32)], executor="threads")
    assert capsys.readouterr().out == "five 5\n"


def test_many_blocks_run_in_chunks() -> None:
    text = texts.HEAD + (
        "@cuda.jit\n"
        "def fill(x):\n"
        "    for i in range(cuda.blockIdx.x * 64 + cuda.threadIdx.x, 40000, cuda.gridDim.x * 64):\n"
        "        x[i] = i\n"
    )
    for grid in (1, 600, 900):
        x = np.zeros(40_000, "i8")
        simulate(text, "fill", grid, 64, [x], seed=grid)
        assert np.array_equal(x, np.arange(40_000))


def test_wrong_calls_say_what_is_wanted() -> None:
    with pytest.raises(ArgumentError, match="no kernel 'gone' in the text"):
        simulate(texts.SCAN, "gone", 1, 32, [])
    with pytest.raises(ArgumentError, match=r"scan takes 2 arrays \(x, y\), not 1"):
        simulate(texts.SCAN, "scan", 1, 32, [np.zeros(3)])
    with pytest.raises(ArgumentError, match="no executor 'gpu'"):
        simulate(texts.SCAN, "scan", 1, 32, [np.zeros(3)] * 2, executor="gpu")
    with pytest.raises(FormatError, match="not a text of kernels"):
        simulate("def (", "scan", 1, 32, [])
    strange = texts.HEAD + "@cuda.jit\ndef k(x):\n    with x:\n        pass\n"
    with pytest.raises(UnsupportedError, match="does not know the statement 'with x:'"):
        simulate(strange, "k", 1, 32, [np.zeros(3)])
