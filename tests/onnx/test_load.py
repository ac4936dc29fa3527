"""gx.onnx.load: names, sizes, parameters, values, and what is wrong or not supported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import graphc as gx
from graphc.errors import ArgumentError, FormatError, UnsupportedError
from graphc.onnx.errors import UnknownValueError
from graphc.onnx.table import CONVERTERS
from graphc.testing import assert_close

HEAD = '<ir_version: 8, opset_import: ["" : {opset}]> '
LINEAR = """g (float[N, 3] x) => (float[N, 2] y)
<float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[2] b = {1, -1}>
{ h = MatMul (x, w)  y = Add (h, b) }"""


def model(text: str, opset: int = 17) -> Any:
    """A model from the format's text."""
    return onnx.parser.parse_model(HEAD.format(opset=opset) + text)


def run(loaded: gx.onnx.Model, *arrays: Any) -> Any:
    """The outputs of a loaded model, by name."""
    return gx.compile(list(loaded.inputs.values()), dict(loaded.outputs))(*arrays)


def reference(proto: Any, *arrays: Any) -> list[Any]:
    """What the package's own evaluator says."""
    from onnx.reference import ReferenceEvaluator

    names = [i.name for i in proto.graph.input]
    return list(ReferenceEvaluator(proto).run(None, dict(zip(names, arrays))))


def test_names_and_order_are_those_of_the_file() -> None:
    loaded = gx.onnx.load(
        model("g (float[2] b, float[2] a) => (float[2] z, float[2] y) { z = Add(a, b) y = Neg(a) }")
    )
    assert list(loaded.inputs) == ["b", "a"]
    assert list(loaded.outputs) == ["z", "y"]
    assert loaded.inputs["a"].name == "a"
    assert not loaded.parameters


def test_stored_floats_with_axes_are_trainable_parameters_under_their_names() -> None:
    proto = model(LINEAR)
    loaded = gx.onnx.load(proto)
    assert list(loaded.parameters) == ["w", "b"]
    weight = loaded.parameters["w"]
    assert isinstance(weight, gx.Parameter)
    assert weight.trainable
    x = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert_close(run(loaded, x)["y"], reference(proto, x)[0], tolerance="ulps", each=True)


def test_loaded_models_can_be_trained() -> None:
    loaded = gx.onnx.load(model(LINEAR))
    x = loaded.inputs["x"]
    target = gx.input("target", ("N", 2))
    loss = ((loaded.outputs["y"] - target) ** 2).mean()
    step = gx.compile([x, target], loss, updates=gx.optim.SGD(0.02).minimize(loss))
    rng = np.random.default_rng(0)
    xs = rng.standard_normal((16, 3)).astype(np.float32)
    wanted = xs @ rng.standard_normal((3, 2)).astype(np.float32)
    losses = [float(step(xs, wanted)) for _ in range(200)]
    assert losses[-1] < 0.05 * losses[0]


def test_unknown_sizes_become_dims() -> None:
    text = "g (float[N, 3] x, float[?, ?] y) => (float[N, 3] z) { z = Neg (x) }"
    loaded = gx.onnx.load(model(text))
    assert str(loaded.inputs["x"].type) == "f32[N,3]"
    assert str(loaded.inputs["y"].type) == "f32[y_0,y_1]"


def test_dims_and_shapes_fix_sizes() -> None:
    proto = model("g (float[N, C] x) => (float[N, C] z) { z = Neg (x) }")
    assert gx.onnx.load(proto, dims={"N": 4}).inputs["x"].shape[0] == 4
    assert gx.onnx.load(proto, shapes={"x": (2, 5)}).outputs["z"].shape == (2, 5)
    free = gx.onnx.load(proto, shapes={"x": ("rows", 5)})
    assert str(free.outputs["z"].type) == "f32[rows,5]"


def test_sources_are_paths_bytes_and_models(tmp_path: Path) -> None:
    proto = model(LINEAR)
    path = tmp_path / "linear.onnx"
    path.write_bytes(proto.SerializeToString())
    for source in (path, str(path), proto.SerializeToString(), proto):
        assert list(gx.onnx.load(source).outputs) == ["y"]
    assert str(gx.onnx.load(path).outputs["y"].node.origin) == "linear.onnx:2"


