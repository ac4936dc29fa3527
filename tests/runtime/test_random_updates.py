"""Random programs with several updates: native code against the interpreter, and bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import graphc as gx
from graphc.testing import assert_close
from graphc_llvm import cpu_function as native
from tests.runtime.random_updates import Program, Writer

Array = NDArray[Any]
SMALL, LARGE, EXACT = range(60), range(1000, 1016), range(2000, 2006)


def compiled(program: Program, **options: Any) -> Any:
    return gx.compile(program.inputs, program.outputs, program.updates, mode="train", **options)


def run(program: Program, target: str) -> list[dict[str, Array]]:
    """After every step: its outputs, the parameters, and what another function makes of them."""
    program.reset()
    step = compiled(program, target=target)
    other = gx.compile([], program.watched, target=target)
    found = []
    for batch in program.batches:
        outputs = step(*batch)
        values = {p.name: p.value for p in program.parameters}
        found.append({**outputs, **values, **other()})
    return found


def check(program: Program) -> None:
    """Native code and the interpreter agree after every step."""
    pairs = zip(run(program, "interpret"), run(program, "cpu"), strict=True)
    for step, (expected, found) in enumerate(pairs):
        for name, value in expected.items():
            message = f"step {step}: {name}"
            assert found[name].dtype == value.dtype, message
            assert_close(
                found[name], value, tolerance="sums", each=True, floor=1.0, message=message
            )


@pytest.mark.parametrize("seed", SMALL)
def test_small_programs(seed: int) -> None:
    check(Writer(seed).program())


@pytest.mark.parametrize("seed", LARGE)
def test_programs_with_large_parameters(seed: int) -> None:
    check(Writer(seed, large=True).program())


def bits(seed: int, threads: int, how: str) -> list[bytes]:
    """Every output and parameter after every step."""
    program = Writer(seed, "float32", large=True).program()
    step = compiled(program, threads=threads)
    found = []
    for batch in program.batches:
        if how == "specialised" and step.dims:
            step.specialize(batch=len(batch[0]))
        if how == "epoch":
            outputs = step.run_epoch(batch, len(batch[0]), shuffle=False)
            values = [value[0] for value in outputs.values()]
        else:
            values = list(step(*batch).values())
        found += [
            np.asarray(v).tobytes() for v in (*values, *(p.value for p in program.parameters))
        ]
    return found


@pytest.mark.parametrize("seed", EXACT)
def test_bits_do_not_depend_on_how_it_runs(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "choose_threads", lambda seconds, barriers, most: most)
    expected = bits(seed, 1, "generic")
    for threads, how in ((2, "generic"), (3, "specialised"), (1, "epoch")):
        assert bits(seed, threads, how) == expected, (threads, how)
