"""gx.onnx.save: every op that ONNX can say, through onnxruntime and back through load."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphc as gx
from graphc.errors import ArgumentError, UnsupportedError
from graphc.ir import ops
from graphc.ir.ops.matrix import Matrix
from graphc.ir.types import bfloat16
from graphc.onnx.save import RULES, to_model
from graphc.testing import assert_close
from graphc.testing.cases import Case
from tests.ir.ops.op_cases import CASES
from tests.tolerances import SAVED_FLOATS, SAVED_HALVES

# No operators and no formula of a few: special functions, factorisations, random bits, gradients
# of pooling, reinterpreted bits; TF32, in whose place float32 is written.
OUTSIDE = (
    Matrix, ops.Bitcast, ops.NextAfter, ops.ErfInv, ops.LogGamma, ops.Digamma, ops.Polygamma,
    ops.BesselI, ops.UnitFloat, ops.NormalFloat, ops.ExponentialFloat, ops.BitExact, ops.Fold,
    ops.RoundToTF32,
)  # fmt: skip
# What onnxruntime 1.31 says where it has no kernel; such files are checked and loaded again.
NOT_RUN = "Could not find an implementation"
INSIDE = [c for c in CASES if not isinstance(c.op, OUTSIDE)]


def session(model: Any) -> Any:
    """The model in onnxruntime; skips where that is not installed."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    return runtime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run(model: Any, arrays: dict[str, Any]) -> list[Any]:
    """What onnxruntime computes."""
    return list(session(model).run(None, arrays))


def close(found: Any, wanted: Any) -> None:
    """Assert that arrays agree but for rounding."""
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    if wanted.dtype.kind in "biu":
        np.testing.assert_array_equal(found, wanted)
        return
    wide = np.asarray(found, np.float64), np.asarray(wanted, np.float64)
    half = wanted.dtype.itemsize == 2
    np.testing.assert_allclose(*wide, **(SAVED_HALVES if half else SAVED_FLOATS))


def loaded(model: Any, arrays: dict[str, Any], target: str = "interpret") -> list[Any]:
    """What graphc computes from the file."""
    again = gx.onnx.load(model)
    step = gx.compile(list(again.inputs.values()), list(again.outputs.values()), target=target)
    return list(step(**{n: arrays[n] for n in again.inputs}))


def refusal(case: Case) -> str | None:
    """What is said of a case of the ops that ONNX has only in part."""
    op, dtype = case.op, case.types[0].dtype
    if isinstance(op, ops.ShiftRight) and dtype.kind == "i":
        return f"bitwise_right_shift of {dtype.name} has no counterpart in ONNX"
    if isinstance(op, ops.Conv) and not dtype.is_float:
        return f"conv of {dtype.name} has no counterpart in ONNX"
    if isinstance(op, ops.Conv) and any(w.labels[-1] in op.out for w in op.windows):
        return "conv to the kernel (the gradient of a convolution) is none of ONNX"
    return None


REFUSED = [(case, said) for case in INSIDE if (said := refusal(case)) is not None]
SAVED = [case for case in INSIDE if refusal(case) is None]


@pytest.mark.parametrize(("case", "said"), REFUSED, ids=str)
def test_what_onnx_cannot_say(case: Case, said: str) -> None:
    _, y = case.tensors(case.arrays())
    with pytest.raises(UnsupportedError, match=re.escape(said)):
        to_model({"y": y})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", SAVED, ids=str)
def test_every_op(case: Case) -> None:
    arrays = [np.asarray(a) for a in case.arrays()]
    inputs, y = case.tensors(arrays)
    model = to_model({"y": y})
    onnx.checker.check_model(model, full_check=True)
    given = {x.name: a for x, a in zip(inputs, arrays)}
    wanted = np.asarray(y.eval(dict(zip(inputs, arrays))))
    close(loaded(model, given)[0], wanted)
    if bfloat16 not in [y.dtype, *(t.dtype for t in case.types)]:  # which numpy cannot hand over
        close(run_if_there(model, given), wanted)


def run_if_there(model: Any, given: dict[str, Any]) -> Any:
    """What onnxruntime computes; skips where it has no kernel for an operator and dtype."""
    try:
        (found,) = run(model, given)
    except Exception as error:
        if NOT_RUN not in str(error):
            raise
        pytest.skip(str(error)[:80])
    return found


def test_there_is_a_rule_or_a_reason_for_every_op() -> None:
    marks = {ops.Input, ops.RandomBits}
    for op in ops.ALL_OPS:
        assert (op in RULES) != (op in marks or issubclass(op, OUTSIDE)), op


# ------------------------------------------------------------------------- whole models


