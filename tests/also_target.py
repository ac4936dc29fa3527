"""Run the calls of the tests on a second target, too: `pytest --also-target cuda-simulate`.

Every call of a function for the CPU is made again by the same graph on the other target, from the
same parameters and random state: outputs and updates must agree, bit for bit but for contractions
in 16 bits, and a call that raises must raise the same error there. What is left out is counted, by
its reason, at the end. Calls go through Python meanwhile, so that the few tests of the native entry
itself say nothing here.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import pytest

from graphc.errors import GraphcError
from graphc.inspect.cost import total
from graphc.ir.compare import compare
from graphc.ir.types import Array
from graphc.runtime.function import CompiledFunction

MOST_FLOPS, MOST_BYTES = 3e6, 3e6  # of a call: what the simulator does in about a second
MOST_CALLS = 2  # of one function with the same sizes
MOST_KERNELS = 120

Result = tuple[list[Array], GraphcError | None, dict[str, Array]]


@dataclass
class Shadow:
    """A function on the other target, and what has been tried."""

    function: CompiledFunction
    tried: Counter[tuple[tuple[str, int], ...]]


class AlsoTarget:
    """The plugin: replaces what a call of a compiled function goes through."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._shadows: WeakKeyDictionary[CompiledFunction, Shadow] = WeakKeyDictionary()
        self._busy = False
        self._lock = threading.RLock()  # parameters are put back between the calls
        self._run, self._enter = CompiledFunction.run, CompiledFunction._enter_natively

    def install(self) -> None:
        """Let every call come here."""
        plugin = self

        def run(self: CompiledFunction, arrays: Any, dims: Any) -> list[Array]:
            with plugin._lock:
                if self.target != "cpu" or plugin._busy:
                    return plugin._run(self, arrays, dims)
                return plugin.run(self, arrays, dims)

        def enter(self: CompiledFunction) -> None:
            if self.target != "cpu":
                plugin._enter(self)

        CompiledFunction.run = run  # type: ignore[method-assign]
        CompiledFunction._enter_natively = enter  # type: ignore[method-assign]

    def run(self, function: CompiledFunction, arrays: Any, dims: Mapping[str, int]) -> list[Array]:
        """A call on the CPU, and perhaps the same one on the other target."""
        shadow = self._shadow(function, dims)
        if shadow is None:
            return self._run(function, arrays, dims)
        before, random = values(function), function.rng.copy()
        given = [np.array(a, order="C") for a in arrays]
        expected = self._result(function, arrays, dims)
        self._busy = True
        try:
            put(function, before)
            shadow.rng[:] = random
            found = self._result(shadow, given, dims)
        except Exception as error:
            self._fault(function, dims, f"{type(error).__name__}: {error}")
        else:
            self._compare(function, dims, found, expected)
        finally:
            put(function, expected[2])
            self._busy = False
        if expected[1] is not None:
            raise expected[1]
        return expected[0]

    def _shadow(
        self, function: CompiledFunction, dims: Mapping[str, int]
    ) -> CompiledFunction | None:
        """The function on the other target; None with a count where the call is left out."""
        if function not in self._shadows:
            options = replace(function.options, target=self.target, threads=None)
            other = CompiledFunction(function._definition, options)
            self._shadows[function] = Shadow(other, Counter())
        shadow = self._shadows[function]
        key = tuple(sorted(dims.items()))
        shadow.tried[key] += 1
        reason = "repeated" if shadow.tried[key] > MOST_CALLS else too_large(function, dims)
        self.counts[reason or "compared"] += 1
        return None if reason else shadow.function

    def _result(self, function: CompiledFunction, arrays: Any, dims: Mapping[str, int]) -> Result:
        """Outputs or the error, and the parameters afterwards."""
        try:
            outputs = self._run(function, arrays, dims)
        except GraphcError as error:
            return [], error, values(function)
        return outputs, None, values(function)

    def _compare(
        self, function: CompiledFunction, dims: Mapping[str, int], found: Result, expected: Result
    ) -> None:
        kinds = type(found[1]), type(expected[1])
        if kinds[0] is not kinds[1]:
            self._fault(function, dims, f"{found[1]!r} in place of {expected[1]!r}")
            return
        if found[1] is not None and found[1].message != expected[1].message:  # type: ignore[union-attr]
            self._fault(function, dims, f"{found[1].message!r} in place of {expected[1]}")
        pairs = [(f"output {i}", *p) for i, p in enumerate(zip(found[0], expected[0]))]
        pairs += [(name, found[2][name], value) for name, value in expected[2].items()]
        for name, actual, wanted in pairs:
            if same(actual, wanted):
                continue
            self.counts["other bits"] += 1
            wrong = compare(actual, wanted)
            if wrong is not None or not has_halves(function):
                self._fault(function, dims, f"{name}: {wrong or 'other bits'}")

    def _fault(self, function: CompiledFunction, dims: Mapping[str, int], text: str) -> None:
        self.faults.append(f"{self.target}: {function.name} {dict(dims)}: {text}")

    @pytest.fixture(autouse=True)
    def agrees_on_the_other_target(self) -> Iterator[None]:
        """Fail a test whose calls disagree."""
        self.faults.clear()
        yield
        if self.faults:
            pytest.fail("\n".join(self.faults), pytrace=False)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what was compared, and what was not."""
        text = ", ".join(f"{n} {word}" for word, n in sorted(self.counts.items()))
        terminalreporter.write_line(f"calls on {self.target}: {text or 'none'}")


def too_large(function: CompiledFunction, dims: Mapping[str, int]) -> str:
    """Why a call is left out, or nothing."""
    schedule = function.program.schedule
    if len(schedule.calls) > MOST_KERNELS:
        return "with many kernels"
    cost = total(schedule, dims)
    return "too large" if cost.flops > MOST_FLOPS or cost.bytes > MOST_BYTES else ""


def values(function: CompiledFunction) -> dict[str, Array]:
    """What the parameters hold."""
    return {name: p.value for name, p in function.parameters.items()}


def put(function: CompiledFunction, values: Mapping[str, Array]) -> None:
    """Set the parameters, but for those that have their value."""
    for name, parameter in function.parameters.items():
        if parameter.value.tobytes() != values[name].tobytes():
            parameter.value = values[name]


def same(actual: Array, expected: Array) -> bool:
    """Whether bits agree; one NaN is like another."""
    if actual.shape != expected.shape or actual.dtype != expected.dtype:
        return False
    if actual.tobytes() == expected.tobytes():
        return True
    numbers = actual == expected
    if actual.dtype.kind in "fV":
        both = np.isnan(actual.astype(np.float64)) & np.isnan(expected.astype(np.float64))
        numbers = (numbers & (np.signbit(actual) == np.signbit(expected))) | both
    return bool(np.all(numbers))


def has_halves(function: CompiledFunction) -> bool:
    """Whether sums may have another order: tensor cores add in theirs."""
    types = {n.type.dtype.name for n in function.graph.nodes}
    return bool(types & {"float16", "bfloat16"}) or function.options.precision.name != "fp32"
