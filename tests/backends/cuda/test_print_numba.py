"""Device programs as Python: what the text says, and that a formatter would leave it alone."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from graphc.ir.types import DType, bool_, float32, float64, int32, int64, uint8, uint32, uint64
from graphc_cuda import language
from graphc_cuda.device.program import (
    Assign,
    Comment,
    DeviceArray,
    DeviceKernel,
    For,
    Get,
    If,
    Literal,
    Op,
    Program,
    Select,
    Stmt,
    Value,
    Variable,
    literal,
)
from graphc_cuda.layout import flat
from graphc_cuda.numba_names import LANGUAGE, Names
from graphc_cuda.numba_value import Spelling
from graphc_cuda.print_numba import kernel_texts, numba_text
from tests.backends.cuda import statements
from tests.backends.cuda.networks import NETWORKS, plan_for
from tests.backends.cuda.scalar_kernels import cases, kernel_of

MATMUL = '''"""step: GPU kernels by graphc."""

from graphc_cuda.language import cuda, f32, fma


@cuda.jit(device=True)
def square(y):
    # y * y
    t0 = y * y
    return t0


@cuda.jit
def k00_matmul_relu(x, dense_kernel, relu):
    # model.py:7  m = nn.Dense(32)
    thread = cuda.threadIdx.x
    block = cuda.blockIdx.x
    i = block * 256 + thread
    if i < 8192:
        acc = f32(0.0)
        for k in range(0, 64, 1):
            acc = fma(x[i * 64 + k], dense_kernel[k * 32], acc)
        relu[i] = square(acc) if acc > f32(0.0) else f32(0.0)
'''
PROGRAMS = {
    "matmul": statements.matmul,
    "statements": statements.every_statement,
    "intrinsics": statements.every_intrinsic,
    "names": statements.odd_names,
    "large": statements.large_shared,
}


def test_text_of_a_kernel() -> None:
    assert numba_text(statements.matmul()) == MATMUL
    assert numba_text(statements.matmul()) == MATMUL, "equal programs have equal texts"


def test_text_of_one_kernel_has_what_it_calls() -> None:
    program = statements.matmul()
    both = Program("both", program.functions, program.kernels + statements.large_shared().kernels)
    texts = kernel_texts(both)
    assert texts["k00_matmul_relu"] == MATMUL.replace('"""step', '"""k00_matmul_relu')
    assert "def square" not in texts["large"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_text_is_python_and_imports_what_it_uses(name: str) -> None:
    tree = ast.parse(numba_text(PROGRAMS[name]()))
    (imported,) = (node for node in tree.body if isinstance(node, ast.ImportFrom))
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert [alias.name for alias in imported.names] == sorted(used & set(LANGUAGE))


def test_the_language_has_every_name() -> None:
    assert [name for name in LANGUAGE if not hasattr(language, name)] == []


def test_names_are_legal_and_each_is_one_thing() -> None:
    (_, kernel) = (
        node
        for node in ast.parse(numba_text(statements.odd_names())).body
        if isinstance(node, ast.FunctionDef)
    )
    names = [argument.arg for argument in kernel.args.args]
    assert names == [
        "lambda_1", "cuda_1", "f32_1", "sum", "thread_1", "x", "x_1", "_2d", "a_b", "match_1",
        "k_odd_1",
    ]  # fmt: skip
    local = {target.id for node in ast.walk(kernel) if isinstance(node, ast.Assign)
             for target in node.targets if isinstance(target, ast.Name)}  # fmt: skip
    assert local == {"thread", "x_2", "fma_1"}


# ---------------------------------------------------------------------- values

A, J, K = (statements.index(name) for name in "ijk")
F, D = Variable(float32, "f"), Variable(float64, "d")
U, W, N, B, L = (
    Variable(uint32, "u"), Variable(uint64, "w"), Variable(int32, "n"), Variable(uint8, "b"),
    Variable(int64, "l"),
)  # fmt: skip
P, Q = Variable(bool_, "p"), Variable(bool_, "q")


def op(function: str, *args: Value, dtype: DType | None = None) -> Op:
    kind = args[0].dtype if dtype is None else dtype
    return Op(kind, function, args, is_index=all(a.is_index for a in args) and kind != bool_)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Literal(float32, 0.1), "f32(0.1)"),
        (Literal(float32, -0.0), "f32(-0.0)"),
        (Literal(float32, 2.0**24), "f32(16777216.0)"),
        (Literal(float32, 1e-7), "f32(1e-7)"),
        (Literal(float32, float("-inf")), "f32(-inf)"),
        (Literal(float64, float("nan")), "nan"),
        (Literal(float64, 0.5), "0.5"),
        (Literal(uint32, 0x9E3779B9), "u32(0x9E3779B9)"),
        (Literal(uint64, 5), "u64(5)"),
        (Literal(int64, -(2**63)), "-9223372036854775808"),
        (Literal(int32, 5), "i32(5)"),
        (literal(5), "5"),
        (Literal(bool_, True), "True"),
        (op("add", A, op("mul", J, K)), "i + j * k"),
        (op("mul", op("add", A, J), K), "(i + j) * k"),
        (op("add", A, op("sub", J, K)), "i + j - k"),
        (op("sub", A, op("add", J, K)), "i - (j + k)"),
        (op("mul", A, op("floordiv", J, literal(4))), "i * (j // 4)"),
        (op("mul", A, op("mul", op("floordiv", J, literal(4)), K)), "i * (j // 4 * k)"),
        (op("add", A, literal(-3)), "i - 3"),
        (op("add", literal(0), op("mul", A, literal(1))), "i"),
        (op("add", F, op("add", F, F)), "f + (f + f)"),
        (op("sub", op("sub", F, F), F), "f - f - f"),
        (op("neg", op("neg", F)), "--f"),
        (op("neg", op("add", F, F)), "-(f + f)"),
        (op("mul", U, U), "u32(u * u)"),
        (op("add", op("mul", U, U), U), "u32(u * u + u)"),
        (op("shr", op("add", U, U), U), "u32(u32(u + u) >> u)"),
        (op("bit_and", op("shr", N, N), N), "i32(i32(n >> n) & n)"),
        (op("mul", W, W), "w * w"),
        (op("mul", L, L), "l * l"),
        (op("add", A, N, dtype=int32), "i32(i + n)"),
        (op("convert", op("add", U, U), dtype=uint8), "u8(u + u)"),
        (op("convert", op("add", B, B), dtype=uint32), "u32(u8(b + b))"),
        (op("convert", F, dtype=float64), "f64(f)"),
        (op("convert", F), "f"),
        (op("convert", literal(-1), dtype=uint32), "u32(0xFFFFFFFF)"),
        (op("convert", U, dtype=bool_), "u != u32(0)"),
        (op("bitcast", U, dtype=float32), "bitcast_f32(u)"),
        (op("bitcast", A, dtype=float32), "bitcast_f32(i32(i))"),
        (op("saturate", F, dtype=uint8), "saturate_u8(f)"),
        (op("abs", F), "absolute(f)"),
        (Op(int32, "min", (A, N)), "i32(min(i, n))"),
        (op("lt", literal(0), A, dtype=bool_), "i > 0"),
        (op("logical_not", op("eq", N, N, dtype=bool_)), "n != n"),
        (op("logical_not", op("lt", F, F, dtype=bool_)), "not f < f"),
        (op("logical_not", op("logical_and", P, Q)), "not (p and q)"),
        (op("logical_and", P, op("logical_and", Q, P)), "p and q and p"),
        (op("logical_and", P, op("logical_or", Q, P)), "p and (q or p)"),
        (op("eq", op("lt", F, F, dtype=bool_), P, dtype=bool_), "(f < f) == p"),
        (Select(float32, P, F, Select(float32, Q, F, F)), "f if p else f if q else f"),
        (Select(float32, P, Select(float32, Q, F, F), F), "(f if q else f) if p else f"),
        (op("add", Select(float32, P, F, F), F), "(f if p else f) + f"),
    ],
)  # fmt: skip
def test_values(value: Value, text: str) -> None:
    names = Names(variables={name: name for name in "ijkfduwnblpq"})
    assert flat(Spelling(names, set()).node(value)) == text


# ------------------------------------------------------------------ statements


X = DeviceArray("x", float32, 4)


def body_of(*stmts: Stmt) -> list[str]:
    """The lines of a kernel's body."""
    text = numba_text(Program("p", (), (DeviceKernel("k", (X,), stmts, 1),)))
    return text.split("def k(x):\n")[1].splitlines()


