"""Compiled functions through the interpreter: structures, state, variants, modes, epochs."""

import threading
from collections import namedtuple

import numpy as np
import pytest

import graphc as gx
from graphc import errors
from graphc.frontend.tensor import lift_op
from graphc.ir.ops.leaf import RandomBits
from graphc.ir.ops.training import ModeSwitch, StateUpdate
from graphc.runtime.backend import load_backend
from graphc.testing import assert_close


def interpret(*args, **kwargs):
    return gx.compile(*args, target="interpret", **kwargs)


Pair = namedtuple("Pair", "first second")


@pytest.mark.parametrize(
    ("make", "want"),
    [
        (lambda a, b: a, 1),
        (lambda a, b: [a, b], [1, 2]),
        (lambda a, b: (a, [b]), (1, [2])),
        (lambda a, b: {"x": b, "y": {"z": (a,)}}, {"x": 2, "y": {"z": (1,)}}),
        (lambda a, b: Pair(a, b), Pair(1, 2)),
        (lambda a, b: [], []),
        (lambda a, b: (a, a, 3.5), (1, 1, 3.5)),
    ],
)
def test_structure_of_outputs(make, want):
    a, b = gx.constant(1.0), gx.constant(2.0)
    got = interpret([], make(a, b))()
    assert got == want
    assert type(got) is type(want) or want == 1


def test_names_of_outputs():
    a = gx.constant(1.0)
    names = lambda outputs: [n for n, _ in interpret([], outputs).graph.outputs]  # noqa: E731
    assert names(a) == ["output"]
    assert names([a, a]) == ["output0", "output1"]
    assert names({"loss": a, "rest": [a, {"b": a}]}) == ["loss", "rest/0", "rest/1/b"]


def test_outputs_of_rank_0_are_numpy_scalars_and_others_own_their_memory():
    x = gx.input("x", ("n",))
    f = interpret([x], [x.sum(), x])
    given = np.float32([1, 2])
    total, same = f(given)
    assert isinstance(total, np.float32)
    assert same.base is None or same.flags.owndata
    same[0] = 9
    assert given[0] == 1


def test_calls_by_position_and_by_name():
    x, y = gx.input("x", (2,)), gx.input("a b", (2,))
    f = interpret([x, y], x - y)
    a, b = np.float32([5, 5]), np.float32([1, 2])
    for got in (f(a, b), f(a, **{"a b": b}), f(**{"a b": b, "x": a})):
        assert got.tolist() == [4, 3]


def test_a_single_input_and_unused_inputs():
    x, unused = gx.input("x", ()), gx.input("unused", ("n",))
    assert interpret(x, x * 2.0)(3.0) == 6
    assert interpret([x, unused], x * 2.0)(3.0, np.zeros(7)) == 6


def test_training_reduces_the_loss_and_shares_parameters():
    rng = np.random.default_rng(0)
    x, t = gx.input("x", ("batch", 3)), gx.input("t", ("batch", 1))
    w, b = gx.parameter("w", (3, 1)), gx.parameter("b", (1,))
    y = x @ w + b
    loss = ((y - t) ** 2).mean()
    dw, db = gx.grad(loss, [w, b])
    step = interpret([x, t], {"loss": loss}, updates={w: w - 0.1 * dw, b: b - 0.1 * db})
    predict = interpret([x], y)
    assert (step.mode, predict.mode) == ("train", "inference")
    data = rng.normal(size=(32, 3)).astype("f4")
    target = data @ np.float32([[1], [-2], [3]]) + 0.5
    losses = [step(data, target)["loss"] for _ in range(200)]
    assert losses[-1] < 1e-6 * losses[0]
    assert_close(predict(data), target)
    assert_close(w.value.ravel(), [1, -2, 3])
    assert list(step.parameters) == ["w", "b"]
    assert step.parameters["w"] is w
    with pytest.raises(TypeError):
        step.parameters["w"] = w


def test_updates_read_old_values():
    a, b = gx.parameter("a", value=np.float32(1)), gx.parameter("b", value=np.float32(10))
    interpret([], [], updates=[{a: a + b}, {b: b + a}])()
    assert (a.value, b.value) == (11, 11)


class Rule(dict):
    """Updates that remember who made them, as an optimiser's are."""

    def __init__(self, *args, optimizer):
        super().__init__(*args)
        self.optimizer = optimizer


