"""What `compile` and calls refuse, and how they say it."""

import array as buffers

import ml_dtypes
import numpy as np
import pytest

import graphc as gx
from graphc import errors


def interpret(*args, **kwargs):
    return gx.compile(*args, target="interpret", **kwargs)


@pytest.fixture
def step():
    """A function of x f32[batch,3], t i32[batch] and scale f32[]."""
    batch = gx.dim("batch", max=8, min=0)
    x, t = gx.input("x", (batch, 3)), gx.input("t", (batch,), "int32")
    scale = gx.input("scale", ())
    return interpret([x, t, scale], [x * scale, t], name="forward")


X, T = np.ones((4, 3), "f4"), np.arange(4, dtype="i4")


def refuse(error, text, call, *args, **kwargs):
    with pytest.raises(error) as caught:
        call(*args, **kwargs)
    assert text in caught.value.message, caught.value.message
    assert caught.value.origin.filename == __file__
    return caught.value


# -------------------------------------------------------------------------- definition


def test_inputs_must_be_inputs():
    x, w = gx.input("x", (2,)), gx.parameter("w", (2,))
    refuse(errors.ArgumentError, "w is no input", gx.compile, [x, w], x)
    refuse(errors.ArgumentError, "multiply is no input", gx.compile, [x * x], x)
    refuse(errors.ArgumentError, "inputs must be tensors, got 'x'", gx.compile, ["x"], x)
    refuse(errors.ArgumentError, "inputs must be a list of gx.input", gx.compile, "x", x)
    refuse(errors.ArgumentError, "input x is listed twice", gx.compile, [x, x], x)


def test_two_inputs_of_one_name():
    a, b = gx.input("x", (2,)), gx.input("x", (2,))
    error = refuse(errors.NameError, "two inputs are called x", gx.compile, [a, b], a + b)
    assert [o[2] for o in error.operands] == [a.node.origin, b.node.origin]


def test_two_parameters_of_one_name():
    a = gx.parameter("w", (2,))
    b = gx.parameter("w", (2,))
    error = refuse(errors.NameError, "two parameters are called w", gx.compile, [], a + b)
    assert {o[2] for o in error.operands} == {a.node.origin, b.node.origin}
    assert a.node.origin != b.node.origin


def test_an_input_that_is_not_listed():
    x, y = gx.input("x", (2,)), gx.input("y", (2,))
    error = refuse(errors.NameError, "input y is needed but not among", gx.compile, [x], x + y)
    assert error.operands[0][2] == y.node.origin
    assert error.hint == "add y to inputs"


def test_a_size_that_no_input_has():
    x, w = gx.input("x", (2,)), gx.broadcast_to(gx.constant(1.0), (gx.dim("n"), 2))
    refuse(errors.ShapeError, "dim n is the size of no input", gx.compile, [x], [x, w])


def test_updates_must_be_of_parameters():
    x, w = gx.input("x", (2,)), gx.parameter("w", (2,))
    compile = gx.compile
    text = "x is an input: only parameters can be updated"
    refuse(errors.ArgumentError, text, compile, [x], x, updates={x: x + 1.0})
    text = "add is computed: only parameters"
    refuse(errors.ArgumentError, text, compile, [x], x, updates={x + w: x})
    text = "must have parameters as keys, got 'w'"
    refuse(errors.ArgumentError, text, compile, [x], x, updates={"w": x})
    text = "updates must map parameters to tensors, got Tensor"
    refuse(errors.ArgumentError, text, compile, [x], x, updates=[x])
    text = "parameter w is updated twice"
    refuse(errors.ArgumentError, text, compile, [x], x, updates=[{w: w + x}, {w: w - x}])


def test_updates_must_have_the_parameters_type():
    w = gx.parameter("w", (2, 3))
    text = "parameter w is f32[2,3], its update is f32[2]"
    refuse(errors.ShapeError, text, gx.compile, [], [], updates={w: w.sum(axis=1)})
    text = "parameter w is f32[2,3], its update is f64[2,3]"
    refuse(errors.DTypeError, text, gx.compile, [], [], updates={w: w.astype("float64")})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"mode": "eval"}, "mode must be one of train, inference, got 'eval'"),
        ({"target": "gpu"}, "target must be one of cpu, cuda, cuda-simulate, interpret, got 'gpu'"),
        ({"cast": "unsafe"}, "cast must be one of same_kind, no, got 'unsafe'"),
        ({"threads": 0}, "threads must be an int of 1 or more, got 0"),
        ({"microbatches": 1.5}, "microbatches must be an int, got 1.5"),
        ({"memory": "lots"}, "memory must be bytes or a text such as \"8MB\", got 'lots'"),
    ],
)
def test_options(options, text):
    x = gx.input("x", ())
    refuse(errors.ArgumentError, text, gx.compile, [x], x, **options)


