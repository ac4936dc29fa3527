"""Slices of axes of unknown size are cut at their ends, as numpy cuts them, on all targets."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ShapeError
from graphc.export.javascript import _size
from graphc.ir.dims import Dim, bound, evaluate, max_size, min_size
from graphc.onnx.save import to_model
from graphc.testing import assert_close

N = gx.dim("N")
ENDS = (None, -512, -5, -2, -1, 0, 1, 2, 6, 512)
LENGTHS = (1, 2, 3, 6, 9)


@pytest.mark.parametrize("step", [1, 3, -1, -2])
def test_every_pair_of_ends(step: int) -> None:
    x = gx.input("x", (N,))
    keys = [slice(a, b, step) for a, b in itertools.product(ENDS, ENDS)]
    function = gx.compile([x], [x[key] for key in keys], target="interpret")
    for n in LENGTHS:
        array = np.arange(n, dtype=np.float32)
        for key, found in zip(keys, function(array)):
            np.testing.assert_array_equal(found, array[key], err_msg=f"{key} of {n}")


def test_sizes_have_one_form() -> None:
    x = gx.input("x", (N, 4))
    forms = {"min(N,512)": x[:512], "N-1": x[1:], "N-min(N,2)": x[2:], "min(N,3)": x[-3:]}
    forms["((N-min(N,2)+1)//2)"] = x[1:-1:2]
    assert {str(y.shape[0]) for y in forms.values()} == set(forms)
    assert (x[2:] + x[:-2] - 2 * x[1:-1]).shape == x[2:].shape
    assert x[:512].shape[0] == x[:512][:600].shape[0]
    bounded = gx.input("y", (gx.dim("M", min=2, max=512),))
    assert bounded[:512].shape == bounded.shape
    assert str(bounded[2:].shape[0]) == "M-2"


def of(x: Any) -> list[Any]:
    """Values and gradients that read cut slices."""
    w = gx.constant(np.linspace(0.5, 2, 3, dtype=np.float32))
    y = gx.exp(x[:, :5] * w)
    bent = x[:, 2:] - 2.0 * x[:, 1:-1] + x[:, :-2]
    loss = gx.sum(y) + gx.sum(bent * bent) + gx.sum(x[:, -4::-2] ** 3)
    return [loss, gx.grad(loss, x), y, bent, gx.cumulative_sum(x[:, -3:], axis=1)]


@pytest.mark.parametrize("target", ["cpu", "interpret"])
def test_values_and_gradients_are_those_of_known_sizes(target: str) -> None:
    x = gx.input("x", ("B", N, 3))
    function = gx.compile([x], of(x), target=target)
    for n in (*LENGTHS, 4, 2):
        array = np.random.default_rng(n).standard_normal((2, n, 3)).astype(np.float32)
        known = gx.input("x", (2, n, 3))
        wanted = gx.compile([known], of(known), target="interpret")(array)
        for a, b in zip(function(array), wanted):
            assert_close(a, b, each=True)


def test_libraries_cut_too(tmp_path: Path) -> None:
    x = gx.input("x", (gx.dim("N", min=1, max=9), 2))
    f = gx.compile([x], [x[:4] * 2.0, gx.cumulative_sum(x[2:], axis=0)], name="f")
    library = f.export(tmp_path).load()
    for n in range(1, 10):
        array = np.random.default_rng(n).standard_normal((n, 2)).astype(np.float32)
        for a, b in zip(library.run(array), f(array)):
            np.testing.assert_array_equal(a, b)


def test_saved_models_cut_too() -> None:
    runtime = pytest.importorskip("onnxruntime")
    x = gx.input("x", (N, 2))
    outputs = {"a": gx.sum(x[:4] * 2.0, axis=0), "b": gx.flip(x[2:], 0)}
    outputs["c"] = gx.broadcast_to(gx.constant(1.0), x[:4].shape)
    model = to_model(outputs)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(model.SerializeToString(), options)
    again = gx.onnx.load(model)
    back = gx.compile(list(again.inputs.values()), dict(again.outputs), target="interpret")
    for n in (1, 3, 7):
        array = np.random.default_rng(n).standard_normal((n, 2)).astype(np.float32)
        theirs = dict(zip(outputs, session.run(None, {"x": array})))
        for name, y in outputs.items():
            wanted = gx.compile([x], y, target="interpret")(array)
            assert_close(theirs[name], wanted, tolerance="ulps", each=True)
            assert_close(back(array)[name], wanted, tolerance="ulps", each=True)


def test_ends_that_are_sizes_must_lie_inside() -> None:
    x, y = gx.input("x", (N,)), gx.input("y", (gx.dim("M"),))
    function = gx.compile([x, y], x[: y.shape[0]] + y)
    assert function(np.ones(4, np.float32), np.ones(3, np.float32)).shape == (3,)
    with pytest.raises(ShapeError, match="is beyond"):
        function(np.ones(4, np.float32), np.ones(5, np.float32))


def test_the_least_of_sizes_is_the_least_of_their_numbers() -> None:
    n, m = Dim("n"), Dim("m", max=9, min=2)
    sizes = (n, m, 3 * n - 2, n + m, 7, (n + 1) // 2, n * m, min_size(n, m), max_size(n, 4) - m)
    for group in itertools.combinations(sizes, 3):
        for function, choose in ((min_size, min), (max_size, max)):
            found = function(*group)
            low, high = bound(found), bound(found, low=False)
            for i, j in itertools.product(range(6), range(2, 10)):
                dims = {"n": i, "m": j}
                number = evaluate(found, dims)
                assert number == choose(evaluate(s, dims) for s in group), (group, found, dims)
                assert low is None or low <= number
                assert high is None or high >= number


def test_sizes_in_pages() -> None:
    entry: Any = type("Entry", (), {"fixed": {}})
    assert _size(entry, max_size(N - 2, 0)) == '1 * d["N"] + -1 * Math.min(1 * d["N"], 2)'
