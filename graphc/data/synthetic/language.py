"""Made-up language: a text, pairs of sentences in two languages, pictures with captions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from graphc.data.synthetic.draws import generator
from graphc.ir.types import Array

# English, and the same with gender: le or la, the adjective behind the noun, agreeing with it.
NOUNS = (
    ("cat", "chat", "m"), ("dog", "chien", "m"), ("house", "maison", "f"), ("car", "voiture", "f"),
    ("book", "livre", "m"), ("table", "table", "f"), ("rabbit", "lapin", "m"),
    ("girl", "fille", "f"), ("boy", "garçon", "m"), ("horse", "cheval", "m"),
)  # fmt: skip
ADJECTIVES = (
    ("red", "rouge", "rouge"), ("green", "vert", "verte"), ("black", "noir", "noire"),
    ("small", "minuscule", "minuscule"), ("strong", "fort", "forte"), ("calm", "calme", "calme"),
    ("happy", "content", "contente"), ("heavy", "lourd", "lourde"),
)  # fmt: skip
VERBS = (
    ("sees", "voit"), ("follows", "suit"), ("likes", "aime"), ("finds", "trouve"),
    ("carries", "porte"), ("hears", "entend"),
)  # fmt: skip
COLOURS = {
    "red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 80, 220),
    "yellow": (230, 210, 50), "white": (240, 240, 240),
}  # fmt: skip
SIZES = {"small": 5.0, "large": 9.0}
PLACES = {
    "top left": (10, 10), "top right": (10, 22),
    "bottom left": (22, 10), "bottom right": (22, 22),
}  # fmt: skip


def text(count: int = 1000, seed: int = 0) -> str:
    """Return `count` English sentences of a grammar: a subject, a verb and an object.

    Lower case, a space between them, some joined by "and". Every noun likes verbs and
    adjectives of its own, so a model has more to learn than the grammar.
    """
    rng = generator("text", count, seed)
    parts = []
    for _ in range(count):
        sentence = " ".join(pair[0] for pair in _sentence(rng))
        parts.append(sentence + (", and" if rng.random() < 0.2 else "."))
    return " ".join(parts).removesuffix(", and") + ("" if parts[-1].endswith(".") else ".")


def aligned(count: int = 1000, seed: int = 0) -> list[tuple[str, str]]:
    """Return pairs (English, French) of sentences, made by a grammar.

    Articles and adjectives of the French agree with the noun, which adjectives follow.
    """
    rng = generator("aligned", count, seed)
    pairs = []
    for _ in range(count):
        english, french = zip(*_sentence(rng))
        pairs.append((" ".join(english) + " .", " ".join(french) + " ."))
    return pairs


def _sentence(rng: np.random.Generator) -> list[tuple[str, str]]:
    """Phrases in both languages: subject, verb, object."""
    subject, thing = rng.choice(len(NOUNS), 2, replace=False)
    verb = VERBS[(subject + rng.integers(0, 3)) % len(VERBS)]
    return [_phrase(int(subject), rng), verb, _phrase(int(thing), rng)]


def _phrase(noun: int, rng: np.random.Generator) -> tuple[str, str]:
    english, french, gender = NOUNS[noun]
    article = "le" if gender == "m" else "la"
    if rng.random() < 0.4:
        return f"the {english}", f"{article} {french}"
    name, male, female = ADJECTIVES[(noun + rng.integers(0, 4)) % len(ADJECTIVES)]
    return f"the {name} {english}", f"{article} {french} {male if gender == 'm' else female}"


def captions(count: int = 500, seed: int = 0) -> tuple[Array, list[list[str]]]:
    """Return (x, captions): pictures of one shape, and two captions of each.

    x is uint8 of shape (count, 32, 32, 3). "a small red disc at the top left" is the first form,
    "top left : red disc" the second.
    """
    rng = generator("captions", count, seed)
    x = np.zeros((count, 32, 32, 3), np.uint8)
    said = []
    for image in x:
        colour, size, place = (_one(rng, d) for d in (COLOURS, SIZES, PLACES))
        shape = "disc" if rng.random() < 0.5 else "square"
        down, right = np.abs(np.mgrid[:32, :32] + 0.5 - np.reshape(PLACES[place], (2, 1, 1)))
        far = np.hypot(down, right) if shape == "disc" else np.maximum(down, right)
        image[:] = rng.integers(0, 60, (32, 32, 3))
        image[far < SIZES[size]] = COLOURS[colour]
        said.append([f"a {size} {colour} {shape} at the {place}", f"{place} : {colour} {shape}"])
    return x, said


def _one(rng: np.random.Generator, choices: Iterable[str]) -> str:
    every = list(choices)
    return every[int(rng.integers(0, len(every)))]
