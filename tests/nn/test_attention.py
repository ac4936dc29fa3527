"""Attention against numpy and torch: masks, gradients, the layer, what is compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.testing import assert_close
from tests.tolerances import ONE_NUMBER, OTHER_ORDER

nn = gx.nn
TARGETS = ("interpret", "cpu")


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def values(*shape: int, seed: int = 0, dtype: Any = "float64") -> Any:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def attend(q: Any, k: Any, v: Any, allowed: Any = True, extra: Any = 0.0, scale: Any = None) -> Any:
    """One query after the other, over the keys it may look at; zeros if there is none."""
    shape = np.broadcast_shapes(q.shape[:-2], k.shape[:-2])
    scores = q @ np.swapaxes(k, -1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale) + extra
    allowed = np.broadcast_to(allowed, scores.shape)
    v = np.broadcast_to(v, (*shape, *v.shape[-2:]))
    y = np.zeros((*shape, q.shape[-2], v.shape[-1]))
    for index in np.ndindex(scores.shape[:-1]):
        keys = np.flatnonzero(allowed[index])
        if keys.size:
            power = np.exp(scores[index][keys] - scores[index][keys].max())
            y[index] = power / power.sum() @ v[index[:-1]][keys]
    return y


# (q, k, v) and the mask
CASES = [
    ((4, 8), (6, 8), (6, 3), None),
    ((1, 1), (1, 1), (1, 1), None),
    ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 2), (5, 7)),
    ((2, 3, 5, 4), (2, 3, 7, 4), (2, 3, 7, 2), (2, 1, 1, 7)),
    ((2, 3, 1, 4), (1, 3, 7, 4), (1, 3, 7, 4), (3, 1, 7)),
    ((0, 5, 4), (0, 7, 4), (0, 7, 4), None),
    ((2, 0, 4), (2, 7, 4), (2, 7, 4), (0, 7)),
]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("case", range(len(CASES)))
def test_is_a_loop_over_queries(case: int, causal: bool) -> None:
    *shapes, mask_shape = CASES[case]
    arrays = [values(*s, seed=i) for i, s in enumerate(shapes)]
    inputs = [gx.input(n, s, dtype="float64") for n, s in zip("qkv", shapes)]
    past = np.tril(np.ones((shapes[0][-2], shapes[1][-2]), bool)) if causal else True
    for kind in ("bool", "float") if mask_shape else ("none",):
        allowed, extra, mask = past, 0.0, None
        if kind == "bool":
            mask = np.random.default_rng(0).random(mask_shape) < 0.6
            allowed = mask & past
        if kind == "float":
            mask = extra = values(*mask_shape, seed=9)
        y = nn.scaled_dot_product_attention(*inputs, mask=mask, is_causal=causal)
        for target in TARGETS:
            found = gx.compile(inputs, y, target=target)(*arrays)
            expected = attend(*arrays, allowed, extra)
            assert_close(found, expected, each=True, floor=1.0)


def test_a_query_that_may_look_at_nothing_gets_zeros_and_gives_no_gradient() -> None:
    q, k, v = (gx.input(n, (3, 4), dtype="float64") for n in "qkv")
    mask = np.array([[True, False, True], [False] * 3, [True] * 3])
    y = nn.scaled_dot_product_attention(q, k, v, mask)
    feeds = {t: values(3, 4, seed=i) for i, t in enumerate((q, k, v))}
    np.testing.assert_array_equal(y.eval(feeds)[1], 0)
    loss = (y**2).sum()
    np.testing.assert_array_equal(gx.grad(loss, q).eval(feeds)[1], 0)
    report = gx.check_gradients(loss, [q, k, v], feeds)
    assert report.passed, report


def test_masks_of_minus_infinity() -> None:
    q, k, v = (gx.input(n, (3, 4)) for n in "qkv")
    mask = np.where(np.tril(np.ones((3, 3), bool)), 0, -np.inf).astype("float32")
    a = nn.scaled_dot_product_attention(q, k, v, mask)
    b = nn.scaled_dot_product_attention(q, k, v, is_causal=True)
    arrays = [values(3, 4, seed=i, dtype="float32") for i in range(3)]
    found = gx.compile([q, k, v], [a, b, *gx.grad(a.sum(), [q, k, v])])(*arrays)
    np.testing.assert_array_equal(found[0], found[1])
    assert all(np.isfinite(g).all() for g in found)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("causal", [False, True])
def test_rows_of_minus_infinity_are_rows_of_false(causal: bool, dtype: str, target: str) -> None:
    """Values, gradients and Hessian-vector products, where the mask is known late."""
    inputs = [gx.input(n, (2, 3, 4), dtype=dtype) for n in "qkv"]
    allowed = gx.input("allowed", (3, 3), dtype="bool")
    bias = gx.input("bias", (3, 3), dtype=dtype)
    arrays = [values(2, 3, 4, seed=i).astype(inputs[0].dtype.numpy) for i in range(3)]
    mask = np.array([[True, False, True], [False] * 3, [False, True, True]])
    minus = np.where(mask, 0.0, -np.inf).astype(inputs[0].dtype.numpy)
    found = []
    for given in (allowed, bias):
        y = nn.scaled_dot_product_attention(*inputs, mask=given, is_causal=causal)
        loss = (y.astype("float32") ** 2).sum()
        both = [y, *gx.grad(loss, inputs), *gx.hvp(loss, inputs, inputs)]
        step = gx.compile([*inputs, allowed, bias], both, target=target)
        found.append(step(*arrays, mask, minus))
    for a, b in zip(*found):
        np.testing.assert_array_equal(a, b)
        assert np.isfinite(a.astype("float32")).all()
    np.testing.assert_array_equal(found[1][0][:, 1], 0)
    learnt = gx.grad((y * y).sum(), bias).eval(dict(zip((*inputs, bias), (*arrays, minus))))
    np.testing.assert_array_equal(learnt[~mask], 0)


@pytest.mark.parametrize("causal", [False, True])
def test_gradients(causal: bool) -> None:
    shapes = [(2, 4, 3), (2, 5, 3), (2, 5, 2)]
    inputs = [gx.input(n, s, dtype="float64") for n, s in zip("qkv", shapes)]
    bias = gx.input("bias", (4, 5), dtype="float64")
    y = nn.scaled_dot_product_attention(*inputs, mask=bias, is_causal=causal, scale=0.7)
    feeds = {t: values(*s, seed=i) for i, (t, s) in enumerate(zip(inputs, shapes))}
    report = gx.check_gradients((y**2).sum(), [*inputs, bias], feeds | {bias: values(4, 5)})
    assert report.passed, report


@pytest.mark.parametrize(
    ("causal", "masked"), [(False, None), (True, None), (False, "bool"), (False, "float")]
)
def test_is_that_of_torch(causal: bool, masked: str | None) -> None:
    torch = pytest.importorskip("torch")
    arrays = [values(2, 3, n, 8, seed=n, dtype="float32") for n in (5, 7, 7)]
    mask = values(5, 7, dtype="float32")
    if masked == "bool":
        mask = (mask > 0) | np.eye(5, 7, dtype=bool)
    inputs = [gx.input(n, a.shape) for n, a in zip("qkv", arrays)]
    y = nn.scaled_dot_product_attention(*inputs, mask=mask if masked else None, is_causal=causal)
    step = gx.compile(inputs, [y, *gx.grad((y**2).sum(), inputs)])
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    ty = torch.nn.functional.scaled_dot_product_attention(
        *tensors, attn_mask=torch.tensor(mask) if masked else None, is_causal=causal
    )
    (ty**2).sum().backward()
    for a, b in zip(step(*arrays), [ty, *(t.grad for t in tensors)]):
        np.testing.assert_allclose(a, b.detach().numpy(), **OTHER_ORDER)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_sixteen_bits_do_not_overflow(dtype: str) -> None:
    """Scores of 16 bits in float32: exact for one clear winner, whatever its score."""
    q = gx.input("q", (2, 4), dtype=dtype)
    y = nn.scaled_dot_product_attention(q * 100.0, q * 100.0, q)
    assert y.dtype.name == dtype
    given = np.eye(2, 4, dtype="float32").astype(q.dtype.numpy)
    for target in TARGETS:
        found = np.asarray(gx.compile([q], y, target=target)(given), "float32")
        np.testing.assert_array_equal(found, np.eye(2, 4))


@pytest.mark.parametrize("threads", [1, 2])
def test_sizes_known_late(threads: int) -> None:
    q, k = gx.input("q", ("batch", "queries", 6)), gx.input("k", ("batch", "keys", 6))
    step = gx.compile([q, k], nn.scaled_dot_product_attention(q, k, k, is_causal=True))
    for batch, queries, keys in ((2, 3, 5), (1, 1, 1), (3, 9, 2), (0, 2, 2), (4, 70, 130)):
        a, b = values(batch, queries, 6, dtype="float32"), values(batch, keys, 6, dtype="float32")
        past = np.tril(np.ones((queries, keys), bool))
        assert_close(step(a, b), attend(a, b, b, past), each=True, floor=1.0)


# ------------------------------------------------------------------------------- the layer


def heads(layer: Any, q: Any, v: Any, k: Any, allowed: Any = True) -> Any:
    """The layer in numpy, head by head."""
    given = {p.name.split("/", 1)[1]: p.value for p in layer.parameters}
    parts = []
    for h in range(layer.num_heads):
        projected = []
        for role, x in (("query", q), ("key", k), ("value", v)):
            kernel = np.split(given[f"{role}/kernel"], layer.num_heads, axis=1)[h]
            bias = np.split(given[f"{role}/bias"], layer.num_heads)[h]
            projected.append(x @ kernel + bias)
        parts.append(attend(*projected, allowed))
    return np.concatenate(parts, -1) @ given["output/kernel"] + given["output/bias"]


def randomised(layer: Any) -> None:
    rng = np.random.default_rng(3)
    for p in layer.parameters:
        p.value = rng.normal(size=p.shape)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (2, 5, 3, 6), (3, 1, 4, 9)])
def test_layer(sizes: tuple[int, ...], target: str) -> None:
    batch, queries, keys, features = sizes
    layer = nn.MultiHeadAttention(3, key_dim=2, value_dim=5)
    q = gx.input("q", ("batch", queries, features), dtype="float64")
    v = gx.input("v", ("batch", keys, 4), dtype="float64")
    k = gx.input("k", ("batch", keys, 7), dtype="float64")
    mask = gx.input("mask", ("batch", queries, keys), dtype="bool")
    y = layer(q, v, k, mask)
    assert y.shape[1:] == (queries, features)
    randomised(layer)
    arrays = [values(batch, n, f) for n, f in ((queries, features), (keys, 4), (keys, 7))]
    allowed = np.random.default_rng(1).random((batch, queries, keys)) < 0.7
    found = gx.compile([q, v, k, mask], y, target=target)(*arrays, allowed)
    assert_close(found, heads(layer, *arrays, allowed))


def test_layer_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    other = torch.nn.MultiheadAttention(12, 3, batch_first=True).double()
    layer = nn.MultiHeadAttention(3)
    x = gx.input("x", (2, 5, 12), dtype="float64")
    y = layer(x, is_causal=True)
    weights = other.in_proj_weight.detach().numpy()
    for p in layer.parameters:
        role, part = p.name.split("/")[1:]
        if role == "output":
            linear = other.out_proj
            p.value = (linear.weight.T if part == "kernel" else linear.bias).detach().numpy()
        elif part == "kernel":
            p.value = np.split(weights, 3)[("query", "key", "value").index(role)].T
    assert all(
        (p.value == 0).all() for p in layer.parameters if p.name.endswith("bias")
    )  # as torch's
    given = values(2, 5, 12)
    past = torch.nn.Transformer.generate_square_subsequent_mask(5).double()
    t = torch.tensor(given)
    expected, _ = other(t, t, t, attn_mask=past)
    found = gx.compile([x], y)(given)
    assert_close(found, expected.detach().numpy())


def test_layer_names_sharing_and_gradients() -> None:
    layer = nn.MultiHeadAttention(2)
    x = gx.input("x", ("batch", 3, 4), dtype="float64")
    a = layer(x)
    b = layer(x[:, :2], x)
    roles = ("query", "key", "value", "output")
    names = [f"multi_head_attention/{r}/{p}" for r in roles for p in ("kernel", "bias")]
    assert sorted(p.name for p in layer.parameters) == sorted(names)
    loss = (a**2).sum() + (b**3).sum()
    report = gx.check_gradients(loss, [x, *layer.parameters], {x: values(2, 3, 4)})
    assert report.passed, report
    assert len(nn.MultiHeadAttention(2, use_bias=False).parameters) == 0


def test_dropout_of_weights_in_training_only() -> None:
    layer = nn.MultiHeadAttention(1, dropout=0.5)
    x = gx.input("x", (1, 40, 2))
    y = layer(x)
    kernels = [p for p in layer.parameters if p.name.endswith("kernel")]
    for p in kernels:
        p.value = np.eye(2, dtype="float32") * (0 if "query" in p.name else 1)
    ones = np.ones((1, 40, 2), "float32")
    np.testing.assert_allclose(gx.compile([x], y)(ones), 1, **ONE_NUMBER)
    dropped = gx.compile([x], y, mode="train")(ones)
    assert len(np.unique(dropped)) > 5
    assert abs(dropped.mean() - 1) < 0.1


def test_scores_are_not_copied_on_their_way() -> None:
    """Forward: projections with their biases, scores, one softmax and its mask, means, output."""
    layer = nn.MultiHeadAttention(4)
    x = gx.input("x", (2, 32, 16))
    step = gx.compile([x], layer(x, is_causal=True), threads=1)
    step(values(2, 32, 16, dtype="float32"))
    assert len(step.kernels) <= 7, step.report()


# -------------------------------------------------------------------------------- mistakes


def test_mistakes() -> None:
    q, k = gx.input("q", (2, 3, 4)), gx.input("k", (2, 5, 4))
    attention = nn.scaled_dot_product_attention
    with pytest.raises(ShapeError, match="q and k need the same known last size, got 4 and 3"):
        attention(q, k[:, :, :3], k)
    with pytest.raises(ShapeError, match=r"v must have 5 rows, got f32\[2,3,4\]") as caught:
        attention(q, k, q)
    assert "test_attention" in str(caught.value)
    with pytest.raises(ShapeError, match="k needs floats and 2 axes or more, got f32"):
        attention(q, gx.zeros(4), k)
    with pytest.raises(DTypeError, match="q needs floats and 2 axes or more, got i32"):
        attention(q.astype("int32"), k, k)
    with pytest.raises(DTypeError, match="mask must hold bools or floats, got i32"):
        attention(q, k, k, gx.zeros((3, 5), dtype="int32"))
    with pytest.raises(ShapeError, match=r"mask must broadcast to \[2,3,5\], got bool\[3,4\]"):
        attention(q, k, k, gx.zeros((3, 4), dtype="bool"))
    with pytest.raises(ShapeError, match=r"mask must broadcast to \[2,3,5\], got f32\[2,2,3,5\]"):
        attention(q, k, k, gx.zeros((2, 2, 3, 5)))


def test_mistakes_of_the_layer() -> None:
    x = gx.input("x", ("batch", 3, 4))
    with pytest.raises(ArgumentError, match="num_heads must be an int of 1 or more, got 0"):
        nn.MultiHeadAttention(0)
    with pytest.raises(ArgumentError, match=r"key_dim must be an int, got 1\.5"):
        nn.MultiHeadAttention(2, 1.5)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="4 features do not divide among 3 heads") as caught:
        nn.MultiHeadAttention(3)(x)
    assert "give key_dim" in str(caught.value)
    with pytest.raises(ShapeError, match=r"value must be \(batch, time, features\), got f32"):
        nn.MultiHeadAttention(2)(x, x[0])
    with pytest.raises(DTypeError, match="needs floats, got i32"):
        nn.MultiHeadAttention(2)(x.astype("int32"))