def test_optimizer_of_the_updates():
    a, b = gx.parameter("a", ()), gx.parameter("b", ())
    one, two = Rule({a: a + 1.0}, optimizer="one"), Rule({b: b + 1.0}, optimizer="two")
    assert interpret([], [], updates=one).optimizer == "one"
    assert interpret([], [], updates=[one, {b: b * 2.0}]).optimizer == "one"
    assert interpret([], [], updates=[one, two]).optimizer == ("one", "two")
    assert interpret([], a).optimizer is None


def test_a_failed_check_updates_nothing():
    table, i = gx.parameter("table", value=np.ones((3, 2), "f4")), gx.input("i", ("n",), "int32")
    count = gx.parameter("count", value=np.int32(0))
    rows = gx.take(table, i, axis=0)
    f = interpret([i], rows.sum(), updates={count: count + 1, table: table * 2.0})
    assert f([0, -1]) == 4
    for bad in ([0, 3], [-4, 0]):
        with pytest.raises(errors.RuntimeCheckError, match="out of range") as caught:
            f(bad)
        assert caught.value.origin == rows.node.origin
        assert caught.value.origin.filename == __file__
        assert "rows = gx.take(table" in str(caught.value)
    assert count.value == 1
    assert table.value.tolist() == [[2, 2]] * 3
    assert f.rng[1] == 1


@pytest.mark.parametrize("draws", [False, True])
@pytest.mark.parametrize("target", ["cpu", "interpret", "cuda-simulate"])
def test_every_call_counts_as_a_step(target, draws):
    x, total = gx.input("x", ("n", 3)), gx.parameter("total", value=np.float32(0.0))
    y = x + gx.random.normal((3,)) if draws else x
    f = gx.compile([x], y, updates={total: total + y.sum()}, target=target)
    f(np.ones((4, 3), "f4"))
    f(np.ones((2, 3), "f4"))
    f.run_epoch(np.ones((4, 3), "f4"), batch_size=2)
    assert f.rng[1] == 4


