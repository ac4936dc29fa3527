"""The plugin that makes every call on a second target, too, sees what differs there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import RuntimeCheckError
from graphc.runtime.function import CompiledFunction
from tests.also_target import AlsoTarget

SIMULATED = "cuda-simulate"


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> AlsoTarget:
    """The plugin, for one test."""
    for name in ("run", "_enter_natively"):
        monkeypatch.setattr(CompiledFunction, name, getattr(CompiledFunction, name))
    made = AlsoTarget(SIMULATED)
    made.install()
    return made


def counting(name: str) -> tuple[Any, Any]:
    x = gx.input("x", (3,))
    w = gx.parameter(name, (), init=gx.init.zeros())
    checked = gx.check(x, x > 0, "x must be positive")
    return gx.compile([x], (checked * (w + 1)).sum(), {w: w + x.sum()}), w


def test_calls_that_agree_are_made_once_for_the_caller(plugin: AlsoTarget) -> None:
    step, w = counting("also_w")
    given = np.ones(3, "float32")
    assert [float(step(given)) for _ in range(3)] == [3, 12, 21]
    assert float(w.value) == 9
    with pytest.raises(RuntimeCheckError, match="positive"):
        step(-given)
    assert float(w.value) == 9
    assert plugin.counts == {"compared": 2, "repeated": 2}
    assert not plugin.faults


@pytest.mark.parametrize("which", ["output", "update", "error"])
def test_what_differs_is_a_fault(plugin: AlsoTarget, which: str) -> None:
    step, w = counting(f"also_{which}")
    run = plugin._run

    def wrong(function: CompiledFunction, arrays: Any, dims: Any) -> Any:
        outputs = run(function, arrays, dims)
        if function.target == SIMULATED:
            if which == "error":
                raise RuntimeCheckError("made up")
            if which == "update":
                w.value = np.nextafter(w.value, np.float32(9))
            return (
                [np.nextafter(o, np.float32(9)) for o in outputs] if which == "output" else outputs
            )
        return outputs

    plugin._run = wrong  # type: ignore[method-assign]
    assert float(step(np.ones(3, "float32"))) == 3
    assert float(w.value) == 3
    assert len(plugin.faults) == 1
