"""How many sectors of memory the accesses of a warp touch, counted in the device program.

Memory comes in sectors of 32 bytes. Where the threads of a warp read or write neighbours, an access
touches as many sectors as its bytes fill; where they lie far apart, one for every thread. Some
warps of some blocks go through the program with the numbers of their threads: of a loop the first
iteration, which counts for all; both branches of what data decides. Places that data decides
(gathers, updates at indices) are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from graphc.ir.types import Array, DType, bool_, uint32
from graphc_cuda.device.program import (
    GLOBAL,
    WARP,
    Assign,
    Call,
    DeviceArray,
    DeviceKernel,
    For,
    Get,
    If,
    Intrinsic,
    Literal,
    Op,
    Put,
    Return,
    Select,
    Special,
    Stmt,
    Value,
    Variable,
    While,
    operands_of,
    values_of,
)
from graphc_cuda.launch import KernelNode

SECTOR = 32  # bytes
MOST_BLOCKS, MOST_WARPS = 8, 4  # that are looked at
NOWHERE = -1  # of threads that do not take part

Known = Any  # an array of int64 for the threads of all warps, or None
_FUNCTIONS: Mapping[str, Callable[..., Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "neg": np.negative, "abs": np.abs,
    "floordiv": np.floor_divide, "mod": np.mod, "min": np.minimum, "max": np.maximum,
    "bit_and": np.bitwise_and, "bit_or": np.bitwise_or, "bit_xor": np.bitwise_xor,
    "shl": np.left_shift, "shr": np.right_shift, "lt": np.less, "le": np.less_equal,
    "eq": np.equal, "ne": np.not_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_not": np.logical_not, "convert": lambda x: x,
    "quotient": lambda x, y: np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y)),
    "remainder": np.fmod,
}  # fmt: skip
_DIVIDES = ("floordiv", "mod", "quotient", "remainder")


@dataclass(frozen=True)
class Sectors:
    """What the warps that were looked at touch, and the fewest sectors that hold it."""

    touched: float
    least: float

    @property
    def ratio(self) -> float | None:
        """1 where no sector is fetched in vain; None where nothing could be counted."""
        return self.touched / self.least if self.least else None


def count_sectors(node: KernelNode) -> dict[DeviceArray, Sectors]:
    """The sectors of every argument that a launch touches at places known from its threads."""
    walk = _Walk(node)
    walk.block(node.kernel.body, walk.started, np.ones(len(walk.started)))
    return {a: Sectors(t, n) for a, (t, n) in walk.found.items()}


def sector_ratio(node: KernelNode) -> float | None:
    """The sectors of all accesses of a launch, in terms of the fewest that would do."""
    found = count_sectors(node).values()
    return Sectors(sum(s.touched for s in found), sum(s.least for s in found)).ratio


class _Walk:
    """Warps on their way through a kernel; values are arrays of all warps times 32 threads."""

    def __init__(self, node: KernelNode) -> None:
        kernel: DeviceKernel = node.kernel
        blocks = _spread(node.grid, MOST_BLOCKS)
        warps = _spread(-(-kernel.block // WARP), MOST_WARPS)
        pairs = [(b, w) for b in blocks for w in warps]
        lanes = np.arange(WARP)
        thread = np.stack([w * WARP + lanes for _, w in pairs])
        block = np.stack([np.full(WARP, b) for b, _ in pairs])
        self.specials = {"thread": thread, "block": block, "blocks": np.full_like(block, node.grid)}
        self.started = thread < kernel.block
        self.gone = np.zeros_like(self.started)
        self.base = {a: p.offset % SECTOR for a, p in zip(kernel.arrays, node.arguments)}
        self.found: dict[DeviceArray, tuple[float, float]] = {}
        self.variables: dict[str, Known] = {}
        self.memo: dict[Value, Known] = {}

    # -- statements -------------------------------------------------------------------------

    def block(self, body: Sequence[Stmt], mask: Array, weight: Array) -> None:
        """Go through statements; each counts so often for each warp."""
        for stmt in body:
            active = mask & ~self.gone
            if not active.any():
                return
            self.memo = {}
            self.statement(stmt, active, weight)

    def statement(self, stmt: Stmt, mask: Array, weight: Array) -> None:
        """Go through one statement."""
        known = [self.value(v, mask, weight) for v in values_of(stmt)]
        match stmt:
            case Assign(variable=variable):
                self._assign(variable, known[0], mask)
            case Put(array=array):
                self._touch(array, known[0], array.dtype.itemsize, mask, weight)
            case Intrinsic():
                self._intrinsic(stmt, mask, weight)
            case If(body=body, otherwise=otherwise):
                if known[0] is None and isinstance(body[0] if body else None, Return):
                    return  # no check has failed
                for branch, taken in zip((body, otherwise), _split(known[0], mask)):
                    self.block(branch, taken, weight)
            case For(variable=variable, body=body):
                start, stop, step = known
                inside, often = _iterations(start, stop, step, mask)
                self._assign(variable, start, inside)
                self.block(body, inside, weight * often)
            case While(body=body):
                self.block(body, mask if known[0] is None else mask & known[0], weight)
            case Return():
                self.gone = self.gone | mask

    def _assign(self, variable: Variable, value: Known, mask: Array) -> None:
        before = self.variables.get(variable.name)
        if value is not None and before is not None:
            value = np.where(mask, value, before)
        self.variables[variable.name] = value

    def _intrinsic(self, stmt: Intrinsic, mask: Array, weight: Array) -> None:
        for result in stmt.results:
            self.variables[result.name] = None
        for i, array in enumerate(stmt.operands):
            if not isinstance(array, DeviceArray):
                continue
            at = stmt.operands[i + 1]
            assert isinstance(at, Value)
            count = 1
            match stmt.function, stmt.operands:
                case "load_vector", _:
                    count = len(stmt.results)
                case "store_vector", (_, _, *values):
                    count = len(values)
                case "copy_async", (*_, int() as copied):
                    count = copied
            place = self.value(at, mask, weight)
            self._touch(array, place, count * array.dtype.itemsize, mask, weight)

    # -- values -----------------------------------------------------------------------------

    def value(self, value: Value, mask: Array, weight: Array) -> Known:
        """What a value is for every thread; None where data decides."""
        if value not in self.memo:
            self.memo[value] = self._value(value, mask, weight)
        return self.memo[value]

    def _value(self, value: Value, mask: Array, weight: Array) -> Known:
        match value:
            case Literal(value=number):
                whole = isinstance(number, (int, bool))
                return np.full_like(mask, number, _held(value.dtype)) if whole else None
            case Variable(name=name):
                return self.variables.get(name)
            case Special(name=name):
                return self.specials[name]
            case Get(array=array, index=index):
                at = self.value(index, mask, weight)
                self._touch(array, at, array.dtype.itemsize, mask, weight)
                return None
            case Select(condition=condition, value=taken, otherwise=otherwise):
                holds = self.value(condition, mask, weight)
                pairs = zip((taken, otherwise), _split(holds, mask))
                known = [self.value(v, m, weight) for v, m in pairs]
                if holds is None or known[0] is None or known[1] is None:
                    return None
                return np.where(holds, *known)
        known = [self.value(v, mask, weight) for v in operands_of(value)]
        if isinstance(value, Call) or not isinstance(value, Op):
            return None
        return _applied(value, known)

    def _touch(
        self, array: DeviceArray, at: Known, nbytes: int, mask: Array, weight: Array
    ) -> None:
        """Count an access of every thread."""
        if array.space != GLOBAL or at is None:
            return
        first = np.where(mask, at * array.dtype.itemsize + self.base.get(array, 0), NOWHERE)
        sectors = np.where(mask, first // SECTOR, NOWHERE)
        least = -(-_distinct(first) * nbytes // SECTOR)
        touched, fewest = self.found.get(array, (0.0, 0.0))
        self.found[array] = (
            touched + float((_distinct(sectors) * weight).sum()),
            fewest + float((least * weight).sum()),
        )


def _split(condition: Known, mask: Array) -> tuple[Array, Array]:
    """The threads that take either branch; all take both where data decides."""
    return (mask, mask) if condition is None else (mask & condition, mask & ~condition)


def _spread(count: int, most: int) -> list[int]:
    """Some numbers below a count, the first and the last among them."""
    return sorted({int(x) for x in np.linspace(0, max(0, count - 1), min(count, most))})


def _distinct(rows: Array) -> Array:
    """How many numbers each row has, but NOWHERE."""
    ordered = np.sort(rows, axis=1)
    fresh = ordered[:, 1:] != ordered[:, :-1]
    some = ordered != NOWHERE
    counts: Array = some[:, 0].astype(np.int64) + (fresh & some[:, 1:]).sum(axis=1)
    return counts


def _iterations(start: Known, stop: Known, step: Known, mask: Array) -> tuple[Array, Array]:
    """Which threads go through a loop at all, and how often each warp does; once if unknown."""
    if start is None or stop is None or step is None:
        return mask, np.ones(len(mask))
    trips = np.where(mask, np.maximum(0, -((start - stop) // step)), 0)
    return mask & (trips > 0), trips.max(axis=1)


def _held(dtype: DType) -> Any:
    return np.bool_ if dtype == bool_ else np.int64


def _applied(value: Op, known: Sequence[Known]) -> Known:
    """An operation on whole numbers."""
    dtypes = (value.dtype, *(a.dtype for a in value.args))
    if any(k is None for k in known) or any(d.is_float for d in dtypes):
        return None
    function = _FUNCTIONS.get(value.function)
    if function is None or (value.function in _DIVIDES and not known[1].all()):
        return None
    found: Array = np.asarray(function(*known)).astype(_held(value.dtype))
    return found & 0xFFFFFFFF if value.dtype == uint32 else found
