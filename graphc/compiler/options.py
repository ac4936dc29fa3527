"""What the user may ask of the compiler, checked."""

from __future__ import annotations

import re
from dataclasses import dataclass

from graphc import origin as origins
from graphc.errors import ArgumentError, UnsupportedError
from graphc.ir.arrays import CASTS
from graphc.ir.precision import FULL, Precision

TARGETS = ("cpu", "cuda", "cuda-simulate", "interpret")
GPU_COMPILERS = ("nvptx", "numba")
GPU_LIBRARIES = ("off", "auto", "require")
EXECUTORS = ("vector", "threads")  # of the simulator
MODES = ("train", "inference")
_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "ki": 1024, "mi": 1024**2, "gi": 1024**3}


@dataclass(frozen=True)
class Options:
    """How a function is compiled.

    `target` may name a device ("cuda:1"). `threads` None: as many as pay; `memory` is a limit on
    the arena in bytes; `gpu_compiler` turns kernels for GPUs into machine code,
    `gpu_libraries` says whether a library computes large products there.
    """

    mode: str = "inference"
    target: str = "cpu"
    threads: int | None = None
    memory: int | None = None
    precise: bool = False
    cast: str = "same_kind"
    microbatches: int = 1
    gpu_compiler: str = "nvptx"
    precision: Precision = FULL
    gpu_libraries: str = "off"


def check_options(options: Options) -> None:
    """Raise ArgumentError unless every option is legal, UnsupportedError for what is not there."""
    _check_target(options.target)
    for word, value, choices in (
        ("mode", options.mode, MODES),
        ("cast", options.cast, CASTS),
        ("gpu_compiler", options.gpu_compiler, GPU_COMPILERS),
        ("gpu_libraries", options.gpu_libraries, GPU_LIBRARIES),
    ):
        if value not in choices:
            _fail(f"{word} must be one of {', '.join(choices)}, got {value!r}")
    for word, count in (("threads", options.threads), ("microbatches", options.microbatches)):
        integral = isinstance(count, int) and not isinstance(count, bool)
        if count is not None and not (integral and count >= 1):
            _fail(f"{word} must be an int of 1 or more, got {count!r}")
    if options.precise:
        raise UnsupportedError(
            "compile: precise must be False, got True: there is nothing that it would switch off",
            origin=origins.find_origin(),
            hint="leave it out: no formula in use has a larger error than the direct one",
        )
    if options.microbatches != 1:
        raise UnsupportedError(
            f"compile: microbatches must be 1, got {options.microbatches}: a step runs its whole"
            " batch at once",
            origin=origins.find_origin(),
            hint="scan over slices of the batch in the graph and add their gradients, or call"
            " with smaller batches",
        )


def device_of(target: str) -> tuple[str, str]:
    """The kind of a target, and which of its devices ("" for the first): "cuda:1"."""
    kind, _, which = target.partition(":")
    return kind, which


def _check_target(target: object) -> None:
    """Targets have a number or a word behind a colon where they have several devices."""
    kind, which = device_of(target) if isinstance(target, str) else (target, "")
    if kind not in TARGETS:
        _fail(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
    if not isinstance(target, str) or target == kind:
        return
    if kind == "cuda" and not (which.isascii() and which.isdigit()):
        _fail(f'target: a GPU has a number, as in "cuda:1", got {target!r}')
    if kind == "cuda-simulate" and which not in EXECUTORS:
        _fail(f"target: the simulator runs {' or '.join(EXECUTORS)}, got {target!r}")
    if kind not in ("cuda", "cuda-simulate"):
        _fail(f"target: {kind} is one device, got {target!r}")


def parse_bytes(value: object, what: str) -> int | None:
    """A number of bytes from an int or a text such as "8MB" or "2 GiB" (MB = 10**6)."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
        return value
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]i?|)b?\s*", str(value).lower())
    if not isinstance(value, str) or not found:
        text = f'{what} must be bytes or a text such as "8MB", got {value!r}'
        raise ArgumentError(text, origin=origins.find_origin())
    return int(float(found[1]) * _UNITS[found[2]])


def _fail(text: str) -> None:
    raise ArgumentError(f"compile: {text}", origin=origins.find_origin())
