"""`gx.vmap`: per-example gradients, axes, structures, nesting, random numbers, messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import errors
from graphc.frontend.tensor import evaluate
from graphc.ir.graph import topological
from graphc.ir.ops import BroadcastTo, Dot
from graphc.ir.ops.leaf import RandomBits
from graphc.testing import assert_close

RNG = np.random.default_rng(0)
TARGETS = ("interpret", "cpu")


def close(found: Any, expected: Any, floor: float = 1.0) -> None:
    assert_close(found, expected, each=True, floor=floor)


def dots(tensor: gx.Tensor) -> list[Any]:
    return [n for n in topological([tensor.node]) if isinstance(n.op, Dot)]


# ------------------------------------------------------------------ products stay one product


@pytest.mark.parametrize(
    ("step", "shape", "labels"),
    [
        (lambda x, w: x @ w, (2, 4), ((3, 0, 1), (1, 2), (3, 0, 2))),
        (lambda x, w: w.T @ x, (4, 2), ((0, 1), (3, 0, 2), (3, 1, 2))),
    ],
)
def test_a_shared_matrix_is_multiplied_once(step: Any, shape: Any, labels: Any) -> None:
    xs, w = gx.input("xs", ("t", *shape)), gx.input("w", (4, 3))
    ys = gx.vmap(lambda x: step(x, w))(xs)
    [product] = dots(ys)
    assert (product.op.a, product.op.b, product.op.out) == labels
    assert xs.node in product.inputs
    assert not any(isinstance(n.op, BroadcastTo) for n in topological([ys.node]))
    a, b = RNG.normal(size=(5, *shape)), RNG.normal(size=(4, 3))
    (found,) = evaluate([ys], {xs: a.astype("f4"), w: b.astype("f4")})
    close(found, np.stack([step(x, b) for x in a]))


def test_two_matrices_that_vary_are_multiplied_pair_by_pair() -> None:
    xs, ws = gx.input("xs", (5, 2, 4)), gx.input("ws", (5, 4, 3))
    [product] = dots(gx.vmap(lambda x, w: x @ w)(xs, ws))
    assert (product.op.a, product.op.b, product.op.out) == ((3, 0, 1), (3, 1, 2), (3, 0, 2))


def test_what_does_not_vary_is_computed_once() -> None:
    xs, w = gx.input("xs", (5, 2)), gx.input("w", (2,))
    dear = gx.exp(w)
    ys = gx.vmap(lambda x: x + gx.tanh(dear))(xs)
    shapes = {n.op.name: n.type.shape for n in topological([ys.node])}
    assert shapes["exp"] == shapes["tanh"] == (2,)


# ------------------------------------------------------------------ gradients


def mlp_loss(p: dict[str, Any], x: gx.Tensor, label: gx.Tensor) -> gx.Tensor:
    h = gx.tanh(x @ p["w1"] + p["b1"])
    scores = gx.nn.log_softmax(h @ p["w2"])
    chosen: gx.Tensor = gx.take(scores, label)
    return -chosen


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("count", [1, 5])
def test_gradients_of_each_example(target: str, count: int) -> None:
    shapes = {"w1": (3, 7), "b1": (7,), "w2": (7, 4)}
    p = {k: gx.input(k, s) for k, s in shapes.items()}
    x, label = gx.input("x", ("batch", 3)), gx.input("label", ("batch",), dtype="int32")
    each = gx.vmap(lambda a, b: gx.grad(mlp_loss(p, a, b), p))(x, label)
    one_x, one_label = gx.input("one", (3,)), gx.input("l", (), dtype="int32")
    single = gx.grad(mlp_loss(p, one_x, one_label), p)
    weights = {k: RNG.normal(size=s).astype("f4") for k, s in shapes.items()}
    xs = RNG.normal(size=(count, 3)).astype("f4")
    labels = RNG.integers(0, 4, count).astype("i4")
    step = gx.compile(inputs=[*p.values(), x, label], outputs=each, target=target)
    found = step(*weights.values(), xs, labels)
    for k, s in shapes.items():
        feeds = {p[n]: w for n, w in weights.items()}
        loop = [
            evaluate([single[k]], {**feeds, one_x: a, one_label: b})[0] for a, b in zip(xs, labels)
        ]
        assert found[k].shape == (count, *s)
        close(found[k], np.stack(loop))


def test_gradient_through_vmap() -> None:
    x, w = gx.input("x", ("n", 3), "float64"), gx.input("w", (3,), "float64")
    ys = gx.vmap(lambda a: gx.tanh((a * w).sum()))(x)
    a, b = RNG.normal(size=(4, 3)), RNG.normal(size=3)
    dx, dw = evaluate(gx.grad(ys.sum(), [x, w]), {x: a, w: b})
    slope = 1 - np.tanh(a @ b) ** 2
    close(dx, slope[:, None] * b)
    close(dw, slope @ a)


def test_second_derivatives_of_each_example() -> None:
    x = gx.input("x", ("n", 3), "float64")
    h = gx.vmap(lambda a: gx.hessian((a**3).sum() + a[0] * a[1], a))(x)
    a = RNG.normal(size=(4, 3))
    (found,) = evaluate([h], {x: a})
    mixed = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])
    close(found, np.stack([np.diag(6 * row) + mixed for row in a]))


def test_custom_gradient_of_each_example() -> None:
    @gx.custom_gradient
    def scaled(x: gx.Tensor, w: gx.Tensor) -> Any:
        inner = gx.tanh(x)
        return inner * w, lambda dy: (dy * inner * 10.0, (dy * inner).sum())

    x, w = gx.input("x", (4, 3), "float64"), gx.input("w", (), "float64")
    y = gx.vmap(scaled, in_axes=(0, None))(x, w)
    a = RNG.normal(size=(4, 3))
    weight = np.arange(12.0).reshape(4, 3)
    value, dx, dw = evaluate([y, *gx.vjp(y, [x, w], gx.constant(weight))], {x: a, w: np.array(2.0)})
    close(value, 2 * np.tanh(a))
    close(dx, weight * np.tanh(a) * 10)
    close(dw, (weight * np.tanh(a)).sum())


@pytest.mark.parametrize("target", TARGETS)
def test_gradients_of_a_convolutional_model(target: str) -> None:
    w = {"conv": gx.input("conv", (3, 3, 2, 4)), "dense": gx.input("dense", (16, 3))}

    def loss(image: gx.Tensor, label: gx.Tensor) -> gx.Tensor:
        h = gx.nn.conv(gx.reshape(image, (1, 8, 7, 2)), w["conv"], strides=2, padding="same")
        h = gx.nn.max_pool(gx.nn.relu(h), (2, 2))
        scores = gx.reshape(gx.nn.layer_norm(h), (1, 16 * h.shape[2] // 2)) @ w["dense"]
        total: gx.Tensor = gx.nn.softmax_cross_entropy(scores, gx.reshape(label, (1,)))
        return gx.mean(total)

    x, label = gx.input("x", ("n", 8, 7, 2)), gx.input("label", ("n",), dtype="int32")
    each = gx.vmap(lambda a, b: gx.grad(loss(a, b), w))(x, label)
    one, one_label = gx.input("one", (8, 7, 2)), gx.input("l", (), dtype="int32")
    single = gx.grad(loss(one, one_label), w)
    weights = [RNG.normal(size=t.shape).astype("f4") for t in w.values()]
    images = RNG.normal(size=(5, 8, 7, 2)).astype("f4")
    labels = RNG.integers(0, 3, 5).astype("i4")
    step = gx.compile(inputs=[*w.values(), x, label], outputs=each, target=target)
    found = step(*weights, images, labels)
    for k in w:
        feeds = dict(zip(w.values(), weights))
        loop = [
            evaluate([single[k]], {**feeds, one: a, one_label: b})[0]
            for a, b in zip(images, labels)
        ]
        close(found[k], np.stack(loop), floor=10.0)


def test_layers_and_dropout_of_each_example() -> None:
    layer, drop = gx.nn.Dense(6, activation="tanh"), gx.nn.Dropout(0.5)
    x = gx.input("x", ("n", 4))
    y, whole = gx.vmap(lambda a: (drop(layer(a[None, :]))[0], layer(a[None, :])[0]))(x)
    assert len(dots(whole)) == 1
    a = RNG.normal(size=(40, 4)).astype("f4")
    dropped, kept, direct = evaluate([y, whole, layer(x)], {x: a})
    close(kept, direct)
    masks = dropped != 0
    close(dropped, np.where(masks, 2 * kept, 0))
    assert 0.35 < masks.mean() < 0.65
    assert len({row.tobytes() for row in masks}) > 20


# ------------------------------------------------------------------ axes and structures


@pytest.mark.parametrize("in_axis", [0, 1, 2, -1])
@pytest.mark.parametrize("out_axis", [0, 1, -1])
def test_axes(in_axis: int, out_axis: int) -> None:
    a = RNG.normal(size=(2, 3, 4)).astype("f4")
    x = gx.input("x", a.shape)
    y = gx.vmap(lambda m: m.T + 1.0, in_axes=in_axis, out_axes=out_axis)(x)
    (found,) = evaluate([y], {x: a})
    rows = np.moveaxis(a, in_axis, 0)
    close(found, np.moveaxis(np.stack([m.T + 1 for m in rows]), 0, out_axis))


def test_structures() -> None:
    x, y, z = gx.input("x", (4, 3)), gx.input("y", (3, 4)), gx.input("z", (3,))

    def function(pair: Any, z: Any, scale: float) -> Any:
        return {"sum": pair["a"] + pair["b"] + z, "same": (z * scale, pair["a"][0])}

    given = {"a": x, "b": y}
    mapped = gx.vmap(
        function,
        in_axes=({"b": 1, "a": 0}, None, None),
        out_axes={"sum": 1, "same": (None, 0)},
    )
    result = mapped(given, z, 2.0)
    a, b, c = (RNG.normal(size=s).astype("f4") for s in ((4, 3), (3, 4), (3,)))
    found = evaluate([result["sum"], *result["same"]], {x: a, y: b, z: c})
    close(found[0], (a + b.T + c).T)
    close(found[1], c * 2)
    close(found[2], a[:, 0])


def test_what_does_not_vary_is_repeated() -> None:
    x = gx.input("x", ("n", 3))
    y = gx.vmap(lambda a: gx.ones((2,)))(x)
    assert y.shape == (gx.dim("n"), 2)
    (found,) = evaluate([y], {x: np.zeros((5, 3), "f4")})
    close(found, np.ones((5, 2)))


def test_keywords_are_shared() -> None:
    x, w = gx.input("x", (4,)), gx.input("w", (4,))
    y = gx.vmap(lambda a, w: a * w)(x, w=w)
    assert y.shape == (4, 4)


def test_vmap_in_vmap_is_an_outer_product() -> None:
    x, y = gx.input("x", ("n",)), gx.input("y", ("m",))
    table = gx.vmap(lambda a: gx.vmap(lambda b: a * b - a)(y))(x)
    a, b = RNG.normal(size=5).astype("f4"), RNG.normal(size=3).astype("f4")
    (found,) = evaluate([table], {x: a, y: b})
    close(found, np.outer(a, b) - a[:, None])


# ------------------------------------------------------------------ random numbers


def test_random_numbers_are_independent() -> None:
    x = gx.input("x", (4, 100))
    outside = gx.random.uniform((100,))
    noise, seen = gx.vmap(lambda a: (gx.random.uniform((100,)) + 0.0 * a, outside + 0.0 * a))(x)
    found, same = evaluate([noise, seen], {x: np.zeros((4, 100), "f4")})
    assert len({row.tobytes() for row in found}) == 4
    assert len({row.tobytes() for row in same}) == 1
    assert abs(np.corrcoef(found) - np.eye(4)).max() < 0.4


def test_random_numbers_in_nested_vmaps_are_independent() -> None:
    x, y = gx.input("x", (3,)), gx.input("y", (2,))
    noise = gx.vmap(lambda a: gx.vmap(lambda b: gx.random.uniform((5,)) + 0.0 * a * b)(y))(x)
    [bits] = [n for n in topological([noise.node]) if isinstance(n.op, RandomBits)]
    assert bits.type.shape == (3, 2, 5)
    (found,) = evaluate([noise], {x: np.zeros(3, "f4"), y: np.zeros(2, "f4")})
    assert len({row.tobytes() for row in found.reshape(6, 5)}) == 6


def test_random_numbers_of_no_argument() -> None:
    draws = gx.vmap(lambda: gx.random.normal((3,)), size=4)()
    (found,) = evaluate([draws], {})
    assert len({row.tobytes() for row in found}) == 4


# ------------------------------------------------------------------ indices


def test_an_index_out_of_range_for_its_own_example_fails() -> None:
    x, i = gx.input("x", (2, 3)), gx.input("i", (2,), dtype="int8")
    y = gx.vmap(lambda a, k: gx.take(a, k))(x, i)
    a = np.arange(6, dtype="f4").reshape(2, 3)
    (found,) = evaluate([y], {x: a, i: np.array([-1, 0], "i1")})
    close(found, [2, 3])
    for bad in ([3, 0], [0, -4]):
        with pytest.raises(errors.RuntimeCheckError, match="out of range"):
            evaluate([y], {x: a, i: np.array(bad, "i1")})


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("count", [0, 1, 6])
def test_embedding_gradients_of_each_example(target: str, count: int) -> None:
    table, rows = gx.input("table", ("v", 2)), gx.input("rows", ("n", 3), dtype="int32")

    def loss(i: gx.Tensor) -> gx.Tensor:
        return (gx.take(table, i, axis=0) ** 2).sum()

    each = gx.vmap(lambda i: gx.grad(loss(i), table))(rows)
    step = gx.compile(inputs=[table, rows], outputs={"each": each}, target=target)
    values = RNG.normal(size=(5, 2)).astype("f4")
    indices = RNG.integers(-5, 5, (count, 3)).astype("i4")
    expected = np.zeros((count, 5, 2))
    for k in range(count):
        np.add.at(expected[k], indices[k], 2 * values[indices[k]])
    close(step(values, indices)["each"], expected)


# ------------------------------------------------------------------ compiled code


def block(x: gx.Tensor, w: gx.Tensor, i: gx.Tensor) -> gx.Tensor:
    """Something of every family, for one example x[4, 3], shared w[3, 3] and i[2]."""
    h = gx.tanh(x @ w)
    h = h - h.mean(axis=0, keepdims=True)
    h = gx.concat([h[::-1], gx.pad(x, ((0, 1), (0, 0)))[1:] @ h.T @ h], axis=1)
    picked = gx.take(h, i, axis=0)
    largest: gx.Tensor = gx.where(h > 0, h, 0.5 * h).max(axis=1)
    total: gx.Tensor = gx.nn.softmax(largest) * picked.sum()
    return total


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("varying", [(0, None, None), (0, 0, 0), (None, 0, None), (None, None, 0)])
def test_compiled_as_looped(count: int, varying: tuple[Any, ...]) -> None:
    shapes, dtypes = ((4, 3), (3, 3), (2,)), ("float32", "float32", "int32")
    one = [gx.input(f"a{k}", s, dtype=d) for k, (s, d) in enumerate(zip(shapes, dtypes))]
    many = [
        x if v is None else gx.input(x.name, ("n", *x.shape), dtype=x.dtype)
        for x, v in zip(one, varying)
    ]
    arrays = [
        RNG.integers(-4, 4, s).astype(d) if d == "int32" else RNG.normal(size=s).astype(d)
        for s, d in zip((m.shape if v is None else (count, *m.shape[1:]) for m, v in
                         zip(many, varying)), dtypes)
    ]  # fmt: skip
    each = gx.vmap(block, in_axes=varying)(*many)
    step = gx.compile(inputs=many, outputs={"each": each}, target="cpu")
    single = block(*one)
    loop = [
        evaluate([single], {x: a if v is None else a[k] for x, a, v in zip(one, arrays, varying)})
        for k in range(count)
    ]
    expected = np.array([row for (row,) in loop]).reshape(count, 4)
    close(step(*arrays)["each"], expected)


def test_parts_and_origins_are_those_of_the_example() -> None:
    x = gx.input("x", ("n", 3))
    d = gx.vmap(lambda a: gx.grad(gx.exp(a).sum(), a))(x)
    assert {n.step_part for n in topological([d.node]) if n.op.name == "mul"} <= {"backward"}
    [e] = [n for n in topological([d.node]) if n.op.name == "exp"]
    assert e.step_part == "forward"
    assert "gx.exp(a)" in e.origin.text


# ------------------------------------------------------------------ messages


def test_messages() -> None:
    x, y = gx.input("x", (4, 3)), gx.input("y", (5,))
    with pytest.raises(errors.ShapeError, match="vmap: 4 examples, but 5 in argument 1"):
        gx.vmap(lambda a, b: a)(x, y)
    with pytest.raises(errors.ArgumentError, match="no argument has an axis of examples"):
        gx.vmap(lambda a: a, in_axes=None)(x)
    with pytest.raises(errors.AxisError, match=r"argument 0: axis 2 is out of range for f32\[4,3"):
        gx.vmap(lambda a: a, in_axes=2)(x)
    with pytest.raises(errors.AxisError, match=r"the result: axis 3 is out of range for f32\[4,3"):
        gx.vmap(lambda a: a, out_axes=3)(x)
    with pytest.raises(errors.ArgumentError, match="out_axes is None for a result that varies"):
        gx.vmap(lambda a: a, out_axes=None)(x)
    with pytest.raises(errors.ArgumentError, match="in_axes must be structured like"):
        gx.vmap(lambda a: a, in_axes=(0, 1))(x)
    with pytest.raises(errors.ArgumentError, match="in_axes must be an int, got 'a'"):
        gx.vmap(lambda a: a, in_axes="a")(x)
