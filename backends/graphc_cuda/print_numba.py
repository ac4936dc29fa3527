"""Device programs as numba-CUDA Python: what people read, and what the simulator runs.

Every name of the text that it does not define itself comes from `graphc_cuda.language`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from graphc_cuda.device.program import (
    LOCAL,
    Assign,
    Barrier,
    Call,
    Comment,
    Declare,
    DeviceFunction,
    DeviceKernel,
    For,
    If,
    Intrinsic,
    Literal,
    Program,
    Put,
    Return,
    Shuffle,
    Special,
    Stmt,
    Value,
    WarpBarrier,
    While,
    operands_of,
    values_of,
    walk,
)
from graphc_cuda.layout import COLUMNS, STEP, Brackets, Node, flat, statement
from graphc_cuda.numba_names import Names, global_names, kernel_names
from graphc_cuda.numba_parts import Parts
from graphc_cuda.numba_value import Spelling, memory_name

SPECIALS = {"thread": "cuda.threadIdx.x", "block": "cuda.blockIdx.x", "blocks": "cuda.gridDim.x"}
MOST_LINES = 6  # of an expression that is not cut in parts
VECTORS = ("load_vector", "store_vector")


def numba_text(program: Program) -> str:
    """The program as a module of Python."""
    names = global_names(program)
    texts: list[str] = []
    used: set[str] = {"cuda"}
    for function in program.functions:
        texts.append("\n".join(_function(function, names, used)))
    for kernel in program.kernels:
        texts.append("\n".join(_kernel(kernel, names, used)))
    head = f'"""{_one_line(program.name)}: GPU kernels by graphc."""\n\n' + _import(sorted(used))
    return "\n\n\n".join([head, *texts]) + "\n"


def kernel_texts(program: Program) -> dict[str, str]:
    """For each kernel a module of its own, with the functions that it calls."""
    found = {}
    for kernel in program.kernels:
        needed = _called(value for stmt in walk(kernel.body) for value in values_of(stmt))
        functions = tuple(f for f in program.functions if f in needed)
        found[kernel.name] = numba_text(Program(kernel.name, functions, (kernel,)))
    return found


def _called(values: Iterable[Value]) -> set[DeviceFunction]:
    """The functions that values call, and those that they call in turn."""
    found: set[DeviceFunction] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        waiting += operands_of(value)
        if isinstance(value, Call) and value.function not in found:
            found.add(value.function)
            waiting += [a.value for a in value.function.body] + [value.function.result]
    return found


def _specials(body: Iterable[Stmt]) -> list[str]:
    """Which of the thread's coordinates a kernel uses."""
    found: set[str] = set()
    waiting = [value for stmt in walk(tuple(body)) for value in values_of(stmt)]
    while waiting:
        value = waiting.pop()
        waiting += operands_of(value)
        if isinstance(value, Special):
            found.add(value.name)
    return [name for name in SPECIALS if name in found]


def _import(used: list[str]) -> str:
    line = f"from graphc_cuda.language import {', '.join(used)}"
    if len(line) <= COLUMNS:
        return line
    rows = "".join(f"{STEP}{name},\n" for name in used)
    return f"from graphc_cuda.language import (\n{rows})"


def _function(function: DeviceFunction, names: Names, used: set[str]) -> Iterator[str]:
    yield "@cuda.jit(device=True)"
    inner = names.inside(function.parameters, function.body)
    spelling = Spelling(inner, used)
    yield from _define(names.functions[function], [inner.of(p) for p in function.parameters])
    yield from _comments([function.note] if function.note else [], 1)
    for assign in function.body:
        yield from _statement(assign, spelling, 1)
    yield from _valued("return ", function.result, spelling, 1)


def _kernel(kernel: DeviceKernel, names: Names, used: set[str]) -> Iterator[str]:
    yield "@cuda.jit"
    inner = kernel_names(names, kernel)
    spelling = Spelling(inner, used)
    yield from _define(names.kernels[kernel], [inner.of(a) for a in kernel.arrays])
    yield from _comments(kernel.note, 1)
    specials = _specials(kernel.body)
    yield from (f"{STEP}{name} = {SPECIALS[name]}" for name in specials)
    yield from (_block if specials else _inner)(kernel.body, spelling, 1)


def _define(name: str, parameters: list[str]) -> Iterator[str]:
    yield from statement("def ", Brackets(name, "(", tuple(parameters), ")"), ":", 0)


def _comments(lines: Iterable[str], indent: int) -> Iterator[str]:
    margin = f"{STEP * indent}# "
    for line in lines:
        text = f"{margin}{_one_line(line)}"
        yield (text if len(text) <= COLUMNS else f"{text[: COLUMNS - 4]} ...").rstrip()


def _one_line(text: str) -> str:
    return text.replace("\\", "/").replace('"', "'").replace("\n", " ").replace("\r", " ")