def check(outputs: Any, *feeds: dict[Any, Any], target: str = "cpu") -> Any:
    """Save, run in onnxruntime, load again and run: all as graphc computes them."""
    gx.seed(0)
    model = to_model(outputs)
    onnx.checker.check_model(model, full_check=True)
    runtime = session(model)
    again = gx.onnx.load(model)
    step = gx.compile(list(again.inputs.values()), list(again.outputs.values()), target=target)
    tensors = list(outputs.values()) if isinstance(outputs, dict) else outputs
    for feed in feeds:
        given = {x.name: a for x, a in feed.items()}
        order = [x for x in feed if x.name in again.inputs]
        direct = gx.compile(order, tensors)(*[feed[x] for x in order])
        for found in (runtime.run(None, given), step(**given)):
            for a, b in zip(found, direct, strict=True):
                close(np.asarray(a), np.asarray(b))
    return model


def normal(*shape: int) -> Any:
    """The same variates at every call of one shape."""
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def test_dense_layers_keep_names_and_sizes(tmp_path: Path) -> None:
    x = gx.input("x", (gx.dim("batch", max=64), 6))
    hidden = gx.nn.relu(gx.nn.Dense(8, name="first")(x))
    logits = gx.nn.Dense(3, name="second")(gx.nn.Dropout(0.5)(hidden))
    outputs = {"logits": logits, "shares": gx.nn.softmax(logits)}
    model = check(outputs, {x: normal(5, 6)}, {x: normal(1, 6)}, {x: normal(0, 6)})
    (declared,) = model.graph.input
    assert declared.name == "x"
    assert [d.dim_param or d.dim_value for d in declared.type.tensor_type.shape.dim] == ["batch", 6]
    assert [o.name for o in model.graph.output] == ["logits", "shares"]
    gx.onnx.save(tmp_path / "model.onnx", outputs)
    loaded = gx.onnx.load(tmp_path / "model.onnx")
    stored = {p.name: p.value for p in gx.compile([x], logits).parameters.values()}
    assert set(loaded.parameters) == set(stored)
    for name, parameter in loaded.parameters.items():
        np.testing.assert_array_equal(parameter.value, stored[name])
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_images_of_any_size(layout: str) -> None:
    channels = (5,)
    space = (gx.dim("high", min=8), gx.dim("wide", min=8))
    shape = (*space, *channels) if layout == "channels_last" else (*channels, *space)
    x = gx.input("x", ("batch", *shape))
    w, depth = (
        gx.parameter("w", value=normal(3, 3, 5, 8)),
        gx.parameter("d", value=normal(3, 3, 1, 8)),
    )
    y = gx.nn.conv(x, w, strides=2, padding=1, layout=layout)
    y = gx.nn.conv(y, depth, padding=1, groups=8, layout=layout)
    y = gx.nn.max_pool(gx.nn.relu(y), 3, strides=1, padding=1, layout=layout)
    z = gx.nn.avg_pool(y, 2, layout=layout)
    for n, high, wide in ((1, 16, 16), (2, 9, 12)):
        sizes = (high, wide, 5) if layout == "channels_last" else (5, high, wide)
        check([y, z], {x: normal(n, *sizes)}, target="interpret")


def test_sizes_that_are_multiples() -> None:
    wide = gx.dim("wide")
    x = gx.input("x", ("batch", 4 * wide + 1))
    y = gx.reshape(x[:, 1:], (x.shape[0], 4, wide))
    model = check({"y": y}, {x: normal(3, 9)}, {x: normal(1, 13)})
    assert model.graph.input[0].type.tensor_type.shape.dim[1].dim_param == "4*wide+1"
    assert gx.onnx.load(model, dims={"wide": 2}).inputs["x"].shape[1] == 9


def test_batch_normalisation_and_what_is_transposed() -> None:
    x = gx.input("x", (2, 6, 6, 3))
    y = gx.nn.BatchNorm()(gx.nn.Conv2D(4, 3)(x))
    up = gx.nn.conv_transpose(y, gx.parameter("up", value=normal(3, 3, 2, 4)), strides=2)
    check([up, gx.nn.layer_norm(y)], {x: normal(2, 6, 6, 3)})


def test_attention_and_indices() -> None:
    x = gx.input("x", ("batch", "time", 8))
    ids = gx.input("ids", ("batch", 3), dtype="int32")
    w = gx.parameter("w", value=normal(8, 8))
    scores = gx.einsum("bid,bjd->bij", x @ w, x) / 8**0.5
    mixed = gx.nn.gelu(gx.nn.softmax(scores) @ x)
    table = gx.parameter("table", value=normal(11, 8))
    words = table[ids]
    best, where = gx.topk(gx.sum(mixed, axis=1), 3)
    outputs = [mixed[:, ::-1], gx.cumulative_max(mixed, axis=1), words, best, where]
    feeds = ({x: normal(b, t, 8), ids: np.arange(3 * b, dtype=np.int32).reshape(b, 3) - 4}
             for b, t in ((2, 5), (1, 3)))  # fmt: skip
    check(outputs, *feeds)


