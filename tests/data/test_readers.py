"""Readers of tables, arrays, images, text and sound, against other writers of these formats."""

from __future__ import annotations

import io
import json
import pickle
import struct
import wave
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphc as gx
from graphc import data
from graphc.errors import ArgumentError, FormatError, GraphcError, NameError, UnsupportedError
from graphc.testing import assert_close

TABLE = """area,town,rooms
50.5,"Ash, ford",2
, Brook ,3
1e2,NA,4
"""


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# -- tables


def test_csv_has_numbers_and_categories(tmp_path: Path) -> None:
    table = data.csv(write(tmp_path / "t.csv", "\ufeff" + TABLE))
    np.testing.assert_array_equal(table["area"], [50.5, np.nan, 100.0])
    assert table["town"].tolist() == [0, 1, -1]
    assert table.categories == {"town": ("Ash, ford", "Brook")}
    assert len(table) == 3
    x = table.matrix("rooms", "town")
    np.testing.assert_array_equal(x, np.array([[2, 1, 0], [3, 0, 1], [4, 0, 0]], np.float32))
    assert x.dtype == np.float32
    assert table.features() == ["area", "town=Ash, ford", "town=Brook", "rooms"]
    assert table.matrix().shape == (3, 4)
    with pytest.raises(NameError, match="no column is called 'price'"):
        table["price"]


