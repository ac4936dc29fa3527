"""Recurrent layers against a loop in numpy and against torch; sharing, states, masks, schedule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.testing import assert_close
from tests.nn import recurrent_loops as loops
from tests.tolerances import HALF_OF_THEM, OTHER_ORDER

nn = gx.nn
KINDS = {
    "rnn": (nn.SimpleRNN, {}, loops.rnn),
    "lstm": (nn.LSTM, {}, loops.lstm),
    "gru": (nn.GRU, {}, loops.gru),
    "gru_before": (nn.GRU, {"reset_after": False}, loops.gru),
}
SHAPES = [(2, 5, 3, 4), (1, 1, 1, 1), (3, 1, 2, 5), (1, 7, 5, 3), (0, 3, 2, 2)]


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def values(*shape: int, seed: int = 0, dtype: Any = "float64") -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def randomised(layer: Any, seed: int = 7) -> list[Any]:
    """Random parameters, biases included; their values."""
    rng = np.random.default_rng(seed)
    for p in layer.parameters:
        p.value = rng.normal(size=p.shape).astype(p.dtype.numpy) * 0.7
    return [p.value for p in layer.parameters]


# ----------------------------------------------------------------------------------- values


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_is_a_loop_over_time(kind: str, reverse: bool, shape: tuple[int, ...]) -> None:
    make, options, cell = KINDS[kind]
    batch, time, features, units = shape
    layer = make(units, return_sequences=True, return_state=True, reverse=reverse, **options)
    x = gx.input("x", (batch, time, features), dtype="float64")
    starts = [gx.input(f"s{i}", (batch, units), dtype="float64") for i in range(layer.states)]
    outputs = layer(x, initial_state=starts)
    weights = randomised(layer)
    given = values(batch, time, features)
    states = [values(batch, units, seed=i + 1) for i in range(layer.states)]
    ys, last = loops.run(cell, given, states, weights, reverse=reverse)
    for target in ("interpret", "cpu"):
        found = gx.compile([x, *starts], list(outputs), target=target)(given, *states)
        for a, b in zip(found, [ys, *last]):
            assert_close(a, b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("threads", [1, 2])
def test_float32_and_sizes_known_late(kind: str, threads: int) -> None:
    make, options, cell = KINDS[kind]
    layer = make(6, return_sequences=True, **options)
    x = gx.input("x", ("batch", "time", 3))
    y = layer(x)
    assert y.shape[2] == 6
    weights = randomised(layer)
    step = gx.compile([x], y, threads=threads)
    for batch, time in ((2, 4), (1, 1), (5, 9), (3, 0), (0, 2), (2, 4)):
        given = values(batch, time, 3, dtype="float32")
        zeros = [np.zeros((batch, 6), "float32")] * layer.states
        expected, _ = loops.run(cell, given, zeros, weights)
        np.testing.assert_allclose(step(given), expected, **OTHER_ORDER)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reverse", [False, True])
def test_masked_steps_change_nothing(kind: str, reverse: bool) -> None:
    make, options, cell = KINDS[kind]
    layer = make(4, return_sequences=True, return_state=True, reverse=reverse, **options)
    x = gx.input("x", ("batch", "time", 3), dtype="float64")
    mask = gx.input("mask", ("batch", "time"), dtype="bool")
    outputs = list(layer(x, mask=mask))
    weights = randomised(layer)
    given = values(4, 6, 3)
    lengths = np.array([6, 3, 1, 0])
    padding = np.arange(6) < lengths[:, None]
    holes = np.random.default_rng(0).random((4, 6)) < 0.5
    step = gx.compile([x, mask], outputs)
    zeros = [np.zeros((4, 4))] * layer.states
    for chosen in (padding, holes, ~padding):
        ys, last = loops.run(cell, given, zeros, weights, chosen, reverse)
        for a, b in zip(step(given, chosen), [ys, *last]):
            assert_close(a, b)
    found = step(given, padding)
    for row, length in enumerate(lengths[:3]):  # padding is as if it were not there
        alone = step(given[row : row + 1, :length], np.ones((1, length), bool))
        for a, b in zip(found[1:], alone[1:]):
            assert_close(a[row], b[0], each=True)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind: str) -> None:
    make, options, _ = KINDS[kind]
    layer = make(3, return_sequences=True, return_state=True, **options)
    x = gx.input("x", (2, 4, 3), dtype="float64")
    starts = [gx.input(f"s{i}", (2, 3), dtype="float64") for i in range(layer.states)]
    mask = gx.constant(np.array([[True, True, False, True], [True, False, False, False]]))
    y, *state = layer(x, starts, mask)
    randomised(layer)
    loss = (y**2).sum() + sum((s**3).sum() for s in state)
    feeds = {x: values(2, 4, 3), **{s: values(2, 3, seed=3 + i) for i, s in enumerate(starts)}}
    report = gx.check_gradients(loss, [x, *starts, *layer.parameters], feeds)
    assert report.passed, report
    wrt = [x, *starts, *layer.parameters]
    both = [
        gx.compile([x, *starts], gx.grad(loss, wrt), target=target)(*feeds.values())
        for target in ("cpu", "interpret")
    ]
    for a, b in zip(*both):
        assert_close(a, b)


@pytest.mark.parametrize("checkpoint", [2, "sqrt"])
def test_checkpoint_changes_no_value(checkpoint: Any) -> None:
    x = gx.input("x", (2, 7, 3), dtype="float64")
    found = []
    for chosen in (None, checkpoint):
        gx.seed(0)
        layer = nn.LSTM(4, checkpoint=chosen)
        loss = (layer(x) ** 2).sum()
        function = gx.compile([x], [loss, *gx.grad(loss, layer.parameters)])
        found.append(function(values(2, 7, 3)))
    for a, b in zip(*found):
        assert_close(a, b, each=True)


def test_truncation_forgets_what_was_before_the_cut() -> None:
    """Gradients of the last output end at the last cut; values are the same."""
    x = gx.input("x", (2, 7, 3), dtype="float64")
    whole, cut = nn.LSTM(4, name="lstm"), nn.LSTM(4, truncate=3, name="lstm")
    outputs = [layer(x) for layer in (whole, cut)]
    for p, q in zip(whole.parameters, cut.parameters):
        q.value = p.value
    given = values(2, 7, 3)
    a, b = (gx.compile([x], y)(given) for y in outputs)
    np.testing.assert_array_equal(a, b)
    full, part = (gx.compile([x], gx.grad((y**2).sum(), x))(given) for y in outputs)
    assert (np.abs(full).sum((0, 2)) > 0).all()
    np.testing.assert_array_equal(part[:, :6], 0)  # cuts before the steps 0, 3 and 6
    assert_close(part[:, 6], full[:, 6], each=True)


# ---------------------------------------------------------------------------- against torch


def torch_layer(kind: str, features: int, units: int, bidirectional: bool = False) -> Any:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    make = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[kind]
    return make(features, units, batch_first=True, bidirectional=bidirectional).double()


def take_weights(kind: str, layer: Any, other: Any, suffix: str = "") -> None:
    """Give a layer the weights of torch's."""

    def of(name: str) -> Any:
        return getattr(other, f"{name}_l0{suffix}").detach().numpy()

    def ordered(a: Any) -> Any:  # torch's GRU has r z n
        parts = np.split(a, 3 if kind == "gru" else 1, axis=0)
        return np.concatenate([parts[i] for i in ((1, 0, 2) if kind == "gru" else (0,))], 0)

    kernel, recurrent, bias = layer.parameters
    kernel.value, recurrent.value = ordered(of("weight_ih")).T, ordered(of("weight_hh")).T
    biases = [ordered(of("bias_ih")), ordered(of("bias_hh"))]
    bias.value = np.stack(biases) if kind == "gru" else biases[0] + biases[1]


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_values_and_gradients_are_those_of_torch(kind: str) -> None:
    torch = pytest.importorskip("torch")
    other = torch_layer(kind, 3, 5)
    layer = KINDS[kind][0](5, return_sequences=True, return_state=True)
    x = gx.input("x", (4, 6, 3), dtype="float64")
    y, *state = layer(x)
    take_weights(kind, layer, other)
    loss = (y**2).sum() + sum(s.sum() for s in state)
    kernel, recurrent, _ = layer.parameters
    given = values(4, 6, 3)
    step = gx.compile([x], [y, *state, *gx.grad(loss, [x, kernel, recurrent])])
    *found, dx, dk, dr = step(given)
    tx = torch.tensor(given, requires_grad=True)
    ty, last = other(tx)
    last = last if kind == "lstm" else (last,)
    for a, b in zip(found, [ty, *(s[0] for s in last)]):
        assert_close(a, b.detach().numpy())
    ((ty**2).sum() + sum(s.sum() for s in last)).backward()
    assert_close(dx, tx.grad.numpy())
    holder = KINDS[kind][0](5, name="gradients")
    holder(x)
    for p in other.parameters():
        p.data = p.grad
    take_weights(kind, holder, other)
    assert_close(dk, holder.parameters[0].value)
    assert_close(dr, holder.parameters[1].value)


