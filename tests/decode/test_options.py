"""top-p, penalties and streams of decoding, against searches and draws written in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, RuntimeCheckError
from graphc.testing import assert_close
from tests.decode.test_decode import HOWS, every, log_softmax, run, starts, symbolic, weights
from tests.tolerances import SCORE


def fixed(given: Any) -> Any:
    """A step whose scores depend on the last token alone."""
    return lambda token: gx.take(given, token, axis=0)


def decoded(how: str, decode: Any, given: Any, first: Any, **options: Any) -> Any:
    """Decode in a graph or by a compiled step."""
    token = gx.input("first", ("rows",), "int32")
    if how == "steps":
        step = gx.compile([token], fixed(given)(token), target="interpret")
        return decode(step, first, **options)
    return gx.compile([token], decode(fixed(given), token, **options), target=how)(first)


# -------------------------------------------------------------------------------------- top-p


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.39, [1]), (0.41, [1, 3]), (0.71, [0, 1, 3]), (1.0, [0, 1, 2, 3])]
)
def test_top_p_keeps_the_fewest_that_reach_it(how: str, top_p: float, kept: list[int]) -> None:
    shares = np.array([0.2, 0.4, 0.1, 0.3])
    table = np.tile(np.log(shares), (4, 1)).astype("float32")
    first, options = np.zeros(4000, "int32"), {"seed": 3} if how == "steps" else {}
    gx.seed(3)
    tokens, _ = decoded(how, gx.decode.sample, table, first, length=1, top_p=top_p, **options)
    counts = np.bincount(tokens[:, 0], minlength=4) / len(first)
    assert np.flatnonzero(counts).tolist() == kept
    expected = shares[kept] / shares[kept].sum()
    np.testing.assert_allclose(counts[kept], expected, atol=4 / np.sqrt(4 * len(first)))


def test_top_p_comes_after_temperature_and_top_k() -> None:
    """Of 0.4 0.3 0.2 0.1 at temperature 0.5 and the best three: 0.55 0.31 0.14."""
    table = np.tile(np.log([0.2, 0.4, 0.1, 0.3]), (4, 1)).astype("float32")
    options: dict[str, Any] = {"length": 1, "temperature": 0.5, "top_k": 3, "seed": 0}
    first = np.zeros(500, "int32")
    for top_p, kept in ((0.54, {1}), (0.56, {1, 3}), (0.88, {0, 1, 3}), (None, {0, 1, 3})):
        tokens, _ = decoded("steps", gx.decode.sample, table, first, top_p=top_p, **options)
        assert set(tokens[:, 0]) == kept


# ----------------------------------------------------------------------------------- penalties


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("end", [None, 2])
@pytest.mark.parametrize("penalty", [-0.5, 0.7, 2.0])
def test_long_sequences_are_favoured(how: str, end: int | None, penalty: float) -> None:
    given, (first, h) = weights(1), starts(3)
    options: dict[str, Any] = {"length": 4, "beams": 81, "end": end, "length_penalty": penalty}
    tokens, scores = run(how, gx.decode.beam_search, given, first, h, **options)
    for row in range(3):
        found = []
        for total, each in every(given, int(first[row]), 4, end, h[row]):
            count = each.index(end) + 1 if end in each else 4
            found.append((total / ((5 + count) / 6) ** penalty, each))
        found.sort(reverse=True)
        assert_close(scores[row, : len(found)], [s for s, _ in found], each=True)
        assert tokens[row, : len(found)].tolist() == [list(t) for _, t in found]


def penalized(scores: Any, had: list[int], penalty: float) -> Any:
    """Log-probabilities where tokens that were had count less."""
    scores = scores.copy()
    for token in set(had):
        scores[token] = scores[token] / penalty if scores[token] > 0 else scores[token] * penalty
    return log_softmax(scores)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("end", [None, 2])
def test_repetition_penalty(how: str, end: int | None) -> None:
    table = np.random.default_rng(0).normal(size=(6, 6)).astype("float32") * 2
    first, penalty = np.arange(6, dtype="int32"), 1.8
    options: dict[str, Any] = {"length": 5, "end": end, "repetition_penalty": penalty}
    tokens, scores = decoded(how, gx.decode.greedy, table, first, **options)
    for row in range(6):
        had, total = [row], 0.0
        while len(had) < 6 and (end is None or len(had) == 1 or had[-1] != end):
            gains = penalized(table[had[-1]], had, penalty)
            had.append(int(gains.argmax()))
            total += gains[had[-1]]
        assert tokens[row, : len(had) - 1].tolist() == had[1:]
        assert scores[row] == pytest.approx(total, **SCORE)
    plain, _ = decoded(how, gx.decode.greedy, table, first, length=5, end=end)
    assert (plain != tokens).any()
    one, best = decoded(how, gx.decode.beam_search, table, first, beams=1, **options)
    np.testing.assert_array_equal(one[:, 0], tokens)
    assert_close(best[:, 0], scores)
    options |= {"top_k": 1}
    drawn, same = decoded(how, gx.decode.sample, table, first, **options)
    np.testing.assert_array_equal(drawn, tokens)
    assert_close(same, scores)


@pytest.mark.parametrize("how", HOWS)
def test_beams_remember_what_they_had(how: str) -> None:
    """As many beams as sequences: each has the score of its own history."""
    table = np.random.default_rng(1).normal(size=(3, 3)).astype("float32") * 2
    options: dict[str, Any] = {"length": 3, "beams": 27, "repetition_penalty": 2.5}
    tokens, scores = decoded(
        how, gx.decode.beam_search, table, np.array([1, 2], "int32"), **options
    )
    for row, first in enumerate((1, 2)):
        for beam in range(27):
            had, total = [first], 0.0
            for token in tokens[row, beam]:
                total += penalized(table[had[-1]], had, 2.5)[token]
                had.append(int(token))
            assert scores[row, beam] == pytest.approx(total, **SCORE)


# ------------------------------------------------------------------------- early end, streams


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("decode", ["greedy", "sample", "beam_search"])
def test_the_loop_ends_when_all_rows_have(how: str, decode: str) -> None:
    """The step can be run four times; row 0 ends after one, row 1 after three."""
    table = gx.constant(np.zeros(4, "float32"))
    nexts = np.full((4, 4), -np.inf, "float32")
    nexts[[0, 1, 2, 3], [1, 2, 3, 3]] = 0

    def step(token: Any, at: Any) -> Any:
        scores = gx.take(gx.constant(nexts), token, axis=0)
        return scores + gx.take(table, at)[:, None], at + 1

    token, at = (gx.input(name, ("rows",), "int32") for name in ("first", "at"))
    arrays = np.array([2, 0], "int32"), np.zeros(2, "int32")
    options: dict[str, Any] = {"length": 50} | ({"beams": 2} if decode == "beam_search" else {})
    call = getattr(gx.decode, decode)
    if how == "steps":
        compiled = gx.compile([token, at], step(token, at), target="interpret")
        tokens, scores = call(compiled, arrays[0], (arrays[1],), end=3, **options)
        with pytest.raises(RuntimeCheckError):
            call(compiled, arrays[0], (arrays[1],), **options)
    else:
        found = call(step, token, (at,), end=3, **options)
        tokens, scores = gx.compile([token, at], found, target=how)(*arrays)
    best = tokens[:, 0] if decode == "beam_search" else tokens
    assert best.tolist() == [[3] * 50, [1, 2] + [3] * 48]
    assert (scores[:, 0] if decode == "beam_search" else scores).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("end", [None, 0])
def test_a_stream_has_the_columns_of_a_sample(end: int | None) -> None:
    given, (first, h) = weights(5), starts(3)
    options: dict[str, Any] = {"length": 12, "end": end, "seed": 1, "temperature": 1.5}
    token, state = gx.input("first", ("rows",), "int32"), gx.input("h", ("rows", 4))
    step = gx.compile([token, state], symbolic(given)(token, state), target="interpret")
    wanted, _ = gx.decode.sample(step, first, (h,), **options)
    got = np.stack(list(gx.decode.stream(step, first, (h,), **options)), axis=1)
    ends = int((np.cumsum(wanted == 0, axis=1) > 0).argmax(axis=1).max()) + 1
    assert got.shape[1] == (12 if end is None else ends)
    assert ends < 12
    np.testing.assert_array_equal(got, wanted[:, : got.shape[1]])
    best = np.stack(list(gx.decode.stream(step, first, (h,), length=6, top_k=1)), axis=1)
    np.testing.assert_array_equal(best, gx.decode.greedy(step, first, (h,), length=6)[0])


def test_a_stream_runs_the_step_when_asked() -> None:
    calls = []

    def step(token: Any) -> Any:
        calls.append(token)
        return np.zeros((len(token), 3), "float32")

    tokens = gx.decode.stream(step, np.zeros(2, "int32"), length=4)
    assert calls == []
    next(tokens)
    assert len(calls) == 1


# ------------------------------------------------------------------------------------ mistakes


def test_mistakes() -> None:
    def step(token: Any) -> Any:
        return np.zeros((len(token), 3), "float32")

    first = np.zeros(2, "int32")
    for wrong in (0, 1.5, "all", float("nan")):
        with pytest.raises(ArgumentError, match="sample: top_p must be above 0 and at most 1"):
            gx.decode.sample(step, first, length=1, top_p=wrong)  # type: ignore[arg-type]
    for wrong in (0, -1.0, None):
        with pytest.raises(ArgumentError, match="repetition_penalty must be a number above 0"):
            gx.decode.greedy(step, first, length=1, repetition_penalty=wrong)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="length_penalty must be a number, got 'long'"):
        gx.decode.beam_search(step, first, length=1, beams=1, length_penalty="long")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="stream: first must be an array"):
        gx.decode.stream(step, gx.input("first", (2,), "int32"), length=1)
    with pytest.raises(ArgumentError, match="stream: length must be an int of 1 or more"):
        gx.decode.stream(step, first, length=0)
