"""The native entry, against numpy and against the path in Python."""

from __future__ import annotations

import array
import ctypes
import gc
import sys
import time
import weakref
from typing import Any

import numpy as np
import pytest

from graphc.errors import ArgumentError, DTypeError, RuntimeCheckError, ShapeError
from graphc.ir import types as t
from graphc_llvm.runtime.description import ResultStructure
from graphc_llvm.runtime.native import NativeFunction
from graphc_llvm.runtime.support import support
from tests.backends.llvm.runtime_parts import (
    copy_function,
    expected,
    mirror,
    mirror_variant,
)


def numbers(n: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).random(n, np.float32)


class Slow:
    """Counts what reaches the slow path, and answers."""

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def __call__(self, *args: Any, **named: Any) -> str:
        self.calls.append((args, named))
        return "slow"


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 1009])
def test_results(n: int, threads: int, native: bool) -> None:
    function, weights = mirror(n, threads, native=native)
    total = np.zeros(n, np.float32)
    for seed in range(4):
        x = numbers(n, seed)
        y, s = function.entry(x)
        want, want_sum = expected(x)
        total += want
        assert np.array_equal(y, want)
        assert type(s) is np.float32
        assert s == want_sum
        assert y.flags.owndata
    assert np.array_equal(weights, total)


@pytest.mark.parametrize("threads", [1, 2])
def test_entry_answers_alone(threads: int) -> None:
    slow = Slow()
    function, _ = mirror(5, threads, slow=slow)
    x = numbers(5)
    assert function.entry(x) == "slow"  # nothing has been activated
    function.activate()
    assert np.array_equal(function.entry(x)[0], expected(x)[0])
    assert len(slow.calls) == 1


def test_structures() -> None:
    x = numbers(3)
    y, s = expected(x)
    cases = {
        ResultStructure("tuple"): lambda r: isinstance(r, tuple) and r[1] == s,
        ResultStructure("list"): lambda r: isinstance(r, list) and r[1] == s,
        ResultStructure("dict", ("y", "total")): lambda r: (
            list(r) == ["y", "total"] and r["total"] == s
        ),
        ResultStructure("single"): lambda r: np.array_equal(r, y),
        ResultStructure("none"): lambda r: r is None,
        ResultStructure("custom", build=lambda r: {"deep": [r[1]]}): lambda r: r == {"deep": [s]},
    }
    for structure, right in cases.items():
        if structure.kind == "single":
            continue  # two outputs: see test_dtypes
        slow = Slow()
        function, _ = mirror(3, structure=structure, slow=slow)
        function.activate()
        assert right(function.entry(x)), structure
        assert right(function.run_in_python(x)), structure
        assert not slow.calls


def test_build_that_raises() -> None:
    def build(_: Any) -> Any:
        raise KeyError("built")

    function, weights = mirror(3, structure=ResultStructure("custom", build=build))
    function.activate()
    for _ in range(3):
        with pytest.raises(KeyError, match="built"):
            function.entry(numbers(3))
    assert weights.any()  # the step itself was done


@pytest.mark.parametrize("dtype", t.ALL_DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (3, 0), (2, 1, 2, 1, 2)], ids=str)
def test_dtypes(dtype: t.DType, shape: tuple[int, ...]) -> None:
    slow = Slow()
    function = copy_function(dtype, shape, slow=slow)
    function.activate()
    x = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype.numpy)
    fast = function.entry(x)
    if dtype == t.bfloat16:
        assert fast == "slow"  # the buffer protocol has no letter for it
    else:
        assert not slow.calls
        assert fast.dtype == dtype.numpy
        assert fast.shape == shape
        assert np.array_equal(fast, x)
    again = function.run_in_python(x)
    assert again.dtype == dtype.numpy
    assert np.array_equal(again, x)
    assert isinstance(again, np.generic) == (shape == ())


def test_every_other_dtype_is_refused() -> None:
    for dtype in t.ALL_DTYPES:
        slow = Slow()
        function = copy_function(dtype, (4,), slow=slow)
        function.activate()
        for other in t.ALL_DTYPES:
            if other != dtype:
                function.entry(np.zeros(4, other.numpy))
        assert len(slow.calls) == len(t.ALL_DTYPES) - 1


