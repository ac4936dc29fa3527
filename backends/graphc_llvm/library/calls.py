"""A function of a library: binding arguments, running parts, the whole call."""

from __future__ import annotations

from graphc.ir.dims import Atom, Dim, MinSize, Size, operand_sizes
from graphc.ir.ops.leaf import Constant
from graphc.ir.schedule import CONSTANT, Storage
from graphc.ir.storage import stored
from graphc_llvm.library.api import Api
from graphc_llvm.library.code import STATUS, Code, dim_name, internal_symbol
from graphc_llvm.library.workspace_layout import BOUND, PREPARED_VERSION, VERSION, FunctionTables
from graphc_llvm.runtime.barrier import NO_FAILURE_I32, TEAM_BYTES
from graphc_llvm.runtime.description import ARENA, SCRATCH, SIZES, TEAM
from graphc_llvm.target import CACHE_LINE


class Calls:
    """Writes the functions of one entry: bind, part, the whole call, the random stream."""

    def __init__(self, api: Api, block: FunctionTables) -> None:
        self.api, self.block, self.entry = api, block, block.entry

    def functions(self) -> list[str]:
        """The text of every function."""
        texts = [self._bind(), self._part(), self._call()]
        if self.block.random is not None:
            texts += [self._set_random(), self._get_random()]
        return texts

    def _signature(self) -> list[str]:
        dims = [f"i64 {dim_name(d.name)}" for d in self.entry.dims]
        given = [f"ptr %in.{i}" for i in range(len(self.entry.inputs))]
        results = [f"ptr %out.{i}" for i in range(len(self.entry.outputs))]
        return ["ptr %workspace", *dims, *given, *results]

    def _bind(self) -> str:
        code = Code(f"{self.entry.symbol}_bind", self._signature())
        code.fail_if_not_ready(self.api.magic)
        for dim in self.entry.dims:
            low = code.effect_value("low", f"icmp slt i64 {dim_name(dim.name)}, {dim.min}")
            high = code.effect_value("high", f"icmp sgt i64 {dim_name(dim.name)}, {dim.max}")
            code.fail_if(code.effect_value("outside", f"or i1 {low}, {high}"), STATUS["DIM"])
        code.fail_if_null(*(f"%in.{i}" for i in range(len(self.entry.inputs))))
        code.fail_if_null(*(f"%out.{i}" for i in range(len(self.entry.outputs))))
        if self.block.is_generic:
            self._fill_sizes(code)
        self._fill_ctx(code)
        for word in range(0, TEAM_BYTES, CACHE_LINE):  # nobody has failed, nobody waits
            code.store("i32", 0 if word else NO_FAILURE_I32, "%workspace", self.block.team + word)
        if self.block.prepared:
            self._refresh(code)
        code.store("i64", 1, "%workspace", self.block.base + BOUND)
        return code.end(0)

    def _fill_sizes(self, code: Code) -> None:
        layout = self.block.pieces.layout
        values: list[object] = [self._size(name) for run in layout.kernel_dims for name in run]
        values += [self.block.plan.offsets[s] for s in layout.offsets]
        values += [self._polynomial(code, n) for n in layout.numbers]
        for i, value in enumerate([*values, self.block.scratch_bytes]):
            code.store("i64", value, "%workspace", self.block.sizes + 8 * i)

    def _size(self, name: str) -> object:
        return self.entry.fixed[name] if name in self.entry.fixed else dim_name(name)

    def _polynomial(self, code: Code, size: Size) -> object:
        """A size as a number or an i64."""
        if isinstance(size, int):
            return size
        total: object = 0
        for monomial, coefficient in size.terms:
            term: object = coefficient
            for atom in monomial:
                term = code.effect_value("term", f"mul i64 {term}, {self._atom(code, atom)}")
            total = code.effect_value("size", f"add i64 {total}, {term}")
        return total

    def _atom(self, code: Code, atom: Atom) -> object:
        if isinstance(atom, Dim):
            return self._size(atom.name)
        first, *others = (self._polynomial(code, part) for part in operand_sizes(atom))
        if not isinstance(atom, MinSize):
            return code.effect_value("quotient", f"sdiv i64 {first}, {others[0]}")
        for other in others:
            less = code.effect_value("less", f"icmp slt i64 {first}, {other}")
            first = code.effect_value("least", f"select i1 {less}, i64 {first}, i64 {other}")
        return first

    def _fill_ctx(self, code: Code) -> None:
        w = self.api.workspace
        table = code.at("%workspace", self.block.ctx, "ctx")

        def put(slot: int, pointer: str) -> None:
            place = code.effect_value("slot", f"getelementptr ptr, ptr {table}, i64 {slot}")
            code.effect(f"store ptr {pointer}, ptr {place}")

        put(SIZES, code.at("%workspace", self.block.sizes))
        put(ARENA, code.at("%workspace", w.arena))
        put(SCRATCH, code.at("%workspace", w.scratch))
        put(TEAM, code.at("%workspace", self.block.team))
        for storage, slot in self.block.pieces.layout.slots.items():
            put(slot, self._place(code, storage))

    def _place(self, code: Code, storage: Storage) -> str:
        """Where a storage is."""
        graph, node = self.entry.function.graph, storage.node
        match storage.role:
            case "rng":
                assert self.block.random is not None
                return code.at("%workspace", self.block.random)
            case "prepared" if storage in self.api.workspace.constants.prepared:
                return self.api.data(self.api.workspace.constants.prepared[storage], "prepared")
            case "prepared":
                return code.at("%workspace", self.block.prepared[storage])
            case "output":
                outputs = self.entry.function.program.schedule.outputs
                return f"%out.{outputs.index(storage)}"
            case "input":
                assert node is not None
                return f"%in.{graph.inputs.index(node)}"
            case "parameter":
                assert node is not None
                parameter = stored(node)
                if parameter in self.api.workspace.constants.parameters:
                    return self.api.data(parameter.memory, "weights")
                if parameter in self.api.interface.frozen:
                    return "null"  # only what is computed from it is read
                return code.at("%workspace", self.api.workspace.parameters[parameter])
        assert storage.role == CONSTANT
        assert node is not None
        assert isinstance(node.op, Constant)
        return self.api.data(node.op.value, "constant")

    def _refresh(self, code: Code) -> None:
        """Emit the prepare part, which is skipped where its results are up to date."""
        version = code.load("i64", "%workspace", VERSION, "version")
        done = code.load("i64", "%workspace", self.block.base + PREPARED_VERSION, "done")
        stale = code.effect_value("stale", f"icmp ne i64 {version}, {done}")
        code.branch_if(stale, "prepare", "ready")
        code.start("prepare")
        ctx = code.at("%workspace", self.block.ctx)
        symbol = internal_symbol(self.entry)
        code.effect(f"call void @{symbol}_prepare(ptr {ctx}, i64 0, i64 1)")
        code.store("i64", version, "%workspace", self.block.base + PREPARED_VERSION)
        code.branch("ready")
        code.start("ready")

    def _part(self) -> str:
        parameters = ["ptr %workspace", "i32 signext %thread", "i32 signext %threads"]
        code = Code(f"{self.entry.symbol}_part", parameters)
        code.fail_if_not_ready(self.api.magic)
        bound = code.load("i64", "%workspace", self.block.base + BOUND, "bound")
        code.fail_if(code.effect_value("unbound", f"icmp eq i64 {bound}, 0"), STATUS["NOT_BOUND"])
        most = self.api.interface.threads
        tests = f"sgt i32 %threads, {most}", "slt i32 %thread, 0", "sge i32 %thread, %threads"
        for test in tests:
            code.fail_if(code.effect_value("odd", f"icmp {test}"), STATUS["THREADS"])
        words = "thread", "threads"
        one, all_ = (code.effect_value("wide", f"sext i32 %{word} to i64") for word in words)
        ctx = code.at("%workspace", self.block.ctx)
        team = code.at("%workspace", self.block.team, "team")
        code.effect(
            f"call void @{internal_symbol(self.entry)}_part(ptr {ctx}, i64 {one}, i64 {all_})"
        )
        code.effect(f"call void @graphc_barrier(ptr {team}, i64 {all_})")
        status = code.effect_value("status", f"load atomic i32, ptr {team} acquire, align 4")
        fine = code.effect_value("fine", f"icmp eq i32 {status}, -1")
        first = code.effect_value("first", f"icmp eq i64 {one}, 0")
        code.branch_if(first, "leave", "done")
        code.start("leave")
        code.store("i64", 0, "%workspace", self.block.base + BOUND)
        code.branch_if(fine, "count", "done")
        code.start("count")
        self._count(code)
        code.branch("done")
        code.start("done")
        failed = code.effect_value("failed", f"add i32 {status}, {self.entry.first_check}")
        return code.end(code.effect_value("result", f"select i1 {fine}, i32 0, i32 {failed}"))

    def _count(self, code: Code) -> None:
        """After a step: the random stream moves on, and changed parameters have a new version."""
        if self.block.random is not None:
            step = code.load("i64", "%workspace", self.block.random + 8, "step")
            code.store(
                "i64",
                code.effect_value("next", f"add i64 {step}, 1"),
                "%workspace",
                self.block.random + 8,
            )
        if self.entry.function.graph.updates:
            version = self.api.new_version(code)
            if self.block.prepared:  # from parameters that this function does not update
                code.store("i64", version, "%workspace", self.block.base + PREPARED_VERSION)

    def _call(self) -> str:
        signature = self._signature()
        code = Code(self.entry.symbol, signature)
        status = code.effect_value(
            "status", f"call i32 @{self.entry.symbol}_bind({', '.join(signature)})"
        )
        code.fail_if(code.effect_value("failed", f"icmp ne i32 {status}, 0"), status)
        run = f"call i32 @{self.entry.symbol}_part(ptr %workspace, i32 signext 0, i32 signext 1)"
        return code.end(code.effect_value("result", run))

    def _set_random(self) -> str:
        assert self.block.random is not None
        parameters = ["ptr %workspace", "i64 %seed", "i64 %step"]
        code = Code(f"{self.entry.symbol}_set_random", parameters)
        code.fail_if_not_ready(self.api.magic)
        code.store("i64", "%seed", "%workspace", self.block.random)
        code.store("i64", "%step", "%workspace", self.block.random + 8)
        return code.end(0)

    def _get_random(self) -> str:
        assert self.block.random is not None
        parameters = ["ptr %workspace", "ptr %seed", "ptr %step"]
        code = Code(f"{self.entry.symbol}_get_random", parameters)
        code.fail_if_not_ready(self.api.magic)
        code.fail_if_null("%seed", "%step")
        for i, name in enumerate(("seed", "step")):
            value = code.load("i64", "%workspace", self.block.random + 8 * i)
            code.effect(f"store i64 {value}, ptr %{name}")
        return code.end(0)
