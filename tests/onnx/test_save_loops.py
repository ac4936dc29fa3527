"""Saved loops of every kind, through onnxruntime and back; loops of files of every length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

import graphc as gx
from graphc import nn
from graphc.errors import UnsupportedError
from graphc.frontend.tensor import Tensor
from graphc.onnx.save import to_model
from graphc.testing import assert_close

RNG = np.random.default_rng(3)
X, P = (RNG.uniform(-1, 1, shape).astype(np.float32) for shape in ((4, 3), (3,)))
ZERO = gx.constant(np.float32(0))


def nested(x: Tensor, p: Tensor) -> Tensor:
    """A loop without rows inside one without rows."""

    def inner(r: Tensor) -> Any:
        return gx.scan(lambda d, q: (d + q, None), ZERO, r)[0]

    return gx.scan(lambda c, r: (c * 0.5 + inner(r), None), p, x)[0]


def slope(x: Tensor, p: Tensor) -> Tensor:
    """The gradient of a loop without rows."""
    last = gx.scan(lambda c, r: (c * 0.5 + gx.tanh(r * c), None), p, x)[0]
    return gx.grad(gx.sum(last), p)


def counted(x: Tensor, p: Tensor) -> Tensor:
    """The sum of both directions of one body."""

    def step(c: Any, r: Any) -> Any:
        return c * 0.5 + r, None

    ahead, back = (gx.scan(step, p, x, reverse=reverse)[0] for reverse in (False, True))
    return ahead - back


CASES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "no rows": lambda x, p: gx.scan(lambda c, r: (c * 0.5 + r, None), p, x)[0],
    "nested": nested,
    "gradient": slope,
    "two directions": counted,
    "ctc": lambda x, p: nn.ctc(gx.stack([x, x * p]), gx.constant(np.array([[1], [2]], np.int32))),
    "a length": lambda x, p: gx.scan(lambda c, _: (c**2, None), p, None, length=4)[0],
    "length 0": lambda x, p: gx.scan(lambda c, _: (c**2, None), p, None, length=0)[0],
    "rows of nothing": lambda x, p: gx.scan(lambda c, r: (c + r, c * 2), p, x[:0])[1],
    "examples": lambda x, p: gx.vmap(
        lambda t: gx.scan(lambda c, r: (c * 0.5 + r, None), ZERO, t)[0]
    )(x),
    "any of nothing": lambda x, p: gx.where(gx.any(x[:0] > 5, axis=0), p, x[0]),
    "all of nothing": lambda x, p: gx.where(gx.all(x[:0] > 5, axis=0), p, x[0]),
    "expm1": lambda x, p: gx.expm1(x * 400),
    "places of NaN": lambda x, p: gx.searchsorted(gx.sort(p), gx.log(x), side="right"),
}


@pytest.mark.parametrize("rows", [4, "n"])
@pytest.mark.parametrize("case", CASES)
def test_saved_and_loaded(case: str, rows: Any) -> None:
    runtime = pytest.importorskip("onnxruntime")
    x, p = gx.input("x", (rows, 3)), gx.input("p", (3,))
    if case == "ctc" and rows == "n":
        pytest.skip("the number of steps must be known")
    y = CASES[case](x, p)
    model = to_model({"y": y}, [x, p])
    wanted = gx.compile([x, p], y, target="interpret")(X, P)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    (found,) = runtime.InferenceSession(model.SerializeToString(), options).run(
        None, {"x": X, "p": P}
    )
    assert_close(found, wanted, each=True)
    again = gx.onnx.load(model)
    back = gx.compile(list(again.inputs.values()), again.outputs["y"], target="interpret")
    assert_close(back(X, P), wanted, each=True)


LOOP = """<ir_version: 9, opset_import: ["" : 18]>
g (float[3] x, float[N, 3] z) => (float[3] last, float[M, 3] rows)
<int64 count = {COUNT}, bool yes = {YES}> {
    SIZE
    last, rows = Loop (COUNTER, yes, x) <
        body = b (int64 i, bool go, float[3] s) => (bool again, float[3] t, float[3] row) {
            again = Identity (go)
            t = Tanh (s)
            row = Add (s, s)
        }
    >
}"""


@pytest.mark.parametrize("count", [0, 3, "n"])
@pytest.mark.parametrize("yes", [1, 0])
def test_loops_with_rows_of_any_number(count: Any, yes: int) -> None:
    text = LOOP.replace("{COUNT}", f"{{{0 if count == 'n' else count}}}")
    text = text.replace("{YES}", f"{{{yes}}}")
    size = "s = Shape (z)\n k = Constant <value = int64 {0}> ()\n n = Gather (s, k)"
    text = text.replace("SIZE", size if count == "n" else "")
    text = text.replace("COUNTER", "n" if count == "n" else "count")
    loaded = gx.onnx.load(onnx.parser.parse_model(text))
    function = gx.compile(list(loaded.inputs.values()), dict(loaded.outputs))
    for n in (1, 4):
        found = function(P, np.zeros((n, 3), np.float32))
        state, rows = P, []
        for _ in range((n if count == "n" else count) if yes else 0):
            rows.append(state + state)
            state = np.tanh(state)
        assert_close(found["last"], state)
        assert found["rows"].shape == (len(rows), 3)
        if rows:
            assert_close(found["rows"], np.stack(rows))


def test_long_loops_that_are_no_loop_say_why() -> None:
    text = """<ir_version: 9, opset_import: ["" : 18]>
    g (float[1] x) => (float[N] last) <int64 count = {2000}, bool yes = {1}> {
        last = Loop (count, yes, x) <
            body = b (int64 i, bool go, float[A] s) => (bool again, float[B] t) {
                again = Identity (go)
                t = Concat <axis = 0> (s, x)
            }
        >
    }"""
    with pytest.raises(UnsupportedError, match="more than 1024 iterations") as caught:
        gx.onnx.load(onnx.parser.parse_model(text))
    assert "make it one loop" in str(caught.value.hint)
