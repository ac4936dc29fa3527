"""The functions that make a workspace ready, save and load it, and reach parameters by name."""

from __future__ import annotations

from graphc_llvm.blocks import BlockBuilder, Module
from graphc_llvm.ir_builder import FunctionBuilder, FunctionParameter
from graphc_llvm.library.api import Api
from graphc_llvm.library.code import STATUS, Code, any_bit
from graphc_llvm.library.workspace_layout import BYTES, MAGIC, STATE_HEADER, VERSION

# Of the table of parameters: name, offset in the workspace (-1: frozen), bytes, constant memory
# (null: in the workspace, or computed away).
ROW = "{ ptr, i64, i64, ptr }"


class State:
    """Writes the functions of the workspace and of the parameters in it."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def functions(self) -> list[str]:
        """The text of every function."""
        return [
            self._workspace_bytes(), self._state_bytes(), self._init(), self._load(), self._save(),
            self._find(), self._get(), self._set(),
        ]  # fmt: skip

    def _constant_function(self, word: str, value: int) -> str:
        return BlockBuilder(f"{self.api.name}_{word}", (), result=self.api.size).end(value)

    def _workspace_bytes(self) -> str:
        return self._constant_function("workspace_bytes", self.api.workspace.total)

    def _state_bytes(self) -> str:
        return self._constant_function("state_bytes", STATE_HEADER + self.api.workspace.state_bytes)

    def _init(self) -> str:
        given = [] if self.api.embedded else ["ptr %weights", f"{self.api.size} %weights_bytes"]
        parameters = ["ptr %workspace", f"{self.api.size} %bytes", *given]
        code, w = Code(f"{self.api.name}_init", parameters), self.api.workspace
        code.fail_if_null("%workspace")
        number = code.effect_value("number", "ptrtoint ptr %workspace to i64")
        low = code.effect_value("low", f"and i64 {number}, 63")
        code.fail_if(code.effect_value("odd", f"icmp ne i64 {low}, 0"), STATUS["ALIGNMENT"])
        given_bytes = self.api.wide(code, "%bytes")
        few = code.effect_value("few", f"icmp ult i64 {given_bytes}, {w.total}")
        code.fail_if(few, STATUS["WORKSPACE"])
        code.effect(f"call void @llvm.memset.p0.i64(ptr %workspace, i8 0, i64 {w.state}, i1 false)")
        code.store("i64", self.api.magic, "%workspace", MAGIC)
        code.store("i64", given_bytes, "%workspace", BYTES)
        code.store("i64", 1, "%workspace", VERSION)
        if self.api.embedded:
            self._initial_values(code)
            return code.end(0)
        arguments = f"ptr %workspace, ptr %weights, {self.api.size} %weights_bytes"
        call = f"call i32 @{self.api.name}_load({arguments})"
        status = code.effect_value("status", call)
        wrong = code.effect_value("wrong", f"icmp ne i32 {status}, 0")
        self._clear_if(code, wrong)
        return code.end(status)

    def _clear_if(self, code: Code, wrong: str) -> None:
        """Make the workspace unusable again where something is wrong."""
        magic = code.effect_value("magic", f"select i1 {wrong}, i64 0, i64 {self.api.magic}")
        code.store("i64", magic, "%workspace", MAGIC)

    def _initial_values(self, code: Code) -> None:
        """The values at the time of export; runs of zeros are not stored."""
        w = self.api.workspace
        for block in w.blocks:
            if block.random is not None:
                at = code.at("%workspace", block.random)
                code.copy(at, self.api.data(block.entry.function.rng, "random"), 16)
        for parameter, offset in w.parameters.items():
            memory, at = parameter.memory, code.at("%workspace", offset)
            if memory.nbytes and not any_bit(memory):
                fill = f"ptr {at}, i8 0, i64 {memory.nbytes}, i1 false"
                code.effect(f"call void @llvm.memset.p0.i64({fill})")
            elif memory.nbytes:
                code.copy(at, self.api.data(memory, "weights"), memory.nbytes)

    def _load(self) -> str:
        parameters = ["ptr %workspace", "ptr %saved", f"{self.api.size} %bytes"]
        code = Code(f"{self.api.name}_load", parameters)
        code.fail_if_not_ready(self.api.magic)
        code.fail_if_null("%saved")
        self._check_bytes(code)
        mark = code.effect_value("mark", "load i64, ptr %saved, align 1")
        code.fail_if(
            code.effect_value("odd", f"icmp ne i64 {mark}, {self.api.magic}"), STATUS["STATE"]
        )
        source = code.at("%saved", STATE_HEADER)
        code.copy(
            code.at("%workspace", self.api.workspace.state), source, self.api.workspace.state_bytes
        )
        self.api.new_version(code)
        return code.end(0)

    def _save(self) -> str:
        parameters = ["ptr %workspace", "ptr %saved", f"{self.api.size} %bytes"]
        code = Code(f"{self.api.name}_save", parameters)
        code.fail_if_not_ready(self.api.magic)
        code.fail_if_null("%saved")
        self._check_bytes(code)
        code.effect(f"store i64 {self.api.magic}, ptr %saved, align 1")
        code.effect(f"store i64 0, ptr {code.at('%saved', 8)}, align 1")
        source = code.at("%workspace", self.api.workspace.state)
        code.copy(code.at("%saved", STATE_HEADER), source, self.api.workspace.state_bytes)
        return code.end(0)

    def _check_bytes(self, code: Code) -> None:
        wanted = STATE_HEADER + self.api.workspace.state_bytes
        wrong = code.effect_value("wrong", f"icmp ne i64 {self.api.wide(code, '%bytes')}, {wanted}")
        code.fail_if(wrong, STATUS["BYTES"])

    def _find(self) -> str:
        """Look a name up: the address of its row, or null."""
        w, rows = self.api.workspace, []
        for p in self.api.interface.parameters:
            fixed = self.api.data(p.memory, "weights") if p in w.constants.parameters else "null"
            fields = f"i64 {w.parameters.get(p, -1)}, i64 {p.memory.nbytes}, ptr {fixed}"
            rows.append(f"{ROW} {{ ptr {self.api.string(p.name)}, {fields} }}")
        body = f"internal constant [{len(rows)} x {ROW}] [{', '.join(rows)}]"
        self.api.constants[body] = f"@{self.api.name}.parameters"
        return find_text(self.api.name, len(rows))

    def _parameter_access(self, word: str) -> tuple[Code, str, str]:
        """The checks of get and set; the address in the workspace, and the bytes."""
        parameters = ["ptr %workspace", "ptr %name", "ptr %value", f"{self.api.size} %bytes"]
        code = Code(f"{self.api.name}_{word}_parameter", parameters)
        code.fail_if_not_ready(self.api.magic)
        code.fail_if_null("%name", "%value")
        row = code.effect_value("row", f"call ptr @{self.api.name}.find(ptr %name)")
        code.fail_if(code.effect_value("none", f"icmp eq ptr {row}, null"), STATUS["NO_PARAMETER"])
        places = [
            code.effect_value("field", f"getelementptr {ROW}, ptr {row}, i64 0, i32 {i}")
            for i in (1, 2, 3)
        ]
        offset, count = (code.effect_value("number", f"load i64, ptr {p}") for p in places[:2])
        frozen = code.effect_value("frozen", f"icmp slt i64 {offset}, 0")
        if word == "set":
            code.fail_if(frozen, STATUS["READONLY"])
        wrong = code.effect_value("wrong", f"icmp ne i64 {self.api.wide(code, '%bytes')}, {count}")
        code.fail_if(wrong, STATUS["BYTES"])
        inside = code.effect_value("inside", f"getelementptr i8, ptr %workspace, i64 {offset}")
        fixed = code.effect_value("fixed", f"load ptr, ptr {places[2]}")
        at = code.effect_value("at", f"select i1 {frozen}, ptr {fixed}, ptr {inside}")
        code.fail_if(code.effect_value("gone", f"icmp eq ptr {at}, null"), STATUS["NO_PARAMETER"])
        return code, at, count

    def _get(self) -> str:
        code, at, count = self._parameter_access("get")
        code.copy("%value", at, count)
        return code.end(0)

    def _set(self) -> str:
        code, at, count = self._parameter_access("set")
        code.copy(at, "%value", count)
        self.api.new_version(code)
        return code.end(0)


def find_text(name: str, count: int) -> str:
    """The function that compares a name with those in the table, letter by letter."""
    given = [FunctionParameter("ptr", "name")]
    code = FunctionBuilder(Module(), f"{name}.find", given, linkage="internal", result="ptr")
    code.branch("row")
    code.start("row")
    i = code.effect_value("i", "phi i64 [ 0, %entry ], [ %i.next, %other ]")
    code.branch_if(code.effect_value("more", f"icmp ult i64 {i}, {count}"), "compare", "missing")
    code.start("compare")
    row = code.effect_value("row.p", f"getelementptr {ROW}, ptr @{name}.parameters, i64 {i}")
    known = code.effect_value("known", f"load ptr, ptr {row}")
    code.branch("letter")
    code.start("letter")
    k = code.effect_value("k", "phi i64 [ 0, %compare ], [ %k.next, %same ]")
    places = [
        code.effect_value(hint, f"getelementptr i8, ptr {start}, i64 {k}")
        for hint, start in (("a.p", known), ("b.p", "%name"))
    ]
    a, b = (code.effect_value(h, f"load i8, ptr {p}") for h, p in zip(("a", "b"), places))
    code.branch_if(code.effect_value("equal", f"icmp eq i8 {a}, {b}"), "end", "other")
    code.start("end")
    code.branch_if(code.effect_value("last", f"icmp eq i8 {a}, 0"), "found", "same")
    code.start("same")
    code.effect_value("k.next", f"add i64 {k}, 1")
    code.branch("letter")
    code.start("other")
    code.effect_value("i.next", f"add i64 {i}, 1")
    code.branch("row")
    code.start("found")
    code.ret(row)
    code.start("missing")
    return code.end("null")