@pytest.mark.parametrize(
    ("text", "count"), [("8MB", 8 * 10**6), ("1.5 KiB", 1536), (100, 100), ("7", 7), ("2gb", 2e9)]
)
def test_memory_limits(text, count):
    assert interpret([], [], memory=text).options.memory == count


def test_outputs_must_be_tensors():
    refuse(errors.ArgumentError, "outputs must be tensors, got 'loss'", gx.compile, [], "loss")
    refuse(errors.ArgumentError, "outputs must be tensors, got None", gx.compile, [], [None])


def test_a_name_must_be_printable():
    with pytest.raises(errors.NameError, match="printable"):
        gx.compile([], [], name="")


# ------------------------------------------------------------------------------- names


def test_wrong_names(step):
    error = refuse(errors.ArgumentError, "forward: takes 3 inputs, got 4", step, X, T, 1.0, 2.0)
    assert [o[1] for o in error.operands] == ["x f32[batch,3]", "t i32[batch]", "scale f32[]"]
    refuse(errors.NameError, "forward: inputs t, scale are missing", step, X)
    refuse(errors.NameError, "input x is given twice", step, X, T, x=X)
    error = refuse(errors.NameError, "has no input scales", step, X, T, scales=1.0)
    assert error.hint == "did you mean scale?"


# ------------------------------------------------------------------------------ dtypes


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (np.ones((4, 3), "c8"), "complex64"),
        (np.full((4, 3), "a"), "<U1"),
        (np.full((4, 3), None), "object"),
    ],
)
def test_wrong_dtype(step, value, got):
    error = refuse(
        errors.DTypeError, f"forward: input x must be float32, got {got}", step, value, T, 1.0
    )
    assert error.operands[0][1] == "x f32[batch,3]"
    assert error.operands[1][0] == "got"


def test_floats_for_integers_are_refused(step):
    error = refuse(errors.DTypeError, "input t must be int32, got float64", step, X, T * 1.0, 1.0)
    assert error.hint == "convert it: array.astype('int32')"


@pytest.mark.parametrize(
    "dtype", ["f8", "f4", "f2", "i2", "u2", "i1", "u1", "?", "bf16", "i4", "i8", "u8"]
)
def test_safe_dtypes_are_taken(step, dtype):
    kind = ml_dtypes.bfloat16 if dtype == "bf16" else dtype
    out, _ = step(np.ones((4, 3), kind), T, 2.0)
    assert out.dtype == np.float32
    assert out.tolist() == [[2, 2, 2]] * 4


def test_no_cast():
    x = gx.input("x", (2,))
    f = interpret([x], x, cast="no")
    assert f(np.ones(2, "f4")).tolist() == [1, 1]
    refuse(errors.DTypeError, "input x must be float32, got float64", f, np.ones(2))


def test_long_integers_must_fit(step):
    out = step(X, np.array([2**31 - 1, -(2**31), 0, 1]), 1.0)[1]
    assert out.tolist() == [2**31 - 1, -(2**31), 0, 1]
    for bad in (2**31, -(2**31) - 1):
        text = f"input t: {bad} does not fit int32"
        refuse(errors.ArgumentError, text, step, X, np.array([0, bad, 0, 1]), 1.0)


INT64, UINT64 = 2**63 - 1, 2**64 - 1


@pytest.mark.parametrize(
    ("wanted", "dtype", "exact", "lost"),
    [
        ("float16", "int64", [2048, -2048, 4096, 65504 - 32], [2049, 65519, 70000, INT64]),
        ("bfloat16", "int32", [256, 384, -(2**31)], [257, 2**31 - 1]),
        ("float32", "int32", [2**24, -(2**24), 2**24 + 2], [2**24 + 1, 2**31 - 1]),
        ("float32", "int64", [2**62, -(2**63), 3 * 2**40], [2**40 + 1, INT64, 1 - 2**63]),
        ("float32", "uint64", [2**63, 2**63 + 2**40], [2**63 + 1, UINT64]),
        ("float64", "int64", [2**53, 2**62 + 2**40], [2**53 + 1, INT64]),
        ("float64", "uint64", [2**63 + 2**11], [UINT64, 2**63 + 1]),
    ],
)
@pytest.mark.parametrize("target", ["interpret", "cpu"])
def test_integers_for_floats_must_be_exact(wanted, dtype, exact, lost, target):
    x = gx.input("x", ("n",), dtype=wanted)
    f = gx.compile([x], x * 1, target=target)
    assert [int(v) for v in f(np.array(exact, dtype))] == exact
    assert [int(v) for v in f(exact)] == exact
    for bad in lost:
        array = np.array([exact[0], bad], dtype)
        refuse(errors.ArgumentError, f"input x: {bad} does not fit {wanted}", f, array)
    assert f(np.zeros(0, dtype)).shape == (0,)


