"""A branch of `where` that was not chosen contributes nothing, whatever it is made of.

Each case has inputs with NaN, infinities and values outside of a function's domain where `where`
looks away. What is there must not matter: derivatives are those with harmless numbers there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.ir.structure import flatten
from graphc.testing import assert_close

Array = np.ndarray[Any, Any]
Feeds = dict[gx.Tensor, Array]
RNG = np.random.default_rng(5)
HARMLESS = 0.75  # inside of every domain


class Case:
    """Inputs with what is chosen of them; a loss made of them."""

    def __init__(self) -> None:
        self.values: Feeds = {}
        self.spoilt: Feeds = {}

    def data(self, name: str, shape: Any, chosen: Any = None, bad: Any = np.nan) -> gx.Tensor:
        """An input of numbers in (0.2, 0.9); where it is not chosen, there is something bad."""
        sizes = tuple(3 if isinstance(s, str) else s for s in shape)
        x = gx.input(name, shape, dtype="float64")
        good = RNG.uniform(0.2, 0.9, sizes)
        used = np.broadcast_to(True if chosen is None else chosen, sizes)
        self.values[x] = np.where(used, good, HARMLESS)
        self.spoilt[x] = np.where(used, good, bad)
        return x

    def mask(self, value: Any) -> tuple[gx.Tensor, Array]:
        """An input that says what is chosen."""
        array = np.array(value, bool)
        m = gx.input(f"mask{len(self.values)}", array.shape, dtype="bool")
        self.values[m] = self.spoilt[m] = array
        return m, array


def everywhere(outputs: Any, feeds: Feeds) -> list[Array]:
    """The outputs, compiled; interpreted and by eval they are the same."""
    inputs, leaves = list(feeds), flatten(outputs)[0]
    compiled = gx.compile(inputs, leaves)(*feeds.values())
    plain = gx.compile(inputs, leaves, target="interpret")(*feeds.values())
    for a, b, tensor in zip(compiled, plain, leaves):
        assert_close(a, b, each=True, floor=1.0)
        assert_close(tensor.eval(feeds), b, each=True)
    return list(compiled)


def derivatives(loss: gx.Tensor, wrt: list[gx.Tensor]) -> list[gx.Tensor]:
    """First derivatives, and second ones along a direction, both ways round."""
    first = gx.grad(loss, wrt, unreachable="zero")
    ones = [gx.ones_like(x) for x in wrt]
    return [*first, *gx.hvp(loss, wrt, ones), *gx.jvp(first, wrt, ones), gx.jvp(loss, wrt, ones)]


def check(case: Case, loss: gx.Tensor) -> None:
    """Derivatives where spoilt are those where harmless."""
    wrt = [x for x in case.values if x.dtype.is_float]
    outputs = derivatives(loss, wrt)
    right = everywhere([loss, *outputs], case.values)
    found = everywhere([loss, *outputs], case.spoilt)
    for a, b in zip(found, right):
        assert np.isfinite(a).all()
        assert_close(a, b, each=True)


# ------------------------------------------------------------------- element by element


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "log": (gx.log, 0.0), "log of a root": (lambda x: gx.log(gx.sqrt(x)), 0.0),
    "root": (gx.sqrt, 0.0), "root of less": (gx.sqrt, -2.0), "quotient": (lambda x: 1 / x, 0.0),
    "power": (lambda x: x**-1.5, 0.0), "variable power": (lambda x: x ** (x - 2.0), 0.0),
    "asin": (gx.asin, 1.0), "acosh": (lambda x: gx.acosh(x + 1.0), -2.0),
    "exp": (lambda x: gx.exp(gx.exp(x)), 1e3), "log1p": (gx.log1p, -1.0),
    "norm": (lambda x: gx.log(gx.linalg.vector_norm(gx.stack([x, 2 * x]), axis=0)), 0.0),
    "log of softmax": (lambda x: gx.log(gx.nn.softmax(gx.stack([1 / x, x]), axis=0))[0], 0.0),
    "sigmoid": (lambda x: gx.log(gx.nn.sigmoid(gx.log(x))), 0.0),
    "quotient of the same": (lambda x: (x * x) / (x * x), 0.0),
    "maximum": (lambda x: gx.maximum(gx.log(x), gx.sqrt(x)), -1.0),
    "NaN": (lambda x: x * x, np.nan), "infinity": (lambda x: x * x - x, np.inf),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name: str) -> None:
    function, bad = FUNCTIONS[name]
    case = Case()
    m, chosen = case.mask([1, 0, 1, 0])
    x = case.data("x", (4,), chosen, bad)
    check(case, gx.sum(gx.where(m, function(x), 0.0) ** 2))


VIEWS: dict[str, Callable[[Any], Any]] = {
    "flip": gx.flip, "transpose": lambda y: y.T, "reshape": lambda y: gx.reshape(y, (3, 2)),
    "slice": lambda y: y[1:, ::2], "pad": lambda y: gx.pad(y, ((1, 0), (0, 2))),
    "roll": lambda y: gx.roll(y, 1, axis=0), "repeat": lambda y: gx.repeat(y, 2, axis=1),
    "broadcast": lambda y: gx.broadcast_to(y, (4, 2, 3)), "concat": lambda y: gx.concat([y, y * 2]),
    "take": lambda y: gx.take(y, gx.constant(np.array([1, 1, 0])), axis=0),
    "sum": lambda y: gx.sum(y, axis=0), "max": lambda y: gx.max(y, axis=1),
    "prod": lambda y: gx.prod(y + 1.0, axis=1), "sort": lambda y: gx.sort(y, axis=1),
    "cumulative sum": lambda y: gx.cumulative_sum(y, axis=0),
    "cumulative product": lambda y: gx.cumulative_prod(y + 1.0, axis=1),
    "windows": lambda y: gx.nn.avg_pool(y[:, :, None], 2, strides=1),
    "diagonal": lambda y: gx.linalg.diagonal(y),
    "put": lambda y: gx.zeros((5, 3), dtype="float64").at[gx.constant(np.array([3, 0]))].add(y),
}  # fmt: skip


# Where what is not chosen does not meet what is.
ALONE = [v for v in VIEWS if v not in ("sum", "max", "prod", "sort") and "cumulative" not in v]


@pytest.mark.parametrize(
    ("name", "outside"), [*((v, False) for v in VIEWS), *((v, True) for v in ALONE)]
)
def test_view(name: str, outside: bool) -> None:
    case, view = Case(), VIEWS[name]
    m, chosen = case.mask([[1, 0, 1], [0, 1, 1]])
    x = case.data("x", (2, 3), chosen, 0.0)
    if outside:
        y = gx.where(view(1.0 - m.astype("float64")) == 0, view(gx.log(x)), 0.0)
    else:
        y = view(gx.where(m, gx.log(x), 0.0))
    check(case, gx.sum(y * y))


def test_nested_choices() -> None:
    case = Case()
    m, chosen = case.mask([1, 1, 0, 0])
    n, more = case.mask([1, 0, 1, 0])
    x, y = case.data("x", (4,), chosen & more, 0.0), case.data("y", (4,), chosen & ~more)
    z = case.data("z", (4,), ~chosen, np.inf)
    inner = gx.where(n, gx.log(x), gx.sqrt(y) * y)
    check(case, gx.sum(gx.where(m, gx.exp(inner), gx.where(~m, 1 / z, inner / x))))


def test_both_branches_are_one_choice() -> None:
    """What both branches are made of counts everywhere: nothing is left out of its gradient."""
    x, w = gx.input("x", ("B", 3)), gx.input("w", (3, 4))
    y = x @ w
    g = gx.grad(gx.sum(gx.where(y > 0, y, 0.1 * gx.expm1(y))), w)
    text = gx.compile([x, w], g).text("differentiated")
    assert text.count("any") == 0
    assert text.count("where(") == 1


# ----------------------------------------------------------------- where elements meet


ROWS = np.array([[1], [0], [1]], bool)


@pytest.mark.parametrize("size", [3, "B"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_rows_of_the_data(size: Any, bad: float) -> None:
    case = Case()
    m, chosen = case.mask(ROWS[:, 0])
    if size == "B":
        m = gx.input("m", ("B",), dtype="bool")
        case.values[m] = case.spoilt[m] = chosen
    x, w, v = case.data("x", (size, 2), ROWS, bad), case.data("w", (2, 4)), case.data("v", (4,))
    rows = gx.nn.sigmoid(gx.tanh(x @ w) @ v)
    check(case, gx.sum(gx.where(m, rows, 0.0)))


def test_columns_of_the_weights() -> None:
    case = Case()
    m, chosen = case.mask([1, 0, 1, 0])
    x, w = case.data("x", (3, 2)), case.data("w", (2, 4), chosen)
    check(case, gx.sum(gx.where(m, gx.tanh(x @ w), 0.0)))


def test_einsum_of_many_axes() -> None:
    case = Case()
    m, chosen = case.mask(RNG.uniform(size=(2, 3, 1)) < 0.5)
    x, y = case.data("x", (2, 3, 4), chosen), case.data("y", (2, 4, 5))
    z = gx.einsum("bij,bjk->bki", x, y)
    check(case, gx.sum(gx.where(gx.permute_dims(m, (0, 2, 1)), z * z, 0.0)))


@pytest.mark.parametrize("strides", [1, 2])
def test_convolution(strides: int) -> None:
    case = Case()
    seen = np.ones((2, 6), bool)
    seen[0], seen[1, 3 + strides :] = False, False
    x, w = case.data("x", (2, 6, 2), seen[:, :, None]), case.data("w", (3, 2, 4))
    m, _ = case.mask(np.array([[0] * 6, [1, 1, 1, 0, 0, 0]], bool)[:, ::strides])
    y = gx.nn.conv(x, w, padding="same", strides=strides)
    check(case, gx.sum(gx.where(m[:, :, None], gx.tanh(y), 0.0)))


def test_running_products_and_sums() -> None:
    case = Case()
    m, chosen = case.mask([[1, 1, 0, 0], [1, 0, 0, 0]])
    x = case.data("x", (2, 4), chosen)
    for f in (gx.cumulative_prod, gx.cumulative_sum, gx.cumulative_max):
        check(case, gx.sum(gx.where(m, f(x, axis=1), 0.0) ** 2))


@pytest.mark.parametrize("name", ["solve", "inv", "cholesky", "eigh", "det", "norm"])
def test_matrices_of_a_stack(name: str) -> None:
    case = Case()
    m, chosen = case.mask([1, 0, 1])
    x = case.data("x", (3, 2, 2), chosen[:, None, None], 0.0 if name != "norm" else np.nan)
    a = x @ x.mT + gx.where(m[:, None, None], gx.eye(2, dtype="float64"), 0.0)
    linalg = gx.linalg
    found = {
        "solve": lambda: gx.sum(linalg.solve(a, x), axis=(1, 2)),
        "inv": lambda: gx.sum(linalg.inv(a), axis=(1, 2)),
        "cholesky": lambda: gx.sum(linalg.cholesky(a, check=False), axis=(1, 2)),
        "eigh": lambda: gx.sum(gx.log(linalg.eigh(a)[0]), axis=1),
        "det": lambda: gx.log(linalg.det(a)),
        "norm": lambda: linalg.matrix_norm(a),
    }[name]()
    check(case, gx.sum(gx.where(m, found, 0.0)))


def test_gathers_and_scatters() -> None:
    case = Case()
    m, chosen = case.mask([1, 0, 1])
    x = case.data("x", (3, 2), chosen[:, None], 0.0)
    i = gx.constant(np.array([2, 0, 2, 1]))
    y = gx.log(gx.take(x, i, axis=0))
    z = gx.zeros((4, 2), dtype="float64").at[gx.constant(np.array([1, 3, 1]))].add(1 / x)
    loss = gx.sum(gx.where(gx.take(m, i)[:, None], y, 0.0))
    where = gx.constant(np.array([0, 1, 0, 0], bool))
    check(case, loss + gx.sum(gx.where(where[:, None], z, 0.0)))


# ------------------------------------------------------------------------------- loops


def test_loop_with_a_choice_inside() -> None:
    case = Case()
    m, chosen = case.mask([1, 0, 1, 1])
    x, w = case.data("x", (4, 3), chosen[:, None], 0.0), case.data("w", (3, 3))

    def body(c: Any, row: Any) -> Any:
        new = gx.where(row[1], gx.tanh(w @ c) + gx.log(row[0]), c)
        return new, gx.where(row[1], gx.sqrt(row[0]), 0.0)

    last, rows = gx.scan(body, case.data("c", (3,)), (x, m))
    check(case, gx.sum(last**2) + gx.sum(rows**2))


@pytest.mark.parametrize("reverse", [False, True])
def test_loop_behind_a_choice(reverse: bool) -> None:
    """Rows that nothing chosen depends on; what all iterations read, too."""
    case = Case()
    m, chosen = case.mask([[1, 1, 0], [1, 0, 0]])
    kept = chosen[:, ::-1] if reverse else chosen
    x, w, v = case.data("x", (2, 3), kept), case.data("w", ()), case.data("v", (), False)
    u, v = gx.sqrt(w) * 0.5, gx.log(v)

    def body(c: Any, row: Any) -> Any:
        c = c * row[0] * u + gx.log(row[0])
        return c, gx.where(row[1], c, v)

    seen = gx.flip(m, axis=1) if reverse else m
    first = gx.ones((2,), dtype="float64")
    rows = gx.scan(body, first, (x.T, seen.T), reverse=reverse)[1]
    check(case, gx.sum(gx.where(seen.T, rows, 0.0)))


def test_loop_whose_state_is_dropped() -> None:
    case = Case()
    m, chosen = case.mask([1, 0])
    c, w = case.data("c", (2,), chosen, 0.0), case.data("w", (2,), chosen, 0.0)
    p = gx.log(w)
    last = gx.scan(lambda s, _: (s * p + gx.tanh(s) * 0.1, None), gx.log(c) + 2.5, None, length=3)[
        0
    ]
    check(case, gx.sum(gx.where(m, last, 0.0)))


def test_condition_and_while() -> None:
    case = Case()
    m, chosen = case.mask([1, 0])
    x = case.data("x", (2,), chosen, 0.0)
    y = gx.cond(m[0], lambda: gx.where(m, gx.log(x), 0.0), lambda: 1 / x)
    steps = gx.while_loop(
        lambda s: gx.sum(s) > -3.0, lambda s: s + gx.where(m, gx.log(x), 0.0), y, max_steps=40
    )
    check(case, gx.sum(steps * y))


# --------------------------------------------------------------------- other transforms


def test_examples_of_vmap() -> None:
    case = Case()
    m, chosen = case.mask([1, 0, 1])
    x = case.data("x", (3,), chosen, 0.0)
    f = gx.vmap(lambda x, m: gx.where(m, gx.log(x), 0.0))
    check(case, gx.sum(f(x, m)))
    inside = gx.vmap(lambda x, m: gx.grad(gx.where(m, gx.log(x), 0.0), x))(x, m)
    (found,) = everywhere([inside], case.spoilt)
    assert found[1] == 0
    assert np.isfinite(found).all()


def test_hessian_and_jacobian() -> None:
    x = gx.input("x", (4,), dtype="float64")
    h = gx.hessian(gx.sum(gx.where(x > 0, gx.log(x), 0.0)), x)
    j = gx.jacobian(gx.where(x > 0, gx.log(x), x), x)
    value = np.array([0.0, 1.0, 2.0, -3.0])
    h, j = everywhere([h, j], {x: value})
    np.testing.assert_allclose(h, np.diag([0.0, -1.0, -0.25, 0.0]))
    np.testing.assert_allclose(j, np.diag([1.0, 1.0, 0.5, 1.0]))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_short_floats(dtype: str) -> None:
    x = gx.input("x", (3,), dtype=dtype)
    g = gx.grad(gx.sum(gx.flip(gx.where(x > 0, gx.log(x), 0.0))).astype("float32"), x)
    value = np.array([0, 2, -1]).astype(g.dtype.numpy)
    for target in ("cpu", "interpret"):
        found = gx.compile([x], g, target=target)(value)
        assert found.astype("float32").tolist() == [0, 0.5, 0]


def test_check_gradients() -> None:
    case = Case()
    m, _chosen = case.mask(ROWS[:, 0])
    x, w = case.data("x", (3, 2), ROWS), case.data("w", (2, 4))
    loss = gx.sum(gx.where(m, gx.sum(gx.flip(gx.exp(x @ w)), axis=1), 0.0))
    report = gx.check_gradients(gx.sum(gx.where(gx.flip(m), 0.0, 1.0)) + loss, [w], case.values)
    assert report, report


def test_exported_library(tmp_path: Any) -> None:
    case = Case()
    m, chosen = case.mask([1, 0, 1])
    x = case.data("x", (3,), chosen, 0.0)
    loss = gx.sum(gx.flip(gx.where(m, gx.log(gx.sqrt(x)), 0.0)) ** 2)
    outputs = [gx.grad(loss, x), gx.hvp(loss, x, gx.ones_like(x))]
    step = gx.compile(list(case.values), outputs, name="guarded")
    library = step.export(tmp_path).load()
    for a, b in zip(library(*case.spoilt.values()), everywhere(outputs, case.values)):
        np.testing.assert_allclose(a, b)


def test_saved_model(tmp_path: Any) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="runs the saved model")
    case = Case()
    m, _chosen = case.mask(ROWS[:, 0])
    x, w = case.data("x", (3, 2), ROWS), case.data("w", (2, 4))
    rows = gx.sum(gx.flip(gx.log(x @ w), axis=1), axis=1)
    loss = gx.sum(gx.flip(gx.where(m, rows, 0.0)) ** 2)
    outputs = {"first": gx.grad(loss, w), "second": gx.hvp(loss, w, w)}
    gx.onnx.save(tmp_path / "model.onnx", outputs)
    session = runtime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    wanted = {i.name for i in session.get_inputs()}
    feeds = {t.name: a for t, a in case.spoilt.items() if t.name in wanted}
    right = everywhere(list(outputs.values()), case.values)
    for a, b in zip(session.run(list(outputs), feeds), right):
        assert_close(a, b)


def test_many_moves_before_a_product() -> None:
    """What is known of a cotangent waits, but not for as long as a program may be."""
    case = Case()
    m, chosen = case.mask([1, 0, 0, 1])
    x = case.data("x", (4,), chosen, 0.0)
    y = gx.where(m, gx.log(x), 0.0)
    for _ in range(400):
        y = 0.5 * (y + gx.flip(y))
    g = gx.grad(gx.sum(gx.where(m, y, 0.0)), x)
    np.testing.assert_allclose(g.eval(case.spoilt), g.eval(case.values))


def test_nothing_to_choose_from() -> None:
    x, w = gx.input("x", ("B", 3), dtype="float64"), gx.input("w", (3, 2), dtype="float64")
    y = x @ w
    g = gx.grad(gx.sum(gx.where(y > 0, gx.log(y), 0.0)), [x, w])
    dx, dw = everywhere(g, {x: np.zeros((0, 3)), w: np.ones((3, 2))})
    assert dx.shape == (0, 3)
    assert not dw.any()


def test_layers_do_not_look_away() -> None:
    """Choices of the library between finite values leave nothing out of what is before them."""
    x, w = gx.input("x", ("B", 8, 8, 4)), gx.input("w", (3, 3, 4, 4))
    y = gx.nn.max_pool(gx.nn.conv(x, w, padding="same"), 3, strides=1, padding="same")
    y = gx.clip(
        gx.nn.dropout(gx.nn.elu(gx.pad(y, ((0, 0), (1, 1), (1, 1), (0, 0)), value=1.0)), 0.5),
        -3.0,
        3.0,
    )
    loss = gx.sum(gx.logsumexp(y, axis=-1)) + gx.sum(gx.std(y, axis=(1, 2)))
    text = gx.compile([x, w], gx.grad(loss, w)).text("differentiated")
    line = next(k for k in text.splitlines() if "conv(" in k and "[3,3,4,4]" in k)
    assert "conv(x," in line
