"""The random generator against known answers, and floats made of its bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from graphc.ir.loops.numpy_emitter import NumpyEmitter
from graphc.ir.loops.random_bits import (
    normal_float,
    philox,
    philox_block,
    philox_words,
    unit_float,
)
from graphc.testing import assert_close
from tests.ir.loops.ulp import UnfusedEmitter

EMITTER = NumpyEmitter()

# Random123's kat_vectors: counter, key, words
KNOWN = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


def bits(count: int, key: int = 7, step: int = 0, start: int = 0) -> Any:
    index = np.arange(start, start + count, dtype=np.uint64)
    return philox(EMITTER, np.uint32(key), np.uint32(0), np.uint32(step), index)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter: Any, key: Any, words: Any) -> None:
    as_words = [np.uint32(v) for v in counter], [np.uint32(v) for v in key]
    got = philox_words(EMITTER, tuple(as_words[1]), tuple(as_words[0]))
    assert tuple(int(v) for v in got) == words


def test_element_is_a_word_of_its_block() -> None:
    start = 2**40 + 3 * 64
    lanes = np.arange(16, dtype=np.uint64) + np.uint64((start >> 6) * 16)
    words = philox_block(EMITTER, np.uint32(7), np.uint32(0), np.uint32(5), lanes)
    np.testing.assert_array_equal(bits(64, step=5, start=start), np.concatenate(words))


def test_streams_differ() -> None:
    assert not np.any(bits(256) == bits(256, step=1))
    assert not np.any(bits(256) == bits(256, key=8))
    assert not np.any(bits(256) == bits(256, start=256))


def test_unit_floats_are_uniform() -> None:
    x = unit_float(EMITTER, bits(200_000))
    assert x.dtype == np.float32
    assert x.min() >= 0
    assert x.max() < 1
    assert stats.kstest(x, "uniform").pvalue > 1e-3
    ends = unit_float(EMITTER, np.array([0, 255, 256, 2**32 - 1], np.uint32))
    np.testing.assert_array_equal(ends, np.float32([0, 0, 2.0**-24, 1 - 2.0**-24]))


def test_normal_floats_are_normal() -> None:
    x = normal_float(EMITTER, bits(200_000), bits(200_000, step=1))
    assert x.dtype == np.float32
    assert stats.kstest(x, "norm").pvalue > 1e-3
    assert abs(stats.kurtosis(x)) < 0.05


def test_normal_floats_follow_their_formula_at_the_edges() -> None:
    edges = np.array([0, 1, 2**29, 2**30, 2**31 - 1, 2**31, 3 * 2**30, 2**32 - 1], np.uint32)
    random = np.random.default_rng(0).integers(0, 2**32, 20_000, dtype=np.uint32)
    first, second = np.concatenate([edges, random]), np.concatenate([edges[::-1], random[::-1]])
    u = np.float64(np.float32(first) * np.float32(2.0**-32) + np.float32(2.0**-33))
    wanted = np.sqrt(-2 * np.log(u)) * np.cos(second * (2 * np.pi / 2**32))
    got = normal_float(EMITTER, first, second)
    assert_close(got, wanted, tolerance="ulps", each=True, floor=1.0)


def test_normal_floats_use_no_fma() -> None:
    first, second = bits(1000), bits(1000, step=1)
    fused = normal_float(EMITTER, first, second)
    np.testing.assert_array_equal(fused, normal_float(UnfusedEmitter(), first, second))


def test_bits_have_no_obvious_structure() -> None:
    x = bits(2**16)
    ones = np.unpackbits(x.view(np.uint8)).mean()
    assert abs(ones - 0.5) < 5 * 0.5 / np.sqrt(x.size * 32)
    assert len(np.unique(x)) > x.size - 10