@pytest.mark.parametrize("kind", ["rnn", "lstm", "gru"])
def test_bidirectional_is_that_of_torch(kind: str) -> None:
    torch = pytest.importorskip("torch")
    other = torch_layer(kind, 3, 5, bidirectional=True)
    layer = nn.Bidirectional(KINDS[kind][0](5, return_sequences=True, return_state=True))
    x = gx.input("x", (4, 6, 3), dtype="float64")
    outputs = layer(x)
    take_weights(kind, layer.layer, other)
    take_weights(kind, layer.backward, other, "_reverse")
    given = values(4, 6, 3)
    ty, last = other(torch.tensor(given))
    last = last if kind == "lstm" else (last,)
    expected = [ty, *(s[0] for s in last), *(s[1] for s in last)]
    for a, b in zip(gx.compile([x], list(outputs))(given), expected):
        assert_close(a, b.detach().numpy())


# ------------------------------------------------------------------------- what layers return


def test_outputs_and_states() -> None:
    x = gx.input("x", ("batch", 5, 3))
    assert nn.SimpleRNN(4)(x).shape[1:] == (4,)
    assert nn.GRU(4, return_sequences=True)(x).shape[1:] == (5, 4)
    y, h, c = nn.LSTM(4, return_state=True)(x)
    feeds = {x: values(2, 5, 3, dtype="float32")}
    np.testing.assert_array_equal(y.eval(feeds), h.eval(feeds))
    assert not np.array_equal(h.eval(feeds), c.eval(feeds))


