"""What the first line of a program can get wrong."""

import numpy as np
import pytest

import graphc as gx
from graphc import errors


def test_dims():
    b = gx.dim("batch", max=256)
    assert str(b) == "batch"
    assert (b.min, b.max) == (0, 256)
    assert gx.input("x", ("batch", 3)).shape[0] == b


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"max": 0, "min": 1}, "needs 0 <= min <= max, got min=1, max=0"),
        ({"min": -1}, "min=-1"),
        ({"max": 2.5}, "max must be an int, got 2.5"),
    ],
)
def test_bad_dims(arguments, text):
    with pytest.raises(errors.ArgumentError, match=text):
        gx.dim("n", **arguments)


@pytest.mark.parametrize("name", ["", "a\n", None, 3])
@pytest.mark.parametrize("make", [gx.dim, lambda n: gx.input(n, ()), lambda n: gx.parameter(n, ())])
def test_bad_names(make, name):
    with pytest.raises(errors.NameError, match="name"):
        make(name)


def test_names_may_hold_any_printable_character():
    assert gx.input("größe 1/2 [x]", ()).name == "größe 1/2 [x]"


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ((2, -1), "sizes are 0 or more, got -1 on axis 1"),
        ((2, 1.5), "got 1.5 on axis 1"),
        ((True,), "got True on axis 0"),
        (None, "the shape must be a tuple of sizes, got None"),
    ],
)
def test_bad_shapes(shape, text):
    with pytest.raises(errors.ShapeError, match=text) as caught:
        gx.input("x", shape)
    assert caught.value.origin.filename == __file__


def test_bad_dtypes():
    for dtype in ("float3", "complex64", object, None):
        with pytest.raises(errors.DTypeError, match="input x: no dtype is called") as caught:
            gx.input("x", (), dtype)
        assert "bfloat16" in caught.value.hint


def test_sizes_may_be_numpy_integers_and_expressions():
    n = gx.dim("n")
    x = gx.input("x", (np.int64(3), n * 2 + 1, 0))
    assert str(x.type) == "f32[3,2*n+1,0]"
    assert gx.input("s", 5).shape == (5,)


def test_a_size_that_no_machine_can_hold():
    with pytest.raises(errors.MemoryBudgetError, match="more than an address can count"):
        gx.input("x", (2**40, 2**30))
    with pytest.raises(errors.MemoryBudgetError, match="parameter w"):
        gx.parameter("w", (2**62,))


def test_a_parameter_that_does_not_fit_in_memory():
    w = gx.parameter("w", (2**30, 2**16))
    with pytest.raises(errors.MemoryBudgetError, match="needs 281474976710656 bytes") as caught:
        w.value  # noqa: B018
    assert caught.value.operands[0][2] == w.node.origin


def test_parameter_values():
    w = gx.parameter("w", value=np.arange(6.0).reshape(2, 3))
    assert str(w.type) == "f64[2,3]"
    w.value = np.ones((2, 3), "float32")
    assert w.value.tolist() == [[1, 1, 1]] * 2
    with pytest.raises(errors.ShapeError, match=r"must have shape \(2, 3\), got \(3,\)"):
        w.value = np.ones(3)
    assert gx.parameter("p", value=[1.0, 2.0]).dtype.name == "float32"
    assert gx.parameter("q", value=3).dtype.name == "int32"
    assert gx.parameter("r", value=[1, 2], dtype="float16").value.tolist() == [1, 2]


