"""Expressions of kernels as numpy code: memory, threads, and what chooses."""

from __future__ import annotations

import ast
from collections.abc import Set as AbstractSet

from graphc_cuda.simulate.source import KernelSource

_SPECIAL = {
    "cuda.threadIdx.x": "{lanes}.thread", "cuda.blockIdx.x": "{lanes}.block",
    "cuda.gridDim.x": "_run.grid", "cuda.blockDim.x": "_run.threads",
}  # fmt: skip
_TYPES = {"i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "f32", "f64"}
_WARP_CALLS = ("mma_bf16", "mma_f16", "mma_tf32")
_BINARY: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//", ast.Mod: "%",
    ast.BitAnd: "&", ast.BitOr: "|", ast.BitXor: "^", ast.LShift: "<<", ast.RShift: ">>",
}  # fmt: skip
_COMPARE: dict[type[ast.AST], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip


class ValueTranslator:
    """Writes expressions; `constants` are the literals that they name."""

    def __init__(
        self,
        source: KernelSource,
        arrays: AbstractSet[str],
        variables: AbstractSet[str],
        constants: dict[str, str],
    ) -> None:
        self.source, self.arrays, self.variables = source, arrays, variables
        self.constants = constants  # their text, to the names of globals

    def write(self, node: ast.expr, lanes: str) -> str:
        """The text of an expression for the lanes of that name."""
        match node:
            case ast.Constant(value=bool() | int()):
                return repr(node.value)
            case ast.Constant(value=float()):
                return self._constant(f"f64({node.value!r})")
            case ast.Name(id="inf" | "nan"):
                return self._constant(f"f64({node.id})")
            case ast.Name(id=name):
                return name
            case ast.Attribute():
                return _SPECIAL[ast.unparse(node)].format(lanes=lanes)
            case ast.Subscript(value=ast.Name(id=array), slice=index):
                return f"{array}.load({self.write(index, lanes)}, {lanes}, {node.lineno})"
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return f"_not({self.write(operand, lanes)})"
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return f"(-{self.write(operand, lanes)})"
            case ast.IfExp():
                return self._select(node, lanes)
            case ast.Call():
                return self._call(node, lanes)
        return self._infix(node, lanes)

    def _infix(self, node: ast.expr, lanes: str) -> str:
        match node:
            case ast.BinOp(left=left, op=ast.FloorDiv() | ast.Mod() as op, right=right):
                return self._divide(left, op, right, lanes)
            case ast.BinOp(left=left, op=op, right=right):
                return f"({self.write(left, lanes)} {_BINARY[type(op)]} {self.write(right, lanes)})"
            case ast.BoolOp(op=op, values=values):
                sign = " & " if isinstance(op, ast.And) else " | "
                return "(" + sign.join(self.write(v, lanes) for v in values) + ")"
            case ast.Compare(left=left, ops=ops, comparators=others):
                sides = [self.write(v, lanes) for v in (left, *others)]
                signs = [_COMPARE[type(op)] for op in ops]
                pairs = [f"({a} {s} {b})" for a, s, b in zip(sides, signs, sides[1:])]
                return pairs[0] if len(pairs) == 1 else "(" + " & ".join(pairs) + ")"
        raise NotImplementedError(ast.unparse(node))

    def _divide(self, left: ast.expr, op: ast.operator, right: ast.expr, lanes: str) -> str:
        """Division of indices: shifts and masks are an order of magnitude faster in numpy."""
        x, y = self.write(left, lanes), self.write(right, lanes)
        divisor = right.value if isinstance(right, ast.Constant) else 0
        if isinstance(divisor, int) and divisor > 0 and divisor & (divisor - 1) == 0:
            if isinstance(op, ast.Mod):
                return f"({x} & {divisor - 1})"
            return f"({x} >> {divisor.bit_length() - 1})"
        if isinstance(op, ast.Mod):
            return f"_mod({x}, {y})"
        return f"({x} // {y})"

    def _constant(self, text: str) -> str:
        return self.constants.setdefault(text, f"_constant{len(self.constants)}")

    def _select(self, node: ast.IfExp, lanes: str) -> str:
        condition = self.write(node.test, lanes)
        if not (self._needs_lanes(node.body) or self._needs_lanes(node.orelse)):
            sides = [self.write(side, lanes) for side in (node.body, node.orelse)]
            return f"_where({condition}, {sides[0]}, {sides[1]})"
        for side, other, sign in ((node.body, node.orelse, ""), (node.orelse, node.body, "_not")):
            if self._is_one_load(side) and not self._needs_lanes(other):
                assert isinstance(side, ast.Subscript)
                index, value = self.write(side.slice, lanes), self.write(other, lanes)
                array = ast.unparse(side.value)
                end = f"{index}, {value}, {lanes}, {node.lineno})"
                return f"{array}.load_where({sign}({condition}), {end}"
        inner = f"{lanes}_"
        nodes = (n for side in (node.body, node.orelse) for n in ast.walk(side))
        found = {n.id for n in nodes if isinstance(n, ast.Name)}
        names = [n for n in sorted(found) if n in self.variables]
        parameters = ", ".join([inner, *names])
        sides = [f"lambda {parameters}: {self.write(s, inner)}" for s in (node.body, node.orelse)]
        values = "".join(f"{n}, " for n in names)
        return f"{lanes}.select({condition}, {sides[0]}, {sides[1]}, ({values}))"

    def _is_one_load(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Subscript) and not self._needs_lanes(node.slice)

    def _needs_lanes(self, node: ast.expr) -> bool:
        """Whether a value depends on which threads evaluate it: it touches memory."""
        return any(isinstance(n, (ast.Subscript, ast.Attribute)) for n in ast.walk(node))

    def _call(self, node: ast.Call, lanes: str) -> str:
        name = ast.unparse(node.func)
        if name in _TYPES and _is_literal(node.args[0]):
            return self._constant(ast.unparse(node))
        arguments = [self.write(a, lanes) for a in node.args]
        end = f"{lanes}, {node.lineno})"
        if name in ("load_vector2", "load_vector4", "load_vector8"):
            array, index = arguments
            return f"{array}.load_vector({index}, {name[-1]}, {end}"
        if name == "cuda.shfl_sync":
            return f"_run.shuffle({', '.join(arguments)}, {end}"
        if name in ("load_matrix", "load_matrix_transposed"):
            return f"_run.{name}({', '.join(arguments)}, {end}"
        if name in _WARP_CALLS:
            return f"_run.multiply({name!r}, ({', '.join(arguments)}), {end}"
        return f"{name}({', '.join(arguments)})"


def _is_literal(node: ast.expr) -> bool:
    match node:
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _is_literal(operand)
        case ast.Constant() | ast.Name(id="inf" | "nan"):
            return True
    return False
