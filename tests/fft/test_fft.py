"""Fourier transforms against numpy, windows and frames against SciPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.signal

import graphc as gx
from graphc.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from graphc.fft.stages import convenient, first_stage
from graphc.testing import assert_close
from tests.tolerances import LAST_PLACE_OF_ONE

Array = np.ndarray[Any, Any]
EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
# one stage, several stages, primes of every kind
SIZES = (1, 2, 3, 4, 5, 16, 64, 65, 67, 128, 263, 390, 1000, 1009)


def numbers(*shape: int, dtype: str = "float64", seed: int = 0) -> Array:
    """Complex numbers whose parts have a dtype."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape).astype(dtype) + 1j * rng.normal(size=shape).astype(dtype)


def call(function: Callable[..., Any], *arrays: Array) -> Any:
    """What compiled code makes of arrays; complex ones are given and come as pairs."""
    inputs, values, given = [], [], []
    for i, a in enumerate(arrays):
        parts = [a.real, a.imag] if a.dtype.kind == "c" else [a]
        named = [gx.input(f"x{i}{k}", p.shape, dtype=p.dtype.name) for k, p in enumerate(parts)]
        inputs += named
        given.append(tuple(named) if len(parts) == 2 else named[0])
        values += [np.ascontiguousarray(p) for p in parts]
    found = gx.compile(inputs, function(*given))(*values)
    return found.real + 1j * found.imag if isinstance(found, gx.fft.Complex) else found


def check(found: Array, wanted: Array, dtype: str = "float64", factor: float = 16) -> None:
    """Equal up to a few roundings of the largest element."""
    assert found.shape == wanted.shape
    scale = max(1e-300, float(np.abs(wanted).max())) if wanted.size else 1.0
    assert np.abs(found - wanted).max(initial=0.0) <= factor * EPS[dtype] * scale


@pytest.mark.parametrize("n", SIZES)
def test_every_size(n: int) -> None:
    inputs, outputs, arrays = [], [], []
    for dtype in EPS:
        pair = [gx.input(f"{part}_{dtype}", (3, n), dtype=dtype) for part in ("re", "im")]
        z = numbers(3, n, dtype=dtype)
        inputs += pair
        arrays += [z.real.astype(dtype), z.imag.astype(dtype)]
        half = gx.fft.rfft(pair[0])
        outputs.append((gx.fft.fft(pair), half, gx.fft.irfft(half, n)))
    found = gx.compile(inputs, outputs)(*arrays)
    for dtype, (whole, half, back) in zip(EPS, found):
        z = numbers(3, n, dtype=dtype).astype(np.complex128)
        assert back.dtype == whole[0].dtype == half[0].dtype == dtype
        check(whole[0] + 1j * whole[1], np.fft.fft(z), dtype)
        check(half[0] + 1j * half[1], np.fft.rfft(z.real), dtype)
        check(back, z.real, dtype)


@pytest.mark.parametrize(
    ("axis", "n", "norm"),
    [
        (0, None, "backward"),
        (1, 4, "ortho"),
        (-1, 9, "forward"),
        (0, 7, "ortho"),
        (2, 6, "forward"),
    ],
)
def test_along_an_axis(axis: int, n: int | None, norm: Any) -> None:
    z, x = numbers(5, 6, 7), numbers(5, 6, 7).real
    for name in ("fft", "ifft", "irfft", "hfft"):
        found = call(lambda v, name=name: getattr(gx.fft, name)(v, n, axis, norm), z)
        check(found, getattr(np.fft, name)(z, n, axis, norm))
    for name in ("rfft", "ihfft"):
        found = call(lambda v, name=name: getattr(gx.fft, name)(v, n, axis, norm), x)
        check(found, getattr(np.fft, name)(x, n, axis, norm))


@pytest.mark.parametrize(
    ("s", "axes"), [(None, None), (None, (0, 2)), ((4, 8), None), ((3, 5), (2, 0)), ((9,), (1,))]
)
def test_along_several_axes(s: Any, axes: Any) -> None:
    z, x = numbers(4, 5, 6), numbers(4, 5, 6).real
    filled = axes if axes is not None or s is None else tuple(range(-len(s), 0))
    for name in ("fftn", "ifftn", "irfftn"):
        found = call(lambda v, name=name: getattr(gx.fft, name)(v, s, axes), z)
        check(found, getattr(np.fft, name)(z, s, filled))
    check(call(lambda v: gx.fft.rfftn(v, s, axes), x), np.fft.rfftn(x, s, filled))


def test_two_axes() -> None:
    z, x = numbers(2, 8, 9), numbers(2, 8, 9).real
    for name in ("fft2", "ifft2", "irfft2"):
        check(call(getattr(gx.fft, name), z), getattr(np.fft, name)(z))
    check(call(gx.fft.rfft2, x), np.fft.rfft2(x))


def test_real_numbers_and_constants_are_exact() -> None:
    found = call(gx.fft.fft, np.ones(4))
    np.testing.assert_array_equal(found, np.eye(4)[0] * 4)
    assert first_stage(64) == 64
    assert first_stage(1009) == 0
    assert [convenient(n) for n in (1, 2, 7, 17, 121, 2017)] == [1, 2, 8, 18, 125, 2025]


@pytest.mark.parametrize("n", [6, 65, 70, 263])
def test_the_gradient_is_the_adjoint(n: int) -> None:
    x, y = gx.input("x", (n,), dtype="float64"), gx.input("y", (n,), dtype="float64")
    u, v = numbers(n, seed=1).real, numbers(n, seed=1).imag
    re, im = gx.fft.fft((x, y))
    slopes = gx.grad(gx.sum(re * u) + gx.sum(im * v), [x, y])
    z = numbers(n)
    found = gx.compile([x, y], slopes)(z.real.copy(), z.imag.copy())
    wanted = np.conj(np.fft.fft(np.conj(u + 1j * v)))
    check(found[0] + 1j * found[1], wanted)


