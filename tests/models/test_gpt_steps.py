"""GPT token by token, with keys and values that are kept, beside GPT over whole sequences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import RuntimeCheckError, ShapeError
from graphc.testing import assert_close

WORDS, LENGTH = 11, 12


@pytest.fixture(autouse=True)
def _fresh_names() -> None:
    gx.seed(0)


def small() -> Any:
    """A model with scores that differ."""
    net = gx.models.gpt(WORDS, LENGTH, layers=2, heads=2, units=8)
    net(gx.input("ids", (1, 3), "int32"))
    rng = np.random.default_rng(0)
    for p in net.parameters:
        p.value = rng.normal(size=p.shape).astype("float32") * 0.5 + (p.name.endswith("scale"))
    return net


def words(*shape: int) -> Any:
    return np.random.default_rng(1).integers(0, WORDS, shape).astype("int32")


@pytest.mark.parametrize("target", ["interpret", "cpu"])
def test_steps_score_as_the_whole_sequence(target: str) -> None:
    net = small()
    ids = gx.input("ids", ("batch", 7), "int32")
    state, rows = net.start(ids.shape[0]), []
    prompt, *state = net.step(ids[:, :3], *state)
    for i in range(3, 7):
        scores, *state = net.step(ids[:, i], *state)
        rows.append(scores)
    found = gx.concat([prompt, gx.stack(rows, axis=1)], axis=1)
    by_steps, whole, position = gx.compile([ids], [found, net(ids), state[0]], target=target)(
        words(3, 7)
    )
    assert_close(by_steps, whole)
    assert position.tolist() == [7, 7, 7]


def greedy_without_state(net: Any, prompt: Any, count: int) -> Any:
    """The most likely token each time, all computed again for each."""
    ids = gx.input("ids", (*prompt.shape[:1], LENGTH), "int32")
    score = gx.compile([ids], net(ids))
    given = np.zeros((len(prompt), LENGTH), "int32")
    given[:, : prompt.shape[1]] = prompt
    for at in range(prompt.shape[1], prompt.shape[1] + count):
        given[:, at] = score(given)[:, at - 1].argmax(axis=-1)
    return given[:, prompt.shape[1] : prompt.shape[1] + count]


def test_decoding_with_a_prompt() -> None:
    net, prompt = small(), words(2, 4)
    ids = gx.input("ids", ("rows", 4), "int32")
    _, *state = net.step(ids[:, :-1], *net.start(ids.shape[0]))
    tokens, _ = gx.decode.greedy(net.step, ids[:, -1], state, length=6)
    beams, _ = gx.decode.beam_search(net.step, ids[:, -1], state, length=6, beams=1)
    wanted = greedy_without_state(net, prompt, 6)
    found, same = gx.compile([ids], [tokens, beams])(prompt)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(same[:, 0], wanted)


def test_a_stream_of_compiled_steps() -> None:
    net = small()
    first = gx.input("first", (2,), "int32")
    start = gx.compile([], list(net.start(2)))()
    state = [gx.input(f"state_{i}", a.shape, str(a.dtype)) for i, a in enumerate(start)]
    step = gx.compile([first, *state], net.step(first, *state))
    tokens = gx.decode.stream(step, np.array([3, 5], "int32"), start, length=6, top_k=1)
    wanted = greedy_without_state(net, np.array([[3], [5]], "int32"), 6)
    np.testing.assert_array_equal(np.stack(list(tokens), axis=1), wanted)


def test_the_first_call_may_be_a_step() -> None:
    net = gx.models.gpt(WORDS, LENGTH, layers=1, heads=2, units=8)
    first = gx.input("first", (2,), "int32")
    net.step(first, *net.start(2))
    made = [p.name for p in net.parameters]
    net(gx.input("ids", (1, 3), "int32"))
    assert [p.name for p in net.parameters] == made
    assert len(made) == 2 + 12 + 4 + 2  # tables, four projections and two layers, norms


def test_mistakes() -> None:
    net = small()
    first = gx.input("first", (2,), "int32")
    with pytest.raises(ShapeError, match="and a state of 5 parts, got i32"):
        net.step(first)
    tokens, _ = gx.decode.greedy(net.step, first, net.start(2, length=3), length=4)
    with pytest.raises(RuntimeCheckError):
        gx.compile([first], tokens, target="interpret")(words(2))
