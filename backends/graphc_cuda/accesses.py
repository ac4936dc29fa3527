"""Which global arrays a device kernel reads and writes, found in its statements."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Flag

from graphc_cuda.device.program import (
    DeviceArray,
    DeviceKernel,
    Get,
    Intrinsic,
    Put,
    Stmt,
    Value,
    operands_of,
    values_of,
    walk,
)


class Access(Flag):
    """What is done with an array; LOWER: nothing but atomic minima, in any order."""

    NONE = 0
    READ = 1
    WRITE = 2
    LOWER = 4


_OF_INTRINSICS = {"atomic_min": Access.LOWER, "store_vector": Access.WRITE}


def accesses(kernel: DeviceKernel) -> dict[DeviceArray, Access]:
    """What the kernel does with each of its arguments."""
    found = dict.fromkeys(kernel.arrays, Access.NONE)
    for stmt in walk(kernel.body):
        for array, access in _of_statement(stmt):
            if array in found:
                found[array] |= access
    return found


def access_bytes(kernel: DeviceKernel) -> dict[DeviceArray, int]:
    """The bytes of the widest access to each argument, which its place is a multiple of."""
    found = {array: array.dtype.itemsize for array in kernel.arrays}
    for stmt in walk(kernel.body):
        if not isinstance(stmt, Intrinsic):
            continue
        array, count = _elements_at_once(stmt)
        if array in found:
            found[array] = max(found[array], count * array.dtype.itemsize)
    return found


def _elements_at_once(stmt: Intrinsic) -> tuple[DeviceArray | None, int]:
    match stmt.function, stmt.operands:
        case "load_vector", (DeviceArray() as array, *_):
            return array, len(stmt.results)
        case "store_vector", (DeviceArray() as array, _, *values):
            return array, len(values)
        case "copy_async", (_, _, DeviceArray() as array, _, int() as count):
            return array, count
    return None, 1


def _of_statement(stmt: Stmt) -> Iterator[tuple[DeviceArray, Access]]:
    if isinstance(stmt, Put):
        yield stmt.array, Access.WRITE
    elif isinstance(stmt, Intrinsic):
        for operand in stmt.operands:
            if isinstance(operand, DeviceArray):
                yield operand, _OF_INTRINSICS.get(stmt.function, Access.READ)
    for value in values_of(stmt):
        yield from _of_value(value)


def _of_value(value: Value) -> Iterator[tuple[DeviceArray, Access]]:
    """Reads inside a value; values are shared, so each is looked at once."""
    seen: set[Value] = set()
    waiting = [value]
    while waiting:
        current = waiting.pop()
        if current in seen:
            continue
        seen.add(current)
        if isinstance(current, Get):
            yield current.array, Access.READ
        waiting += operands_of(current)
