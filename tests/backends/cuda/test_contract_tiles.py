"""Tiles in the simulator: the bits of the loop interpreter, whatever the tile and the operand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import graphc as gx
from graphc.ir.loops.expression import ExprEmitter
from graphc.ir.loops.ir import Apply, Const, Expr, Kernel, Load
from graphc.ir.ops import RoundToTF32
from graphc.ir.precision import rounded_to_tf32
from graphc.ir.types import DType, bfloat16, float16, float32, float64
from graphc_cuda.contract import find, shape
from graphc_cuda.contract.low import mark_rounded
from graphc_cuda.contract.shape import MatrixTile, Tile
from graphc_cuda.device.program import Intrinsic, Program, walk
from graphc_cuda.launch import KernelNode
from graphc_cuda.lower.kernel import lower_kernel
from graphc_cuda.lower.scalars import Functions
from graphc_cuda.plan_launches import plan_launches
from graphc_cuda.print_numba import numba_text
from tests.backends.cuda.kernel_runs import check_kernel, draw_arrays
from tests.backends.llvm.contractions import Epilogue, Nest, Operand, contraction
from tests.backends.llvm.test_contract_box import Case, dims

SMALL = Tile(16, 16, 16, 2, 2)
LOW = {"bf16": bfloat16, "fp16": float16}


def run(kernel: Kernel, sizes: dict[str, int] | None = None, special: bool = False) -> str:
    """Check a kernel; the mapping of its launch."""
    arrays = draw_arrays(kernel, sizes or {})
    if special:
        for array in arrays.values():
            array.reshape(-1)[[1, 3, 5]] = np.inf, -0.0, np.nan
    launches = check_kernel(kernel, sizes or {}, arrays=arrays)
    if len(kernel.body) > 1:
        return ""  # small kernels of several nests are one block's affair
    (tile,) = {str(x.segment) for x in launches}
    assert tile.startswith("tile")
    return tile


def only(monkeypatch: pytest.MonkeyPatch, tile: Tile | MatrixTile) -> None:
    """Leave no choice, and no size that is too small."""
    kind = "TILES" if isinstance(tile, Tile) else "MATRIX_TILES"
    monkeypatch.setattr(shape, kind, (tile,))
    for name in ("MIN_LINES", "MIN_STEPS", "MIN_MATRIX_SIZE"):
        monkeypatch.setattr(find, name, 0)


SPECS = ("mk,kn->mn", "km,kn->mn", "mk,nk->mn", "km,nk->mn", "mk,kn->nm", "km,nk->nm")


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("sizes", [(17, 19, 37), (20, 16, 32), (6, 7, 1)], ids=str)
def test_transpositions(
    spec: str, sizes: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, SMALL)
    run(contraction(spec, dict(zip("mnk", sizes))), special=True)


@pytest.mark.parametrize(
    "spec", ["bmk,bkn->bmn", "bmk,bkn->mbn", "mlk,kln->mn", "bmpk,bnkq->pbmqn"]
)
def test_many_axes(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, SMALL)
    run(contraction(spec, {"b": 3, "m": 7, "n": 18, "k": 5, "p": 4, "l": 6, "q": 2}))


def sparing(tile: Tile | MatrixTile) -> object:
    """A parameter that is slow where the interpreter has much to do."""
    marks = [pytest.mark.slow] if tile.rows * tile.columns > 32 * 64 else []
    return pytest.param(tile, marks=marks)


@pytest.mark.parametrize("tile", [sparing(t) for t in shape.TILES], ids=str)
def test_every_tile(tile: Tile, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, tile)
    sizes = {"m": tile.rows + 4, "n": tile.columns + 3, "k": tile.depth + 4}
    assert str(tile) in run(contraction("mk,kn->mn", sizes))


@pytest.mark.parametrize("spec", ["mk,kn->mn", "km,nk->nm"])
def test_float64(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, SMALL)
    run(contraction(spec, {"m": 18, "n": 20, "k": 20}, float64))


def test_no_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, SMALL)
    run(contraction("mk,kn->mn", {"m": 5, "n": 6, "k": 0}))


def test_epilogue_and_prologue(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bias, a residue that is overwritten, and an operand that is computed from two buffers."""
    only(monkeypatch, SMALL)
    e = ExprEmitter()

    def scaled(nest: Nest, load: Load) -> Expr:
        return e.mul(e.apply("tanh", load), nest.load("scale", "k", float32))

    def finish(nest: Nest, out: str) -> list[object]:
        value = e.add(nest.total, nest.load("bias", "n", float32))
        value = e.add(value, nest.load("residue", "mn", float32))
        return [nest.store("out", out, e.apply("maximum", value, Const(float32, 0.0)))]

    epilogue: Epilogue = finish  # type: ignore[assignment]
    sizes = {"m": 21, "n": 18, "k": 24}
    run(contraction("mk,kn->mn", sizes, epilogue=epilogue, left=scaled))