def _block(body: Iterable[Stmt], spelling: Spelling, indent: int) -> Iterator[str]:
    for stmt in body:
        yield from _statement(stmt, spelling, indent)


def _inner(body: tuple[Stmt, ...], spelling: Spelling, indent: int) -> Iterator[str]:
    """The lines of a block inside a statement."""
    lines = list(_block(body, spelling, indent))
    yield from lines
    if all(line.lstrip().startswith("#") for line in lines):
        yield f"{STEP * indent}pass"


def _statement(stmt: Stmt, spelling: Spelling, indent: int) -> Iterator[str]:
    match stmt:
        case If(condition=Literal(value=decided)):
            yield from _block(stmt.body if decided else stmt.otherwise, spelling, indent)
        case For(start=Literal(value=start), stop=Literal(value=stop)) if start >= stop:
            pass
        case If():
            yield from _if(stmt, spelling, indent, "if")
        case While(condition=condition, body=body):
            yield from statement("while ", spelling.node(condition), ":", indent)
            yield from _inner(body, spelling, indent + 1)
        case For(body=body):
            limits = tuple(spelling.node(x) for x in (stmt.start, stmt.stop, stmt.step))
            before = f"for {spelling.names.of(stmt.variable)} in "
            yield from statement(before, Brackets("range", "(", limits, ")"), ":", indent)
            yield from _inner(body, spelling, indent + 1)
        case Comment(text=text):
            yield from _comments(text.splitlines(), indent)
        case Return():
            yield f"{STEP * indent}return"
        case Assign() | Put():
            yield from _assigned(stmt, spelling, indent)
        case _:
            before, node = _simple(stmt, spelling)
            yield from statement(before, node, "", indent)


def _assigned(stmt: Assign | Put, spelling: Spelling, indent: int) -> Iterator[str]:
    before, _ = _simple(stmt, spelling)
    yield from _valued(before, stmt.value, spelling, indent)


def _valued(before: str, value: Value, spelling: Spelling, indent: int) -> Iterator[str]:
    """A statement with a value; in parts, if it would take many lines."""
    lines = statement(before, spelling.node(value), "", indent)
    if len(lines) > MOST_LINES:
        parts = Parts(spelling, COLUMNS - len(STEP) * indent - len(before))
        value = parts.cut(value)
        for assign in parts.made:
            yield from statement(*_simple(assign, spelling), "", indent)
        lines = statement(before, spelling.node(value), "", indent)
    yield from lines


def _if(stmt: If, spelling: Spelling, indent: int, word: str) -> Iterator[str]:
    yield from statement(f"{word} ", spelling.node(stmt.condition), ":", indent)
    yield from _inner(stmt.body, spelling, indent + 1)
    other = stmt.otherwise[0] if len(stmt.otherwise) == 1 else None
    if isinstance(other, If) and not isinstance(other.condition, Literal):
        yield from _if(other, spelling, indent, "elif")
    elif stmt.otherwise:
        yield f"{STEP * indent}else:"
        yield from _inner(stmt.otherwise, spelling, indent + 1)


def _simple(stmt: Stmt, spelling: Spelling) -> tuple[str, Node]:
    """A statement on one line: what is assigned to, and the value."""
    names = spelling.names
    match stmt:
        case Assign(variable=variable, value=value):
            return f"{names.of(variable)} = ", spelling.node(value)
        case Put(array=array, index=index, value=value):
            return f"{flat(spelling.element(array, index))} = ", spelling.node(value)
        case Declare(array=array):
            space = "local" if array.space == LOCAL else "shared"
            items = (str(array.size), spelling.use(memory_name(array.dtype)))
            return f"{names.of(array)} = ", Brackets(f"cuda.{space}.array", "(", items, ")")
        case Barrier():
            return "", "cuda.syncthreads()"
        case WarpBarrier(mask=mask):
            return "", Brackets("cuda.syncwarp", "(", (spelling.node(mask),), ")")
        case Shuffle(variable=variable, value=value, lane=lane, mask=mask):
            args = tuple(map(spelling.node, (mask, value, lane)))
            return f"{names.of(variable)} = ", Brackets("cuda.shfl_sync", "(", args, ")")
        case Intrinsic():
            return _intrinsic(stmt, spelling)
    raise AssertionError(stmt)


def _intrinsic(stmt: Intrinsic, spelling: Spelling) -> tuple[str, Node]:
    results = ", ".join(map(spelling.names.of, stmt.results))
    name = stmt.function
    if name in VECTORS:
        name += str(len(stmt.results) or len(stmt.operands) - 2)
    items = tuple(spelling.operand(x) for x in stmt.operands)
    return f"{results} = " if results else "", Brackets(spelling.use(name), "(", items, ")")