def test_shape_arithmetic_stays_symbolic() -> None:
    text = """g (float[N, 4, W] x) => (float[A, B] y) {
        shape = Shape (x)
        zero = Constant <value = int64[1] {0}> ()
        two = Constant <value = int64[1] {2}> ()
        n = Gather (shape, zero)
        w = Gather (shape, two)
        half = Div (w, two)
        rest = Constant <value = int64[1] {-1}> ()
        doubled = Mul (w, two)
        wide = Concat <axis = 0> (n, rest)
        y = Reshape (x, wide)
    }"""
    proto = model(text)
    loaded = gx.onnx.load(proto)
    assert str(loaded.outputs["y"].type) == "f32[N,4*W]"
    x = np.random.default_rng(0).standard_normal((3, 4, 6)).astype(np.float32)
    np.testing.assert_array_equal(run(loaded, x)["y"], x.reshape(3, 24))


def test_symbolic_sizes_run_at_any_size() -> None:
    text = """g (float[N, C, T] x) => (float[N, D] y) {
        shape = Shape <start = 0, end = 1> (x)
        rest = Shape <start = 1> (x)
        count = ReduceProd (rest)
        wide = Concat <axis = 0> (shape, count)
        flat = Reshape (x, wide)
        y = Softmax <axis = 1> (flat)
    }"""
    loaded = gx.onnx.load(model(text))
    function = gx.compile(list(loaded.inputs.values()), loaded.outputs["y"])
    for shape in ((1, 2, 3), (4, 1, 5), (2, 3, 7)):
        x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
        e = np.exp(x.reshape(shape[0], -1))
        assert_close(function(x), e / e.sum(1, keepdims=True), each=True)


def test_inputs_that_carry_shapes_are_bound_by_value() -> None:
    proto = model("g (float[2, 6] x, int64[2] s) => (float[A, B] y) { y = Reshape (x, s) }")
    with pytest.raises(UnknownValueError) as caught:
        gx.onnx.load(proto)
    assert caught.value.inputs == ("s",)
    assert 'values={"s": array}' in (caught.value.hint or "")
    loaded = gx.onnx.load(proto, values={"s": [3, 4]})
    assert list(loaded.inputs) == ["x"]
    assert loaded.outputs["y"].shape == (3, 4)


def test_missing_sizes_are_asked_for() -> None:
    upsample = """g (float[1, 1, H, 4] x) => (float[1, 1, A, B] y) {
        e = Constant <value = float[0] {}> ()
        scales = Constant <value = float[4] {1.0, 1.0, 1.5, 1.0}> ()
        y = Resize <mode = "linear"> (x, e, scales)
    }"""
    with pytest.raises(UnknownValueError) as caught:
        gx.onnx.load(model(upsample))
    assert caught.value.dims == ("H",)
    assert 'dims={"H": 4}' in (caught.value.hint or "")
    assert gx.onnx.load(model(upsample), dims={"H": 4}).outputs["y"].shape == (1, 1, 6, 4)


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize("data", [b"no model at all", b"", b"\x08\x07" + b"\xff" * 40])
def test_content_that_is_no_model(data: bytes) -> None:
    with pytest.raises(FormatError, match="is no ONNX model"):
        gx.onnx.load(data)


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        gx.onnx.load(tmp_path / "none.onnx")


def test_other_sources_are_refused() -> None:
    with pytest.raises(ArgumentError, match="a path, bytes or a model"):
        gx.onnx.load(3)


def test_truncated_files_never_crash() -> None:
    data = model(LINEAR).SerializeToString()
    refused = 0
    for end in range(0, len(data), 3):
        try:
            loaded = gx.onnx.load(data[:end])
        except gx.errors.GraphcError:
            refused += 1
            continue
        # cut between two fields: what is left is a whole model, if a smaller one
        assert set(loaded.outputs) <= {o.name for o in model(LINEAR).graph.output}
    assert refused > len(data) / 6


def test_a_second_file_that_is_cut_missing_or_elsewhere(tmp_path: Path) -> None:
    w = gx.parameter("w", value=np.ones((40, 40), np.float32))
    path, data = tmp_path / "m.onnx", tmp_path / "m.onnx.data"
    gx.onnx.save(path, {"y": gx.input("x", ("N", 40)) @ w}, external=True)
    whole = data.read_bytes()
    for end in (0, 100, len(whole) - 1):
        data.write_bytes(whole[:end])
        with pytest.raises(FormatError, match=r"onnx.load: m\.onnx"):
            gx.onnx.load(path)
    data.unlink()
    with pytest.raises(FormatError, match=r"onnx.load: m\.onnx"):
        gx.onnx.load(path)
    data.write_bytes(whole)
    proto = onnx.load(path, load_external_data=False)
    for key, value in (("length", "x"), ("offset", "-4"), ("location", "../m.onnx.data")):
        damaged = onnx.ModelProto()
        damaged.CopyFrom(proto)
        for entry in damaged.graph.initializer[0].external_data:
            entry.value = value if entry.key == key else entry.value
        path.write_bytes(damaged.SerializeToString())
        with pytest.raises((FormatError, OSError)):
            gx.onnx.load(path)


