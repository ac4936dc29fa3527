"""Kernels as text."""

from graphc.ir.dims import Dim
from graphc.ir.loops import ir
from graphc.ir.loops.combine import ARGMAX, DOT
from graphc.ir.loops.kernel_printer import kernel_text
from graphc.ir.types import bool_, float32, int32, int64


def f32(function, *args):
    return ir.Apply(float32, function, args)


def matmul():
    batch = Dim("batch")
    x, w, y = (
        ir.Buffer("x", float32, (batch, 20)), ir.Buffer("w", float32, (20, 4)),
        ir.Buffer("y", float32, (batch, 4)),
    )  # fmt: skip
    i, j, k = ir.Axis("i"), ir.Axis("j"), ir.Axis("k")
    at = ir.index
    acc = ir.Accumulator(DOT, (ir.Ref(float32, "acc"),))
    factors = ir.Load(float32, x, (at(i), at(k))), ir.Load(float32, w, (at(k), at(j)))
    inner = ir.Loop(k, ir.extent(20), ir.SEQUENTIAL, (ir.Accumulate(acc, factors),), (acc,))
    half = f32("mul", ir.const(0.5, float32), acc.refs[0])
    store = ir.Store(y, (at(i), at(j)), f32("exp", half))
    columns = ir.Loop(j, ir.extent(4), ir.PARALLEL, (inner, store), lanes=True)
    rows = ir.Loop(i, ir.extent(batch), ir.PARALLEL, (columns,))
    return ir.Kernel("matmul_exp", (x, w), (y,), (rows,), note="a note")


def test_matmul():
    assert kernel_text(matmul()) == (
        "kernel matmul_exp(x f32[batch,20], w f32[20,4]) -> y f32[batch,4]\n"
        "  # a note\n"
        "  parallel i < batch\n"
        "    parallel lanes j < 4\n"
        "      sequential k < 20; acc: dot\n"
        "        acc dot= x[i, k], w[k, j]\n"
        "      y[i, j] = exp(0.5 * acc)\n"
    )


def lines(*body, writes=()):
    return [row.strip() for row in kernel_text(ir.Kernel("k", (), writes, body)).splitlines()[1:]]


def test_parentheses_only_where_they_change_the_meaning():
    a, b, c = (ir.Ref(float32, name) for name in "abc")
    r = ir.Ref(float32, "r")
    cases = [
        (f32("add", a, f32("mul", b, c)), "a + b * c"),
        (f32("mul", a, f32("add", b, c)), "a * (b + c)"),
        (f32("sub", a, f32("sub", b, c)), "a - (b - c)"),
        (f32("sub", f32("sub", a, b), c), "a - b - c"),
        (f32("div", f32("mul", a, b), c), "a * b / c"),
        (f32("neg", f32("add", a, b)), "neg(a + b)"),
        (f32("select", ir.Apply(bool_, "lt", (a, b)), a, b), "select(a < b, a, b)"),
        (ir.Apply(int32, "cast", (f32("add", a, b),)), "i32(a + b)"),
        (ir.Apply(int32, "bitcast", (a,)), "bits.i32(a)"),
    ]
    for expr, shown in cases:
        assert lines(ir.Let(r, expr)) == [f"r = {shown}"]


def test_what_is_used_twice_is_named_and_the_text_stays_small():
    x = ir.Buffer("x", float32, (4,))
    expr = ir.Load(float32, x, (ir.const(0),))
    for _ in range(60):  # 2**60 occurrences if written out
        expr = f32("add", expr, expr)
    shown = lines(ir.Let(ir.Ref(float32, "r"), expr))
    assert shown[:2] == ["t0 = x[0]", "t1 = t0 + t0"]
    assert shown[-1] == "r = t59 + t59"
    assert len(shown) == 61


def test_conditions_checks_scratch_and_several_values():
    x = ir.Buffer("x", float32, (4,))
    i = ir.Axis("i")
    inside = ir.Apply(bool_, "lt", (ir.index(i), ir.const(3)))
    load = ir.Load(float32, x, (ir.index(i),), inside)
    best = ir.Accumulator(ARGMAX, (ir.Ref(float32, "top"), ir.Ref(int64, "at")))
    body = (
        ir.Scratch(ir.Buffer("row", float32, (4,))),
        ir.Accumulate(best, (load, ir.index(i))),
        ir.Store(x, (ir.index(i),), ir.const(0.0, float32), inside),
        ir.Check(ir.const(True, bool_), 7),
    )
    loop = ir.Loop(i, ir.extent(4), ir.SEQUENTIAL, body, (best,))
    assert lines(loop, writes=(x,)) == [
        "sequential i < 4; top, at: argmax",
        "scratch row f32[4]",
        "top, at argmax= (x[i] where i < 3 else 0), i",
        "x[i] = 0.0 where i < 3",
        "check 7: true",
    ]


def test_axes_of_one_name_are_told_apart_inside_each_other_only():
    outer, inner, later = ir.Axis("i"), ir.Axis("i"), ir.Axis("i")
    r = ir.Ref(int64, "r")
    both = ir.Let(r, ir.Apply(int64, "add", (ir.index(outer), ir.index(inner))))
    nest = ir.Loop(
        outer, ir.extent(2), ir.PARALLEL, (ir.Loop(inner, ir.extent(3), ir.PARALLEL, (both,)),)
    )
    alone = ir.Loop(later, ir.extent(4), ir.PARALLEL, (ir.Let(r, ir.index(later)),))
    assert lines(nest, alone) == [
        "parallel i < 2", "parallel i_ < 3", "r = i + i_", "parallel i < 4", "r = i",
    ]  # fmt: skip
