"""The functions that make a workspace ready, save and load it, and reach parameters by name."""

from __future__ import annotations

from graphc_llvm.library.api import Api
from graphc_llvm.library.code import STATUS, Code, any_bit
from graphc_llvm.library.layout import BYTES, MAGIC, STATE_HEADER, VERSION

# Of the table of parameters: name, offset in the workspace (-1: frozen), bytes, constant memory
# (null: in the workspace, or computed away).
ROW = "{ ptr, i64, i64, ptr }"


class State:
    """Writes them."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def functions(self) -> list[str]:
        """All texts."""
        return [
            self._workspace_bytes(), self._state_bytes(), self._init(), self._load(), self._save(),
            self._find(), self._get(), self._set(),
        ]  # fmt: skip

    def _constant_function(self, word: str, value: int) -> str:
        size, name = self.api.size, self.api.name
        return f"define {size} @{name}_{word}() nounwind {{\n  ret {size} {value}\n}}"

    def _workspace_bytes(self) -> str:
        return self._constant_function("workspace_bytes", self.api.workspace.total)

    def _state_bytes(self) -> str:
        return self._constant_function("state_bytes", STATE_HEADER + self.api.workspace.state_bytes)

    def _init(self) -> str:
        given = [] if self.api.embedded else ["ptr %weights", f"{self.api.size} %weights_bytes"]
        parameters = ["ptr %workspace", f"{self.api.size} %bytes", *given]
        code, w = Code(f"{self.api.name}_init", parameters), self.api.workspace
        code.fail_if_null("%workspace")
        number = code.define("number", "ptrtoint ptr %workspace to i64")
        low = code.define("low", f"and i64 {number}, 63")
        code.fail_if(code.define("odd", f"icmp ne i64 {low}, 0"), STATUS["ALIGNMENT"])
        given_bytes = self.api.wide(code, "%bytes")
        few = code.define("few", f"icmp ult i64 {given_bytes}, {w.total}")
        code.fail_if(few, STATUS["WORKSPACE"])
        code.line(f"call void @llvm.memset.p0.i64(ptr %workspace, i8 0, i64 {w.state}, i1 false)")
        code.store("i64", self.api.magic, "%workspace", MAGIC)
        code.store("i64", given_bytes, "%workspace", BYTES)
        code.store("i64", 1, "%workspace", VERSION)
        if self.api.embedded:
            self._initial_values(code)
            return code.end()
        arguments = f"ptr %workspace, ptr %weights, {self.api.size} %weights_bytes"
        call = f"call i32 @{self.api.name}_load({arguments})"
        status = code.define("status", call)
        wrong = code.define("wrong", f"icmp ne i32 {status}, 0")
        self._clear_if(code, wrong)
        return code.end(status)

    def _clear_if(self, code: Code, wrong: str) -> None:
        """Make the workspace unusable again where something is wrong."""
        magic = code.define("magic", f"select i1 {wrong}, i64 0, i64 {self.api.magic}")
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
                code.line(f"call void @llvm.memset.p0.i64({fill})")
            elif memory.nbytes:
                code.copy(at, self.api.data(memory, "weights"), memory.nbytes)

    def _load(self) -> str:
        parameters = ["ptr %workspace", "ptr %saved", f"{self.api.size} %bytes"]
        code = Code(f"{self.api.name}_load", parameters)
        code.fail_if_not_ready(self.api.magic)
        code.fail_if_null("%saved")
        self._check_bytes(code)
        mark = code.define("mark", "load i64, ptr %saved, align 1")
        code.fail_if(code.define("odd", f"icmp ne i64 {mark}, {self.api.magic}"), STATUS["STATE"])
        source = code.at("%saved", STATE_HEADER)
        code.copy(
            code.at("%workspace", self.api.workspace.state), source, self.api.workspace.state_bytes
        )
        self.api.new_version(code)
        return code.end()

    def _save(self) -> str:
        parameters = ["ptr %workspace", "ptr %saved", f"{self.api.size} %bytes"]
        code = Code(f"{self.api.name}_save", parameters)
        code.fail_if_not_ready(self.api.magic)
        code.fail_if_null("%saved")
        self._check_bytes(code)
        code.line(f"store i64 {self.api.magic}, ptr %saved, align 1")
        code.line(f"store i64 0, ptr {code.at('%saved', 8)}, align 1")
        source = code.at("%workspace", self.api.workspace.state)
        code.copy(code.at("%saved", STATE_HEADER), source, self.api.workspace.state_bytes)
        return code.end()

    def _check_bytes(self, code: Code) -> None:
        wanted = STATE_HEADER + self.api.workspace.state_bytes
        wrong = code.define("wrong", f"icmp ne i64 {self.api.wide(code, '%bytes')}, {wanted}")
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
        return f"""\