def test_mistakes_of_the_caller_are_not_blamed_on_the_file() -> None:
    proto = model("g (float[2, 6] x, int64[2] s) => (float[A, B] y) { y = Reshape (x, s) }")
    with pytest.raises(ArgumentError, match="the value of input s is no array of int64"):
        gx.onnx.load(proto, values={"s": "four"})
    with pytest.raises(ZeroDivisionError):
        gx.onnx.load(model(LINEAR), trainable=lambda name: bool(1 / 0))


def test_what_nothing_foresaw_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(call: Any) -> Any:
        raise RecursionError("too deep")

    monkeypatch.setitem(CONVERTERS, ("Neg", 1), broken)
    proto = model("g (float[2] x) => (float[2] y) { [here] y = Neg (x) }")
    with pytest.raises(FormatError, match=r"node here \(Neg, opset 17\): too deep"):
        gx.onnx.load(proto)


def test_a_name_that_nothing_makes() -> None:
    with pytest.raises(FormatError, match=r"node \(Neg, opset 17\) reads a, which nothing makes"):
        gx.onnx.load(model("g (float[2] x) => (float[2] y) { y = Neg (a) }"))


def test_an_operator_that_does_not_exist() -> None:
    with pytest.raises(UnsupportedError, match=r"\(Frobnicate, opset 17\): no such operator"):
        gx.onnx.load(model("g (float[2] x) => (float[2] y) { y = Frobnicate (x) }"))


def test_a_domain_that_is_not_imported() -> None:
    with pytest.raises(FormatError, match="imports no such domain"):
        gx.onnx.load(model("g (float[2] x) => (float[2] y) { y = com.acme.Neg (x) }"))


def test_definition_errors_name_the_node() -> None:
    with pytest.raises(FormatError, match=r"\(MatMul, opset 17\): matmul: inner sizes differ: 3"):
        gx.onnx.load(
            model("g (float[2,3] x, float[4,5] w) => (float[2,5] y) { y = MatMul (x, w) }")
        )


def test_element_types_that_there_are_not() -> None:
    with pytest.raises(UnsupportedError, match="input x: elements of type string"):
        gx.onnx.load(model("g (string[2] x) => (string[2] y) { y = Identity (x) }"))


def test_shapes_that_do_not_fit_the_declared_ones() -> None:
    proto = model(LINEAR)
    with pytest.raises(ArgumentError, match="has size 3 on axis 1, 4 is given"):
        gx.onnx.load(proto, shapes={"x": (2, 4)})
    with pytest.raises(ArgumentError, match="there is no input z"):
        gx.onnx.load(proto, shapes={"z": (2, 4)})
    with pytest.raises(ArgumentError, match="has 2 axes, the shape given has 1"):
        gx.onnx.load(proto, shapes={"x": (2,)})


def test_results_whose_size_depends_on_data() -> None:
    with pytest.raises(UnsupportedError, match="depends on the elements of its operand"):
        gx.onnx.load(model("g (float[2] x) => (int64[1, N] y) { y = NonZero (x) }"))


def test_old_operator_sets() -> None:
    with pytest.raises(UnsupportedError, match="operator sets from 6 on"):
        gx.onnx.load(model("g (float[2] x) => (float[2] y) { y = Relu (x) }", opset=5))


@pytest.mark.parametrize("target", ["cpu", "interpret"])
@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint64", "float32"])
def test_remainders_by_and_of_the_least_number(dtype: str, target: str) -> None:
    """Mod with the sign of x, which C's % has, where |y| is no number of the type."""
    info: Any = np.finfo(dtype) if dtype == "float32" else np.iinfo(dtype)
    low = -1 if info.min < 0 else 1
    some = [int(info.min), int(info.max), int(info.min) + 1, low, 2, 7 * low, 0]
    x, y = (a.ravel() for a in np.meshgrid(np.array(some[:], dtype), np.array(some[:-1], dtype)))
    x, y = x[y != 0], y[y != 0]
    kind = {"float32": "float", "float64": "double"}.get(dtype, dtype)
    text = f"g ({kind}[N] x, {kind}[N] y) => ({kind}[N] z) {{ z = Mod <fmod = 1> (x, y) }}"
    loaded = gx.onnx.load(model(text))
    found = gx.compile(list(loaded.inputs.values()), loaded.outputs["z"], target=target)(x, y)
    signs = [-1 if a < 0 else 1 for a in x]
    expected = [s * (abs(int(a)) % abs(int(b))) for s, a, b in zip(signs, x, y)]
    np.testing.assert_array_equal(found, np.array(expected, dtype))