def test_branches() -> None:
    low, high = (statements.less(A, literal(n)) for n in (1, 2))
    inner = If(high, (Assign(A, literal(1)),), (Assign(A, literal(2)),))
    lines = body_of(Assign(A, literal(0)), If(low, (Comment("nothing"),), (inner,)))
    assert lines == [
        "    i = 0", "    if i < 1:", "        # nothing", "        pass", "    elif i < 2:",
        "        i = 1", "    else:", "        i = 2",
    ]  # fmt: skip


def test_what_never_runs_is_left_out() -> None:
    one, two = Assign(A, literal(1)), Assign(A, literal(2))
    never, always = Literal(bool_, False), Literal(bool_, True)
    assert body_of(If(never, (one,), (two,))) == ["    i = 2"]
    assert body_of(If(always, (one,), (two,))) == ["    i = 1"]
    assert body_of(For(A, literal(3), literal(3), literal(1), (one,))) == ["    pass"]


def test_deep_expressions_are_cut_in_parts() -> None:
    value: Value = F
    for number in range(12):
        value = op("fma", value, F, Literal(float32, number + 0.125))
    lines = body_of(Assign(F, Literal(float32, 1.0)), Assign(F, value))
    assert [line.split("=")[0].strip() for line in lines] == ["f", "part", "part_1", "f"]
    assert "fma(part_1, f, " in lines[-1]
    assert "f32(11.125)" in lines[-1]


def test_parts_of_what_may_not_be_evaluated_stay_there() -> None:
    read: Value = Get(float32, X, A)
    for number in range(12):
        read = op("fma", read, F, Literal(float32, number + 0.125))
    start = Assign(A, literal(0)), Assign(F, Literal(float32, 1.0))
    lines = body_of(*start, Assign(F, Select(float32, statements.less(A, literal(4)), read, F)))
    assert not any(line.strip().startswith("part") for line in lines)


# ---------------------------------------------------------------------- layout


def texts() -> dict[str, str]:
    found = {name: numba_text(make()) for name, make in PROGRAMS.items()}
    groups: dict[str, list] = {}
    for case in cases():
        groups.setdefault(case.function, []).append(case)
    kernels = tuple(kernel_of(name, group) for name, group in groups.items())
    found["scalars"] = numba_text(Program("scalars", (), kernels))
    found |= {name: numba_text(plan_for(name).program) for name in NETWORKS}
    return found


def test_lines_fit_and_a_formatter_changes_nothing(tmp_path: Path) -> None:
    for name, text in texts().items():
        assert max(map(len, text.splitlines())) <= 100, name
        (tmp_path / f"{name}.py").write_text(text)
    ruff = shutil.which("ruff")
    if ruff is None:
        pytest.skip("ruff is not on PATH")
    command = [ruff, "format", "--diff", "--isolated", "--line-length", "100", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
