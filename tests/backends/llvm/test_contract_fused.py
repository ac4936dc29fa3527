"""What is fused into contractions: epilogues behind the sum, expressions in front of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graphc.ir.loops.ir import (
    Apply,
    Buffer,
    Check,
    Const,
    Expr,
    Let,
    Load,
    Ref,
    Store,
    const,
    extent,
    index,
)
from graphc.ir.types import bfloat16, bool_, float16, float32, float64, int64
from graphc_llvm import contract_tile
from graphc_llvm.contract_choose import match
from graphc_llvm.contract_plan import packed_width
from graphc_llvm.target import host_target, make_target
from tests.backends.llvm.contractions import Nest, contraction, exact, operands, run
from tests.backends.llvm.native import Native

SIZES = ((4, 16, 5), (13, 10, 7), (33, 70, 12), (1, 130, 3), (30, 1, 4), (16, 16, 0))
SPECS = ("mk,kn->mn", "km,nk->mn", "km,kn->nm")


def apply(function: str, *args: Expr, dtype=None) -> Apply:
    """A scalar function; the result's dtype is that of the last argument unless given."""
    return Apply(dtype or args[-1].dtype, function, args)


def number(value: float, dtype=float32) -> Const:
    return Const(dtype, value)


def positive(x: Expr) -> Apply:
    return apply("lt", number(0.0, x.dtype), x, dtype=bool_)


def relu(x: Expr) -> Apply:
    return apply("select", positive(x), x, number(0.0, x.dtype))


def cases(**options):
    """Every spec and size, one generic variant for all sizes, over one and more threads."""
    for spec in SPECS:
        kernel = contraction(spec, {}, dynamic="mnk", **options)
        assert match(kernel.body, host_target(), None) is not None
        generic = Native(kernel)
        for place, size in enumerate(SIZES):
            sizes = dict(zip("mnk", size))
            arrays = operands(kernel, sizes)
            total = exact(spec, arrays["a"], arrays["b"])
            out = spec.split("->")[1]
            yield out, arrays, total, run(generic, arrays, sizes, threads=1 + place % 3)
            if spec == SPECS[place % len(SPECS)]:
                special = contraction(spec, sizes, **options)
                yield out, arrays, total, run(special, arrays, sizes, None, sizes, 2)


def along(array: np.ndarray, letter: str, out: str) -> np.ndarray:
    """A vector of one letter against an output."""
    return array[:, None] if out.index(letter) == 0 else array[None, :]


def test_bias_and_relu():
    def epilogue(nest: Nest, out: str):
        biased = Ref(float32, "biased")
        bias = nest.load("bias", "n", float32)
        return Let(biased, apply("add", nest.total, bias)), nest.store("out", out, relu(biased))

    for out, arrays, total, found in cases(epilogue=epilogue):
        expected = np.maximum(total + along(arrays["bias"], "n", out), np.float32(0))
        assert np.array_equal(found["out"], expected)


def test_two_outputs_that_read_other_tensors():
    def epilogue(nest: Nest, out: str):
        hidden, scale = nest.load("h", out, float32), nest.load("scale", "m", float32)
        zero = number(0.0)
        gated = apply("select", positive(hidden), nest.total, zero)
        return (
            nest.store("gated", out, gated),
            nest.store("scaled", out, apply("mul", apply("sub", nest.total, hidden), scale)),
            nest.store("mask", out, positive(hidden)),
        )

    for out, arrays, total, found in cases(epilogue=epilogue):
        hidden, scale = arrays["h"], along(arrays["scale"], "m", out)
        assert np.array_equal(found["gated"], np.where(hidden > 0, total, np.float32(0)))
        assert np.array_equal(found["scaled"], (total - hidden) * scale)
        assert np.array_equal(found["mask"].view(np.uint8), (hidden > 0).view(np.uint8))


def momentum(nest: Nest, out: str):
    """SGD with momentum, in place: v = 0.9 v + g; w = w - rate v."""
    rate = nest.load("rate", "", float32)
    speed, weight = nest.load("speed", out, float32), nest.load("weight", out, float32)
    nest.writes += [nest.made["speed"], nest.made["weight"]]
    new = Ref(float32, "new")
    return (
        Let(new, apply("add", apply("mul", number(0.9), speed), nest.total)),
        Store(nest.made["speed"], nest.at(out), new),
        Store(nest.made["weight"], nest.at(out), apply("sub", weight, apply("mul", rate, new))),
    )


@pytest.mark.parametrize("inline", [0, 10**6])
def test_momentum_in_place(inline, monkeypatch):
    monkeypatch.setattr(contract_tile, "MAX_INLINE_OPERATIONS", inline)
    for _, arrays, total, found in cases(epilogue=momentum):
        speed = np.float32(0.9) * arrays["speed"] + total
        assert np.array_equal(found["speed"], speed)
        assert np.array_equal(found["weight"], arrays["weight"] - arrays["rate"] * speed)