class Lying:
    """An object whose buffer cannot be had."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray[Any, Any]:
        return np.zeros(4, np.float32)


def unusual() -> dict[str, Any]:
    misaligned = np.zeros(17, np.uint8)[1:].view(np.float32)
    assert misaligned.ctypes.data % 4
    return {
        "list": [0.0] * 4,
        "none": None,
        "number": 1.5,
        "text": "abcd",
        "bytes": b"0123456789abcdef",
        "strided": np.zeros(8, np.float32)[::2],
        "reversed": np.zeros(4, np.float32)[::-1],
        "misaligned": misaligned,
        "swapped": np.zeros(4, ">f4"),
        "wide": np.zeros(4, np.float64),
        "short": np.zeros(3, np.float32),
        "flat": np.zeros((4, 1), np.float32),
        "scalar": np.float32(1),
        "complex": np.zeros(4, np.complex64),
        "record": np.zeros(4, [("a", np.float32)]),
        "objects": np.array([None] * 4),
        "dates": np.zeros(4, "M8[s]"),
        "own": Lying(),
        "memory": memoryview(np.zeros(5, np.float32)),
    }


@pytest.mark.parametrize("name", unusual())
def test_unusual_arguments_take_the_slow_path_unchanged(name: str) -> None:
    slow = Slow()
    function, weights = mirror(4, slow=slow)
    function.activate()
    value = unusual()[name]
    before = sys.getrefcount(value)
    for _ in range(50):
        assert function.entry(value) == "slow"
    assert all(args[0] is value and not named for args, named in slow.calls)
    slow.calls.clear()
    assert value is None or sys.getrefcount(value) == before  # others use None
    assert not weights.any()
    if isinstance(value, np.ndarray) and value.flags.owndata and value.dtype != object:
        value.resize(0, refcheck=False)  # impossible while somebody holds a buffer


def test_other_exporters_are_taken_as_they_are() -> None:
    slow = Slow()
    function, _ = mirror(4, slow=slow)
    function.activate()
    x = numbers(4)
    for value in (memoryview(x), array.array("f", x.tolist()), (ctypes.c_float * 4)(*x)):
        assert np.array_equal(function.entry(value)[0], expected(x)[0])
        assert np.array_equal(function.run_in_python(value)[0], expected(x)[0])
    frozen = x.copy()
    frozen.flags.writeable = False
    assert np.array_equal(function.entry(frozen)[0], expected(x)[0])
    assert not slow.calls


def test_counts_and_names() -> None:
    slow = Slow()
    function, _ = mirror(4, slow=slow)
    function.activate()
    x = numbers(4)
    assert np.array_equal(function.entry(x=x)[0], expected(x)[0])
    assert not slow.calls
    for args, named in (((), {}), ((x, x), {}), ((), {"z": x}), ((x,), {"x": x})):
        assert function.entry(*args, **named) == "slow"
        assert slow.calls[-1] == (args, named)


def test_errors_of_the_slow_path() -> None:
    function, weights = mirror(4)
    x = numbers(4)
    with pytest.raises(DTypeError, match=r"x: is <f8, has to be float32"):
        function.entry(x.astype(np.float64))
    with pytest.raises(ShapeError, match=r"x: has shape \(3,\), has to be \(4,\)"):
        function.entry(x[:3])
    with pytest.raises(ArgumentError, match="takes 1 arrays, got 2"):
        function.entry(x, x)
    with pytest.raises(ArgumentError, match="missing x"):
        function.entry()
    with pytest.raises(ArgumentError, match="'z' is not one of"):
        function.entry(z=x)
    with pytest.raises(ArgumentError, match="'x' is given twice"):
        function.entry(x, x=x)
    assert not weights.any()
    assert np.array_equal(function.entry(np.repeat(x, 2)[::2])[0], expected(x)[0])


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize("threads", [1, 2])
def test_failure_updates_nothing(threads: int, native: bool) -> None:
    random = np.array([1, 2, 0xFFFFFFFE, 3], np.uint32)
    version = np.zeros(1, np.int64)
    function, weights = mirror(5, threads, native=native, random=(8, random), bumps=(version,))
    bad = numbers(5)
    bad[0] = -1
    for _ in range(3):
        with pytest.raises(RuntimeCheckError, match="check 7"):
            function.entry(bad)
    assert not weights.any()
    assert random.tolist() == [1, 2, 0xFFFFFFFE, 3]
    assert version[0] == 0
    for _ in range(3):
        function.entry(numbers(5))
    assert random.tolist() == [1, 2, 1, 4]  # the carry of the 64-bit step
    assert version[0] == 3


@pytest.mark.parametrize("threads", [1, 2])
def test_watched_number(threads: int) -> None:
    watched = np.zeros(1, np.int64)
    slow = Slow()
    function, _ = mirror(3, threads, slow=slow, watches=(watched,))
    function.activate()
    variant = function.variants[0]
    x = numbers(3)
    assert function.entry(x) != "slow"
    watched[0] = 5
    assert variant.stale
    assert function.entry(x) == "slow"
    variant.mark_fresh()
    assert function.entry(x) != "slow"


def test_variants_are_tried_in_order() -> None:
    slow = Slow()
    weights = {n: np.zeros(n, np.float32) for n in (3, 5, 8)}
    function = NativeFunction("mirror", slow=slow)
    for n, storage in weights.items():
        function.bind(mirror_variant(n, storage))
        function.activate()
    for n in (3, 8, 5, 3):
        x = numbers(n)
        assert np.array_equal(function.entry(x)[0], expected(x)[0])
    assert not slow.calls
    assert function.entry(numbers(4)) == "slow"
    assert [v.description.sizes[0] for v in function.variants] == [8, 5, 3]
    function.rebind(function.variants[:1])
    function.activate()
    assert function.entry(numbers(3)) == "slow"


def test_memory_that_cannot_be_had() -> None:
    function, _ = mirror(4)
    body = function.variants[0].description
    object.__setattr__(body, "arena_bytes", 10**16)
    with pytest.raises(MemoryError, match=r"mirror: the arena needs 10000000\.000 GB"):
        function.entry(numbers(4))


def test_references_are_exact() -> None:
    function, _ = mirror(64, structure=ResultStructure("dict", ("y", "total")))
    function.activate()
    x, slow_argument = numbers(64), [1.0]
    y, s = "y", "total"
    watched = (x, slow_argument, y, s, function.entry, function.variants[0], None)
    gc.collect()
    before = [sys.getrefcount(o) for o in watched]
    for _ in range(1000):
        result = function.entry(x)
        held = sys.getrefcount(result["y"])
        assert held == 2  # the dict's and the call's
        with pytest.raises(DTypeError):
            function.entry(slow_argument)
    del result
    gc.collect()
    after = [sys.getrefcount(o) for o in watched]
    assert after[:-1] == before[:-1]
    assert abs(after[-1] - before[-1]) < 100  # None: others use it too


def resident_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("threads", [1, 2])
def test_nothing_leaks(threads: int) -> None:
    function, _ = mirror(16, threads, seconds=1e-6)
    function.activate()
    x, bad, failing = numbers(16), numbers(15), -numbers(16)
    entry = function.entry

    def rounds(count: int) -> None:
        for i in range(count):
            entry(x)
            if i % 16 == 0:
                for wrong in (bad, failing, None):
                    try:
                        entry(wrong)
                    except ValueError:
                        pass
                    except TypeError:
                        pass

    rounds(2000)
    gc.collect()
    before, blocks = resident_bytes(), sys.getallocatedblocks()
    rounds(100_000 if threads == 1 else 10_000)
    gc.collect()
    assert sys.getallocatedblocks() - blocks < 200
    assert resident_bytes() - before < 2_000_000


def test_entry_outlives_its_function() -> None:
    function, _ = mirror(4)
    function.activate()
    entry = function.entry
    reference = weakref.ref(function)
    del function
    assert reference() is None  # at once: no cycle
    x = numbers(4)
    assert np.array_equal(entry(x)[0], expected(x)[0])
    with pytest.raises(ReferenceError, match="gone"):
        entry(None)


def test_functions_are_freed_without_the_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        function, _ = mirror(4)
        function.entry(numbers(4))
        variant = weakref.ref(function.variants[0])
        del function
        assert variant() is None
    finally:
        gc.enable()


def test_python_path_is_selectable() -> None:
    assert support() is not None
    function, _ = mirror(4, native=False)
    assert not function.is_native
    assert not isinstance(function.entry, type(len))


def test_overhead() -> None:
    """A step on one thread: well under a microsecond (bounded loosely: the machine is shared)."""
    function = copy_function(t.float32, ())
    function.activate()
    x = np.zeros((), np.float32)
    entry, best = function.entry, 1.0
    for _ in range(20):
        begin = time.perf_counter()
        for _ in range(1000):
            entry(x)
        best = min(best, (time.perf_counter() - begin) / 1000)
    assert best < 1e-6
