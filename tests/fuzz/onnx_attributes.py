"""Operators of ONNX with random attributes, against onnxruntime.

A seed draws an operator, its attributes and sizes. What onnxruntime refuses is not compared; what
we refuse must be an UnsupportedError. `DIFFERS` lists where both run and disagree, with the reason.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import graphc as gx
from graphc.errors import GraphcError
from graphc.ir.types import Array
from tests.tolerances import FUZZ_RUNTIMES

Rng = np.random.Generator
Drawn = tuple[dict[str, Any], tuple[int, ...], list[Any]]  # attributes, shape of x, stored inputs


def spread(attributes: dict[str, Any], _: list[Any]) -> bool:
    """Padding by name, and a window with holes."""
    same = str(attributes.get("auto_pad")).startswith("SAME")
    return same and max(attributes["dilations"]) > 1


def narrow(attributes: dict[str, Any], _: list[Any]) -> bool:
    """Padding by name, and steps that are wider than the window."""
    same = str(attributes.get("auto_pad")).startswith("SAME")
    spans = zip(attributes["kernel_shape"], attributes["dilations"], attributes["strides"])
    return same and any(s > d * (k - 1) + 1 for k, d, s in spans)


def wrapped(attributes: dict[str, Any], stored: list[Any]) -> bool:
    """Cut on one side, continued on the other."""
    return attributes["mode"] == "wrap" and bool(np.min(stored[0]) < 0)


HOLES = "onnxruntime forgets the holes of the window: there are fewer outputs than ceil(n / stride)"
NARROW = "the format says n * stride outputs; where nothing reaches, onnxruntime has other ones"
WRAP = "the format does not say whether what is cut is cut before or after the axis is continued"
# operator: (whether a draw is meant, why)
DIFFERS: dict[str, tuple[Callable[[dict[str, Any], list[Any]], bool], str]] = {
    "AveragePool": (spread, HOLES), "LpPool": (spread, HOLES), "MaxPool": (spread, HOLES),
    "ConvTranspose": (narrow, NARROW), "Pad": (wrapped, WRAP),
}  # fmt: skip


def some(rng: Rng, low: int, high: int, count: int) -> list[int]:
    """Some ints from low to high."""
    return [int(i) for i in rng.integers(low, high + 1, count)]


def floats(rng: Rng, *shape: int) -> Array:
    """Random numbers."""
    return np.asarray(rng.uniform(-2, 2, shape), np.float32)


def window(rng: Rng, rank: int) -> dict[str, Any]:
    """What convolutions and poolings share."""
    found: dict[str, Any] = {"kernel_shape": some(rng, 1, 3, rank)}
    found["strides"], found["dilations"] = some(rng, 1, 3, rank), some(rng, 1, 2, rank)
    auto = str(rng.choice(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto == "NOTSET":
        found["pads"] = [
            min(p, k - 1) for p, k in zip(some(rng, 0, 2, 2 * rank), found["kernel_shape"] * 2)
        ]
    else:
        found["auto_pad"] = auto
    return found


def conv(rng: Rng) -> Drawn:
    rank, group = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    found = window(rng, rank) | {"group": group}
    x = (2, 2 * group, *some(rng, 5, 9, rank))
    return found, x, [floats(rng, 3 * group, 2, *found["kernel_shape"]), floats(rng, 3 * group)]


def transposed(rng: Rng) -> Drawn:
    rank, group = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    found = window(rng, rank) | {"group": group}
    found["output_padding"] = [s - 1 if rng.random() < 0.3 else 0 for s in found["strides"]]
    x = (2, 2 * group, *some(rng, 3, 6, rank))
    return found, x, [floats(rng, 2 * group, 3, *found["kernel_shape"])]


def pool(rng: Rng, counts: bool = False) -> Drawn:
    rank = int(rng.integers(1, 3))
    found = window(rng, rank)
    if "pads" in found:
        found["ceil_mode"] = int(rng.integers(2))
    if counts:
        found["count_include_pad"] = int(rng.integers(2))
    return found, (2, 3, *some(rng, 5, 9, rank)), []


def pad(rng: Rng) -> Drawn:
    mode = str(rng.choice(["constant", "reflect", "edge", "wrap"]))
    return {"mode": mode}, (4, 5), [np.array(some(rng, -1, 3, 4))]


def slices(rng: Rng) -> Drawn:
    ends = [np.array(some(rng, -9, 9, 2)) for _ in range(2)]
    steps = np.array([int(rng.choice([-2, -1, 1, 2])) for _ in range(2)])
    return {}, (4, 6), [*ends, np.array([1, 0]), steps]


def reduced(rng: Rng) -> Drawn:
    axes = rng.permutation(3)[: int(rng.integers(0, 4))] - 3 * int(rng.integers(2))
    choice = {"keepdims": int(rng.integers(2)), "noop_with_empty_axes": int(rng.integers(2))}
    return choice, (2, 3, 4), [np.asarray(axes, np.int64)]


def place(rng: Rng) -> Drawn:
    found = {"axis": int(rng.integers(-3, 3)), "keepdims": int(rng.integers(2))}
    return found | {"select_last_index": int(rng.integers(2))}, (2, 3, 4), []


def top(rng: Rng) -> Drawn:
    axis = int(rng.integers(-2, 2))
    return {"axis": axis, "largest": int(rng.integers(2))}, (4, 5), [np.array(some(rng, 0, 4, 1))]


def running(rng: Rng) -> Drawn:
    found = {"exclusive": int(rng.integers(2)), "reverse": int(rng.integers(2))}
    return found, (3, 4), [np.array(int(rng.integers(-2, 2)))]


def gemm(rng: Rng) -> Drawn:
    a, b = (int(i) for i in rng.integers(2, size=2))
    found = {"transA": a, "transB": b, "alpha": 0.5, "beta": float(rng.choice([0.0, 2.0]))}
    bias = floats(rng, *((3, 5), (5,), (3, 1), (1,), ())[int(rng.integers(5))])
    return found, (4, 3) if a else (3, 4), [floats(rng, *((5, 4) if b else (4, 5))), bias]


def along(rng: Rng) -> Drawn:
    return {"axis": int(rng.integers(-3, 3))}, (2, 3, 4), []


def parts(rng: Rng) -> Drawn:
    return {"axis": int(rng.integers(-2, 2)), "num_outputs": int(rng.integers(1, 4))}, (5, 6), []


def blocks(rng: Rng) -> Drawn:
    return {"blocksize": 2, "mode": str(rng.choice(["DCR", "CRD"]))}, (1, 8, 2, 3), []


def triangle(rng: Rng) -> Drawn:
    return {"upper": int(rng.integers(2))}, (2, 3, 4), [np.array(int(rng.integers(-4, 5)))]


def gathered(rng: Rng) -> Drawn:
    axis = int(rng.integers(-2, 2))
    return {"axis": axis}, (3, 4), [np.array(some(rng, -3, 2, 2))]


def normed(rng: Rng) -> Drawn:
    found = {"alpha": 0.3, "beta": 0.6, "bias": 1.5, "size": int(rng.choice([1, 3, 5]))}
    return found, (2, 6, 3), []


OPERATORS: dict[str, Callable[[Rng], Drawn]] = {
    "Conv": conv, "ConvTranspose": transposed, "MaxPool": pool, "LpPool": pool,
    "AveragePool": lambda rng: pool(rng, True), "Pad": pad, "Slice": slices, "TopK": top,
    "CumSum": running, "Gemm": gemm, "Softmax": along, "LogSoftmax": along, "Hardmax": along,
    "LayerNormalization": lambda rng: ({"axis": -1}, (2, 4), [floats(rng, 4), floats(rng, 4)]),
    "Split": parts, "DepthToSpace": blocks, "Trilu": triangle, "Gather": gathered,
    "LpNormalization": along, "LRN": normed, "ArgMax": place, "ArgMin": place,
    **{f"Reduce{name}": reduced for name in (
        "Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "SumSquare", "LogSum", "LogSumExp")},
}  # fmt: skip


def check(seed: int) -> str:
    """One operator."""
    rng = np.random.default_rng(seed)
    name = sorted(OPERATORS)[int(rng.integers(len(OPERATORS)))]
    attributes, shape, stored = OPERATORS[name](rng)
    x = np.abs(floats(rng, *shape)) + 0.1 if name == "ReduceLogSum" else floats(rng, *shape)
    model = one_node(name, attributes, shape, stored)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted, found = theirs(model, x), ours(model, x)
    says = f"{name} {attributes} of {shape} and {[np.asarray(a).tolist() for a in stored][-4:]}"
    if wanted is None:
        return "refused by onnxruntime"
    if found is None:
        return "refused"
    listed = DIFFERS.get(name)
    if listed and listed[0](attributes, stored):
        return "differs for a reason"
    for a, b in zip(found, wanted, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), f"{says:.600}: {a.shape} for {b.shape}"
        same = np.allclose(a, b, **FUZZ_RUNTIMES, equal_nan=True)
        assert same, f"{says:.600}: {a.ravel()[:8]} for {b.ravel()[:8]}"
    return "agrees"


def one_node(
    name: str, attributes: dict[str, Any], shape: tuple[int, ...], stored: list[Any]
) -> Any:
    """A model of one operator with an input x."""
    constants = [numpy_helper.from_array(np.asarray(a), f"c{i}") for i, a in enumerate(stored)]
    count = {"Split": attributes.get("num_outputs", 1), "TopK": 2}.get(name, 1)
    outputs = [helper.make_empty_tensor_value_info(f"y{i}") for i in range(count)]
    names = ["x", *(c.name for c in constants)]
    node = helper.make_node(name, names, [o.name for o in outputs], **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)
    graph = helper.make_graph([node], "g", [x], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def theirs(model: Any, x: Array) -> list[Array] | None:
    """What onnxruntime computes; None where it refuses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        return [np.asarray(a) for a in session.run(None, {"x": x})]
    except Exception:
        return None


def ours(model: Any, x: Array) -> list[Array] | None:
    """What we compute; None where we refuse."""
    try:
        loaded = gx.onnx.load(model)
    except GraphcError:
        return None
    function = gx.compile(
        list(loaded.inputs.values()), list(loaded.outputs.values()), target="interpret"
    )
    return [np.asarray(a) for a in function(x)]
