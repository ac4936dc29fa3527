"""The functions of a contraction's tiles: the chain, then the epilogue on its result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from graphc.ir.dims import Size, product
from graphc.ir.loops.contraction.index import flat_offset
from graphc.ir.loops.ir import (
    Apply,
    Axis,
    Buffer,
    Check,
    Expr,
    Load,
    expressions,
    walk_exprs,
)
from graphc_llvm.contract_plan import ContractPlan
from graphc_llvm.contract_shape import Shape, known
from graphc_llvm.contract_steps import Edges, StepEmitter, TileSteps, place_name
from graphc_llvm.emit_address import address
from graphc_llvm.emit_context import EmitContext, Lane
from graphc_llvm.emit_loops import emit_block
from graphc_llvm.emit_value import evaluate
from graphc_llvm.ir_builder import (
    FunctionBuilder,
    FunctionParameter,
    LoopCarried,
    Operand,
    identifier,
)
from graphc_llvm.target import CACHE_LINE
from graphc_llvm.tiles import ChainPosition, Stream, Tile, lane_mask, transpose
from graphc_llvm.values import Value, memory_type

PREFETCH_MIN_DEPTH = 128  # shorter chains do not hide the fetching of what they update
MAX_INLINE_OPERATIONS = 200  # epilogue operations of a tile that are written out row by row


@dataclass(frozen=True)
class TileKind:
    """What tells a plan's tile functions apart.

    `full`: all lanes exist. `clamped`: only the first rows may exist. `edges`: the steps in
    which not all rows take part.
    """

    shape: Shape
    full: bool
    clamped: bool
    edges: Edges = ()

    @property
    def suffix(self) -> str:
        """The end of the function's name."""
        ends = "" if self.full else "_last", "_rest" if self.clamped else ""
        return "".join(ends) + ("_edge" if self.edges else "")


class TileFunctions:
    """The tile functions of one plan, each emitted when it is first asked for."""

    def __init__(self, plan: ContractPlan, context: EmitContext) -> None:
        self.plan, self.context = plan, context
        self.buffers = _epilogue_buffers(plan)
        self.steps = TileSteps(plan)
        self._names: dict[TileKind, str] = {}

    def call(self, kind: TileKind, values: Mapping[str, Operand]) -> None:
        """Call a tile; `values` are the arguments besides buffers and axes, by name."""
        if kind not in self._names:
            self._names[kind] = self._emit(kind)
        c = self.context
        listed: list[tuple[str, Operand]] = [("ptr", c.pointers[b]) for b in self.buffers]
        listed.append(("ptr", "%sizes"))
        for type, name in _locals(self.plan, kind, self.steps):
            listed.append((type, values.get(name, f"%{name}")))
        listed += [("i64", c.axes[axis]) for axis in tile_axes(self.plan)]
        written = ", ".join(f"{type} {value}" for type, value in listed)
        c.builder.effect(f"call void @{self._names[kind]}({written})")

    def _emit(self, kind: TileKind) -> str:
        plan, outer = self.plan, self.context
        width = kind.shape.vectors * plan.tiling.lanes
        name = _unused(outer, f"{outer.builder.name}_tile{kind.shape.rows}x{width}{kind.suffix}")
        taken: dict[str, int] = {}
        buffers = {b: _parameter(b.name, taken) for b in self.buffers}
        axes = {axis: _parameter(axis.name, taken) for axis in tile_axes(plan)}
        parameters = [FunctionParameter("ptr", n) for n in (*buffers.values(), "sizes")]
        parameters += [FunctionParameter(type, n) for type, n in _locals(plan, kind, self.steps)]
        parameters += [FunctionParameter("i64", n) for n in axes.values()]
        builder = FunctionBuilder(
            outer.builder.module, name, parameters, "noinline nounwind", "internal"
        )
        c = EmitContext(builder, outer.target, outer.sizes, outer.dims, outer.written)
        c.unroll = outer.unroll
        c.pointers.update({b: f"%{n}" for b, n in buffers.items()})
        c.axes.update({axis: f"%{n}" for axis, n in axes.items()})
        c.written = frozenset(s.buffer for s in plan.contraction.stores) | outer.written
        _TileBody(self.steps, kind, c).emit()
        builder.finish()
        return name