@pytest.mark.parametrize("reverse", [False, True])
def test_loops_over_rows(reverse: bool) -> None:
    xs, h = gx.input("xs", ("time", 4, 3)), gx.input("h", (4, 5))
    w, u = gx.parameter("w", value=normal(3, 5)), gx.parameter("u", value=normal(5, 5))

    def cell(state: Any, x: Any) -> Any:
        new = gx.tanh(x @ w + state @ u)
        return new, new * 2.0

    last, ys = gx.scan(cell, h, xs, reverse=reverse)
    check([last, ys], *({xs: normal(t, 4, 3), h: normal(4, 5)} for t in (6, 1)))


def test_loops_that_count_end_early_or_choose() -> None:
    x = gx.input("x", (3,))
    powers, rows = gx.scan(lambda c, _: (c * 1.5 + x, c), x, None, length=4, reverse=True)
    doubled = gx.while_loop(lambda v: gx.sum(v) < 100.0, lambda v: v * 2.0, gx.abs(x) + 1.0, 50)
    either = gx.cond(gx.sum(x) > 0.0, lambda v: gx.sin(v), lambda v: v * v, x)
    feeds = [{x: normal(3)}, {x: -np.abs(normal(3))}, {x: np.abs(normal(3))}]
    check([powers, rows, doubled, either], *feeds)


def test_loops_in_loops() -> None:
    x = gx.input("x", (4, 3))

    def outer(total: Any, row: Any) -> Any:
        inner, parts = gx.scan(lambda c, v: (c * 0.5 + v, c), total, row)
        return inner, parts

    last, ys = gx.scan(outer, gx.constant(np.float32(1.0)), x)
    check([last, ys], {x: normal(4, 3)})


def test_gradients_are_saved_too() -> None:
    x = gx.input("x", (4, 3))
    w = gx.parameter("w", value=normal(3, 5))
    loss = gx.sum(gx.nn.softmax(gx.tanh(x @ w)) ** 2)
    check([loss, gx.grad(loss, w)], {x: normal(4, 3)})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["light_squeezenet", "light_shufflenet"])
def test_what_was_loaded_is_saved_again(name: str) -> None:
    from tests.onnx import packaged

    (path,) = (p for p in packaged.light_models() if p.stem == name)
    model = packaged.logits_of(packaged.read(path))
    data = packaged.typed(model)
    x = packaged.some_input(model, packaged.IMAGE, 1)
    given = packaged.input_of(model).name
    loaded = gx.onnx.load(data, shapes={given: packaged.IMAGE})
    saved = to_model(dict(loaded.outputs))
    (wanted,) = session(onnx.load_from_string(data)).run(None, {given: x})
    (found,) = run(saved, {given: x})
    assert_close(found, wanted)


# ------------------------------------------------------------------------------ errors


def test_what_cannot_be_saved_names_the_op_and_the_line() -> None:
    x = gx.input("x", (3,))
    y = gx.lgamma(x) + 1.0
    with pytest.raises(UnsupportedError, match="lgamma has no counterpart in ONNX") as caught:
        to_model(y)
    assert "y = gx.lgamma(x) + 1.0" in str(caught.value)
    noise = gx.random.uniform((3,))
    with pytest.raises(UnsupportedError, match="has no counterpart") as caught:
        to_model(x + noise)
    assert "noise = gx.random.uniform" in str(caught.value)


def test_outputs_and_inputs_are_checked() -> None:
    x, y = gx.input("x", (3,)), gx.input("y", (3,))
    with pytest.raises(ArgumentError, match="no outputs"):
        to_model([])
    assert [i.name for i in to_model(x - y).graph.input] == ["x", "y"]
    assert [i.name for i in to_model(x - y, [y, x]).graph.input] == ["y", "x"]
    with pytest.raises(gx.errors.NameError, match="y is needed"):
        to_model(x - y, [x])


def test_an_output_may_be_an_input_or_stand_twice() -> None:
    x = gx.input("x", (3,))
    y = gx.exp(x)
    check({"a": x, "b": y, "c": y}, {x: normal(3)})


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")
    with pytest.raises(UnsupportedError):
        gx.onnx.save(path, gx.lgamma(gx.input("x", (3,))))
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize("name", ["bf16", "fp16", "tf32"])
def test_products_of_rounded_operands(name: str) -> None:
    rng = np.random.default_rng(0)
    x = gx.input("x", (5, 8))
    w = gx.parameter("w", value=rng.normal(size=(8, 3)).astype(np.float32))
    with gx.precision(name):
        y = x @ w
    given = {"x": rng.normal(size=(5, 8)).astype(np.float32)}
    model = to_model({"y": y})
    low = {"bf16": onnx.TensorProto.BFLOAT16, "fp16": onnx.TensorProto.FLOAT16}
    casts = [n.attribute[0].i for n in model.graph.node if n.op_type == "Cast"]
    assert casts.count(low.get(name, 0)) == (0 if name == "tf32" else 2)
    wanted = gx.compile([x], y, precision="fp32")(**given)
    exact = gx.compile([x], x @ w)(**given)
    assert not (wanted == exact).all()
    close(loaded(model, given)[0], exact if name == "tf32" else wanted)
