"""The devices behind the targets "cuda", "cuda:1" and "cuda-simulate"."""

from __future__ import annotations

from functools import cache

from graphc.compiler.options import Options, device_of
from graphc_cuda.gpu import open_gpu
from graphc_cuda.library.choice import library_of
from graphc_cuda.open_device import OpenDevice
from graphc_cuda.simulate import VECTOR
from graphc_cuda.simulated_device import SimulatedDevice
from graphc_cuda.step_code import TEXT

SIMULATED = "cuda-simulate"


def open_target(target: str) -> OpenDevice:
    """The device of a target, opened once in a process; raises BackendError where it cannot be."""
    kind, which = device_of(target)
    return _open(kind, which or (VECTOR if kind == SIMULATED else "0"))


def check_target(options: Options) -> None:
    """Raise BackendError where the device, or a library that is required, is not there."""
    open_target(options.target)
    library_of(options)


@cache
def _open(kind: str, which: str) -> OpenDevice:
    if kind == SIMULATED:
        return OpenDevice(SimulatedDevice(which), f"{kind}:{which}")
    return OpenDevice(open_gpu(int(which)), f"{kind}:{which}")


def route_of(options: Options) -> str:
    """The way to code."""
    return TEXT if device_of(options.target)[0] == SIMULATED else options.gpu_compiler
