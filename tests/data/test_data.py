"""The digits that ship, the IDX reader, the stratified split."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import struct
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphc import data
from graphc.data.digests import PUBLISHED
from graphc.errors import ArgumentError, FormatError, GraphcError


def test_digits_are_those_of_scikit_learn() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    truth = sklearn.load_digits()
    (x, y), (x_test, y_test) = data.digits()
    rows = np.concatenate([x, x_test]) * 16
    labels = np.concatenate([y, y_test])
    order = np.lexsort((*rows.T, labels))
    other = np.lexsort((*truth.data.T, truth.target))
    np.testing.assert_array_equal(rows[order], truth.data[other])
    np.testing.assert_array_equal(labels[order], truth.target[other])


def test_digits_have_the_documented_types_and_ship_with_a_licence() -> None:
    (x, y), (x_test, y_test) = data.digits(flatten=False)
    assert x.shape == (1438, 8, 8, 1)
    assert x_test.shape == (359, 8, 8, 1)
    assert (x.dtype, y.dtype) == (np.float32, np.int32)
    assert 0.0 <= x.min() < x.max() <= 1.0
    assert set(y_test) == set(range(10))
    package = resources.files("graphc.data")
    assert "BSD 3-Clause" in package.joinpath("DIGITS_LICENSE.txt").read_text()
    assert len(package.joinpath("digits.npz").read_bytes()) < 60_000


def test_digits_split_depends_on_the_seed_alone() -> None:
    again = data.digits()[0][0]
    np.testing.assert_array_equal(data.digits()[0][0], again)
    assert not np.array_equal(data.digits(seed=1)[0][0], again)


def test_split_keeps_every_row_once_and_every_class_in_proportion() -> None:
    y = np.repeat(np.arange(3), [10, 50, 101])
    x = np.arange(161)
    (first, first_y), (second, second_y) = data.split(x, y, share=0.3, seed=5)
    assert sorted([*first, *second]) == list(range(161))
    assert np.bincount(second_y).tolist() == [3, 15, 30]
    np.testing.assert_array_equal(y[first], first_y)
    np.testing.assert_array_equal(y[second], second_y)


def test_split_of_nothing() -> None:
    (x, y), (x2, y2) = data.split(np.zeros((0, 3)), np.zeros(0, np.int32))
    assert x.shape == x2.shape == (0, 3)
    assert len(y) == len(y2) == 0


@pytest.mark.parametrize(
    "y",
    [
        np.linspace(0.0, 1.0, 100),  # targets of a regression
        np.linspace(0.0, 1.0, 300).reshape(100, 3),
        np.eye(10)[np.arange(100) % 10],
        np.repeat(np.arange(50), 2),  # .4 of each class, which rounds to none
        np.arange(100),
        np.array(["a", "b"])[np.arange(100) % 2],
    ],
    ids=["floats", "rows", "one_hot", "pairs", "unique", "words"],
)
def test_split_takes_its_share_of_any_targets(y: np.ndarray) -> None:
    (first, first_y), (second, second_y) = data.split(np.arange(100), y, 0.2)
    assert (len(first), len(second)) == (80, 20)
    assert sorted([*first, *second]) == list(range(100))
    np.testing.assert_array_equal(y[first], first_y)
    np.testing.assert_array_equal(y[second], second_y)
    assert sorted(second) != list(range(20))


def test_split_is_stratified_beyond_rounding() -> None:
    y = np.repeat(np.arange(4), [7, 7, 7, 9])  # 1.4, 1.4, 1.4 and 1.8 of them
    (_, _), (_, second) = data.split(y, y, 0.2)
    counts = np.bincount(second)
    assert counts.sum() == 6
    assert counts.min() >= 1
    assert counts[3] == 2


def test_split_takes_lists() -> None:
    (first, _), (second, _) = data.split([1, 2, 3, 4, 5], [0, 1, 0, 1, 0], 0.4)
    assert sorted([*first, *second]) == [1, 2, 3, 4, 5]
    assert len(second) == 2


def test_split_refuses_nonsense() -> None:
    with pytest.raises(ArgumentError, match=r"share of 0\.2 of 2 examples leaves a part without"):
        data.split(np.zeros(2), np.zeros(2))
    with pytest.raises(ArgumentError, match=r"between 0 and 1, got 1\.5"):
        data.split(np.zeros(3), np.zeros(3), share=1.5)
    with pytest.raises(ArgumentError, match="3 examples but 4 labels"):
        data.split(np.zeros(3), np.zeros(4))


# ------------------------------------------------------------------------------------ idx

CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def encode(array: np.ndarray, code: int) -> bytes:
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.tobytes()


@pytest.mark.parametrize("dtype", CODES)
@pytest.mark.parametrize("shape", [(5,), (2, 3), (2, 3, 4), (0, 7)])
@pytest.mark.parametrize("packed", [False, True])
def test_idx_reads_what_was_written(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], packed: bool
) -> None:
    array = np.arange(int(np.prod(shape))).astype(dtype).reshape(shape)
    content = encode(array, CODES[dtype])
    path = tmp_path / "a.idx"
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)
    read = data.idx(path)
    assert read.dtype == np.dtype(dtype).newbyteorder("=")
    np.testing.assert_array_equal(read, array)
    assert read.flags.writeable


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file: it starts with nothing"),
        (b"\x00\x00\x08", "it starts with 00 00 08"),
        (b"PK\x03\x04 a zip", "it starts with 50 4b 03 04"),
        (b"\x00\x00\x07\x01" + b"\x00" * 8, "it starts with 00 00 07 01"),
        (b"\x00\x00\x08\x00", "it starts with 00 00 08 00"),
        (b"\x00\x00\x08\x02\x00\x00\x00\x01", "8 bytes, the header alone has 12"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05abc", r"11 bytes, uint8\[5\] needs 13"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x01abc", r"too long: 11 bytes, uint8\[1\] needs 9"),
        (b"\x00\x00\x08\x03" + b"\xff" * 12, "truncated: 16 bytes"),
        (b"\x1f\x8b\x08broken", "broken gzip data"),
        (gzip.compress(b"\x00\x00\x08\x01\x00\x00\x00\x02ab", mtime=0)[:-6], "broken gzip data"),
    ],
)
def test_idx_names_what_is_wrong(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.idx"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=message) as caught:
        data.idx(path)
    assert "bad.idx" in str(caught.value)


@given(st.binary(max_size=40))
def test_idx_survives_any_bytes(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "x")
        path.write_bytes(b"\x00\x00\x08" + content)
        with contextlib.suppress(FormatError):
            assert data.idx(path).dtype == np.uint8


def test_fashion_mnist_reads_four_files(tmp_path: Path) -> None:
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    labels = np.array([3, 9], np.uint8)
    for part in ("train", "t10k"):
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(encode(images, 8))
        (tmp_path / f"{part}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(encode(labels, 8), mtime=0)
        )
    (x, y), (x_test, _) = data.fashion_mnist(tmp_path)
    np.testing.assert_array_equal(x, images)
    np.testing.assert_array_equal(x_test, images)
    assert y.tolist() == [3, 9]
    assert y.dtype == np.int32


def test_fashion_mnist_says_which_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        data.fashion_mnist(tmp_path)


def test_fashion_mnist_refuses_files_that_do_not_match(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte").write_bytes(encode(np.zeros((2, 4, 4), np.uint8), 8))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(encode(np.zeros(3, np.uint8), 8))
    with pytest.raises(GraphcError, match="do not belong together"):
        data.fashion_mnist(tmp_path)


def write_colours(directory: Path) -> tuple[np.ndarray, np.ndarray]:
    """The binary version of CIFAR-10, of two pictures a file."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (12, 32, 32, 3), np.uint8)
    y = rng.integers(0, 10, 12)
    names = [f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]
    for i, name in enumerate(names):
        rows = [
            bytes([y[k]]) + np.ascontiguousarray(x[k].transpose(2, 0, 1)).tobytes()
            for k in (2 * i, 2 * i + 1)
        ]
        (directory / name).write_bytes(b"".join(rows))
    return x, y


