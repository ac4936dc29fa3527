"""Arguments of layers, optimisers, indexing and training that are of the wrong kind or value."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import errors

X = gx.input("x", ("batch", 4))
S = gx.input("s", (3, 4))
K = gx.input("k", (3, 4), dtype="int32")
L = gx.input("labels", ("batch",), dtype="int32")
W = gx.parameter("w", (4, 2))
U = gx.parameter("u", (3,))
LOSS = gx.sum(X @ W)
STEP = gx.compile([X], {"loss": LOSS}, {W: W * 1.0}, target="interpret")
DATA = [np.ones((4, 4), np.float32)]

Case = tuple[Callable[[], Any], type[Exception], str, str | None]

# what is done, the class, what the message has to say, (part of) the hint
CASES: list[Case] = [
    # -- layers --
    (lambda: gx.nn.Dense(-1), errors.ArgumentError,
     "Dense: units must be an int of 1 or more, got -1", None),
    (lambda: gx.nn.Dense(2.5), errors.ArgumentError,
     "Dense: units must be an int, got 2.5", None),
    (lambda: gx.nn.Dense(3, activation="rellu"), errors.ArgumentError,
     "no activation is called 'rellu'", "relu"),
    (lambda: gx.nn.Dense(3)(K), errors.DTypeError, "needs floats, got i32[3,4]", "astype"),
    (lambda: gx.nn.Dense(3)(gx.input("r", ())), errors.ShapeError,
     "the last axis must have a known size, got f32[]", None),
    (lambda: gx.nn.Embedding(0, 3), errors.ArgumentError,
     "Embedding: count must be an int of 1 or more, got 0", None),
    (lambda: gx.nn.Dropout(2), errors.ArgumentError,
     "Dropout: rate must be between 0 and 1, got 2", None),
    (lambda: gx.nn.dropout(S, "a"), errors.ArgumentError,
     "dropout: rate must be a number, got 'a'", None),
    (lambda: gx.nn.dropout(K, 0.5), errors.DTypeError,
     "dropout: needs floats, got i32[3,4]", "astype"),
    (lambda: gx.nn.Sequential(gx.nn.Dense(3)), errors.ArgumentError,
     "Sequential: needs a list of layers, got <Dense", None),
    (lambda: gx.nn.Sequential([gx.nn.Dense(3), 3]), errors.ArgumentError,
     "Sequential: a layer must be callable, got 3", None),
    # -- activations and losses --
    (lambda: gx.nn.softmax(K), errors.DTypeError, "softmax: needs floats, got int32", "astype"),
    (lambda: gx.nn.softmax(S, axis=2), errors.AxisError,
     "softmax: axis 2 is out of range of f32[3,4]: there are 2 axes", "-2 to 1"),
    (lambda: gx.nn.log_softmax(gx.input("r", ())), errors.AxisError,
     "log_softmax: axis -1 is out of range of f32[]: there are 0 axes", "rank 0"),
    (lambda: gx.nn.softmax_cross_entropy(X, S), errors.ShapeError,
     "softmax_cross_entropy: float labels must have the logits' shape f32[batch,4], got f32[3,4]",
     "integer labels"),
    # -- random --
    (lambda: gx.random.uniform((3,), dtype="int32"), errors.DTypeError,
     "random.uniform: needs a float dtype, got int32", None),
    (lambda: gx.random.bernoulli((3,), 1.5), errors.ArgumentError,
     "bernoulli: p must be between 0 and 1, got 1.5", None),
    # -- values and indices --
    (lambda: gx.constant([[1, 2], [3]]), errors.DTypeError,
     "constant: cannot make a tensor of [[1, 2], [3]]", None),
    (lambda: gx.one_hot(L, -1), errors.ShapeError, "one_hot: sizes are 0 or more, got -1", None),
    (lambda: gx.one_hot(L, 2.5), errors.ArgumentError,
     "one_hot: n must be an int, got 2.5", None),
    (lambda: S[np.array([True, False])], errors.ShapeError,
     "index: the mask has 2 elements for axis 0 of f32[3,4], which has size 3", None),
    (lambda: S[:, gx.constant([True, False])], errors.ShapeError,
     "index: the mask has 2 elements for axis 1 of f32[3,4], which has size 4", None),
    (lambda: S[K > 0], errors.DTypeError, "index: must be integers, got bool", "gx.where"),
    (lambda: S.__setitem__(0, 1.0), errors.ArgumentError,
     "s f32[3,4] cannot be assigned to: tensors are immutable", "x.at[key].set(value)"),
    # -- derivatives and optimisers --
    (lambda: gx.grad(LOSS, U), errors.GradientError,
     "grad: the loss does not depend on u", 'unreachable="zero"'),
    (lambda: gx.grad(X @ W, W), errors.GradientError,
     "grad: the loss must be a scalar float, got f32[batch,2]", ".mean()"),
    (lambda: gx.optim.Adam("a"), errors.ArgumentError,
     "Adam: learning_rate must be a finite number of 0 or more, or a schedule", None),
    (lambda: gx.optim.SGD(-1), errors.ArgumentError,
     "SGD: learning_rate must be a finite number of 0 or more", None),
    (lambda: gx.optim.SGD(float("nan")), errors.ArgumentError,
     "SGD: learning_rate must be a finite number of 0 or more", None),
    (lambda: gx.optim.SGD(0.1, momentum=2), errors.ArgumentError,
     "SGD: momentum must be in [0, 1), got 2", None),
    (lambda: gx.optim.SGD().minimize(3.0), errors.ArgumentError,
     "minimize: loss must be a tensor, got 3.0", None),
    (lambda: gx.optim.SGD().minimize(X @ W), errors.GradientError,
     "grad: the loss must be a scalar float, got f32[batch,2]", ".mean()"),
    (lambda: gx.optim.SGD().minimize(LOSS, parameters=[X]), errors.ArgumentError,
     "minimize: only parameters can be updated, got <Tensor x f32[batch,4]", "gx.parameter"),
    (lambda: gx.optim.SGD().minimize(LOSS, parameters=["w"]), errors.ArgumentError,
     "minimize: parameters must be tensors, got ['w']", None),
    (lambda: gx.optim.SGD().minimize(LOSS, parameters=U), errors.GradientError,
     "grad: the loss does not depend on u", None),
    (lambda: gx.optim.SGD().minimize(LOSS, clip_norm="a"), errors.ArgumentError,
     "minimize: clip_norm must be a number, a schedule or a tensor, got 'a'", None),
    (lambda: gx.optim.SGD().minimize(LOSS, clip_value=0), errors.ArgumentError,
     "clip_value must be positive, got 0", None),
    # -- compile and training --
    (lambda: gx.compile([X], LOSS, updates=W), errors.ArgumentError,
     "compile: updates must map parameters to tensors, got Parameter", None),
    (lambda: gx.fit(3, DATA), errors.ArgumentError,
     "fit: step must be what gx.compile returns, got 3", None),
    (lambda: gx.fit(STEP, DATA, validation=3), errors.ArgumentError,
     "fit: validation must be (compiled function, arrays), got 3", None),
    (lambda: gx.fit(STEP, DATA, callbacks=[3]), errors.ArgumentError,
     "fit: a callback needs the method begin, got 3", "gx.callbacks.Callback"),
    (lambda: STEP(DATA[0], scale=1.0), errors.NameError, "step: has no input scale", None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{i}: {c[2][:50]}" for i, c in enumerate(CASES)])
def test_message(case: Case) -> None:
    build, error, text, hint = case
    with pytest.raises(error) as caught:
        build()
    assert isinstance(caught.value, errors.GraphcError)
    assert text in caught.value.message
    assert f"{Path(__file__).name}:{build.__code__.co_firstlineno}" in str(caught.value)
    if hint is not None:
        assert hint in (caught.value.hint or "")


def test_one_parameter_is_a_list_of_one() -> None:
    updates = gx.optim.SGD(0.5).minimize(LOSS, parameters=W)
    assert list(updates) == [W]


def test_a_known_mask_is_an_index() -> None:
    mask = np.array([True, False, True])
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    for index in (mask, gx.constant(mask)):
        np.testing.assert_array_equal(S[index].eval({S: array}), array[mask])