def test_a_sequence_in_two_halves() -> None:
    layer = nn.LSTM(4, return_sequences=True, return_state=True)
    x = gx.input("x", (2, 8, 3), dtype="float64")
    whole, *last = layer(x)
    first, *state = layer(x[:, :5])
    second, *state = layer(x[:, 5:], initial_state=state)
    halves = gx.concat([first, second], axis=1)
    assert len(layer.parameters) == 3
    a, b, c, d = gx.compile([x], [whole, halves, last[1], state[1]])(values(2, 8, 3))
    assert_close(a, b, each=True)
    assert_close(c, d, each=True)


def test_a_learned_initial_state() -> None:
    layer = nn.GRU(4)
    start = gx.parameter("start", value=np.ones(4, "float32"))
    x = gx.input("x", ("batch", 2, 3))
    loss = layer(x, start).sum()
    feeds = {x: values(3, 2, 3, dtype="float32")}
    assert np.abs(gx.grad(loss, start).eval(feeds)).min() > 0


def test_names_and_first_values() -> None:
    x = gx.input("x", ("batch", 2, 3))
    layer, other = nn.LSTM(4), nn.GRU(2, name="memory")
    layer(x)
    other(x)
    names = [p.name for p in [*layer.parameters, *other.parameters]]
    roles = ("kernel", "recurrent_kernel", "bias")
    assert names == [f"{n}/{r}" for n in ("lstm", "memory") for r in roles]
    kernel, recurrent, bias = layer.parameters
    assert (kernel.shape, recurrent.shape, bias.shape) == ((3, 16), (4, 16), (16,))
    np.testing.assert_array_equal(bias.value, [0] * 4 + [1] * 4 + [0] * 8)
    assert_close(recurrent.value @ recurrent.value.T, np.eye(4))
    assert other.parameters[2].shape == (2, 6)
    bare = nn.LSTM(4, unit_forget_bias=False)
    bare(x)
    np.testing.assert_array_equal(bare.parameters[2].value, 0)
    without = nn.SimpleRNN(4, use_bias=False)
    without(x)
    assert len(without.parameters) == 2