def test_csv_of_a_second_file_has_the_codes_of_the_first(tmp_path: Path) -> None:
    first = data.csv(write(tmp_path / "a.csv", "k;v\nb;1\na;2\n"), delimiter=";")
    other = write(tmp_path / "b.csv", "b;3\nb;4\n")
    second = data.csv(other, first.categories, ["k", "v"], ";")
    assert second["k"].tolist() == [1, 1]
    with pytest.raises(FormatError, match=r"b.csv:2: k is 'b', which is no known category"):
        data.csv(write(tmp_path / "b.csv", "a;3\nb;4\n"), {"k": ["a"]}, ["k", "v"], ";")
    codes = data.csv(other, ["v"], ["k", "v"], ";")
    assert codes.categories["v"] == ("3", "4")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "empty"),
        ("a,b\n1\n", r"t.csv:2: 1 cells, there are 2 columns"),
        ("a,a\n1,2\n", "two columns are called 'a'"),
        ("a\n" + "1\n" * 19 + "1,5\n", r"t.csv:21: 2 cells"),
        ("a\n" + "1\n" * 19 + "l2\n", r"t.csv:21: a is 'l2', most of the column are numbers"),
        ('a\n"x\n', "unexpected end of data"),
        (b"a\n\xff\xfe\n", "no UTF-8 text"),
    ],
)
def test_csv_says_what_is_wrong(tmp_path: Path, content: Any, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        data.csv(write(tmp_path / "t.csv", content))


def test_csv_knows_its_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", TABLE)
    with pytest.raises(ArgumentError, match="has no column 'twon'"):
        data.csv(path, ["twon"])
    with pytest.raises(OSError, match=r"none.csv"):
        data.csv(tmp_path / "none.csv")


# -- arrays


def test_npz_never_unpickles(tmp_path: Path) -> None:
    a, b = np.arange(6, dtype=">i2").reshape(2, 3), np.ones(2, np.float32)
    np.savez(tmp_path / "a.npz", a=a, b=b)
    np.savez_compressed(tmp_path / "c.npz", a=a, b=b)
    for name in ("a.npz", "c.npz"):
        found = data.npz(tmp_path / name)
        np.testing.assert_array_equal(found["a"], a)
        assert found["a"].dtype.isnative
        np.testing.assert_array_equal(found["b"], b)
    np.savez(tmp_path / "o.npz", o=np.array([{1}], object))
    with pytest.raises(FormatError, match="Object arrays cannot be loaded"):
        data.npz(tmp_path / "o.npz")
    with pytest.raises(FormatError, match=r"not an \.npz file"):
        data.npz(write(tmp_path / "p.npz", pickle.dumps([1])))


def test_mat(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy")
    sparse = scipy.sparse.csr_array(np.eye(3))
    content = {"X": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "y": [1.5, 2.0], "s": sparse,
               "word": "text", "st": {"a": 1}}  # fmt: skip
    scipy.io.savemat(tmp_path / "m.mat", content)
    found = data.mat(tmp_path / "m.mat")
    assert set(found) == {"X", "y", "s", "word"}
    np.testing.assert_array_equal(found["X"], content["X"])
    np.testing.assert_array_equal(found["s"], np.eye(3))
    with pytest.raises(FormatError, match="not a MATLAB file"):
        data.mat(write(tmp_path / "n.mat", b"nonsense" * 40))
    with pytest.raises(OSError, match=r"none\.mat"):
        data.mat(tmp_path / "none.mat")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    with pytest.raises(UnsupportedError, match=r"7\.3 is HDF5"):
        data.mat(write(tmp_path / "h.mat", header + b"\0" * 64))


# -- images


def test_image_folder(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (3, 4, 5, 3), dtype=np.uint8)
    for i, name in enumerate(["dog/1.png", "cat/b.PNG", "cat/deep/a.bmp"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        image.fromarray(pixels[i]).save(tmp_path / name)
    (tmp_path / "cat" / "notes.txt").write_text("no image")
    x, y, classes = data.image_folder(tmp_path)
    assert classes == ["cat", "dog"]
    assert y.tolist() == [0, 0, 1]
    np.testing.assert_array_equal(x, pixels[[1, 2, 0]])
    x, _, _ = data.image_folder(tmp_path, size=(8, 6), channels=1)
    assert (x.shape, x.dtype) == ((3, 8, 6, 1), np.uint8)
    image.fromarray(pixels[0, :2]).save(tmp_path / "dog/2.png")
    with pytest.raises(FormatError, match=r"2x5 pixels, but .* has 4x5"):
        data.image_folder(tmp_path)
    write(tmp_path / "dog/3.png", b"nonsense")
    with pytest.raises(FormatError, match=r"3\.png: not an image"):
        data.image_folder(tmp_path, size=(2, 2))


def test_image_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "cat").mkdir()
    with pytest.raises(FormatError, match="no folder with images in it"):
        data.image_folder(tmp_path)
    with pytest.raises(ArgumentError, match="channels must be 1, 3 or 4, got 2"):
        data.image_folder(tmp_path, channels=2)


# -- text


def test_text(tmp_path: Path) -> None:
    assert data.text(write(tmp_path / "t", "\ufeffa\r\nb\rc\n")) == "a\nb\nc\n"
    with pytest.raises(FormatError, match="no utf-8 text: invalid start byte at byte 1"):
        data.text(write(tmp_path / "t", b"a\xff"))
    assert data.text(tmp_path / "t", "latin-1") == "aÿ"


def test_aligned(tmp_path: Path) -> None:
    pairs = [("a b", "x"), ("c", "y z")]
    one = write(tmp_path / "t", "a b\tx\tignored\n\nc\ty z\n")
    assert data.aligned(one) == pairs
    two = write(tmp_path / "a", "a b\n\nc\n"), write(tmp_path / "b", "x\n\ny z")
    assert data.aligned(*two) == pairs
    with pytest.raises(FormatError, match=r"has 3 lines, .* 1"):
        data.aligned(two[0], write(tmp_path / "b", "x\n"))
    with pytest.raises(FormatError, match=r"t:2: no '\\t' between"):
        data.aligned(write(tmp_path / "t", "a\tb\nc\n"))


def test_captions(tmp_path: Path) -> None:
    images = [{"id": 7, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    said = [{"image_id": 7, "caption": " A dog."}, {"image_id": 7, "caption": "One dog."}]
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"images": images, "annotations": said}))
    assert data.captions(path) == {"a.jpg": ["A dog.", "One dog."], "b.jpg": []}
    for wrong, complaint in (
        ("{", "no JSON"), ("[]", "no file of captions"), ('{"images": [{}]}', "'id' is missing"),
        (json.dumps({"images": [], "annotations": said}), "7 is missing"),
        ('{"images": 3}', "no file of captions"),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=complaint):
            data.captions(write(path, wrong))


def test_vocabulary() -> None:
    words = data.Vocabulary([["b", "a", "b"], ["c", "b", "a"]], size=4)
    assert words.tokens == ("<pad>", "<unk>", "b", "a")
    assert words.encode(["a", "c", "b"]).tolist() == [3, 1, 2]
    assert words.decode([3, 1]) == ["a", "<unk>"]
    characters = data.Vocabulary("hello", special=())
    assert "".join(characters.decode(characters.encode("hole"))) == "hole"
    with pytest.raises(ArgumentError, match="no token is 'x'"):
        characters.encode("lx")
    with pytest.raises(ArgumentError, match="9 is none of 4 tokens"):
        characters.decode([9])


# -- sound


@pytest.mark.parametrize(("width", "channels"), [(1, 1), (2, 1), (2, 2), (3, 2), (4, 1)])
def test_wav(tmp_path: Path, width: int, channels: int) -> None:
    rng = np.random.default_rng(width)
    numbers = rng.integers(-(2 ** (8 * width - 1)), 2 ** (8 * width - 1), (51, channels))
    numbers[0], numbers[1] = -(2 ** (8 * width - 1)), 2 ** (8 * width - 1) - 1
    raw = b"".join(
        int(n + (128 if width == 1 else 0)).to_bytes(width, "little", signed=width > 1)
        for n in numbers.ravel()
    )
    with wave.open(str(tmp_path / "s.wav"), "wb") as file:
        file.setparams((channels, width, 16000, 0, "NONE", ""))
        file.writeframes(raw)
    samples, rate = data.wav(tmp_path / "s.wav")
    assert (rate, samples.dtype) == (16000, np.float32)
    expected = (numbers / 2.0 ** (8 * width - 1)).astype(np.float32)
    np.testing.assert_array_equal(samples, expected[:, 0] if channels == 1 else expected)


def test_wav_of_floats(tmp_path: Path) -> None:
    wavfile = pytest.importorskip("scipy.io.wavfile")
    sound = np.linspace(-2, 2, 7, dtype=np.float32)
    wavfile.write(tmp_path / "f.wav", 8000, sound)
    np.testing.assert_array_equal(data.wav(tmp_path / "f.wav")[0], sound)


def good_wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(struct.pack("<4h", 1, 2, 3, 4))
    return buffer.getvalue()


@given(st.integers(0, 51), st.integers(0, 255), st.integers(0, 52))
def test_damaged_sound_is_an_error_or_a_sound(place: int, byte: int, end: int) -> None:
    content = bytearray(good_wav())
    content[place] = byte
    with TemporaryDirectory() as folder, suppress(GraphcError):
        path = write(Path(folder, "s.wav"), bytes(content[:end] if end < place else content))
        assert data.wav(path)[0].dtype == np.float32


def mel_by_hand(x: Any, rate: int, frame: int, hop: int, bands: int) -> Any:
    """Frame by frame, filter by filter."""
    mels = np.linspace(2595 * np.log10(1 + 20 / 700), 2595 * np.log10(1 + rate / 1400), bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(frame) / frame)
    rows = []
    for start in range(0, len(x) - frame + 1, hop):
        power = np.abs(np.fft.rfft(x[start : start + frame] * window)) ** 2
        frequencies = np.fft.rfftfreq(frame, 1 / rate)
        rows.append(
            [
                np.log(max(power @ np.interp(frequencies, edges[i : i + 3], [0, 1, 0]), 1e-6))
                for i in range(bands)
            ]
        )
    return np.array(rows)


def test_log_mel_is_that_of_the_formula() -> None:
    rate, frame, hop, bands = 8000, 200, 80, 12
    x = gx.input("x", ("batch", 1000), "float64")
    features = gx.compile([x], data.log_mel(x, rate, frame, hop, bands))
    sounds = np.random.default_rng(0).normal(0, 1, (2, 1000))
    expected = np.stack([mel_by_hand(s, rate, frame, hop, bands) for s in sounds])
    found = features(sounds)
    assert found.shape == (2, 11, 12)
    assert_close(found, expected)
    tone = np.sin(2 * np.pi * 1000 * np.arange(1000) / rate)[None]
    corners = 700 * (
        10 ** (np.linspace(*(2595 * np.log10(1 + np.array([20, 4000]) / 700)), 14) / 2595) - 1
    )
    assert features(tone)[0, 5].argmax() == np.abs(corners[1:-1] - 1000).argmin()
    with pytest.raises(ArgumentError, match="log_mel: needs 0 <= low < high"):
        data.log_mel(x, rate, high=5000.0)