def test_positions_and_conditions():
    def epilogue(nest: Nest, out: str):
        m, n = (index(nest.letters[x]) for x in "mn")
        seen = apply("le", n, m, dtype=bool_)
        masked = apply("select", seen, nest.total, number(-1.0))
        buffer = nest.buffer("lower", out, float32, True)
        return (
            nest.store("masked", out, masked),
            Store(buffer, nest.at(out), nest.total, apply("logical_not", seen)),
            nest.store("wide", out, apply("cast", nest.total, dtype=float64)),
            nest.store("half", out, apply("cast", nest.total, dtype=float16)),
        )

    for out, _, total, found in cases(epilogue=epilogue):
        rows, columns = np.indices(total.shape)
        seen = columns <= rows if out == "mn" else rows <= columns
        assert np.array_equal(found["masked"], np.where(seen, total, np.float32(-1)))
        assert np.array_equal(found["lower"][~seen], total[~seen])
        assert (found["lower"].view(np.uint32)[seen] == 0xA5A5A5A5).all()
        assert np.array_equal(found["wide"], total.astype(np.float64))
        assert np.array_equal(found["half"], total.astype(np.float16))


def test_checks():
    def epilogue(nest: Nest, out: str):
        fine = apply("lt", nest.total, number(1000.0), dtype=bool_)
        return Check(fine, 7), nest.store("out", out, nest.total)

    kernel = contraction("mk,kn->mn", {"m": 5, "n": 20, "k": 3}, epilogue=epilogue)
    arrays = operands(kernel, {})
    native = Native(kernel, {}, host_target())
    listed = [arrays[b.name] for b in kernel.arguments]
    assert native(listed, {}, 2) is None
    arrays["a"][3] = arrays["b"][:, 19] = 100.0
    assert native(listed, {}, 2) == 7


# ------------------------------------------------------------------ in front of the sum


def test_gated_operands():
    """Operands that are expressions over several tensors are staged."""

    def gated(nest: Nest, load: Load) -> Expr:
        name = load.buffer.name
        letters = "".join(x for x, axis in nest.letters.items() if _uses(load, axis))
        letters = "".join(sorted(letters, key=lambda x: _position(load, nest.letters[x])))
        other = nest.load(f"{name}_gate", letters, float32)
        return apply("select", positive(other), load, number(0.0))

    for spec in SPECS:
        generic = Native(contraction(spec, {}, dynamic="mnk", left=gated, right=gated))
        for size in SIZES:
            sizes = dict(zip("mnk", size))
            kernel = contraction(spec, sizes, left=gated, right=gated)
            arrays = operands(kernel, sizes)
            left = np.where(arrays["a_gate"] > 0, arrays["a"], np.float32(0))
            right = np.where(arrays["b_gate"] > 0, arrays["b"], np.float32(0))
            expected = exact(spec, left, right)
            assert np.array_equal(run(generic, arrays, sizes, threads=3)["out"], expected)
            assert np.array_equal(run(kernel, arrays, sizes, None, sizes)["out"], expected)


def _uses(load: Load, axis: object) -> bool:
    return any(getattr(x, "axis", None) is axis for x in load.index)


def _position(load: Load, axis: object) -> int:
    return [getattr(x, "axis", None) for x in load.index].index(axis)


@pytest.mark.parametrize("dtype", [bfloat16, float16, float64])
@pytest.mark.parametrize("isa", ["host", "baseline"])
def test_converted_operands(dtype, isa):
    target = host_target() if isa == "host" else make_target(isa)

    def converted(nest: Nest, load: Load) -> Expr:
        letters = "".join(
            x for at in load.index for x, axis in nest.letters.items() if axis is at.axis
        )
        name = f"{load.buffer.name}_narrow"
        return apply("cast", nest.load(name, letters, dtype), dtype=float32)

    for spec in SPECS:
        sizes = {"m": 9, "n": 35, "k": 20}
        kernel = contraction(spec, sizes, left=converted, right=converted)
        arrays = operands(kernel, sizes)
        found = run(kernel, arrays, sizes, target, sizes, 2)
        left, right = (arrays[f"{x}_narrow"].astype(np.float32) for x in "ab")
        assert np.array_equal(found["out"], exact(spec, left, right, fused=target.has_fma))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("sizes", [(2, 6, 5, 3, 20, 3), (1, 8, 8, 16, 10, 3), (3, 4, 4, 2, 5, 2)])