def test_bidirectional_names_and_merging() -> None:
    x = gx.input("x", ("batch", 4, 3))
    given = values(2, 4, 3, dtype="float32")
    found = {}
    for mode in ("concat", "sum", "mul", "ave", None):
        gx.seed(0)
        layer = nn.Bidirectional(nn.SimpleRNN(5, return_sequences=True), merge_mode=mode)
        found[mode] = gx.compile([x], layer(x))(given)
    a, b = found[None]
    assert not np.allclose(a, b)
    np.testing.assert_array_equal(found["concat"], np.concatenate([a, b], -1))
    assert_close(found["sum"], a + b, tolerance="ulps", each=True)
    assert_close(found["mul"], a * b, tolerance="ulps", each=True)
    assert_close(found["ave"], (a + b) / 2, tolerance="ulps", each=True)
    assert [p.name for p in layer.parameters][::3] == [
        "bidirectional/simple_rnn/kernel",
        "bidirectional/simple_rnn_backward/kernel",
    ]
    layer(x)
    assert len(layer.parameters) == 6


def test_bidirectional_states_masks_and_last_outputs() -> None:
    layer = nn.Bidirectional(nn.LSTM(3, return_state=True))
    x = gx.input("x", (2, 4, 3), dtype="float64")
    starts = [gx.constant(values(2, 3, seed=i)) for i in range(4)]
    given, mask = values(2, 4, 3), np.arange(4) < np.array([[4], [2]])
    y, *states = gx.compile([x], list(layer(x, starts, mask)))(given)
    first = [p.value for p in layer.layer.parameters]
    second = [p.value for p in layer.backward.parameters]
    eval_starts = [values(2, 3, seed=i) for i in range(4)]
    _, a = loops.run(loops.lstm, given, eval_starts[:2], first, mask)
    _, b = loops.run(loops.lstm, given, eval_starts[2:], second, mask, reverse=True)
    assert_close(y, np.concatenate([a[0], b[0]], -1))
    for s, t in zip(states, [*a, *b]):
        assert_close(s, t)


# -------------------------------------------------------------------------------- dropout


def test_dropout_drops_inputs_anew_each_step_and_never_the_state() -> None:
    """Identity weights: a step adds its input, so steps show what was dropped."""
    layer = nn.SimpleRNN(
        4, activation=None, dropout=0.5, return_sequences=True,
        kernel_init=gx.init.constant(np.eye(4)), recurrent_init=gx.init.constant(np.eye(4)),
    )  # fmt: skip
    x = gx.input("x", (50, 40, 4))
    y = layer(x)
    ones = np.ones((50, 40, 4), "float32")
    sums = gx.compile([x], y, mode="train")(ones)
    steps = np.diff(sums, axis=1, prepend=0)
    assert set(np.unique(steps)) == {0.0, 2.0}  # a dropped state would fall back
    assert abs(steps.mean() - 1) < 0.05
    assert (steps[:, 1:] != steps[:, :-1]).mean() == pytest.approx(0.5, **HALF_OF_THEM)
    np.testing.assert_array_equal(gx.compile([x], y)(ones)[:, -1], 40)


# ------------------------------------------------------------------------------ the schedule


@pytest.mark.parametrize("kind", KINDS)
def test_projection_and_weight_gradients_are_outside_of_the_loops(kind: str) -> None:
    make, options, _ = KINDS[kind]
    layer = make(16, return_sequences=True, **options)
    x = gx.input("x", (3, 5, 7))
    loss = (layer(x) ** 2).sum()
    step = gx.compile([x], loss, updates=gx.optim.SGD(0.1).minimize(loss), threads=1)
    step(values(3, 5, 7, dtype="float32"))
    report = step.report().splitlines()
    loops_found = [line for line in report if " scan " in line]
    products = [line for line in report if " dot " in line]
    assert len(loops_found) == 2
    # x @ kernel in front, the gradients of both kernels behind; one more where two products share
    # the recurrent kernel
    assert len(products) == (4 if kind == "gru_before" else 3), report


@pytest.mark.parametrize("kind", KINDS)
def test_threads_change_no_bit_of_training(kind: str) -> None:
    make, options, _ = KINDS[kind]
    given, found = values(9, 17, 13, dtype="float32"), []
    for threads in (1, 2, 3):
        gx.seed(0)
        layer = make(11, dropout=0.1, **options)
        x = gx.input("x", ("batch", "time", 13))
        loss = (layer(x) ** 2).sum()
        step = gx.compile([x], loss, updates=gx.optim.Adam(0.01).minimize(loss), threads=threads)
        found.append([step(given), step(given), *(p.value for p in layer.parameters)])
    for other in found[1:]:
        for a, b in zip(found[0], other):
            np.testing.assert_array_equal(a, b)