def test_finite_must_stay_finite(step):
    values = np.ones((4, 3))
    values[0] = [np.inf, -np.inf, np.nan]
    out = step(values, T, 1.0)[0]
    assert np.array_equal(out[0], np.float32([np.inf, -np.inf, np.nan]), equal_nan=True)
    values[1, 1] = 1e300
    refuse(errors.ArgumentError, "input x: 1e+300 does not fit float32", step, values, T, 1.0)


def test_python_numbers_are_weak(step):
    out, t = step([[1, 2, 3]], [7], 2)
    assert out.tolist() == [[2, 4, 6]]
    assert t.dtype == np.int32
    refuse(errors.DTypeError, "input t must be int32, got float64", step, [[1, 2, 3]], [7.5], 2)
    refuse(errors.ArgumentError, f"{2**40} does not fit", step, [[1, 2, 3]], [2**40], 2)
    text = "input x: list is no array"
    refuse(errors.ArgumentError, text, step, [[1, 2], [3]], [7], 2)


def test_byte_swapped_arrays(step):
    error = refuse(errors.DTypeError, "input x is byte-swapped (>f4)", step, X.astype(">f4"), T, 1)
    assert "newbyteorder" in error.hint


def test_none_and_symbols_are_no_arrays(step):
    refuse(errors.ArgumentError, "x must be an array, got None", step, None, T, 1.0)
    text = "scale must be an array, got a symbolic tensor"
    refuse(errors.ArgumentError, text, step, X, T, gx.constant(1.0))


# ------------------------------------------------------------------------------ layouts


def test_any_strides(step):
    rows = np.arange(24, dtype="f4").reshape(8, 3)
    columns = np.asfortranarray(rows)
    for value in (rows[::2], rows[::-2], columns[:4], np.broadcast_to(rows[:1], (4, 3))):
        assert np.array_equal(step(value, T, 1.0)[0], value)
    odd = np.zeros(4 * 4 + 1, "u1")[1:].view("i4")
    assert not odd.flags.aligned
    assert step(X, odd, 1.0)[1].tolist() == [0] * 4


def test_buffers_and_dlpack(step):
    class Exchange:
        """Offers DLPack alone."""

        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    out, t = step(Exchange(X * 2), buffers.array("i", [3, 2, 1, 0]), np.float64(1))
    assert np.array_equal(out, X * 2)
    assert t.tolist() == [3, 2, 1, 0]
    assert step(memoryview(X), memoryview(T), 1.0)[1].tolist() == T.tolist()

    class Broken(Exchange):
        def __dlpack__(self, **options):
            raise BufferError("on another device")

    text = "input x: Broken is no array: on another device"
    refuse(errors.ArgumentError, text, step, Broken(X), T, 1.0)


def test_arrays_of_bfloat16_in_other_libraries():
    torch = pytest.importorskip("torch", reason="numpy has no bfloat16 of its own to offer")
    x = gx.input("x", ("n", 3), dtype="bfloat16")
    twice = gx.compile([x], x * 2.0)
    rows = torch.arange(12.0, dtype=torch.bfloat16).reshape(4, 3)
    for given in (rows, rows[::2], rows.reshape(3, 4).T, rows[:0], rows[1:].contiguous()):
        wanted = given.float().numpy()
        assert np.array_equal(twice(given).astype("float32"), 2 * wanted)
        assert np.array_equal(x.eval({x: given}).astype("float32"), wanted)
    assert gx.constant(rows).dtype == gx.bfloat16
    w = gx.parameter("w", value=rows)
    w.value = rows[[3, 2, 1, 0]]
    assert w.value[0].astype("float32").tolist() == [9, 10, 11]
    text = "step: input x: Tensor is no array: Can't export"
    refuse(errors.ArgumentError, text, twice, rows.requires_grad_())


