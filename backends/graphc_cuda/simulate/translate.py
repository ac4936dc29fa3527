"""Kernels as numpy code over all threads of many blocks at once.

Every expression stays as it is, but for memory, threads, and what chooses: `x[i]` becomes
`x.load(i, _lanes, line)`, a ternary becomes a selection, a branch or a loop narrows the lanes and
the variables that it uses. See `lanes` for what narrowing means.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence

from graphc.errors import UnsupportedError
from graphc_cuda.simulate.source import KernelSource
from graphc_cuda.simulate.structure import without_returns
from graphc_cuda.simulate.translate_values import ValueTranslator

_STATEMENTS = {"copy_async": "copy_async", "copy_async_commit": "commit", "copy_async_wait": "wait"}

_SMALL = 80  # nodes of the syntax tree


def translate_function(source: KernelSource, constants: dict[str, str]) -> str:
    """The vector form of a device function: assignments, then the result."""
    values = ValueTranslator(source, frozenset(), frozenset(), constants)
    lines = [f"def {source.name}({', '.join(source.parameters)}):"]
    for stmt in source.tree.body:
        match stmt:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                lines.append(f"    {name} = {values.write(value, '')}")
            case ast.Return(value=ast.expr() as value):
                lines.append(f"    return {values.write(value, '')}")
            case ast.Expr(value=ast.Constant()):
                continue
            case _:
                raise UnsupportedError(f"{source.name}: a device function is straight-line code")
    return "\n".join([*lines, ""])


def names_in(*trees: ast.AST) -> Counter[str]:
    """How often each name stands in these trees."""
    return Counter(n.id for t in trees for n in ast.walk(t) if isinstance(n, ast.Name))


class KernelTranslator:
    """Writes the vector form of one kernel."""

    def __init__(self, source: KernelSource, constants: dict[str, str]) -> None:
        self.source = source
        self.body = without_returns(source.tree.body)
        self.total = names_in(*self.body)
        self.assigned = _assigned(self.body)
        self.arrays = set(source.parameters) | _declared(self.body)
        self.variables = self.assigned - self.arrays
        self.values = ValueTranslator(source, self.arrays, self.variables, constants)
        self.stored: set[str] = set()  # arrays
        self.lines: list[str] = []
        self._level = 0  # of lanes: the innermost is `_lanes{level}`

    def translate(self) -> str:
        """The text of `def kernel(_run, _lanes0, arrays...)`."""
        parameters = ", ".join(("_run", "_lanes0", *self.source.parameters))
        self.lines.append(f"def {self.source.name}({parameters}):")
        for name in sorted(self.variables):
            self._put(1, f"{name} = UNDEFINED")
        self._block(self.body, 1)
        return "\n".join([*self.lines, ""])

    # ---------------------------------------------------------- statements

    def _put(self, indent: int, text: str) -> None:
        self.lines.append("    " * indent + text)

    @property
    def _lanes(self) -> str:
        return f"_lanes{self._level}"

    def _block(self, body: Sequence[ast.stmt], indent: int) -> None:
        self._put(indent, "pass")
        for stmt in body:
            self._statement(stmt, indent)

    def _statement(self, stmt: ast.stmt, indent: int) -> None:
        match stmt:
            case ast.Assign(targets=[target], value=value):
                self._assign(target, value, indent, stmt.lineno)
            case ast.AugAssign(target=target, op=op, value=value):
                total = ast.copy_location(ast.BinOp(_loaded(target), op, value), stmt)
                self._assign(target, total, indent, stmt.lineno)
            case ast.If():
                self._if(stmt, indent)
            case ast.For(target=ast.Name(), iter=ast.Call(func=ast.Name(id="range"))):
                self._for(stmt, indent)
            case ast.While():
                self._while(stmt, indent)
            case ast.Expr(value=ast.Call() as call):
                self._call(call, indent)
            case ast.Pass() | ast.Expr(value=ast.Constant()):
                return
            case _:
                self._refuse(stmt)

    def _refuse(self, node: ast.stmt) -> None:
        line = self.source.text[node.lineno - 1].strip()
        raise UnsupportedError(
            f"{self.source.name}: the simulator does not know the statement {line!r}"
        )

    def _assign(self, target: ast.expr, value: ast.expr, indent: int, line: int) -> None:
        written = self.values.write(value, self._lanes)
        match target:
            case ast.Subscript(value=ast.Name(id=array), slice=index):
                self.stored.add(array)
                place = self.values.write(index, self._lanes)
                self._put(indent, f"{array}.store({place}, {written}, {self._lanes}, {line})")
            case ast.Name(id=name) if name in self.arrays:
                assert isinstance(value, ast.Call)
                space = ast.unparse(value.func).split(".")[1]
                size, kind = (self.values.write(a, self._lanes) for a in value.args)
                made = f"_run.{space}({name!r}, {size}, {kind}, {self._lanes})"
                self._put(indent, f"{name} = {made}")
            case _:
                self._put(indent, f"{ast.unparse(target)} = {written}")

    def _call(self, call: ast.Call, indent: int) -> None:
        name = ast.unparse(call.func)
        arguments = [self.values.write(a, self._lanes) for a in call.args]
        end = f"{self._lanes}, {call.lineno})"
        if name == "cuda.syncthreads":
            self._put(indent, f"_run.barrier({end}")
        elif name == "cuda.syncwarp":
            mask = arguments[0] if arguments else "0xFFFFFFFF"
            self._put(indent, f"_run.warp_barrier({mask}, {end}")
        elif name in ("store_vector2", "store_vector4", "store_vector8"):
            array, index, *values = arguments
            self.stored.add(array)
            self._put(indent, f"{array}.store_vector({index}, ({', '.join(values)},), {end}")
        elif name == "atomic_min":
            array, index, value = arguments
            self._put(indent, f"{array}.atomic_min({index}, {value}, {end}")
        else:
            written = ", ".join([*arguments, end])
            self._put(indent, f"_run.{_STATEMENTS[name]}({written}")

    # ------------------------------------------------- branches and loops

    def _used(self, *trees: ast.AST) -> tuple[list[str], list[str]]:
        """Variables that the trees assign, and that they only read, and others know too."""
        found = names_in(*trees)
        changed = _assigned([t for t in trees if isinstance(t, ast.stmt)])
        outside = [n for n in sorted(found) if n in self.variables and found[n] < self.total[n]]
        return [n for n in outside if n in changed], [n for n in outside if n not in changed]

    def _if(self, stmt: ast.If, indent: int) -> None:
        condition, outer = f"_if{stmt.lineno}_{len(self.lines)}", self._lanes
        self._put(indent, f"{condition} = {self.values.write(stmt.test, outer)}")
        if not stmt.orelse and self._is_small(stmt.body):
            self._blend(condition, stmt.body, indent)
            return
        self._branch(condition, stmt.body, indent, outer)
        if stmt.orelse:
            self._branch(f"_not({condition})", stmt.orelse, indent, outer)

    def _is_small(self, body: list[ast.stmt]) -> bool:
        """Whether it is quicker to compute the body for all lanes: a few values, no memory."""
        nodes = [n for s in body for n in ast.walk(s)]
        names = [s.targets[0] for s in body if isinstance(s, ast.Assign)]
        is_plain = len(names) == len(body) and all(isinstance(n, ast.Name) for n in names)
        effects = any(
            isinstance(n, (ast.Subscript, ast.Attribute))
            or (isinstance(n, ast.Name) and n.id in self.arrays)
            or (isinstance(n, ast.Call) and ast.unparse(n.func).startswith("mma"))
            for n in nodes
        )
        return is_plain and not effects and len(nodes) <= _SMALL

    def _blend(self, condition: str, body: list[ast.stmt], indent: int) -> None:
        """Assignments for all lanes, which hold where the condition does."""
        changed, _ = self._used(*body)
        self._put(indent, f"if {condition}.__class__ is not ndarray:")
        self._put(indent + 1, f"if {condition}:")
        self._block(body, indent + 2)
        self._put(indent, "else:")
        for stmt in body:
            assert isinstance(stmt, ast.Assign)
            name = ast.unparse(stmt.targets[0])
            value = self.values.write(stmt.value, self._lanes)
            blended = f"_blend({condition}, {value}, {name})"
            self._put(indent + 1, f"{name} = {blended if name in changed else value}")

    def _branch(self, condition: str, body: list[ast.stmt], indent: int, outer: str) -> None:
        self._level += 1
        inner, kept = self._lanes, f"_kept{self._level}"
        changed, read = self._used(*body)
        names = [*changed, *read]
        self._put(indent, f"{inner} = {outer}.branch({condition})")
        self._put(indent, f"if {inner} is not None:")
        if names:
            self._put(indent + 1, f"if {inner} is not {outer}:")
            self._put(indent + 2, f"{kept} = ({', '.join(names)},)")
            self._put(indent + 2, f"{', '.join(names)}, = {inner}.take({', '.join(names)})")
        self._block(body, indent + 1)
        if names:
            self._put(indent + 1, f"if {inner} is not {outer}:")
        for position, name in enumerate(names):
            old = f"{kept}[{position}]"
            merged = f"{inner}.merge({old}, {name})" if name in changed else old
            self._put(indent + 2, f"{name} = {merged}")
        self._level -= 1

    def _for(self, stmt: ast.For, indent: int) -> None:
        assert isinstance(stmt.iter, ast.Call)
        assert isinstance(stmt.target, ast.Name)
        bounds = [self.values.write(a, self._lanes) for a in stmt.iter.args]
        bounds = ["0", *bounds] if len(bounds) == 1 else bounds
        bounds = [*bounds, "1"] if len(bounds) == 2 else bounds
        loop, outer = f"_loop{self._level + 1}", self._lanes
        self._put(indent, f"{loop} = loop_over({outer}, {', '.join(bounds)})")
        used = self._used(*stmt.body)
        used = ([n for n in used[0] if n != stmt.target.id], used[1])
        used = (used[0], [n for n in used[1] if n != stmt.target.id])
        self._put(indent, f"_lanes{self._level + 1} = {outer}")
        self._put(indent, f"for {stmt.target.id} in {loop}:")
        self._looped(stmt.body, used, loop, indent)

    def _while(self, stmt: ast.While, indent: int) -> None:
        loop, outer = f"_loop{self._level + 1}", self._lanes
        inner = f"_lanes{self._level + 1}"
        used = self._used(stmt.test, *stmt.body)
        self._put(indent, f"{loop} = VaryingLoop({outer})")
        self._put(indent, f"{inner} = {outer}")
        test = self.values.write(stmt.test, inner)
        self._put(indent, f"while {loop}.goes_on({test}):")
        self._looped(stmt.body, used, loop, indent)

    def _looped(
        self, body: list[ast.stmt], used: tuple[list[str], list[str]], loop: str, indent: int
    ) -> None:
        self._level += 1
        names = ", ".join([*used[0], *used[1]])
        self._put(indent + 1, f"if {loop}.changed:")
        if names:
            self._put(indent + 2, f"{names}, = {loop}.park({len(used[0])}, {names})")
        else:
            self._put(indent + 2, f"{loop}.park(0)")
        self._put(indent + 2, f"{self._lanes} = {loop}.lanes")
        self._block(body, indent + 1)
        if names:
            self._put(indent, f"if {loop}.shrunk:")
            self._put(indent + 1, f"{names}, = {loop}.finish({len(used[0])}, {names})")
        self._level -= 1


def _assigned(body: Sequence[ast.stmt]) -> set[str]:
    nodes = (n for s in body for n in ast.walk(s))
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _declared(body: Sequence[ast.stmt]) -> set[str]:
    """Names of shared and local arrays."""
    found = set()
    for node in (n for s in body for n in ast.walk(s)):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=function)):
                if ast.unparse(function) in ("cuda.shared.array", "cuda.local.array"):
                    found.add(name)
    return found


def _loaded(target: ast.expr) -> ast.expr:
    """The same place, read."""
    match target:
        case ast.Name(id=name):
            return ast.copy_location(ast.Name(name, ast.Load()), target)
        case ast.Subscript(value=value, slice=index):
            return ast.copy_location(ast.Subscript(value, index, ast.Load()), target)
    return target