define internal ptr @{self.api.name}.find(ptr %name) nounwind {{
entry:
  br label %row
row:
  %i = phi i64 [ 0, %entry ], [ %i.next, %other ]
  %more = icmp ult i64 %i, {len(rows)}
  br i1 %more, label %compare, label %missing
compare:
  %row.p = getelementptr {ROW}, ptr @{self.api.name}.parameters, i64 %i
  %known = load ptr, ptr %row.p
  br label %letter
letter:
  %k = phi i64 [ 0, %compare ], [ %k.next, %same ]
  %a.p = getelementptr i8, ptr %known, i64 %k
  %b.p = getelementptr i8, ptr %name, i64 %k
  %a = load i8, ptr %a.p
  %b = load i8, ptr %b.p
  %equal = icmp eq i8 %a, %b
  br i1 %equal, label %end, label %other
end:
  %last = icmp eq i8 %a, 0
  br i1 %last, label %found, label %same
same:
  %k.next = add i64 %k, 1
  br label %letter
other:
  %i.next = add i64 %i, 1
  br label %row
found:
  ret ptr %row.p
missing:
  ret ptr null
}}"""

    def _parameter_access(self, word: str) -> tuple[Code, str, str]:
        """The checks of get and set; the address in the workspace, and the bytes."""
        parameters = ["ptr %workspace", "ptr %name", "ptr %value", f"{self.api.size} %bytes"]
        code = Code(f"{self.api.name}_{word}_parameter", parameters)
        code.fail_if_not_ready(self.api.magic)
        code.fail_if_null("%name", "%value")
        row = code.define("row", f"call ptr @{self.api.name}.find(ptr %name)")
        code.fail_if(code.define("none", f"icmp eq ptr {row}, null"), STATUS["NO_PARAMETER"])
        places = [
            code.define("field", f"getelementptr {ROW}, ptr {row}, i64 0, i32 {i}")
            for i in (1, 2, 3)
        ]
        offset, count = (code.define("number", f"load i64, ptr {p}") for p in places[:2])
        frozen = code.define("frozen", f"icmp slt i64 {offset}, 0")
        if word == "set":
            code.fail_if(frozen, STATUS["READONLY"])
        wrong = code.define("wrong", f"icmp ne i64 {self.api.wide(code, '%bytes')}, {count}")
        code.fail_if(wrong, STATUS["BYTES"])
        inside = code.define("inside", f"getelementptr i8, ptr %workspace, i64 {offset}")
        fixed = code.define("fixed", f"load ptr, ptr {places[2]}")
        at = code.define("at", f"select i1 {frozen}, ptr {fixed}, ptr {inside}")
        code.fail_if(code.define("gone", f"icmp eq ptr {at}, null"), STATUS["NO_PARAMETER"])
        return code, at, count

    def _get(self) -> str:
        code, at, count = self._parameter_access("get")
        code.line(f"call void @llvm.memcpy.p0.p0.i64(ptr %value, ptr {at}, i64 {count}, i1 false)")
        return code.end()

    def _set(self) -> str:
        code, at, count = self._parameter_access("set")
        code.line(f"call void @llvm.memcpy.p0.p0.i64(ptr {at}, ptr %value, i64 {count}, i1 false)")
        self.api.new_version(code)
        return code.end()