def test_integer_division_by_zero_is_a_failed_check():
    a, b = gx.input("a", ("n",), "int32"), gx.input("b", ("n",), "int32")
    f = interpret([a, b], a // b)
    assert f([7, -7], [2, 2]).tolist() == [3, -4]
    with pytest.raises(errors.RuntimeCheckError, match="zero") as caught:
        f([1, 2], [1, 0])
    assert caught.value.origin.filename == __file__


def test_empty_batches():
    x = gx.input("x", ("batch", 3))
    w = gx.parameter("w", (3,))
    out = interpret([x], {"double": x * 2.0, "mean": x.mean(), "sum": x.sum()})(np.zeros((0, 3)))
    assert out["double"].shape == (0, 3)
    assert np.isnan(out["mean"])
    assert out["sum"] == 0
    step = interpret([x], x.sum(), updates={w: w + x.sum(axis=0)})
    with pytest.raises(errors.ShapeError, match="dim batch is 0: an empty batch updates nothing"):
        step(np.zeros((0, 3)))


def test_an_op_that_has_no_value_for_nothing():
    x = gx.input("x", ("n",))
    top = x.max()
    f = interpret([x], top)
    assert f([1.0, 3.0]) == 3
    with pytest.raises(errors.ShapeError, match="is empty") as caught:
        f(np.zeros(0))
    assert caught.value.origin == top.node.origin


# ------------------------------------------------------------------------------ random


def test_random_numbers_follow_the_seed_and_the_step():
    bits = lambda: lift_op(RandomBits((4,), stream=5))  # noqa: E731
    gx.seed(11)
    f = interpret([], bits())
    first, second = f(), f()
    assert not np.array_equal(first, second)
    g = interpret([], bits())
    assert np.array_equal(g(), first)
    assert np.array_equal(g(), second)
    g.rng[:] = (11, 0)
    assert np.array_equal(g(), first)
    gx.seed(12)
    assert not np.array_equal(interpret([], bits())(), first)
    gx.seed(0)


# ------------------------------------------------------------------------------ modes


def normalized(x, running, momentum=0.5, order=0):
    """A batch norm of means, as a layer writes it."""
    mean = x.mean(axis=0)
    new = running * momentum + mean * (1 - momentum)
    used = lift_op(ModeSwitch(), mean, running)
    return lift_op(StateUpdate(order), x - used, running, new)


def test_mode_switch_and_pending_updates():
    x = gx.input("x", ("n", 2))
    running = gx.parameter("running", (2,), trainable=False)
    w = gx.parameter("w", value=np.float32([1, 1]))
    y = normalized(x, running) * w
    loss = (y * y).sum()
    step = interpret([x], y, updates={w: w - 0.1 * gx.grad(loss, w)})
    predict = interpret([x], y)
    data = np.float32([[1, 2], [3, 4]])
    np.testing.assert_allclose(step(data), [[-1, -1], [1, 1]])
    np.testing.assert_allclose(running.value, [1, 1.5])
    np.testing.assert_allclose(w.value, [0.6, 0.6])
    assert_close(predict(data), (data - [1, 1.5]) * np.float32(0.6), tolerance="ulps", each=True)
    np.testing.assert_allclose(running.value, [1, 1.5])
    assert not predict.graph.updates
    assert not [n for n in step.graph.nodes if isinstance(n.op, (ModeSwitch, StateUpdate))]


def test_pending_updates_are_chained_in_call_order():
    x, z = gx.input("x", ("n", 1)), gx.input("z", ("n", 1))
    running = gx.parameter("running", (1,), trainable=False)
    a, b = normalized(x, running, order=0), normalized(z, running, order=1)
    f = interpret([x, z], [b.sum(), a.sum()], mode="train")  # reached in the other order
    f([[4.0]], [[8.0]])
    assert running.value == [(0 + 4) * 0.25 + 4]
    running.value = np.float32([0])
    interpret([z], b.sum(), mode="train")([[8.0]])  # only what the outputs reach
    assert running.value == [4]


def test_the_users_update_wins_over_a_pending_one():
    x = gx.input("x", ("n", 1))
    running = gx.parameter("running", (1,), trainable=False)
    f = interpret([x], normalized(x, running), updates={running: running + 100.0})
    f([[4.0]])
    assert running.value == [100]


def test_gradients_in_either_mode():
    x = gx.input("x", (2, 2))
    running = gx.parameter("running", (2,), trainable=False)
    weights = gx.constant([[1.0, 2.0], [3.0, 5.0]])
    dx = gx.grad((normalized(x, running) * weights).sum(), x)
    data = np.zeros((2, 2), "f4")
    centred = weights.eval() - weights.eval().mean(axis=0)
    np.testing.assert_allclose(interpret([x], dx, mode="train")(data), centred)
    np.testing.assert_allclose(interpret([x], dx)(data), weights.eval())


# ---------------------------------------------------------------------------- variants


def test_variants_are_listed_with_reasons():
    x = gx.input("x", ("n", "m"))
    f = interpret([x], x.sum())
    assert f.variants == ()
    f(np.zeros((2, 3)))
    f(np.zeros((2, 3)))
    assert [str(v) for v in f.variants] == ["n=2, m=3: the first sizes seen"]
    f(np.zeros((3, 3)))
    f(np.zeros((4, 3)))
    assert len(f.variants) == 2
    assert f.variants[1].dims is None
    assert "n=3, m=3" in str(f.variants[1])
    f.specialize(m=7, n=5)
    f.specialize(m=7, n=5)
    assert [v.dims for v in f.variants] == [
        (("n", 2), ("m", 3)),
        (("n", 5), ("m", 7)),
        None,
    ]
    with pytest.raises(errors.ArgumentError, match="specialize needs n, m, got n"):
        f.specialize(n=3)


def test_calls_of_functions_that_share_a_parameter_are_serialised():
    w = gx.parameter("w", value=np.float32(0))
    up = interpret([], [], updates={w: w + 1.0}, name="up")
    down = interpret([], [], updates={w: w - 1.0}, name="down")
    barrier = threading.Barrier(4)

    def work(f):
        barrier.wait()
        for _ in range(200):
            f()

    threads = [threading.Thread(target=work, args=(f,)) for f in (up, down, up, up)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert w.value == 400


def test_functions_that_overlap_in_part_do_not_deadlock():
    a, b, c = (gx.parameter(n, value=np.float32(0)) for n in "abc")
    fs = [
        interpret([], [], updates={p: p + 1.0, q: q + 1.0})
        for p, q in ((a, b), (c, b), (b, a), (c, a))
    ]
    threads = [threading.Thread(target=lambda f=f: [f() for _ in range(100)]) for f in fs]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert [p.value for p in (a, b, c)] == [300, 300, 200]


# ------------------------------------------------------------------------------ epochs


def counting():
    x, t = gx.input("x", ("batch", 2)), gx.input("t", ("batch",), "int32")
    rate = gx.input("rate", ())
    seen = gx.parameter("seen", ())
    n = gx.astype(t, "float32").sum()
    return interpret(
        [x, t, rate], {"t": t, "n": n, "x": x.sum() * rate}, updates={seen: seen + rate * n}
    ), seen


def test_an_epoch_without_shuffling():
    f, seen = counting()
    x, t = np.arange(14.0).reshape(7, 2), np.arange(7)
    out = f.run_epoch([x, t, 2.0], batch_size=3, shuffle=False)
    assert [p.tolist() for p in out["t"]] == [[0, 1, 2], [3, 4, 5], [6]]
    assert out["n"].tolist() == [3, 12, 6]
    assert out["x"].tolist() == [2 * 15, 2 * 51, 2 * 25]
    assert seen.value == 2 * 21
    assert f.rng[1] == 3
    short = f.run_epoch({"t": t, "rate": 2.0, "x": x}, 3, shuffle=False, drop_last=True)
    assert short["t"].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_epoch_is_shuffled_by_its_seed():
    f, _ = counting()
    x, t = np.zeros((20, 2)), np.arange(20)
    order = lambda seed: f.run_epoch([x, t, 1.0], 5, seed=seed)["t"].ravel().tolist()  # noqa: E731
    first = order(3)
    assert sorted(first) == list(range(20))
    assert first != list(range(20))
    assert order(3) == first
    assert order(4) != first
    assert order(None) != order(None)


def test_epochs_without_a_seed_repeat_with_the_programs_seed():
    gx.seed(5)
    x, t = np.zeros((20, 2)), np.arange(20)
    runs = []
    for _ in range(2):
        f, _ = counting()
        runs.append([f.run_epoch([x, t, 1.0], 5)["t"].tolist() for _ in range(2)])
    gx.seed(0)
    assert runs[0] == runs[1]


def test_substitute():
    x = gx.input("x", (2,))
    w = gx.parameter("w", value=np.float32([1, 2]))
    h = x * w
    y = {"y": gx.exp(h), "same": x + 1.0}
    new = gx.substitute(y, {w: w * 10.0})
    assert new["same"] is y["same"]
    got = interpret([x], new)(np.float32([0.1, 0.1]))["y"]
    assert_close(got, np.exp([1, 2]), tolerance="ulps", each=True)
    with pytest.raises(errors.ShapeError, match=r"w is f32\[2\], its replacement is f32\[3\]"):
        gx.substitute(y, {w: gx.constant([1.0, 2.0, 3.0])})


def test_dims_have_the_tightest_bounds():
    x, t = gx.input("x", (gx.dim("batch", max=8), 2)), gx.input("t", (gx.dim("batch", min=2),))
    f = interpret([x, t, gx.input("u", ("batch",))], x.sum())
    assert (f.dims["batch"].min, f.dims["batch"].max) == (2, 8)
    for bad in (1, 9, 2.5, True):
        with pytest.raises(errors.ArgumentError, match="at least 2 and at most 8, got"):
            f.specialize(batch=bad)
    few = gx.input("few", (gx.dim("batch", max=1),))
    with pytest.raises(errors.ShapeError, match="dim batch is at least 2 and at most 1"):
        interpret([t, few], [])


def test_backends_are_found_by_name():
    with pytest.raises(errors.BackendError, match="there is no backend 'abacus'") as caught:
        load_backend("abacus")
    assert "llvm" in caught.value.hint


def test_a_label_out_of_range_is_a_failed_check():
    x, t = gx.input("x", ("n", 4)), gx.input("t", ("n",), "int32")
    w = gx.parameter("w", (4, 3))
    loss = gx.nn.softmax_cross_entropy(x @ w, t).mean()
    step = interpret([x, t], loss, updates={w: w - gx.grad(loss, w)})
    with pytest.raises(errors.RuntimeCheckError, match=r"label is outside 0 to 2") as caught:
        step(np.ones((2, 4)), [0, 3])
    assert caught.value.origin.filename == __file__
    assert not w.value.any()