# ------------------------------------------------------------------------------- shapes


def test_wrong_rank_and_sizes(step):
    text = "forward: input x must have 2 axes, got 1"
    error = refuse(errors.ShapeError, text, step, X[0], T, 1.0)
    assert [o[1] for o in error.operands] == ["x f32[batch,3]", "f32[3]"]
    text = "forward: input x must have 3 on axis 1, got 2"
    error = refuse(errors.ShapeError, text, step, X[:, :2], T, 1.0)
    assert error.operands[1][1] == "f32[4,2]"


def test_inputs_that_disagree_about_a_dim(step):
    text = "forward: dim batch is 4 (axis 0 of x) but 3 (axis 0 of t)"
    error = refuse(errors.ShapeError, text, step, X, T[:3], 1.0)
    assert [o[1] for o in error.operands] == ["x f32[batch,3]", "t i32[batch]"]


def test_bounds_of_dims(step):
    nine = np.ones((9, 3), "f4")
    text = "dim batch is 9 (axis 0 of x), more than its maximum 8"
    refuse(errors.ShapeError, text, step, nine, np.arange(9), 1.0)
    x = gx.input("x", (gx.dim("n", min=2),))
    text = "dim n is 1 (axis 0 of x), less than its minimum 2"
    refuse(errors.ShapeError, text, interpret([x], x), np.ones(1))


def test_sizes_that_are_expressions():
    n = gx.dim("n")
    x, y = gx.input("x", (n * 2 + 1,)), gx.input("y", (n,))
    f = interpret([x, y], x.sum() + y.sum())
    assert f(np.ones(7), np.ones(3)) == 10
    text = "input x must have 2*n+1 = 5 on axis 0, got 7"
    refuse(errors.ShapeError, text, f, np.ones(7), np.ones(2))
    alone = interpret([x], x.sum())
    assert alone(np.ones(7)) == 7
    refuse(errors.ShapeError, "x: 6 (axis 0) does not fit 2*n+1", alone, np.ones(6))


# ------------------------------------------------------------------------------- epochs


def test_epochs(step):
    text = "batch_size must be 1 or more, got 0"
    refuse(errors.ArgumentError, text, step.run_epoch, [X, T, 1.0], 0)
    text = "forward: run_epoch: x has 4 samples, t has 3"
    refuse(errors.ShapeError, text, step.run_epoch, [X, T[:3], 1.0], 2)
    refuse(errors.ShapeError, "x has no samples", step.run_epoch, [X[:0], T[:0], 1.0], 2)
    text = "4 samples make no batch of 5"
    refuse(errors.ShapeError, text, step.run_epoch, [X, T, 1.0], 5, drop_last=True)
    refuse(errors.NameError, "input scale is missing", step.run_epoch, [X, T], 2)
    fixed = gx.input("fixed", (4, 3))
    text = "batch_size is 3, but input fixed has batches of 4"
    refuse(errors.ShapeError, text, interpret([fixed], fixed).run_epoch, X, 3)
    scalar = gx.input("s", ())
    text = "no input has a batch axis"
    refuse(errors.ArgumentError, text, interpret([scalar], scalar).run_epoch, [1.0], 1)


def test_precise_is_not_silently_ignored():
    x = gx.input("x", ())
    with pytest.raises(errors.UnsupportedError, match="precise must be False, got True") as caught:
        gx.compile([x], x, precise=True)
    assert caught.value.origin.filename == __file__
    assert "no formula in use" in caught.value.hint
    assert gx.compile([x], x, precise=False)(np.float32(2)) == 2


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("cuda:first", "a GPU has a number, as in \"cuda:1\", got 'cuda:first'"),
        ("cuda:", "a GPU has a number, as in \"cuda:1\", got 'cuda:'"),
        ("cuda-simulate:1", "the simulator runs vector or threads, got 'cuda-simulate:1'"),
        ("cpu:0", "cpu is one device, got 'cpu:0'"),
    ],
)
def test_devices_of_targets(target, text):
    x = gx.input("x", ())
    with pytest.raises(errors.ArgumentError, match=text) as caught:
        gx.compile([x], x, target=target)
    assert caught.value.origin.filename == __file__


def test_microbatches_are_not_silently_ignored():
    x = gx.input("x", (2,))
    with pytest.raises(errors.UnsupportedError, match="microbatches must be 1, got 2") as caught:
        gx.compile([x], x, microbatches=2)
    assert "scan over slices" in caught.value.hint