def test_shifts_and_frequencies() -> None:
    x = np.arange(30.0).reshape(5, 6)
    for axes in (None, 0, (1,), (0, -1)):
        np.testing.assert_array_equal(
            call(lambda v, a=axes: gx.fft.fftshift(v, a), x), np.fft.fftshift(x, axes)
        )
        back = call(lambda v, a=axes: gx.fft.ifftshift(gx.fft.fftshift(v, a), a), x + 1j * x)
        np.testing.assert_array_equal(back, x + 1j * x)
    for n in (1, 4, 7):
        f, r = gx.fft.fftfreq(n, 0.1, "float64"), gx.fft.rfftfreq(n, 0.1, "float64")
        np.testing.assert_array_equal(f.eval({}), np.fft.fftfreq(n, 0.1))
        np.testing.assert_array_equal(r.eval({}), np.fft.rfftfreq(n, 0.1))


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman"])
@pytest.mark.parametrize("n", [1, 2, 7, 16])
@pytest.mark.parametrize("periodic", [False, True])
def test_windows(name: str, n: int, periodic: bool) -> None:
    found = getattr(gx.fft, name)(n, periodic, dtype="float64").eval({})
    wanted = scipy.signal.get_window(name, n, fftbins=periodic)
    np.testing.assert_allclose(found, wanted, **LAST_PLACE_OF_ONE)


FRAMES = [(8, 4), (16, 5), (9, 3), (32, 1), (6, 6), (5, 7)]


@pytest.mark.parametrize(("frame", "hop"), FRAMES)
@pytest.mark.parametrize("center", [False, True])
def test_frames(frame: int, hop: int, center: bool) -> None:
    x = numbers(2, 77).real
    window = scipy.signal.get_window("hamming", frame)
    found = call(lambda v: gx.fft.stft(v, frame, hop, "hamming", center), x)
    padded = np.pad(x, ((0, 0), (frame // 2, frame // 2))) if center else x
    shown = np.lib.stride_tricks.sliding_window_view(padded, frame, axis=-1)[:, ::hop]
    check(found, np.fft.rfft(shown * window))


@pytest.mark.parametrize(("frame", "hop"), [pair for pair in FRAMES if pair[1] <= pair[0]])
@pytest.mark.parametrize("center", [False, True])
def test_frames_there_and_back(frame: int, hop: int, center: bool) -> None:
    x = numbers(2, 77).real
    count = (77 + (2 * (frame // 2) if center else 0) - frame) // hop + 1

    def there_and_back(v: Any) -> Any:
        frames = gx.fft.stft(v, frame, hop, "hamming", center)
        return gx.fft.istft(frames, frame, hop, "hamming", center, length=70)

    back = call(there_and_back, x)
    assert back.shape == (2, 70)
    covered = min(70, (count - 1) * hop + frame - (frame if center else 0))
    assert_close(back[:, :covered], x[:, :covered])


def test_frames_of_unknown_length() -> None:
    x = gx.input("x", ("t",), dtype="float64")
    step = gx.compile([x], gx.fft.stft(x, 8, 3, None))
    for size in (8, 21, 40):
        a = numbers(size).real
        shown = np.lib.stride_tricks.sliding_window_view(np.pad(a, 4), 8)[::3]
        found = step(a)
        check(found.real + 1j * found.imag, np.fft.rfft(shown))


def test_gradient_of_a_spectrogram() -> None:
    x = gx.input("x", (50,), dtype="float64")
    re, im = gx.fft.stft(x, 12, 5, "blackman")
    loss = gx.sum(gx.log(re * re + im * im + 1.0))
    gx.check_gradients(loss, [x], {x: numbers(50).real})


X = gx.input("x", (3, 4))


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: gx.fft.fft((X, X, X)), ArgumentError, "fft: needs a pair"),
        (lambda: gx.fft.fft((X, X[0])), ShapeError, "fft: shapes differ"),
        (lambda: gx.fft.fft(X, norm="unit"), ArgumentError, "norm is one of backward, ortho"),
        (lambda: gx.fft.fft(X, n=0), ShapeError, "needs one element or more, got 0"),
        (lambda: gx.fft.rfft(X.astype("float16")), DTypeError, "needs float32 or float64"),
        (lambda: gx.fft.fft(X.astype("int32")), DTypeError, "fft: needs floats, got int32"),
        (lambda: gx.fft.fft(gx.input("y", ("n",))), UnsupportedError, "the size n of axis 0"),
        (lambda: gx.fft.fftn(X, (2, 3, 4)), Exception, "axis -3"),
        (lambda: gx.fft.fftn(X, (2,), (0, 1)), ArgumentError, "1 sizes for 2 axes"),
        (lambda: gx.fft.stft(X, 4, 0), ArgumentError, "stft: frames of 4, 0 apart"),
        (lambda: gx.fft.stft(X, 9, 2, center=False), ShapeError, "frames of 9 do not fit into 4"),
        (lambda: gx.fft.stft(X, 4, 2, "square"), ArgumentError, "no window is called 'square'"),
        (lambda: gx.fft.stft(X, 4, 2, X[0, :3]), ShapeError, "the window is f32.3."),
        (lambda: gx.fft.hann(0), ArgumentError, "hann: needs one element"),
    ],
)
def test_messages(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
