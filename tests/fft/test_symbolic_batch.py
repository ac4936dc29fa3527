"""Transforms of any number of rows, which are not known when they are compiled."""

from __future__ import annotations

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close
from tests.tolerances import SPECTRA, SPECTRA_OF_PLANES


@pytest.mark.parametrize("n", [1, 30, 257, 263])  # one stage, two, a prime, a convolution
def test_batches_of_any_size(n: int) -> None:
    x = gx.input("x", ("rows", n))
    back = gx.fft.irfft(gx.fft.rfft(x), n=n)
    outputs = [*gx.fft.fft(x), back, gx.grad(gx.sum(back * back), x)]
    step = gx.compile([x], outputs)
    for rows in (1, 3, 0, 8):
        given = np.random.default_rng(rows).standard_normal((rows, n)).astype(np.float32)
        real, imaginary, same, slope = step(given)
        np.testing.assert_allclose(
            real + 1j * imaginary, np.fft.fft(given), atol=SPECTRA * np.sqrt(n)
        )
        assert_close(same, given)
        assert_close(slope, 2 * given)


def test_several_axes_and_axes_in_front() -> None:
    x = gx.input("x", (6, "columns", 10))
    planes = gx.fft.fftn(x, axes=(0, 2))
    given = np.random.default_rng(0).standard_normal((6, 4, 10)).astype(np.float32)
    real, imaginary = gx.compile([x], list(planes))(given)
    wanted = np.fft.fftn(given, axes=(0, 2))
    np.testing.assert_allclose(real + 1j * imaginary, wanted, **SPECTRA_OF_PLANES)
