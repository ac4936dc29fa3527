"""Steps of graphc: a call, and the replay of what is on the device."""

from __future__ import annotations

from typing import Any

import graphc as gx
from tests.benchmarks.gpu import ours
from tests.benchmarks.gpu.settings import Setting
from tests.benchmarks.gpu.timing import Timed


def replayed(function: gx.CompiledFunction) -> tuple[Any, Any]:
    """What launches a function, which has been called, once more, and what waits for it.

    Inputs are those of the last call: nothing is copied, no output is fetched.
    """

    def runner() -> Any:
        return function.variants[0].runner

    return lambda *_: runner().executable.launch(), lambda: runner().device.device.synchronize()


def make(setting: Setting, variant: str, device: str) -> Timed:
    """The step; `variant` says nothing."""
    target = "cuda" if device == "cuda" else "cuda-simulate"
    function = ours.build(setting, target)
    launch, wait = replayed(function)
    count = sum(int(p.size) for p in function.parameters.values() if p.trainable)  # type: ignore[call-overload]
    call = lambda *batch: float(function(*batch))  # noqa: E731
    return Timed(call, launch, lambda *batch: batch, wait, count)


def bound(setting: Setting) -> dict[str, Any]:
    """The least time of a step on an H200, by its arithmetic and by the bytes of its kernels.

    What a kernel reads twice, or what stays in a cache, is not looked at.
    """
    from tests.benchmarks.gpu.peaks import BYTES_PER_SECOND, FLOPS_PER_SECOND

    cost = ours.build(setting).cost
    arithmetic = cost.flops / FLOPS_PER_SECOND[setting.precision]
    memory = cost.bytes / BYTES_PER_SECOND
    return {"flops": cost.flops, "bytes": cost.bytes, "bound_ms": max(arithmetic, memory) * 1e3}