# --------------------------------------------------------------------------------- mistakes


def test_mistakes() -> None:
    x = gx.input("x", ("batch", 5, 3))
    with pytest.raises(ArgumentError, match="LSTM: units must be an int of 1 or more, got 0"):
        nn.LSTM(0)
    with pytest.raises(ArgumentError, match=r"GRU: rate must be between 0 and 1, got 1\.5"):
        nn.GRU(3, dropout=1.5)
    with pytest.raises(ArgumentError, match="no activation is called 'tan'"):
        nn.SimpleRNN(3, "tan")
    with pytest.raises(ShapeError, match=r"lstm: needs \(batch, time, features\), got f32") as e:
        nn.LSTM(3)(x[:, 0])
    assert e.value.origin is not None
    assert "test_recurrent" in str(e.value)
    with pytest.raises(DTypeError, match="gru: needs floats, got i32"):
        nn.GRU(3)(gx.input("i", ("batch", 5, 3), dtype="int32"))
    with pytest.raises(ShapeError, match="the last axis must have a known size"):
        nn.GRU(3)(gx.input("x", (2, 5, "features")))
    layer = nn.LSTM(4, name="memory")
    zeros = gx.zeros((x.shape[0], 4))
    with pytest.raises(ArgumentError, match="memory: initial_state has 1 parts, but the state has"):
        layer(x, zeros)
    with pytest.raises(ShapeError, match=r"memory: initial_state must have shape \(batch, 4\), go"):
        layer(x, [zeros, gx.zeros((x.shape[0], 5))])
    with pytest.raises(DTypeError, match=r"initial_state is f64\[batch,4\], but x is f32"):
        layer(x, [zeros, zeros.astype("float64")])
    with pytest.raises(DTypeError, match="memory: mask must hold bools, got f32"):
        layer(x, mask=gx.zeros((x.shape[0], 5)))
    with pytest.raises(ShapeError, match=r"memory: mask must have shape \(batch, 5\), got bool"):
        layer(x, mask=gx.zeros((x.shape[0], 4), dtype="bool"))
    layer(x)
    with pytest.raises(ArgumentError, match="truncate must be 1 or more, got 0"):
        nn.LSTM(4, truncate=0)(x)


def test_mistakes_of_bidirectional() -> None:
    x = gx.input("x", ("batch", 5, 3))
    with pytest.raises(ArgumentError, match="needs a recurrent layer, got <Dense"):
        nn.Bidirectional(nn.Dense(3))
    with pytest.raises(ArgumentError, match="no merge_mode is called 'max'") as caught:
        nn.Bidirectional(nn.GRU(3), "max")
    assert "concat, sum, mul, ave, None" in str(caught.value)
    with pytest.raises(ArgumentError, match="initial_state must be a list of 4 tensors"):
        nn.Bidirectional(nn.LSTM(3))(x, [gx.zeros((3,))] * 2)


def test_mistakes_of_cells() -> None:
    x, h = gx.zeros((2, 3)), gx.zeros((2, 4))
    kernel, recurrent = gx.zeros((3, 16)), gx.zeros((4, 16))
    with pytest.raises(ShapeError, match="lstm_cell: the last axis of x must be 3, got f32"):
        nn.lstm_cell(h, (h, h), kernel, recurrent)
    with pytest.raises(ShapeError, match="gru_cell: the last axis of recurrent_kernel must be 12"):
        nn.gru_cell(x, h, kernel, recurrent)
    with pytest.raises(ShapeError, match="lstm_cell: recurrent_kernel must be a matrix"):
        nn.lstm_cell(x, (h, h), kernel, gx.zeros(16))
    with pytest.raises(ShapeError, match=r"lstm_cell: the bias must have shape \(16,\), got f32"):
        nn.lstm_cell(x, (h, h), kernel, recurrent, gx.zeros(15))
    with pytest.raises(ShapeError, match=r"with reset_after the bias has shape \(2, 3 \* units\)"):
        nn.gru_cell(x, h, gx.zeros((3, 12)), gx.zeros((4, 12)), gx.zeros(12))
    with pytest.raises(DTypeError, match="rnn_cell: x must hold floats, got i32"):
        nn.rnn_cell(x.astype("int32"), h, gx.zeros((3, 4)), gx.zeros((4, 4)))
    with pytest.raises(ArgumentError, match="lstm_cell: the state is a pair"):
        nn.lstm_cell(x, h, kernel, recurrent)
