"""Decoding against exhaustive search over all sequences of a small recurrent model."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError
from graphc.testing import assert_close
from tests.tolerances import SCORE, SCORE_OF_THREE, SCORE_OR_ZERO, SCORE_TIE

nn = gx.nn
WORDS, UNITS = 3, 4


def weights(seed: int, words: int = WORDS) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    shapes = {"table": (words, UNITS), "w": (UNITS, UNITS), "u": (UNITS, UNITS)}
    shapes |= {"out": (UNITS, words)}
    return {n: rng.normal(size=s).astype("float32") * 2 for n, s in shapes.items()}


def symbolic(given: dict[str, Any]) -> Any:
    """The step of a recurrent model, on tensors."""

    def step(token: Any, h: Any) -> Any:
        x = gx.take(given["table"], token, axis=0)
        h = nn.rnn_cell(x, h, given["w"], given["u"])
        return h @ given["out"], h

    return step


def log_softmax(x: Any) -> Any:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def score(given: dict[str, Any], first: int, tokens: Any, end: int | None, h: Any) -> float:
    """The log-probability of a sequence, up to its end."""
    total, token = 0.0, first
    for i, following in enumerate(tokens):
        if i and token == end:
            assert following == end
            continue
        h = np.tanh(given["table"][token] @ given["w"] + h @ given["u"])
        total += log_softmax(h @ given["out"])[following]
        token = following
    return total


def every(given: dict[str, Any], first: int, length: int, end: int | None, h: Any) -> Any:
    """All sequences, the best first, with their scores; nothing but `end` after `end`."""
    found = []
    for tokens in itertools.product(range(len(given["table"])), repeat=length):
        stops = [i for i, t in enumerate(tokens) if t == end]
        if stops and any(t != end for t in tokens[stops[0] :]):
            continue
        found.append((score(given, first, tokens, end, h), tokens))
    return sorted(found, reverse=True)


def starts(rows: int) -> Any:
    first = np.arange(rows, dtype="int32") % 2
    return first, np.random.default_rng(5).normal(size=(rows, UNITS)).astype("float32")


def run(how: str, decode: Any, given: dict[str, Any], first: Any, h: Any, **options: Any) -> Any:
    """Decode in a graph, compiled or interpreted, or by a compiled step."""
    token, state = gx.input("first", ("rows",), "int32"), gx.input("h", ("rows", UNITS))
    step = symbolic(given)
    if how == "steps":
        compiled = gx.compile([token, state], step(token, state), target="interpret")
        return decode(compiled, first, (h,), **options)
    result = decode(step, token, (state,), **options)
    return gx.compile([token, state], result, target=how)(first, h)


HOWS = ("steps", "interpret", "cpu")


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("end", [None, 2])
def test_as_many_beams_as_sequences_is_exhaustive_search(how: str, end: int | None) -> None:
    given = weights(1)
    first, h = starts(3)
    length = 4
    beams = WORDS**length
    tokens, scores = run(
        how, gx.decode.beam_search, given, first, h, length=length, beams=beams, end=end
    )
    assert tokens.shape == (3, beams, length)
    assert tokens.dtype == np.int32
    for row in range(3):
        expected = every(given, int(first[row]), length, end, h[row])
        count = len(expected)
        assert np.isneginf(scores[row, count:]).all()
        assert_close(scores[row, :count], [s for s, _ in expected], each=True)
        assert tokens[row, :count].tolist() == [list(t) for _, t in expected]


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("end", [None, 0])
def test_greedy_takes_the_best_each_time(how: str, end: int | None) -> None:
    given = weights(2)
    first, h = starts(4)
    first[:] = 1
    tokens, scores = run(how, gx.decode.greedy, given, first, h, length=6, end=end)
    assert tokens.dtype == np.int32
    for row in range(4):
        token, state, total = first[row], h[row], 0.0
        for found in tokens[row]:
            if token == end:
                assert found == end
                continue
            state = np.tanh(given["table"][token] @ given["w"] + state @ given["u"])
            gains = log_softmax(state @ given["out"])
            token = gains.argmax()
            total += gains[token]
            assert found == token
        assert scores[row] == pytest.approx(total, **SCORE)
    one, best = run(how, gx.decode.beam_search, given, first, h, length=6, beams=1, end=end)
    np.testing.assert_array_equal(one[:, 0], tokens)
    assert_close(best[:, 0], scores)


@pytest.mark.parametrize("how", HOWS)
def test_graphs_and_steps_agree_on_beams(how: str) -> None:
    given = weights(3, words=6)
    first, h = starts(5)
    options: dict[str, Any] = {"length": 7, "beams": 4, "end": 3}
    tokens, scores = run(how, gx.decode.beam_search, given, first, h, **options)
    others, same = run("steps", gx.decode.beam_search, given, first, h, **options)
    np.testing.assert_array_equal(tokens, others)
    assert_close(scores, same)
    assert (np.diff(scores, axis=1) <= 0).all()
    for row in range(5):
        for beam in range(4):
            whole = score(given, int(first[row]), tokens[row, beam], 3, h[row])
            assert scores[row, beam] == pytest.approx(whole, **SCORE)


def test_beams_find_better_sequences_than_greedy() -> None:
    """Many starts, compared with the search that keeps all sequences."""
    words, length = 6, 4
    given = {name: array * 0.5 for name, array in weights(0, words).items()}
    rng = np.random.default_rng(0)
    first, h = rng.integers(0, words, 200), rng.normal(size=(200, UNITS)).astype("float32")

    def step(token: Any, h: Any) -> Any:
        h = np.tanh(given["table"][token] @ given["w"] + h @ given["u"])
        return h @ given["out"], h

    _, alone = gx.decode.greedy(step, first, [h], length=length)
    _, four = gx.decode.beam_search(step, first, [h], length=length, beams=4)
    _, every = gx.decode.beam_search(step, first, [h], length=length, beams=words**length)
    found, best = four[:, 0], every[:, 0]
    assert (found <= best + SCORE_TIE).all()
    assert (found >= alone - SCORE_TIE).all()
    assert (found > alone + 1e-3).mean() > 0.1
    assert (found > best - 1e-3).mean() > 0.98
    assert (alone > best - 1e-3).mean() < 0.9


# --------------------------------------------------------------------------------- sampling


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(("temperature", "top_k"), [(1.0, None), (0.5, None), (2.0, 2)])
def test_samples_have_the_probabilities_of_the_model(
    how: str, temperature: float, top_k: int | None
) -> None:
    given = weights(4)
    rows = 4000
    first, h = np.zeros(rows, "int32"), np.tile(starts(1)[1], (rows, 1))
    gx.seed(0)
    options: dict[str, Any] = {"length": 2, "temperature": temperature, "top_k": top_k}
    if how == "steps":
        options["seed"] = 0
    tokens, scores = run(how, gx.decode.sample, given, first, h, **options)
    counts = np.zeros((WORDS, WORDS))
    np.add.at(counts, tuple(tokens.T), 1)
    state = np.tanh(given["table"][0] @ given["w"] + h[0] @ given["u"])

    def shares(x: Any) -> Any:
        if top_k:
            x = np.where(x < np.sort(x)[-top_k], -np.inf, x)
        return np.exp(log_softmax(x / temperature))

    outer = shares(state @ given["out"])
    expected = np.zeros((WORDS, WORDS))
    for a in range(WORDS):
        after = np.tanh(given["table"][a] @ given["w"] + state @ given["u"])
        expected[a] = outer[a] * shares(after @ given["out"])
    np.testing.assert_allclose(counts / rows, expected, atol=4 / np.sqrt(4 * rows))
    assert (counts[expected == 0] == 0).all()
    for row in range(20):
        whole = score(given, 0, tokens[row], None, h[row])
        assert scores[row] == pytest.approx(whole, **SCORE_OR_ZERO)


def test_a_seed_repeats_a_sample() -> None:
    given, (first, h) = weights(5), starts(6)
    options: dict[str, Any] = {"length": 8, "end": 0}
    a, b, c = (
        run("steps", gx.decode.sample, given, first, h, seed=s, **options)[0] for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(a, b)
    assert not np.array_equal(a, c)
    ended = np.cumsum(a == 0, axis=1) > 0
    assert (a[ended] == 0).all()


def test_without_a_state() -> None:
    table = np.log(np.array([[0.1, 0.9], [0.6, 0.4]], "float32"))
    first = np.array([0], "int64")
    tokens, scores = gx.decode.greedy(lambda t: table[t], first, length=3)
    assert tokens.tolist() == [[1, 0, 1]]
    assert scores[0] == pytest.approx(np.log(0.9 * 0.6 * 0.9), **SCORE_OF_THREE)
    token = gx.input("first", (1,), "int64")
    tokens, scores = gx.decode.beam_search(lambda t: gx.take(table, t), token, length=2, beams=2)
    found = gx.compile([token], [tokens, scores])(first)
    assert found[0].tolist() == [[[1, 0], [1, 1]]]
    assert_close(found[1], np.log([[0.54, 0.36]]))


# --------------------------------------------------------------------------------- mistakes


def test_mistakes() -> None:
    def step(token: Any, *state: Any) -> Any:
        return (np.zeros((len(token), 3), "float32"), *state)

    first = np.zeros(2, "int32")
    greedy = gx.decode.greedy
    with pytest.raises(ArgumentError, match="greedy: length must be an int of 1 or more, got 0"):
        greedy(step, first, length=0)
    with pytest.raises(ArgumentError, match="first must be a tensor or an array, got 3"):
        greedy(step, 3, length=1)
    with pytest.raises(DTypeError, match="first must be a vector of integers, got float32"):
        greedy(step, first.astype("float32"), length=1)
    with pytest.raises(ShapeError, match=r"first must be a vector of integers, got int32\(2, 1\)"):
        greedy(step, first[:, None], length=1)
    with pytest.raises(ArgumentError, match="state must be a list or tuple, got ndarray"):
        greedy(step, first, np.zeros((2, 3)), length=1)
    with pytest.raises(ShapeError, match=r"part 0 of the state must have 2 rows, got \(3, 3\)"):
        greedy(step, first, [np.zeros((3, 3))], length=1)
    with pytest.raises(ArgumentError, match="end must be a token or None, got 'x'"):
        greedy(step, first, length=1, end="x")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="step returned 1 values, not scores and 1 parts"):
        greedy(lambda t, h: np.zeros((2, 3)), first, [np.zeros((2, 3))], length=1)
    with pytest.raises(ShapeError, match=r"scores must be \(rows, vocabulary\) with 2 rows, got"):
        greedy(lambda t: np.zeros((1, 3)), first, length=1)
    with pytest.raises(ArgumentError, match="returned a Tensor for a ndarray") as caught:
        greedy(lambda t: gx.zeros((2, 3)), first, length=1)
    assert "tensors as first tokens build a graph" in str(caught.value)
    with pytest.raises(ArgumentError, match="beams must be an int of 1 or more, got 0"):
        gx.decode.beam_search(step, first, length=1, beams=0)
    with pytest.raises(ArgumentError, match="temperature must be above 0, got 0"):
        gx.decode.sample(step, first, length=1, temperature=0)
    with pytest.raises(ArgumentError, match="top_k must be an int of 1 or more, got 0"):
        gx.decode.sample(step, first, length=1, top_k=0)