def test_only_floats_are_trainable():
    assert gx.parameter("w", (2,)).trainable
    assert not gx.parameter("n", (), dtype="int32").trainable
    assert not gx.parameter("v", (2,), trainable=False).trainable


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({}, errors.ArgumentError, "needs a shape or a value"),
        ({"shape": ("n",)}, errors.ShapeError, "sizes must be ints, got n on axis 0"),
        ({"shape": (2,), "init": 0.0}, errors.ArgumentError, "init must be a function"),
        ({"value": 1.0, "init": np.zeros}, errors.ArgumentError, "both init and value"),
        ({"value": np.zeros(3), "shape": (2,)}, errors.ShapeError, r"the value has shape \(3,\)"),
        ({"value": np.array(["a"])}, errors.DTypeError, "cannot make a tensor of array"),
    ],
)
def test_bad_parameters(arguments, error, text):
    with pytest.raises(error, match=text):
        gx.parameter("w", **arguments)


def test_initial_values_depend_on_seed_and_name_alone():
    def draw(shape, dtype, rng):
        return rng.normal(size=shape)

    gx.seed(3)
    a, b = gx.parameter("a", (4,), init=draw), gx.parameter("b", (4,), init=draw)
    gx.seed(4)  # later seeds change nothing
    first, second = b.value, a.value
    gx.seed(3)
    assert np.array_equal(gx.parameter("b", (4,), init=draw).value, first)
    assert np.array_equal(gx.parameter("a", (4,), init=draw).value, second)
    assert not np.array_equal(first, second)
    gx.seed(4)
    assert not np.array_equal(gx.parameter("b", (4,), init=draw).value, first)
    gx.seed(0)


def test_an_initialiser_must_give_the_shape():
    w = gx.parameter("w", (2, 3), init=lambda shape, dtype, rng: np.zeros(3))
    with pytest.raises(errors.ShapeError, match=r"init gave shape \(3,\), not \(2, 3\)"):
        w.value  # noqa: B018


def test_scopes_prefix_parameters():
    with gx.name_scope("block"), gx.name_scope("dense"):
        assert gx.parameter("w", (2,)).name == "block/dense/w"
    assert gx.parameter("w", (2,)).name == "w"


def test_bad_seed():
    with pytest.raises(errors.ArgumentError, match="n must be an int, got 'a'"):
        gx.seed("a")
    for n in (2**64, -1):
        with pytest.raises(errors.ArgumentError, match=r"seed: must be from 0 to 2\*\*64 - 1, got"):
            gx.seed(n)


def test_constants():
    assert str(gx.constant(np.ones(3, "int8")).type) == "i8[3]"
    assert str(gx.constant([[1.5], [2]]).type) == "f32[2,1]"
    assert str(gx.constant(2**40).type) == "i64[]"
    assert str(gx.constant(1, dtype="float64").type) == "f64[]"
    given = np.ones(2, "float32")
    c = gx.constant(given, name="c")
    given[0] = 5  # a constant stays as it was
    assert c.eval().tolist() == [1, 1]
    assert c.name == "c"
    with pytest.raises(errors.ArgumentError, match="is symbolic already"):
        gx.constant(c)


def test_a_symbol_has_no_value():
    x = gx.input("x", ("n",))
    for use, text in (
        (bool, "no truth value"),
        (float, "no value as a float"),
        (int, "no value as an int"),
        (len, "no length"),
        (iter, "no known number of rows"),
        (np.asarray, "no value as a numpy array"),
    ):
        with pytest.raises(errors.ArgumentError, match=text) as caught:
            use(x)
        assert "gx.where" in caught.value.hint
    with pytest.raises(errors.ArgumentError, match="no truth value"):
        assert x > 0


@pytest.mark.parametrize("value", [0.1, [0.1, 0.2], [[0.1], [0.3]]])
def test_python_numbers_for_float64_are_not_rounded_to_float32(value):
    truth = np.array(value)
    parameter = gx.parameter("p", value=value, dtype="float64")
    np.testing.assert_array_equal(parameter.value, truth)
    parameter.value = np.zeros_like(truth)
    parameter.value = value
    np.testing.assert_array_equal(parameter.value, truth)
    np.testing.assert_array_equal(gx.constant(value, "float64").eval(), truth)
    np.testing.assert_array_equal(gx.asarray(value, "float64").eval(), truth)