CONVOLUTIONS = {
    "same": Case((5, 4, 4), (3, 3, 4, 6), {"padding": "same"}),
    "strided": Case((5, 4, 2), (3, 3, 2, 5), {"padding": 1, "strides": 2}),
    "dilated": Case((5, 5, 2), (3, 2, 2, 5), {"padding": 2, "dilation": (2, 3)}),
    "uneven": Case((4, 6, 1), (2, 5, 1, 5), {"padding": ((0, 1), (3, 1)), "strides": (1, 2)}),
    "channels": Case((3, 3, 16), (3, 3, 16, 4), {"padding": "same"}),
    "fused": Case((4, 3, 3), (3, 3, 3, 5), {"padding": "same"}, fused=True),
    "first": Case((3, 4, 3), (3, 3, 3, 5), {"padding": 1, "layout": "channels_first"}),
    "groups": Case((4, 3, 4), (3, 3, 2, 8), {"padding": 1, "groups": 2}),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolutions_and_their_gradients(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A product beyond the edge is left out, even beside an infinity."""
    only(monkeypatch, SMALL)
    for kernel in CONVOLUTIONS[name].kernels(2):
        run(kernel, dims(kernel, 2), special=True)


def test_both_operands_padded_along_the_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps that do not count are beyond the end of both: neither is read there."""
    only(monkeypatch, SMALL)
    x = gx.input("x", (2, 7, 5))
    p = gx.pad(x, ((0, 0), (0, 1), (0, 1)))
    (kernel,) = gx.compile([x], gx.tanh(p @ gx.matrix_transpose(p))).program.schedule.kernels
    check_kernel(kernel, {})


# ------------------------------------------------------------------ matrix instructions


def rounded(kind: str) -> Operand:
    """An operand of float32 that is rounded where it is read."""
    if kind == "tf32":
        return lambda nest, load: RoundToTF32().emit(ExprEmitter(), load)
    low = LOW[kind]
    return lambda nest, load: Apply(float32, "cast", (Apply(low, "cast", (load,)),))


def held(name: str, letters: str, low: DType) -> Operand:
    """An operand that is stored in 16 bits."""
    return lambda nest, load: Apply(float32, "cast", (nest.load(name, letters, low),))


MATRIX = MatrixTile(32, 32, 32, 16, 16)


@pytest.mark.parametrize("kind", ["bf16", "fp16", "tf32"])
@pytest.mark.parametrize(
    ("spec", "sizes"), [("mk,kn->mn", (20, 36, 40)), ("km,nk->mn", (17, 18, 35))]
)
def test_rounded_operands(
    kind: str, spec: str, sizes: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, MATRIX)
    operand = rounded(kind)
    found = run(contraction(spec, dict(zip("mnk", sizes)), left=operand, right=operand))
    assert "16x16 a warp" in found


def test_one_rounded_operand_tells_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel that stored the other one rounded it to TF32."""
    only(monkeypatch, replace(MATRIX, depth=32))
    kernel = contraction("mk,kn->mn", {"m": 16, "n": 18, "k": 24}, left=rounded("tf32"))
    arrays = draw_arrays(kernel, {})
    arrays["b"][...] = rounded_to_tf32(arrays["b"])
    (launch,) = check_kernel(kernel, {}, arrays=arrays)
    assert launch.segment.tile is not None
    assert launch.segment.tile.kind == "tf32"


def test_operands_that_were_stored_rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, replace(MATRIX, depth=32))
    kernel = contraction("mk,kn->mn", {"m": 16, "n": 20, "k": 24})
    marked = mark_rounded(kernel, frozenset(kernel.reads))
    arrays = draw_arrays(marked, {})
    for name in "ab":
        arrays[name][...] = rounded_to_tf32(arrays[name])
    (launch,) = check_kernel(marked, {}, arrays=arrays)
    assert "a warp" in str(launch.segment.tile)
    assert any(
        isinstance(s, Intrinsic) and s.function == "copy_async" for s in walk(launch.kernel.body)
    )


def test_small_products_of_rounded_operands_stay_as_they_are() -> None:
    kernel = contraction("mk,kn->mn", {"m": 9, "n": 20, "k": 24})
    marked = mark_rounded(kernel, frozenset(kernel.reads))
    made = (lower_kernel(k, {}, Functions(), "k")[0].kernel for k in (kernel, marked))
    texts = {numba_text(Program("p", (), (k,))) for k in made}
    assert len(texts) == 1


@pytest.mark.parametrize("padding", [0, 1])
def test_gradients_of_weights_multiply_what_was_stored_rounded(padding: int) -> None:
    x = gx.input("x", (2, 12, 12, 16))
    h = gx.nn.Conv2D(16, 3, padding=padding, activation="relu")(x)
    h = gx.nn.BatchNorm()(
        gx.nn.Conv2D(32, 3, padding=padding, use_bias=False)(gx.nn.BatchNorm()(h))
    )
    loss = (h * h).mean()
    step = gx.compile([x], loss, gx.optim.SGD(0.1).minimize(loss), precision="tf32")
    plan = plan_launches(step.program, {}, merge=False)
    forms = [n.kernel.form for n in plan.nodes if isinstance(n, KernelNode)]
    tiles = [f for f in forms if f.startswith("tile")]
    assert len(tiles) >= 5
    assert [f for f in tiles if "a thread" in f] == []


@pytest.mark.parametrize("kind", LOW)
@pytest.mark.parametrize("spec", ["mk,kn->mn", "km,nk->mn"])
def test_operands_in_16_bits_are_copied(
    kind: str, spec: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, MATRIX)
    a, b = spec.split("->")[0].split(",")
    left, right = held("p", a, LOW[kind]), held("q", b, LOW[kind])
    run(contraction(spec, {"m": 16, "n": 24, "k": 40}, left=left, right=right))


@pytest.mark.slow
@pytest.mark.parametrize("tile", [replace(t, stages=2) for t in shape.MATRIX_TILES[3:]], ids=str)
def test_small_matrix_tiles(tile: MatrixTile, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, tile)
    sizes = {"m": tile.rows + 4, "n": tile.columns + 3, "k": 44}
    run(contraction("mk,kn->mn", sizes, left=rounded("bf16"), right=rounded("bf16")))


def test_small_products_stay_exact() -> None:
    operand = rounded("bf16")
    kernel = contraction("mk,kn->mn", {"m": 15, "n": 20, "k": 20}, left=operand, right=operand)
    assert "a thread" in run(kernel)