def test_convolution(padded, sizes):
    """Rows that overlap in memory, and a condition that reads 0 in the padding."""
    from tests.backends.llvm.convolution import convolution_kernel, convolve

    kernel = convolution_kernel(*sizes, padded)
    assert match(kernel.body, host_target(), {}) is not None
    arrays = operands(kernel, {})
    expected = convolve(arrays["x"], arrays["w"], padded)
    for threads in (1, 2):
        found = run(kernel, arrays, {}, None, {}, threads)["y"]
        np.testing.assert_array_equal(found, expected)


def test_offsets_and_divided_indices():
    """Accesses at an offset, backwards, and through a quotient of an outer axis."""

    def shifted(nest: Nest, load: Load) -> Expr:
        m, k = (index(nest.letters[x]) for x in "mk")
        half = apply("floor_div", m, const(2))
        last = apply("sub", extent(nest.extents["k"]), const(1))
        buffer = nest.buffer("picked", "mk", float32)
        return Load(float32, buffer, (half, apply("sub", last, k)))

    sizes = {"m": 11, "n": 18, "k": 6}
    kernel = contraction("mk,kn->mn", sizes, left=shifted)
    arrays = operands(kernel, sizes)
    left = np.ascontiguousarray(arrays["picked"][np.arange(11) // 2][:, ::-1])
    found = run(kernel, arrays, sizes, None, sizes, 2)["out"]
    assert np.array_equal(found, exact("mk,kn->mn", left, arrays["b"]))


@pytest.mark.parametrize("isa", ["avx512", "avx2", "baseline"])
def test_operands_packed_ahead_are_read_in_place(isa):
    if isa == "avx512" and host_target().isa != "avx512":
        pytest.skip("no AVX-512 here")
    target = make_target(isa)
    width = packed_width(target, float32)
    sizes = {"m": 5, "n": 2 * width + 7, "k": 6}

    def packed(nest: Nest, load: Load) -> Expr:
        n, k = (index(nest.letters[x]) for x in "nk")
        nest.extents = {**nest.extents, "panels": 3, "width": width}
        buffer = Buffer("packed", float32, (3, 6, width))
        if "packed" not in nest.made:
            nest.made["packed"] = buffer
            nest.reads.append(buffer)
        panel = apply("floor_div", n, const(width))
        return Load(float32, buffer, (panel, k, apply("remainder", n, const(width))))

    for spec in ("mk,kn->mn", "mk,kn->nm"):
        for dynamic in ("", "m", "mn"):
            kernel = contraction(spec, sizes, dynamic=dynamic, right=packed)
            plan = match(kernel.body, target, None)
            assert plan is not None
            if spec == "mk,kn->mn":
                assert plan.right.packed == width
            arrays = operands(kernel, sizes)
            right = arrays["packed"].transpose(1, 0, 2).reshape(6, -1)[:, : sizes["n"]]
            expected = exact(spec, arrays["a"], np.ascontiguousarray(right), fused=target.has_fma)
            found = run(kernel, arrays, sizes, target, None if dynamic else sizes, 2)["out"]
            assert np.array_equal(found, expected)


def test_shared_and_deep_expressions_are_walked_once():
    """An operand and an epilogue whose trees would have 2 ** 500 leaves."""

    def doubled(x: Expr) -> Expr:
        for _ in range(500):
            x = apply("mul", number(0.5), apply("add", x, x))
        return x

    def epilogue(nest: Nest, out: str):
        return (nest.store("out", out, doubled(nest.total)),)

    sizes = {"m": 3, "n": 17, "k": 4}
    kernel = contraction(
        "mk,kn->mn", sizes, epilogue=epilogue, left=lambda nest, load: doubled(load)
    )
    arrays = operands(kernel, sizes)
    found = run(kernel, arrays, sizes, None, sizes)["out"]
    assert np.array_equal(found, exact("mk,kn->mn", arrays["a"], arrays["b"]))


@pytest.mark.parametrize(
    "broken",
    ["integers", "loop extent", "two statements", "batch only", "other dtype"],
)
def test_other_nests_are_left_to_the_general_emitter(broken):
    sizes = {"m": 3, "n": 17, "k": 4}
    kernel = contraction("mk,kn->mn", sizes)
    nest = kernel.body
    if broken == "integers":
        nest = contraction("mk,kn->mn", sizes, int64).body
    elif broken == "loop extent":
        outer = nest[0]
        inner = replace(outer.body[0], extent=index(outer.axis))
        nest = (replace(outer, body=(inner,)),)
    elif broken == "two statements":
        nest = (*nest, *nest)
    elif broken == "batch only":
        nest = contraction("bk,bk->b", {"b": 5, "k": 4}).body
    else:
        wide = contraction(
            "mk,kn->mn", sizes, left=lambda nest, load: apply("cast", load, dtype=float64)
        )
        nest = wide.body
    assert match(nest, host_target(), {}) is None
