"""Made-up data sets: the forms of the real ones, the same for a seed, and learnable."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import data
from graphc.errors import ArgumentError
from tests.tolerances import DRAWN_MEAN

synthetic = data.synthetic
SETS = {
    "digits_28x28": lambda n, s: synthetic.digits_28x28(n, s)[0],
    "letters": synthetic.letters,
    "cifar_like": synthetic.cifar_like,
    "text": synthetic.text,
    "aligned": synthetic.aligned,
    "captions": synthetic.captions,
    "speech": synthetic.speech,
    "houses": lambda n, s: synthetic.houses(n, s).matrix(),
    "collisions": lambda n, s: synthetic.collisions(n, s).matrix(),
    "people": lambda n, s: synthetic.people(n, s).matrix(),
    "playground": lambda n, s: synthetic.playground(count=n, seed=s),
    "faces": lambda n, s: synthetic.faces(n, seed=s),
    "cats": lambda n, s: synthetic.cats(n, seed=s),
    "roads": lambda n, s: synthetic.roads(n, 16, s),
    "maps": lambda n, s: synthetic.maps(n, 16, s),
    "tissue": lambda n, s: synthetic.tissue(n, 16, s),
    "unpaired": lambda n, s: synthetic.unpaired(n, seed=s),
    "house_numbers": synthetic.house_numbers,
    "cheques": lambda n, s: synthetic.cheques(n, seed=s),
    "scans": lambda n, s: synthetic.scans(n, seed=s),
}


def digest(value: Any) -> str:
    """A text that differs where any array or word does."""
    if isinstance(value, np.ndarray):
        return hashlib.sha256(value.tobytes()).hexdigest() + str(value.dtype)
    if isinstance(value, (list, tuple)):
        return "(" + ",".join(digest(v) for v in value) + ")"
    return repr(value)


@pytest.mark.parametrize("name", SETS)
def test_a_set_depends_on_its_seed_alone(name: str) -> None:
    first, again, other = (digest(SETS[name](20, seed)) for seed in (0, 0, 1))
    assert first == again != other


@pytest.mark.parametrize("name", SETS)
def test_counts_and_seeds_are_checked(name: str) -> None:
    for count, seed, word in ((0, 0, "count"), (1.5, 0, "count"), (3, -1, "seed")):
        with pytest.raises(ArgumentError, match=f"{name}: {word} must be an int"):
            SETS[name](count, seed)
    assert SETS[name](1, 0) is not None


@pytest.mark.parametrize(
    ("name", "shape", "classes"),
    [("digits_28x28", (28, 28), 10), ("letters", (28, 28), 26), ("cifar_like", (32, 32, 3), 10)],
)
def test_images_have_the_form_of_the_real_ones(name: str, shape: Any, classes: int) -> None:
    x, y = SETS[name](600, 0)
    assert (x.shape, x.dtype, y.dtype) == ((600, *shape), np.uint8, np.int32)
    assert set(y) == set(range(classes))
    assert data.check(x.reshape(600, -1)[:, 300:500], y, classes).ok
    assert x.max() > 150


def test_letters_are_letters() -> None:
    """The mean image of each class is nearest to most images of it."""
    x, y = synthetic.letters(2000)
    test, labels = synthetic.letters(500, seed=1)
    means = np.stack([x[y == c].mean(0) for c in range(26)]).reshape(26, -1)
    means = means / np.linalg.norm(means, axis=1, keepdims=True)
    assert ((test.reshape(500, -1) @ means.T).argmax(1) == labels).mean() > 0.7


def test_shapes_can_be_told_apart() -> None:
    gx.seed(0)
    x, y = synthetic.cifar_like(1500)
    net = gx.nn.Sequential(
        [gx.nn.Rescaling(1 / 255), gx.nn.Conv2D(12, 3, strides=2, activation="relu"),
         gx.nn.Conv2D(24, 3, strides=2, activation="relu"), gx.nn.Flatten(), gx.nn.Dense(10)]
    )  # fmt: skip
    net.compile(gx.optim.Adam(2e-3), "softmax_cross_entropy", ["accuracy"])
    net.fit(x[:1200], y[:1200], epochs=10, verbose=False, seed=0)
    assert net.evaluate(x[1200:], y[1200:])["accuracy"] > 0.45  # chance is 0.1


def test_languages_agree_word_by_word() -> None:
    pairs = synthetic.aligned(300)
    assert all(len(a.split()) == len(b.split()) for a, b in pairs)
    text = " ".join(b for _, b in pairs)
    assert "la maison" in text
    assert "le maison" not in text
    assert "maison noir " not in text
    assert 20 < len(set(synthetic.text(500).replace(".", "").replace(",", "").split())) < 40


def test_captions_say_what_is_there() -> None:
    x, said = synthetic.captions(40)
    for image, (first, second) in zip(x, said):
        rows, columns = np.nonzero(image.max(-1) > 100)
        assert ("top" in first) == (rows.mean() < 16)
        assert ("left" in second) == (columns.mean() < 16)
        assert ("large" in first) == (len(rows) > 110)


def test_speech_can_be_read_from_its_tones() -> None:
    sounds, labels, rate = synthetic.speech(30)
    assert len({len(s) for s in sounds}) > 10
    assert all(1 <= len(digits) <= 5 for digits in labels)
    for sound, digits in zip(sounds, labels):
        spectrum = np.abs(np.fft.rfft(sound))
        frequencies = np.fft.rfftfreq(len(sound), 1 / rate)
        noise = spectrum[frequencies > 3000].max()
        for digit_high, low, high in ((False, 1250, 1550), (True, 2000, 2400)):
            loud = spectrum[(frequencies > low) & (frequencies < high)].max() > 5 * noise
            assert loud == bool(((digits >= 5) == digit_high).any())


def test_tables_have_their_documented_columns() -> None:
    table = synthetic.houses(400)
    assert table.categories["town"] == ("Ashford", "Brook", "Castle", "Dale")
    x = table.matrix("area", "rooms", "garden", "age", "distance", "town")
    design = np.c_[np.ones(400), x]
    rest = table["price"] - design @ np.linalg.lstsq(design, table["price"], rcond=None)[0]
    assert rest.std() < 0.35 * table["price"].std()
    people = synthetic.people(1000)
    tall = [people["height"][people["sex"] == s].mean() for s in (0, 1)]
    assert tall[1] - tall[0] == pytest.approx(13.0, **DRAWN_MEAN)


def test_collisions_have_signals_at_one_mass_and_gaps() -> None:
    table = synthetic.collisions(3000)
    assert table.categories["label"] == ("b", "s")
    signal = table["label"] == 1
    near = np.abs(table["mass"] - 125) < 30
    assert near[signal].mean() > 0.9 > 0.5 > near[~signal].mean()
    np.testing.assert_array_equal(table["jet_energy"] == -999, table["jets"] == 0)
    assert set(table["weight"][signal]).isdisjoint(table["weight"][~signal])


@pytest.mark.parametrize("kind", ["spiral", "circle", "xor", "gauss"])
def test_playground_is_apart_where_it_should_be(kind: str) -> None:
    x, y = synthetic.playground(kind, 1000, noise=0.0)
    design = np.c_[np.ones(1000), x]
    line = design @ np.linalg.lstsq(design, 2.0 * y - 1, rcond=None)[0]
    right = ((line > 0) == (y == 1)).mean()
    assert right > 0.99 if kind == "gauss" else right < 0.75
    distance = ((x[:, None] - x[None]) ** 2).sum(-1) + 9 * np.eye(1000)
    assert (y[distance.argmin(1)] == y).mean() > 0.97


def test_playground_knows_its_kinds() -> None:
    with pytest.raises(ArgumentError, match="no kind is called 'moons'"):
        synthetic.playground("moons")
    with pytest.raises(ArgumentError, match="noise must be 0 or more"):
        synthetic.playground(noise=-1.0)