def test_cifar10_reads_the_binary_version(tmp_path: Path) -> None:
    x, y = write_colours(tmp_path)
    training, testing = data.cifar10(tmp_path)
    np.testing.assert_array_equal(np.concatenate([training[0], testing[0]]), x)
    np.testing.assert_array_equal(np.concatenate([training[1], testing[1]]), y)
    assert training[0].dtype == np.uint8
    assert training[1].dtype == np.int32
    assert len(data.CIFAR10_CLASSES) == 10


def test_cifar10_reads_pictures_of_one_image_a_row(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    x = np.random.default_rng(0).integers(0, 256, (12, 1024, 3), np.uint8)
    y = [3, 9, 0, 1, 2, 5, 5, 8, 7, 6, 4, 4]
    names = [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]
    for i, name in enumerate(names):
        pillow.fromarray(x[2 * i : 2 * i + 2]).save(tmp_path / f"{name}.png")
    (tmp_path / "train_lables.json").write_text(str(y[:10]))
    (tmp_path / "test_lables.json").write_text(str(y[10:]))
    training, testing = data.cifar10(tmp_path)
    np.testing.assert_array_equal(training[0], x[:10].reshape(10, 32, 32, 3))
    np.testing.assert_array_equal(testing[1], y[10:])
    (tmp_path / "test_lables.json").write_text("[3, 10]")
    with pytest.raises(FormatError, match=r"test_lables.json: the labels are not 2 numbers of 0"):
        data.cifar10(tmp_path)


def test_cifar10_refuses_what_is_something_else(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"neither test_batch.bin nor test_batch.png"):
        data.cifar10(tmp_path)
    write_colours(tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(b"123")
    with pytest.raises(FormatError, match=r"data_batch_3.bin: 3 bytes are no whole number of rows"):
        data.cifar10(tmp_path)


def test_verify_compares_digests(tmp_path: Path) -> None:
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    (tmp_path / "abc").write_bytes(b"abc")
    data.verify(tmp_path / "abc", digest.upper())
    data.verify(tmp_path, {"abc": digest})
    (tmp_path / "abc").write_bytes(b"abd")
    with pytest.raises(
        FormatError, match=f"abc: the SHA-256 digest is [0-9a-f]{{64}}, not {digest}"
    ):
        data.verify(tmp_path, {"abc": digest})
    with pytest.raises(ArgumentError, match="not a SHA-256 digest of 64 hexadecimal digits: 'ba7'"):
        data.verify(tmp_path / "abc", "ba7")


def test_readers_verify_the_published_sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = write_colours(tmp_path)
    with pytest.raises(FormatError, match="the training part is not that of CIFAR-10: 10 images"):
        data.cifar10(tmp_path, verify=True)
    own = [
        hashlib.sha256(x[part].tobytes() + y[part].astype(np.uint8).tobytes()).hexdigest()
        for part in (slice(0, 10), slice(10, 12))
    ]
    monkeypatch.setitem(PUBLISHED, "CIFAR-10", tuple(own))
    data.cifar10(tmp_path, verify=True)