class _TileBody:
    """Emits what one tile function does."""

    def __init__(self, steps: TileSteps, kind: TileKind, c: EmitContext) -> None:
        self.plan = plan = steps.plan
        self.steps, self.kind, self.c, self.builder = steps, kind, c, c.builder
        lanes = plan.tiling.lanes
        self.masks = [lane_mask(c.emit, lanes, n) for n in self._counts()]
        # panels in scratch memory, and packed ones, have all lanes
        padded = plan.right.load is None or plan.right.packed is not None
        read: list[Value | None] = [None] * len(self.masks) if padded else self.masks
        pairs = self.masks if plan.contraction.paired else None
        self.tile = Tile(c.emit, plan.dtype, kind.shape, lanes, read, pairs)
        self.first_row, self.first_column = c.axes[plan.row.axis], c.axes[plan.column.axis]

    def _counts(self) -> list[Operand]:
        """How many lanes of each vector exist."""
        lanes, vectors = self.plan.tiling.lanes, range(self.kind.shape.vectors)
        if self.kind.full:
            return [lanes] * len(vectors)
        columns = self.plan.column.size
        if isinstance(columns, int):
            rest = columns % self.plan.tiling.width
            return [min(lanes, rest - v * lanes) for v in vectors]
        return [self.builder.sub("%columns", v * lanes) for v in vectors]

    def emit(self) -> None:
        """Write the chain and the epilogue."""
        if (
            not (self.kind.clamped or self.plan.transposed)
            and known(self.plan.depth) >= PREFETCH_MIN_DEPTH
        ):
            self._fetch_ahead()
        start = self.tile.zeros()
        kept = [LoopCarried(self.tile.type, zero, "c") for zero in start]
        if self.plan.depth_block is not None:
            again = self.builder.compare("ne", "%later", 0)
            start = self.builder.when(again, kept, lambda: self.tile.load_sums("%kept"), "again")
        sums = self._chain(start)
        if self.plan.depth_block is None:
            self._finish(sums)
            return

        def keep() -> list[str]:
            self.tile.keep("%kept", sums)
            return []

        def finish() -> list[str]:
            self._finish(sums)
            return []

        self.builder.when(self.builder.compare("eq", "%last", 0), [], keep, "keep")
        self.builder.when(self.builder.compare("ne", "%last", 0), [], finish, "finish")

    def _chain(self, start: list[str]) -> list[str]:
        """Continue the chains through the steps that count."""
        c, shape, first = self.c, self.kind.shape, self.first_row
        rows = [dict(self._row_values(row)) for row in range(shape.rows)]
        c.axes[self.plan.row.axis] = first
        emitter = StepEmitter(self.steps, self.kind.edges, c, rows, shape.vectors)

        def steps(sizes: tuple[Size, ...]) -> tuple[Operand, ...]:
            return tuple(c.size(size) for size in sizes)

        width = shape.vectors * self.plan.tiling.lanes
        left = Stream("%left", steps(left_steps(self.plan)), self._left_rows())
        right = Stream("%right", steps(right_steps(self.plan, width)))
        front = ChainPosition(left, right, self.tile.all_lanes, emitter.outer_masks())
        return self.tile.chain(emitter.levels(), front, start)

    def _fetch_ahead(self) -> None:
        """Prefetch the cache lines of the epilogue's stores during the chain."""
        c, f, plan = self.c, self.builder, self.plan
        for place in plan.contraction.stores:
            if flat_offset(place.buffer, place.index).coefficient(plan.column.axis) != 1:
                continue
            line = max(plan.tiling.lanes, CACHE_LINE // place.buffer.dtype.itemsize)
            for row in range(self.kind.shape.rows):
                c.axes.update(self._row_values(row))
                with c.inside():
                    first = address(c, place.buffer, place.index, evaluate).pointer
                for column in range(0, self.kind.shape.vectors * plan.tiling.lanes, line):
                    self._prefetch(f.gep(first, memory_type(place.buffer.dtype), column))
        c.axes[plan.row.axis] = self.first_row

    def _prefetch(self, pointer: str) -> None:
        numbers: list[tuple[str, Operand]] = [("i32", 1), ("i32", 3), ("i32", 1)]
        self.builder.call_effect("@llvm.prefetch.p0", [("ptr", pointer), *numbers])

    # ------------------------------------------------------------------ operands

    def _left_rows(self) -> tuple[Operand, ...]:
        """The offset of each row of the broadcast operand from the first."""
        f, rows = self.builder, range(self.kind.shape.rows)
        if self.plan.combined:
            return self._combined_rows()
        stride = self.c.size(left_row_stride(self.plan))
        numbers: list[Operand] = list(rows)
        if self.kind.clamped:
            final = f.sub("%valid", 1, "final")
            numbers = [f.minimum(row, final, "row") if row else 0 for row in rows]
        return tuple(f.mul(number, stride, "row") for number in numbers)

    def _combined_rows(self) -> tuple[Operand, ...]:
        """The offset of each row from the first, where rows run along several axes."""
        f, offsets = self.builder, []
        for row in range(self.kind.shape.rows):
            total: Operand = 0
            for axis, value in self._row_values(row):
                total = f.add(total, f.mul(self.c.size(self.plan.left.coefficient(axis)), value))
            offsets.append(total)
        return tuple(offsets)

    def _row_values(self, row: Operand) -> list[tuple[Axis, Operand]]:
        """The axes that a row sets, and their values."""
        f = self.builder
        if not self.plan.combined:
            return [(self.plan.row.axis, f.add(self.first_row, row, "row"))]
        values: list[tuple[Axis, Operand]] = []
        for span in reversed(self.plan.combined):
            size = self.c.size(span.size)
            values.append((span.axis, f.rem(row, size, span.axis.name)))
            row = f.div(row, size)
        return values

    # ------------------------------------------------------------------ epilogue

    def _finish(self, sums: list[str]) -> None:
        if self.plan.transposed:
            self._finish_transposed(sums)
            return
        rows, vectors = self.kind.shape.rows, self.kind.shape.vectors
        work = _operations(self.plan) * rows * vectors
        if work <= MAX_INLINE_OPERATIONS and not self.kind.clamped:
            for row in range(rows):
                self._finish_row(row, sums[row * vectors : (row + 1) * vectors])
            return
        f, lanes = self.builder, self.plan.tiling.lanes
        memory = f.stack("sums", self.tile.element, len(sums) * lanes)
        self.tile.keep(memory, sums)

        def body(row: Operand, _: list[str]) -> list[str]:
            self._pin()
            first = f.gep(memory, self.tile.element, f.mul(row, vectors * lanes))
            places = [f.gep(first, self.tile.element, v * lanes) for v in range(vectors)]
            loaded = [f.load(self.tile.type, p, self.plan.dtype.itemsize, "c") for p in places]
            self._finish_row(row, loaded)
            return []

        f.loop("finish", 0, "%valid" if self.kind.clamped else rows, 1, [], body)

    def _finish_transposed(self, sums: list[str]) -> None:
        """Transpose the tile, then run the epilogue column by column with rows in lanes."""
        c, f, plan, shape = self.c, self.builder, self.plan, self.kind.shape
        lanes, element, size = plan.tiling.lanes, self.tile.element, plan.dtype.itemsize
        memory = f.stack("sums", element, shape.vectors * lanes * lanes)
        nothing = [c.emit.spread(c.emit.const(0.0, plan.dtype), lanes)] * (lanes - shape.rows)
        for v in range(shape.vectors):
            column = [Value(text, plan.dtype, lanes) for text in sums[v :: shape.vectors]]
            for lane, value in enumerate(transpose(c.emit, [*column, *nothing])):
                place = f.gep(memory, element, (v * lanes + lane) * lanes)
                f.store(self.tile.type, value.text, place, size)
        rows: Operand = "%valid" if self.kind.clamped else shape.rows
        mask = lane_mask(c.emit, lanes, rows)

        def body(index: Operand, _: list[str]) -> list[str]:
            self._pin()
            place = f.gep(memory, element, f.mul(index, lanes))
            text = f.load(self.tile.type, place, size, "c")
            c.axes[plan.column.axis] = f.add(self.first_column, index, "column")
            with c.inside(lane=Lane(plan.row.axis, lanes, mask)):
                c.refs[plan.contraction.accumulator.refs[0].name] = Value(text, plan.dtype, lanes)
                emit_block(c, plan.epilogue)
            return []

        counts = self._counts()
        whole = (shape.vectors - 1) * lanes
        f.loop("finish", 0, f.add(counts[-1], whole), 1, [], body)

    def _pin(self) -> None:
        """Keep loads of what the epilogue writes inside the loop over rows."""
        written = tuple(dict.fromkeys(s.buffer for s in self.plan.contraction.stores))
        self.c.pins.update(dict.fromkeys(written, self.builder.level))
        self.c.touch(written)

    def _finish_row(self, row: Operand, sums: list[str]) -> None:
        c, f, plan = self.c, self.builder, self.plan
        c.axes.update(self._row_values(row))
        for v, text in enumerate(sums):
            lanes = plan.tiling.lanes
            c.axes[plan.column.axis] = f.add(self.first_column, v * lanes, "column")
            value = Value(text, plan.dtype, lanes)
            lane = None
            if plan.column in plan.contraction.columns:
                lane = Lane(plan.column.axis, lanes, self.masks[v])
            else:
                value = c.emit.lanes(value, 0, 1)
            with c.inside(lane=lane):
                c.refs[plan.contraction.accumulator.refs[0].name] = value
                emit_block(c, plan.epilogue)


# ------------------------------------------------------------------ strides of what is read


def left_row_stride(plan: ContractPlan) -> Size:
    """Elements between neighbouring rows of the broadcast operand."""
    if plan.left.load is not None:
        return plan.left.coefficient(plan.row.axis)
    return 1 if plan.left.along is plan.row.axis else plan.staged_row_elements


def left_steps(plan: ContractPlan) -> tuple[Size, ...]:
    """Elements between the steps of each reduction axis of the broadcast operand."""
    if plan.left.load is not None:
        return tuple(plan.left.coefficient(s.axis) for s in plan.inner)
    return staged_steps(plan, plan.left_step_elements)


def right_steps(plan: ContractPlan, width: int) -> tuple[Size, ...]:
    """The same for the operand in lanes; staged panels are `width` wide."""
    if plan.right.load is not None:
        return tuple(plan.right.coefficient(s.axis) for s in plan.inner)
    return staged_steps(plan, width)


def staged_steps(plan: ContractPlan, unit: Size) -> tuple[Size, ...]:
    """Staged operands are in the order of the chain, `unit` elements a step."""
    sizes = [s.size for s in plan.inner]
    return tuple(product(sizes[i + 1 :]) * unit for i in range(len(sizes)))


# ------------------------------------------------------------------ names and arguments


def tile_axes(plan: ContractPlan) -> tuple[Axis, ...]:
    """The axes whose values a tile is given."""
    spans = (*plan.batch, *plan.outer_rows, plan.row, *plan.outer_columns, plan.column)
    return tuple(span.axis for span in spans)


def _locals(plan: ContractPlan, kind: TileKind, steps: TileSteps) -> list[tuple[str, str]]:
    listed = [("ptr", "left"), ("ptr", "right")]
    if any(isinstance(stmt, Check) for stmt in plan.epilogue):
        listed.append(("ptr", "team"))
    if plan.depth_block is not None:
        listed += [("ptr", "kept"), ("i64", "steps"), ("i64", "later"), ("i64", "last")]
    listed += [("i64", place_name(number)) for number in steps.places]
    if kind.clamped:
        listed.append(("i64", "valid"))
    if not kind.full and not isinstance(plan.column.size, int):
        listed.append(("i64", "columns"))
    return listed


_RESERVED = (
    "sizes", "left", "right", "kept", "steps", "later", "last", "valid", "columns", "team", "entry",
)  # fmt: skip


def _parameter(name: str, taken: dict[str, int]) -> str:
    """A parameter name that is used once."""
    name = identifier(name)
    while name in taken or name in _RESERVED or _is_place(name):
        name += "_"
    taken[name] = 1
    return name


def _is_place(name: str) -> bool:
    """Whether a name is that of a place on some reduction axis."""
    start = place_name()
    return name.startswith(start) and name.removeprefix(start).isdigit()


def _unused(c: EmitContext, name: str) -> str:
    """A function name that the module does not define yet."""
    defined, count, fresh = "\n".join(c.builder.module.functions), 0, name
    while f"@{fresh}(" in defined:
        count += 1
        fresh = f"{name}_{count}"
    return fresh


def _walk_epilogue(plan: ContractPlan) -> Iterator[Expr]:
    return walk_exprs(e for stmt in plan.epilogue for e in expressions(stmt))


def _epilogue_buffers(plan: ContractPlan) -> tuple[Buffer, ...]:
    """The buffers that the epilogue touches, each once."""
    found = {e.buffer: None for e in _walk_epilogue(plan) if isinstance(e, Load)}
    found.update({s.buffer: None for s in plan.contraction.stores})
    return tuple(found)


def _operations(plan: ContractPlan) -> int:
    """Operations of the epilogue for one element."""
    return sum(isinstance(e, Apply | Load) for e in _walk_epilogue(plan)) + 1
