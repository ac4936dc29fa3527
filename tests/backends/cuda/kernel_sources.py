"""Where the kernels come from that both routes have to compile: ops with their gradients, steps."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import numpy as np

import graphc as gx
from graphc.errors import GraphcError
from graphc.ir import ops
from graphc.ir.ops.base import Op
from graphc.testing.cases import Case, cases_of
from graphc_cuda.device.program import Program
from graphc_cuda.plan_launches import plan_launches
from tests.backends.cuda.networks import NETWORKS
from tests.benchmarks import ours
from tests.benchmarks.gpu import ours as gpu_steps
from tests.benchmarks.gpu.settings import FP32, SETTINGS
from tests.benchmarks.workloads import WORKLOADS
from tests.replay.models import model_cases

Source = tuple[str, Callable[[], Program | None]]
BATCH = 32  # where a step leaves it open


def sources(kind: str) -> Iterator[Source]:
    """Names, and what makes the programs: kind is "ops", "models" or "workloads"."""
    yield from {"ops": op_sources, "models": model_sources, "workloads": workload_sources}[kind]()


# ------------------------------------------------------------------------- ops


def op_sources() -> Iterator[Source]:
    """Every case of every op with its gradient, in an order that no list decides."""
    kinds = {value for value in vars(ops).values() if isinstance(value, type)}
    found = [c for kind in kinds if issubclass(kind, Op) for c in cases_of(kind)]
    for case in sorted(found, key=lambda c: (zlib.crc32(str(c).encode()), str(c))):
        yield str(case), lambda case=case: op_program(case)  # type: ignore[misc]


def op_program(case: Case) -> Program | None:
    """The kernels of a case and of its gradient; None where no kernel is needed."""
    inputs, result = case.tensors(case.arrays())
    outputs = [("y", result)]
    floats = [t for t in inputs if t.dtype.is_float]
    if result.dtype.is_float and floats:
        rng = np.random.default_rng(case.seed)
        weights = rng.standard_normal([int(s) for s in result.shape])
        try:
            gradients = gx.grad(gx.sum(result * weights), floats, unreachable="zero")
        except GraphcError:
            gradients = []
        outputs += [(f"g{i}", g) for i, g in enumerate(gradients)]
    return program_of(gx.compile(inputs, dict(outputs), name="case"))


def program_of(function: gx.CompiledFunction) -> Program | None:
    """The device program of a compiled function."""
    dims = dict.fromkeys(function.program.dims, BATCH)
    program = plan_launches(function.program, dims).program
    return program if program.kernels else None


# ----------------------------------------------------------------------- steps


def model_sources() -> Iterator[Source]:
    """Small steps of every kind."""
    for name, make in NETWORKS.items():
        yield name, lambda make=make: program_of(make())  # type: ignore[misc]
    for name, build in model_cases(quick=False):
        yield name, lambda build=build: _built(build)  # type: ignore[misc]


def _built(build: Callable[[], object]) -> Program | None:
    made = build()
    return program_of(made) if isinstance(made, gx.CompiledFunction) else None


def workload_sources() -> Iterator[Source]:
    """What is measured beside other frameworks, at the sizes at which it is."""
    for name, workload in WORKLOADS.items():
        yield name, lambda w=workload: program_of(ours.build(w, None))  # type: ignore[misc]
    for name, setting in SETTINGS.items():
        if name not in WORKLOADS and setting.precision == FP32:
            yield name, lambda s=setting: program_of(gpu_steps.build(s))  # type: ignore[misc]
