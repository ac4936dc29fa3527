"""The register tile of a contraction: rows times vectors of accumulators over the reduction.

Each accumulator is one ascending chain of multiply-adds, whatever the tile's shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from graphc.ir.types import DType, bool_, int32, int64
from graphc_llvm.contract_shape import Shape
from graphc_llvm.emit_scalar import LaneEmitter
from graphc_llvm.ir_builder import LoopCarried, Operand, elements, vector
from graphc_llvm.values import Value, element_type


@dataclass(frozen=True)
class Stream:
    """How a tile walks through one operand, in elements.

    `pointer` is the operand's element at the tile's first row or lane and the first step; each
    row is at an offset of `rows`, and the steps of each reduction axis are `steps` apart.
    """

    pointer: str
    steps: tuple[Operand, ...]
    rows: tuple[Operand, ...] = ()


Lanes = tuple[tuple[int, ...], ...]  # bits, for each row and vector of a tile


@dataclass(frozen=True)
class StepRange:
    """Steps begin .. end - 1 of an axis of the chain, and the lanes that take part (None: all).

    `masks` gives, for a step, a mask for each accumulator, where the lanes are not known before.
    """

    begin: Operand
    end: Operand
    lanes: Lanes | None = None
    masks: Callable[[Operand], list[Value]] | None = None


@dataclass(frozen=True)
class ChainPosition:
    """The position of a tile in its chain: `left` is broadcast, `right` in lanes.

    Of each accumulator, these lanes take part, and only where its mask (None: none) says so.
    """

    left: Stream
    right: Stream
    lanes: tuple[int, ...]
    masks: list[Value] | None = None


class Tile:
    """Emits one register tile in a function."""

    def __init__(
        self,
        emitter: LaneEmitter,
        dtype: DType,
        shape: Shape,
        lanes: int,
        masks: Sequence[Value | None],
        pairs: Sequence[Value | None] | None = None,
    ) -> None:
        """`masks` tells for each vector which lanes exist; None for all.

        With `pairs`, the masks of the left operand, it is read in lanes too.
        """
        self.emitter, self.builder = emitter, emitter.builder
        self.dtype, self.shape, self.lanes = dtype, shape, lanes
        self.element = element_type(dtype)
        self.type = vector(self.element, lanes)
        self.masks = tuple(masks)
        self.pairs = pairs

    @property
    def all_lanes(self) -> tuple[int, ...]:
        """All lanes of each accumulator, as bits."""
        return ((1 << self.lanes) - 1,) * self.count

    @property
    def count(self) -> int:
        """The number of accumulators."""
        return self.shape.rows * self.shape.vectors

    def zeros(self) -> list[str]:
        """Accumulators at the start of the chain."""
        literal = self.emitter.const(0.0, self.dtype)
        return [self.emitter.operand(literal, self.lanes)] * self.count

    def chain(
        self, levels: Sequence[Sequence[StepRange]], at: ChainPosition, start: Sequence[str]
    ) -> list[str]:
        """Continue the chain over the levels, each of which is done part by part."""
        if not levels:
            return self._step(at, start)
        result = list(start)
        for steps in levels[0]:
            lanes = at.lanes
            if steps.lanes is not None:
                given = [bits for row in steps.lanes for bits in row[: self.shape.vectors]]
                lanes = tuple(x & y for x, y in zip(lanes, given))
            places = [place for place, bits in enumerate(lanes) if bits]
            if places:
                carried = [LoopCarried(self.type, result[p], "c") for p in places]
                front = replace(at, lanes=lanes)
                body = partial(self._body, levels, steps, front, list(result), places)
                values = self.builder.loop("k", steps.begin, steps.end, 1, carried, body)
                for place, value in zip(places, values):
                    result[place] = value
        return result

    def _body(
        self,
        levels: Sequence[Sequence[StepRange]],
        steps: StepRange,
        at: ChainPosition,
        outside: list[str],
        places: Sequence[int],
        index: Operand,
        values: list[str],
    ) -> list[str]:
        """One step of the first level: the new sums at `places`."""
        running, masks = list(outside), at.masks
        for place, value in zip(places, values):
            running[place] = value
        if steps.masks is not None:
            more = steps.masks(index)
            masks = more if masks is None else list(map(self.emitter.logical_and, masks, more))
        left, right = self._advance(at.left, index), self._advance(at.right, index)
        result = self.chain(levels[1:], ChainPosition(left, right, at.lanes, masks), running)
        return [result[place] for place in places]

    def _advance(self, stream: Stream, index: Operand) -> Stream:
        offset = self.builder.mul(index, stream.steps[0])
        pointer = self.builder.gep(stream.pointer, self.element, offset)
        return Stream(pointer, stream.steps[1:], stream.rows)

    def _step(self, at: ChainPosition, start: Sequence[str]) -> list[str]:
        count, result = self.shape.vectors, list(start)
        vectors = [
            self._load(at.right.pointer, v, self.masks) if any(at.lanes[v::count]) else None
            for v in range(count)
        ]
        for row in range(self.shape.rows):
            if not any(at.lanes[row * count : (row + 1) * count]):
                continue
            for v, (factor, lanes) in enumerate(zip(self._factors(at.left, row), vectors)):
                place = row * count + v
                if lanes is not None and at.lanes[place]:
                    running = Value(result[place], self.dtype, self.lanes)
                    total = self.emitter.fma(factor, lanes, running)
                    result[place] = self._chosen(at, place, total, running).text
        return result

    def _chosen(self, at: ChainPosition, place: int, total: Value, running: Value) -> Value:
        """The new sum in the lanes that take part."""
        bits = [bool(at.lanes[place] >> lane & 1) for lane in range(self.lanes)]
        if not all(bits):
            total = self.emitter.select(self.emitter.vector_of(bits, bool_), total, running)
        return total if at.masks is None else self.emitter.select(at.masks[place], total, running)

    def _factors(self, left: Stream, row: int) -> list[Value]:
        """The left operand of a row: one value for all vectors, or lanes."""
        pointer = self.builder.gep(left.pointer, self.element, left.rows[row])
        if self.pairs is not None:
            return [self._load(pointer, v, self.pairs) for v in range(self.shape.vectors)]
        text = self.builder.load(self.element, pointer, self.dtype.itemsize, "a")
        return [Value(text, self.dtype)] * self.shape.vectors

    def _load(self, pointer: str, v: int, masks: Sequence[Value | None]) -> Value:
        """Vector v of the row of lanes at `pointer`; 0 in lanes that do not exist."""
        pointer = self.builder.gep(pointer, self.element, v * self.lanes)
        mask = masks[v]
        if mask is None:
            text = self.builder.load(self.type, pointer, self.dtype.itemsize, "b")
        else:
            text = masked_load(self.emitter, self.dtype, self.lanes, pointer, mask)
        return Value(text, self.dtype, self.lanes)

    def load_sums(self, pointer: str) -> list[str]:
        """Accumulators that `keep` has stored."""
        return [
            self.builder.load(self.type, self._slot(pointer, i), self.dtype.itemsize, "c")
            for i in range(self.count)
        ]

    def keep(self, pointer: str, values: Sequence[str]) -> None:
        """Store the accumulators, one vector after the other."""
        for i, value in enumerate(values):
            self.builder.store(self.type, value, self._slot(pointer, i), self.dtype.itemsize)

    def _slot(self, pointer: str, i: int) -> str:
        return self.builder.gep(pointer, self.element, i * self.lanes)


def masked_load(emitter: LaneEmitter, dtype: DType, lanes: int, pointer: str, mask: Value) -> str:
    """Load the lanes of a mask; 0 in the others."""
    kind, bits = vector(element_type(dtype), lanes), vector("i1", lanes)
    name = f"@llvm.masked.load.v{lanes}f{dtype.bits}.p0"
    emitter.builder.module.declare(name, kind, ["ptr", bits, kind])
    place = f"ptr align {dtype.itemsize} {pointer}"
    text = f"call {kind} {name}({place}, {bits} {mask.text}, {kind} zeroinitializer)"
    return emitter.builder.effect_value("b", text)


def lane_mask(emitter: LaneEmitter, lanes: int, count: Operand) -> Value | None:
    """The mask of the first `count` lanes; None if those are certainly all."""
    if isinstance(count, int):
        bits = [i < count for i in range(lanes)]
        return None if all(bits) else emitter.vector_of(bits, bool_)
    few = emitter.builder.minimum(count, lanes)
    limit = emitter.cast(Value(str(few), int64), int32)
    return emitter.lt(emitter.vector_of(range(lanes), int32), limit)


def transpose(emitter: LaneEmitter, rows: Sequence[Value]) -> list[Value]:
    """Transpose a square of lanes: as many vectors as each has lanes, a power of two."""
    result, size, stride = list(rows), len(rows), 1
    while stride < size:
        low = [c if not c & stride else size + (c ^ stride) for c in range(size)]
        high = [c | stride if not c & stride else size + c for c in range(size)]
        for i in range(size):
            if not i & stride:
                pair = result[i], result[i | stride]
                result[i] = _shuffle(emitter, pair, low)
                result[i | stride] = _shuffle(emitter, pair, high)
        stride *= 2
    return result


def _shuffle(emitter: LaneEmitter, pair: tuple[Value, Value], lanes: Sequence[int]) -> Value:
    mask = f"<{len(lanes)} x i32> {elements('i32', lanes)}"
    text = f"shufflevector {emitter.typed(pair[0])}, {emitter.typed(pair[1])}, {mask}"
    name = emitter.builder.define("turned", text, [value.text for value in pair])
    return Value(name, pair[0].dtype, pair[0].width)
