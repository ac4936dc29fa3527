"""Many steps over the rows of arrays, in native code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from graphc.errors import ArgumentError
from graphc.ir.types import Array
from graphc_llvm.runtime import structs
from graphc_llvm.runtime.barrier import NO_FAILURE
from graphc_llvm.runtime.bound_code import BoundCode
from graphc_llvm.runtime.memory import aligned_bytes
from graphc_llvm.runtime.native import STALE, NativeFunction

CHUNK_SECONDS = 0.04  # how long Python, and so Ctrl-C, waits at most


@dataclass(frozen=True)
class EpochPlan:
    """What an epoch reads and writes.

    Step s takes rows ``order[s * batch : (s + 1) * batch]`` of every array of `rows` (one an
    input; None where `whole` gives the array for all steps). `results` are arrays of shape
    ``(steps, *shape)``, one an output; None drops that output. Rows that follow each other are
    read where they are; others are copied.
    """

    order: Array
    batch: int
    steps: int
    rows: tuple[Array | None, ...]
    whole: tuple[Array | None, ...]
    results: tuple[Array | None, ...]


def run_epoch(
    function: NativeFunction,
    variant: BoundCode,
    plan: EpochPlan,
    refresh: Callable[[], None] = lambda: None,
) -> Iterator[int]:
    """Do all steps; yields the number done, at least every 50 ms unless one step takes longer.

    `refresh` computes prepared values again where another function has changed a parameter.
    The exception of a failed step has `step` as an attribute; the steps before it have been done.
    Raises ArgumentError where the plan does not fit the variant.
    """
    _check(variant, plan)
    tables = _EpochTables(variant, plan)
    advance = tables.advance if function.is_native else tables.advance_in_python
    seconds, done = variant.description.seconds, 0
    while done < plan.steps:
        count = max(1, min(plan.steps - done, int(CHUNK_SECONDS / max(seconds, 1e-9))))
        # An estimate is only trusted as far as it has been confirmed.
        count = min(count, max(1, 4 * done))
        begin = time.perf_counter()
        status = advance(function, done + count)
        if status == STALE:
            refresh()
            continue
        seconds = (time.perf_counter() - begin) / max(1, tables.next - done)
        done = tables.next
        if status != NO_FAILURE:
            error = function.failure(status)
            error.step = done  # type: ignore[attr-defined]
            raise error
        yield done


class _EpochTables:
    """The tables of one epoch and what they point at."""

    def __init__(self, variant: BoundCode, plan: EpochPlan) -> None:
        d = variant.description
        self.variant, self.plan = variant, plan
        self.order = np.ascontiguousarray(plan.order, np.int64)
        self.kept: list[Array] = []
        sources = []
        for given, array, fixed in zip(d.inputs, plan.rows, plan.whole):
            if array is None:
                assert fixed is not None
                sources.append((given.slot, fixed, 0, fixed))
                continue
            row_bytes = array.dtype.itemsize * int(np.prod(array.shape[1:], dtype=np.int64))
            gathered = aligned_bytes(max(1, row_bytes * plan.batch))
            sources.append((given.slot, array, row_bytes, gathered))
        self.source_table = (structs.SourceStruct * len(sources))()
        for row, (slot, base, count, gathered) in zip(self.source_table, sources):
            row.slot, row.base, row.bytes = slot, base.ctypes.data, count
            row.gathered = gathered.ctypes.data
            self.kept += [base, gathered]
        self.sink_table = (structs.SinkStruct * len(d.outputs))()
        for sink, output, result in zip(self.sink_table, d.outputs, plan.results):
            place = np.empty(output.shape, output.dtype.numpy) if result is None else result
            sink.slot, sink.base = output.slot, place.ctypes.data
            sink.bytes = 0 if result is None else result.nbytes // max(1, plan.steps)
            self.kept.append(place)
        self.table = structs.EpochStruct(
            variant=variant.address, order=self.order.ctypes.data, batch=plan.batch,
            sources=len(sources), source_table=structs.address(self.source_table),
            sinks=len(d.outputs), sink_table=structs.address(self.sink_table),
        )  # fmt: skip

    def advance(self, function: NativeFunction, end: int) -> int:
        """Do the steps before `end`; returns the failure."""
        self.table.end = end
        return function.execute_steps(self.variant, self.table)

    def advance_in_python(self, function: NativeFunction, end: int) -> int:
        """The same, one call a step."""
        plan, step = self.plan, self.next
        while step < end:
            taken = self.order[step * plan.batch : (step + 1) * plan.batch]
            inputs = [f if r is None else r[taken] for r, f in zip(plan.rows, plan.whole)]
            places = [np.empty(o.shape, o.dtype.numpy) for o in self.variant.description.outputs]
            status = function.execute(self.variant, inputs, places)  # type: ignore[arg-type]
            if status != NO_FAILURE:
                return status
            for result, place in zip(plan.results, places):
                if result is not None:
                    result[step] = place
            step += 1
            self.table.next = step
        return NO_FAILURE

    @property
    def next(self) -> int:
        """The first step that has not been done."""
        return int(self.table.next)


def _check(variant: BoundCode, plan: EpochPlan) -> None:
    d = variant.description
    needed = plan.batch * plan.steps
    _require(plan.order.ndim == 1 and len(plan.order) >= needed, f"order: fewer than {needed} rows")
    _require(len(plan.rows) == len(plan.whole) == len(d.inputs), "not one array an input")
    _require(len(plan.results) == len(d.outputs), "not one result an output")
    used = plan.order[:needed]
    lowest, highest = (int(used.min()), int(used.max())) if needed else (0, -1)
    for given, rows, whole in zip(d.inputs, plan.rows, plan.whole):
        array, wanted = (whole, given.shape) if rows is None else (rows, given.shape[1:])
        _require(array is not None, f"{given.name}: missing")
        assert array is not None
        shape = array.shape if rows is None else array.shape[1:]
        _require(array.dtype == given.dtype.numpy, f"{given.name}: is {array.dtype}")
        _require(shape == wanted, f"{given.name}: has rows of {shape}, not {wanted}")
        _require(array.flags.c_contiguous, f"{given.name}: is not contiguous")
        if rows is not None:
            _require(given.shape[0] == plan.batch, f"{given.name}: takes {given.shape[0]} rows")
            inside = lowest >= 0 and highest < len(rows)
            _require(inside, f"order: {lowest} to {highest}, but {given.name} has {len(rows)} rows")
    for output, result in zip(d.outputs, plan.results):
        if result is not None:
            _require(result.dtype == output.dtype.numpy, f"result: is {result.dtype}")
            _require(result.shape == (plan.steps, *output.shape), f"result: is {result.shape}")
            _require(result.flags.c_contiguous, "result: is not contiguous")


def _require(fits: bool, message: str) -> None:
    if not fits:
        raise ArgumentError(f"run_epoch: {message}")
